#include "data/megatron.h"

#include <gmock/gmock.h>

#include <functional>

#include "data/reader.h"
#include "data/tokenize.h"
#include "shard_test_support.h"
#include "tokenize_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;

using Ids = std::vector<std::vector<std::int32_t>>;

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// An index written out by hand from the format's description.
struct Index {
  std::string magic{"MMIDIDX\0\0", 9};
  std::uint64_t version = 1;
  std::uint8_t type = 4;
  std::vector<std::int32_t> lengths;
  std::vector<std::int64_t> positions;
  std::vector<std::int64_t> documents;
  std::string more = {};

  [[nodiscard]] std::string bytes() const {
    return magic + bytes_of(std::vector{version}) + static_cast<char>(type) +
           bytes_of(std::vector<std::uint64_t>{lengths.size(), documents.size()}) +
           bytes_of(lengths) + bytes_of(positions) + bytes_of(documents) + more;
  }
};

class MegatronTest : public FolderTest {
 protected:
  template <typename T>
  fs::path put_pair(const Index& index, const std::vector<T>& ids) const {
    put("c.bin", bytes_of(ids));
    return put("c.idx", index.bytes());
  }

  [[nodiscard]] Ids read_all(const fs::path& path) const {
    const MegatronReader reader(files_, path);
    Ids ids(static_cast<std::size_t>(reader.documents()));
    for (std::size_t d = 0; d < ids.size(); ++d) {
      reader.read(static_cast<std::int64_t>(d), ids[d]);
      EXPECT_EQ(reader.length(static_cast<std::int64_t>(d)), std::ssize(ids[d]));
    }
    return ids;
  }

  [[nodiscard]] std::string refusal(const std::function<void(Index&)>& change) const {
    Index index{.lengths = {2, 1, 3}, .positions = {0, 8, 12}, .documents = {0, 2, 3}};
    change(index);
    return error_of([&] {
      (void)read_all(put_pair(index, std::vector<std::int32_t>{1, 2, 3, 4, 5, 6}));
    });
  }
};

TEST_F(MegatronTest, EveryIntegerTypeIsReadAndSequencesMakeDocuments) {
  const auto index = [](std::uint8_t type, std::int64_t width) {
    return Index{.type = type,
                 .lengths = {2, 1, 0, 3},
                 .positions = {0, 2 * width, 3 * width, 3 * width},
                 .documents = {0, 2, 3, 4}};
  };
  const Ids expected{{1, 2, 3}, {}, {4, 5, 100}};
  const auto check = [&]<typename T>(std::uint8_t type, T) {
    const auto path = put_pair(index(type, sizeof(T)), std::vector<T>{1, 2, 3, 4, 5, 100});
    EXPECT_EQ(read_all(path), expected) << "type " << int{type};
  };
  check(1, std::uint8_t{});
  check(2, std::int8_t{});
  check(3, std::int16_t{});
  check(4, std::int32_t{});
  check(5, std::int64_t{});
  check(8, std::uint16_t{});
}

TEST_F(MegatronTest, EitherNameAndModesAreTaken) {
  const Index index{.lengths = {1}, .positions = {4}, .documents = {0, 1}, .more = "\1"};
  put_pair(index, std::vector<std::int32_t>{7, 8});
  EXPECT_EQ(read_all(folder_ / "c.bin"), (Ids{{8}}));
  EXPECT_EQ(read_all(folder_ / "c.idx"), (Ids{{8}}));
}

TEST_F(MegatronTest, WhatIsWrittenIsReadBackExactly) {
  for (const std::int64_t vocab : {1000, 151'936}) {
    Random random(5);
    Ids documents;
    MegatronWriter writer(files_, folder_ / "out.bin", vocab);
    for (int i = 0; i < 50; ++i) {
      auto& ids = documents.emplace_back(1 + random.below(40));
      for (std::int32_t& id : ids) {
        id = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab)));
      }
      writer.add(ids);
    }
    EXPECT_EQ(fs::exists(folder_ / "out.idx"), vocab != 1000) << "published before finish()";
    writer.finish();
    EXPECT_EQ(read_all(folder_ / "out.idx"), documents);
    EXPECT_EQ(read_file(files_, folder_ / "out.idx")[17], vocab == 1000 ? 8 : 4);
  }
}

TEST_F(MegatronTest, AWriterThatIsDestroyedLeavesNothing) {
  {
    MegatronWriter writer(files_, folder_ / "out.bin", 1000);
    writer.add({1, 2});
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(MegatronTest, BadIndexesAreRefused) {
  EXPECT_THAT(refusal([](Index& i) { i.magic[0] = 'X'; }), HasSubstr("c.idx: does not begin as"));
  EXPECT_THAT(refusal([](Index& i) { i.version = 2; }), HasSubstr("version 1 does"));
  EXPECT_THAT(refusal([](Index& i) { i.type = 7; }), HasSubstr("type 7 (floating point)"));
  EXPECT_THAT(refusal([](Index& i) { i.type = 9; }), HasSubstr("ids of type 9;"));
  EXPECT_THAT(refusal([](Index& i) { i.lengths[2] = 4; }),
              HasSubstr("sequence 2 has 4 ids from byte 12 on"));
  EXPECT_THAT(refusal([](Index& i) { i.lengths[0] = -1; }), HasSubstr("sequence 0 has -1 ids"));
  EXPECT_THAT(refusal([](Index& i) { i.positions[1] = -4; }), HasSubstr("from byte -4 on"));
  EXPECT_THAT(refusal([](Index& i) { i.positions[1] = std::int64_t{1} << 62; }),
              HasSubstr("sequence 1"));
  EXPECT_THAT(refusal([](Index& i) { i.documents[1] = 9; }), HasSubstr("and down between"));
  EXPECT_THAT(refusal([](Index& i) { i.documents.back() = 2; }), HasSubstr("go from 0 to 2"));
  EXPECT_THAT(refusal([](Index& i) { i.documents.clear(); }), HasSubstr("0 document bounds"));
  EXPECT_THAT(refusal([](Index& i) { i.more = "xx"; }), HasSubstr("2 bytes are left"));
}

TEST_F(MegatronTest, AnIndexCutAnywhereIsRefused) {
  const Index index{.lengths = {2, 1}, .positions = {0, 8}, .documents = {0, 1, 2}};
  const std::string whole = index.bytes();
  put("c.bin", std::string(12, '\1'));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    put("c.idx", whole.substr(0, size));
    EXPECT_THAT(error_of([&] { MegatronReader(files_, folder_ / "c.idx"); }), HasSubstr("c.idx"))
        << size;
  }
}

TEST_F(MegatronTest, CountsThatOverflowAreRefusedBeforeMemoryIsAskedFor) {
  for (const std::uint64_t count :
       {~std::uint64_t{0}, std::uint64_t{1} << 63, ~std::uint64_t{0} / 12 + 1}) {
    for (const std::size_t at : {18, 26}) {
      Index index{.lengths = {1}, .positions = {0}, .documents = {0, 1}};
      std::string bytes = index.bytes();
      bytes.replace(at, 8, bytes_of(std::vector{count}));
      put("c.bin", std::string(4, '\1'));
      put("c.idx", bytes);
      EXPECT_THAT(error_of([&] { MegatronReader(files_, folder_ / "c.idx"); }),
                  HasSubstr("cannot hold"));
    }
  }
}

TEST_F(MegatronTest, IdsThatAreNoIdsAreRefused) {
  const Index index{.type = 5, .lengths = {1, 1}, .positions = {0, 8}, .documents = {0, 1, 2}};
  const auto path = put_pair(index, std::vector<std::int64_t>{-1, std::int64_t{1} << 31});
  const MegatronReader reader(files_, path);
  std::vector<std::int32_t> ids;
  EXPECT_THAT(error_of([&] { reader.read(0, ids); }), HasSubstr("document 0 has the id -1"));
  EXPECT_THAT(error_of([&] { reader.read(1, ids); }), HasSubstr("the id 2147483648"));
}

TEST_F(MegatronTest, ADatasetOfItBecomesShardsWithEveryTokenATarget) {
  put_pair(
      Index{.type = 8, .lengths = {3, 0, 2}, .positions = {0, 6, 6}, .documents = {0, 1, 2, 3}},
      std::vector<std::uint16_t>{5, 6, 7, 8, 9});
  TokenizeInput input;
  input.path = folder_ / "c.idx";
  const auto result =
      tokenize_to_shards(files_, std::span(&input, 1), ByteTokenizer(), {}, folder_ / "shards");
  EXPECT_EQ(result.manifest.totals(),
            (ShardCounts{.documents = 2, .tokens = 5, .trained_tokens = 3}));
  const ShardSet set(files_, folder_ / "shards");
  Document document;
  set.read(1, 10, document.ids, document.mask);
  EXPECT_EQ(document.ids, (std::vector<std::int32_t>{8, 9}));
  EXPECT_EQ(document.mask, (std::vector<std::uint8_t>{0, 1}));
  // Other ids under the same index are other data.
  put("c.bin", bytes_of(std::vector<std::uint16_t>{5, 6, 7, 8, 10}));
  EXPECT_THAT(error_of(
                  [&] {
                    (void)tokenize_to_shards(files_, std::span(&input, 1), ByteTokenizer(), {},
                                             folder_ / "shards");
                  },
                  ErrorKind::kConfig),
              HasSubstr("shards"));
}

TEST_F(MegatronTest, MasksBesideThePairAreHeeded) {
  put_pair(Index{.lengths = {3}, .positions = {0}, .documents = {0, 1}},
           std::vector<std::int32_t>{5, 6, 7});
  const auto put_masks = [&](const std::vector<std::int32_t>& mask) {
    MegatronWriter writer(files_, folder_ / "c.mask.bin", 2);
    writer.add(mask);
    writer.finish();
  };
  const auto row = [&] {
    Row first;
    EXPECT_TRUE(
        open_rows(files_, folder_ / "c.idx", {.syntax = FileSyntax::kMegatron})->next(first));
    return first.text;
  };
  put_masks({0, 0, 1});
  EXPECT_EQ(fs::file_size(folder_ / "c.mask.bin"), 3U);
  EXPECT_EQ(row(), R"({"ids":[5,6,7],"labels":[-100,-100,7]})");
  TokenizeInput input;
  input.path = folder_;
  const auto tokenize = [&] {
    return tokenize_to_shards(files_, std::span(&input, 1), ByteTokenizer(), {},
                              folder_ / ".shards");
  };
  EXPECT_EQ(tokenize().manifest.totals(),
            (ShardCounts{.documents = 1, .tokens = 3, .trained_tokens = 1}));
  put_masks({0, 1, 1});
  EXPECT_THAT(error_of([&] { (void)tokenize(); }, ErrorKind::kConfig), HasSubstr("files"));
  put_masks({0, 1});
  EXPECT_THAT(error_of([&] { (void)row(); }), HasSubstr("c.mask.idx: document 1: expected 0 or 1"));
}

TEST_F(MegatronTest, ADocumentTooLongForARowIsRefused) {
  put_pair(Index{.lengths = {4}, .positions = {0}, .documents = {0, 1}},
           std::vector<std::int32_t>{1, 2, 3, 4});
  const auto rows =
      open_rows(files_, folder_ / "c.idx",
                {.syntax = FileSyntax::kMegatron, .separator = {}, .max_row_bytes = 15});
  Row row;
  EXPECT_THAT(error_of([&] { (void)rows->next(row); }),
              HasSubstr("document 1 has 4 tokens: too many for a row of at most 15 bytes"));
}

TEST_F(MegatronTest, AnyBytesChangedAreReadOrRefused) {
  const Index index{.lengths = {2, 1, 3}, .positions = {0, 8, 12}, .documents = {0, 2, 3}};
  const std::string whole = index.bytes();
  put("c.bin", bytes_of(std::vector<std::int32_t>{1, 2, 3, 4, 5, 6}));
  Random random(9);
  int taken = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = whole;
    for (std::uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
      // Small and extreme values make more of a difference than random ones.
      constexpr char kValues[] = {0, 1, 2, 127, -128, -1};
      bytes[18 + random.below(bytes.size() - 18)] = kValues[random.below(std::size(kValues))];
    }
    put("c.idx", bytes);
    try {
      std::int64_t tokens = 0;
      for (const auto& ids : read_all(folder_ / "c.idx")) {
        tokens += std::ssize(ids);
      }
      EXPECT_LE(tokens, 18) << "no sequence is longer than the data";
      ++taken;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
    }
  }
  EXPECT_GT(taken, 0);
}

TEST_F(MegatronTest, OtherNamesAndMissingHalvesAreNamed) {
  EXPECT_THAT(error_of([&] { MegatronReader(files_, folder_ / "c.txt"); }, ErrorKind::kConfig),
              HasSubstr("expected NAME.bin or NAME.idx"));
  put("c.bin", "1234");
  EXPECT_THAT(error_of([&] { MegatronReader(files_, folder_ / "c.bin"); }), HasSubstr("c.idx"));
}

}  // namespace
}  // namespace weft::data
