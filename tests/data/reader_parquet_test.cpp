#include "data/reader_parquet.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "base/sha256.h"
#include "reader_test_support.h"
#include "tokenize_folder_test.h"

namespace weft::data {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::SizeIs;

/// Skips itself where weft was built without Parquet.
class ReaderParquetTest : public TokenizeFolderTest {
 protected:
  void SetUp() override {
    TokenizeFolderTest::SetUp();
    if (const std::string problem = parquet_problem(); !problem.empty()) {
      GTEST_SKIP() << problem;
    }
  }

  std::vector<Json> rows(const fs::path& path, std::uint64_t limit = 1 << 20) {
    std::vector<Json> found;
    for (const auto& [number, text] :
         read_rows(files_, path, row_options(FileSyntax::kParquet, limit))) {
      found.push_back(parse_json(text, "row"));
      EXPECT_EQ(number, std::ssize(found));
    }
    return found;
  }

  /// As the fixture script's dump_hash.
  static std::string dump_hash(const Json& row) {
    const nlohmann::json sorted = nlohmann::json::parse(row.dump());
    return sha256_hex(dump_json_python(Json(sorted))).substr(0, 8);
  }

  const Json expected_ =
      read_json(posix_file_system(), kInputFixtures / "expected.json")["parquet"];
};

TEST_F(ReaderParquetTest, ListsOfStructsOverSeveralRowGroupsAreWhatArrowWrote) {
  const std::vector<Json> found = rows(kInputFixtures / "chats.parquet");
  ASSERT_EQ(found.size(), expected_["chats"].size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(dump_hash(found[i]), expected_["chats"][i]) << dump_json(found[i]);
  }
}

TEST_F(ReaderParquetTest, RarerTypesBecomeJson) {
  EXPECT_EQ(Json(rows(kInputFixtures / "odd.parquet")), expected_["odd"]);
}

TEST_F(ReaderParquetTest, ParquetIsTokenisedAsTheSameRowsInJsonAre) {
  std::string lines;
  for (const Json& row : rows(kInputFixtures / "chats.parquet")) {
    lines += dump_json(row) + "\n";
  }
  const Manifest made = tokenize({{.path = kInputFixtures / "chats.parquet"}}).manifest;
  const auto parquet = documents();
  fs::remove_all(out());
  const Manifest other = tokenize({input("chats.jsonl", lines)}).manifest;
  EXPECT_EQ(made.totals(), other.totals());
  ASSERT_THAT(parquet, SizeIs(600));
  EXPECT_EQ(parquet[123].ids, documents()[123].ids);
}

TEST_F(ReaderParquetTest, AFileThatIsCutOrDamagedIsAnErrorThatNamesIt) {
  const std::string whole = read_file(files_, kInputFixtures / "chats.parquet");
  for (std::size_t size = 0; size < whole.size(); size += 499) {
    const fs::path cut = put("cut.parquet", std::string_view(whole).substr(0, size));
    EXPECT_THAT(error_of([&] { (void)rows(cut); }), HasSubstr("cut.parquet: cannot be read"));
  }
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); i += 61) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 0x55);
    const fs::path path = put("bad.parquet", bad);
    try {
      (void)read_rows(files_, path, row_options(FileSyntax::kParquet));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      EXPECT_THAT(error.what(), HasSubstr("bad.parquet: cannot be read as Parquet after row "));
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
}

// Offsets that lead out of a column, numbers that are none: what Arrow itself lets through.
TEST_F(ReaderParquetTest, AnyByteChangedIsReadOrRefused) {
  const std::string whole = read_file(files_, kInputFixtures / "odd.parquet");
  int refused = 0;
  for (const char mask : std::string("\x55\x80")) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      std::string bad = whole;
      bad[i] = static_cast<char>(bad[i] ^ mask);
      const fs::path path = put("bad.parquet", bad);
      try {
        (void)read_rows(files_, path, row_options(FileSyntax::kParquet));
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kData);
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 500);
}

TEST_F(ReaderParquetTest, ARowOverTheLimitIsNamed) {
  EXPECT_THAT(error_of([&] { (void)rows(kInputFixtures / "chats.parquet", 100); }),
              HasSubstr("chats.parquet:1: the row is longer than 100 B"));
}

TEST(ReaderParquet, WithoutTheModuleTheMessageSaysWhatToDo) {
  const std::string problem = parquet_problem();
  EXPECT_THAT(problem,
              AnyOf("", HasSubstr("run WEFT_PARQUET=ON scripts/setup.sh and build again")));
}

}  // namespace
}  // namespace weft::data
