#include "model/checkpoint_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/checkpoint_files.h"
#include "model/checkpoint_index.h"
#include "tests/model/files_test_support.h"

namespace weft::model {
namespace {

using test::TempFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::write_text;

constexpr std::string_view kFirst = "model-00001-of-00002.safetensors";
constexpr std::string_view kSecond = "model-00002-of-00002.safetensors";

class CheckpointReaderTest : public ::testing::Test {
 protected:
  /// A weight file with one-row F32 tensors of those names; element i of tensor NAME is NAME's
  /// length + i.
  void write_shard(const fs::path& path, const std::vector<std::string>& names,
                   DType dtype = DType::kFloat32) {
    std::vector<std::vector<float>> values;
    std::vector<std::vector<std::byte>> bytes;
    std::vector<TensorBytes> tensors;
    for (const std::string& name : names) {
      std::vector<float> row;
      for (int i = 0; i < 6; ++i)
        row.push_back(static_cast<float>(name.size()) + static_cast<float>(i));
      bytes.emplace_back(6 * dtype_bytes(dtype));
      convert_elements(DType::kFloat32, std::as_bytes(std::span(row)), dtype, bytes.back());
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      tensors.push_back({{names[i], dtype, {2, 3}}, bytes[i]});
    }
    publish_safetensors(files_, path, tensors);
  }

  void write_index(const std::vector<std::pair<std::string, std::string>>& map) {
    Json weight_map = Json::object();
    for (const auto& [name, shard] : map) weight_map[name] = shard;
    write_text(folder_.path() / kIndexName,
               dump_json({{"metadata", {{"total_size", 1}}}, {"weight_map", weight_map}}));
  }

  void write_two_shards() {
    write_shard(folder_.path() / kFirst, {"a", "bb"});
    write_shard(folder_.path() / kSecond, {"ccc"});
    write_index(
        {{"a", std::string(kFirst)}, {"bb", std::string(kFirst)}, {"ccc", std::string(kSecond)}});
  }

  CheckpointReader open() { return CheckpointReader::open(files_, folder_.path()); }

  std::string refused() {
    return error_of([&] { static_cast<void>(open()); });
  }

  FileSystem& files_ = posix_file_system();
  TempFolder folder_;
};

TEST_F(CheckpointReaderTest, ReadsOneFile) {
  write_shard(folder_.path() / "model.safetensors", {"a", "bb"});
  const CheckpointReader reader = open();
  EXPECT_THAT(reader.names(), ElementsAre("a", "bb"));
  EXPECT_EQ(reader.total_bytes(), 48u);
  std::vector<float> values(6);
  reader.read("bb", std::as_writable_bytes(std::span(values)));
  EXPECT_THAT(values, ElementsAre(2, 3, 4, 5, 6, 7));
}

TEST_F(CheckpointReaderTest, ReadsShards) {
  write_two_shards();
  const CheckpointReader reader = open();
  EXPECT_THAT(reader.names(), ElementsAre("a", "bb", "ccc"));
  std::vector<float> values(6);
  reader.read("ccc", std::as_writable_bytes(std::span(values)));
  EXPECT_THAT(values, ElementsAre(3, 4, 5, 6, 7, 8));
  EXPECT_TRUE(reader.contains("a"));
  EXPECT_FALSE(reader.contains("d"));
}

TEST_F(CheckpointReaderTest, StaysValidWhenMoved) {
  write_two_shards();
  CheckpointReader first = open();
  const CheckpointReader second = std::move(first);
  std::vector<float> values(6);
  second.read("a", std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values[0], 1.0f);
}

TEST_F(CheckpointReaderTest, ConvertsWhileReading) {
  write_shard(folder_.path() / "model.safetensors", {"a"}, DType::kBFloat16);
  const CheckpointReader reader = open();
  std::vector<float> values(4);
  reader.read_as("a", 2, DType::kFloat32, std::as_writable_bytes(std::span(values)));
  EXPECT_THAT(values, ElementsAre(3, 4, 5, 6));
  std::vector<std::uint16_t> same(2);
  reader.read_as("a", 1, DType::kBFloat16, std::as_writable_bytes(std::span(same)));
  EXPECT_EQ(same[0], float_to_bfloat16(2.0f));
  EXPECT_THAT(error_of(
                  [&] {
                    reader.read_as("a", 3, DType::kFloat32,
                                   std::as_writable_bytes(std::span(values)));
                  },
                  ErrorKind::kInternal),
              HasSubstr("outside a tensor"));
}

TEST_F(CheckpointReaderTest, ConvertsTensorsLargerThanAPiece) {
  std::vector<std::uint16_t> stored((std::size_t{1} << 18) + 5);
  for (std::size_t i = 0; i < stored.size(); ++i) {
    stored[i] = float_to_bfloat16(static_cast<float>(i % 100));
  }
  const TensorBytes tensor{{"a", DType::kBFloat16, {static_cast<std::int64_t>(stored.size())}},
                           std::as_bytes(std::span(stored))};
  publish_safetensors(files_, folder_.path() / "model.safetensors", {&tensor, 1});
  std::vector<float> values(stored.size());
  open().read_as("a", 0, DType::kFloat32, std::as_writable_bytes(std::span(values)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(values[i], static_cast<float>(i % 100)) << i;
  }
}

TEST_F(CheckpointReaderTest, ExpectsShapesAndTypes) {
  write_shard(folder_.path() / "model.safetensors", {"a"});
  const CheckpointReader reader = open();
  const std::vector<std::int64_t> right = {2, 3};
  const std::vector<std::int64_t> wrong = {3, 2};
  EXPECT_EQ(reader.expect("a", right).dtype, DType::kFloat32);
  EXPECT_THAT(error_of([&] { reader.expect("a", wrong); }),
              AllOf(HasSubstr("tensor 'a' has shape [2, 3]"), HasSubstr("asks for [3, 2]")));
  EXPECT_THAT(error_of([&] { reader.expect("q_proj", right); }), HasSubstr("no tensor 'q_proj'"));

  const std::vector<std::byte> bytes(6);
  const TensorBytes int8{{"a", DType::kInt8, {2, 3}}, bytes};
  publish_safetensors(files_, folder_.path() / "model.safetensors", {&int8, 1});
  EXPECT_THAT(error_of([&] { open().expect("a", right); }),
              AllOf(HasSubstr("has type I8"), HasSubstr("BF16, F16, F32 or F64")));
}

TEST_F(CheckpointReaderTest, FoldersWithoutWeightsSayWhatTheyHold) {
  EXPECT_THAT(refused(), HasSubstr("holds neither model.safetensors nor"));
  write_text(folder_.path() / "pytorch_model.bin", "x");
  EXPECT_THAT(refused(), AllOf(HasSubstr("'pytorch_model.bin'"), HasSubstr("safetensors only")));
  EXPECT_THAT(error_of([&] {
                static_cast<void>(CheckpointReader::open(files_, folder_.path() / "missing"));
              }),
              HasSubstr("is not a folder"));
}

TEST_F(CheckpointReaderTest, PicklesOfferedAsWeightsAreNamed) {
  write_text(folder_.path() / "model.safetensors",
             std::string("PK\x03\x04") + std::string(60, 'x'));
  EXPECT_THAT(refused(), AllOf(HasSubstr("zip file"), HasSubstr("model.safetensors")));
}

TEST_F(CheckpointReaderTest, AMissingShardIsNamed) {
  write_two_shards();
  fs::remove(folder_.path() / kSecond);
  EXPECT_THAT(refused(), AllOf(HasSubstr(std::string(kSecond)), HasSubstr("is missing")));
}

TEST_F(CheckpointReaderTest, ATensorInAnotherShardThanTheIndexSays) {
  write_two_shards();
  write_index(
      {{"a", std::string(kFirst)}, {"bb", std::string(kSecond)}, {"ccc", std::string(kSecond)}});
  EXPECT_THAT(refused(),
              AllOf(HasSubstr("'bb' is in model-00001-of-00002.safetensors but the index says "
                              "model-00002-of-00002.safetensors"),
                    HasSubstr("'bb' is not in model-00002-of-00002.safetensors")));
}

TEST_F(CheckpointReaderTest, ATensorInNoShard) {
  write_two_shards();
  write_index({{"a", std::string(kFirst)},
               {"bb", std::string(kFirst)},
               {"ccc", std::string(kSecond)},
               {"dddd", std::string(kSecond)}});
  EXPECT_THAT(refused(), HasSubstr("'dddd' is not in model-00002-of-00002.safetensors"));
}

TEST_F(CheckpointReaderTest, ATensorThatTheIndexDoesNotList) {
  write_two_shards();
  write_index({{"a", std::string(kFirst)}, {"ccc", std::string(kSecond)}});
  EXPECT_THAT(refused(),
              HasSubstr("'bb' is in model-00001-of-00002.safetensors but not in the index"));
}

TEST_F(CheckpointReaderTest, ListsTenDisagreementsAtMost) {
  std::vector<std::pair<std::string, std::string>> map = {{"a", std::string(kFirst)}};
  for (int i = 10; i < 35; ++i) map.emplace_back("t" + std::to_string(i), kFirst);
  write_shard(folder_.path() / kFirst, {"a"});
  write_index(map);
  EXPECT_THAT(refused(), AllOf(HasSubstr("'t10'"), HasSubstr("'t19'"), Not(HasSubstr("'t20'")),
                               HasSubstr("and 15 more")));
}

TEST_F(CheckpointReaderTest, IndexesOfTheWrongForm) {
  const auto message = [&](std::string_view text) {
    write_text(folder_.path() / kIndexName, text);
    return refused();
  };
  EXPECT_THAT(message("{}"), HasSubstr("weight_map"));
  EXPECT_THAT(message("{\"weight_map\": {}}"), HasSubstr("'weight_map' must be an object"));
  EXPECT_THAT(message("{\"weight_map\": []}"), HasSubstr("'weight_map' must be an object"));
  EXPECT_THAT(message("{\"weight_map\": {\"a\": 1}}"), HasSubstr("a file name is expected"));
  EXPECT_THAT(message("{\"weight_map\": {\"a\": \"x.safetensors\", \"a\": \"y.safetensors\"}}"),
              HasSubstr("model.safetensors.index.json"));
  EXPECT_THAT(message("{\"weight_map\""), HasSubstr("model.safetensors.index.json"));
}

TEST_F(CheckpointReaderTest, ShardNamesCannotLeaveTheFolder) {
  TempFolder outside;
  write_shard(outside.path() / "x.safetensors", {"a"});
  const std::string relative = "../" + outside.path().filename().string() + "/x.safetensors";
  for (const std::string& name :
       {relative, (outside.path() / "x.safetensors").string(), std::string("sub/x.safetensors"),
        std::string("./x.safetensors"), std::string(".."), std::string(""),
        std::string("x.safetensors\\"), std::string("x.bin"), std::string("/dev/zero")}) {
    write_index({{"a", name}});
    EXPECT_THAT(refused(), HasSubstr("not allowed as the name of a weight file")) << name;
  }
}

TEST_F(CheckpointReaderTest, LinksOutOfTheFolderAreNotFollowed) {
  TempFolder outside;
  write_shard(outside.path() / "x.safetensors", {"a"});
  fs::create_symlink(outside.path() / "x.safetensors", folder_.path() / "model.safetensors");
  EXPECT_THAT(refused(), HasSubstr("is a symbolic link to"));
  fs::remove(folder_.path() / "model.safetensors");
  fs::create_symlink("other.safetensors", folder_.path() / "model.safetensors");
  EXPECT_THAT(refused(), HasSubstr("is a symbolic link to 'other.safetensors'"));
}

TEST_F(CheckpointReaderTest, DevicesPipesAndFoldersAreRefused) {
  ASSERT_EQ(mkfifo((folder_.path() / "model.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(refused(), HasSubstr("is a pipe; weights must be in regular files"));
  fs::remove(folder_.path() / "model.safetensors");
  fs::create_directory(folder_.path() / "model.safetensors");
  EXPECT_THAT(refused(), HasSubstr("is a folder; weights must be in regular files"));
}

/// The layout of the Hugging Face cache: snapshots/REVISION/FILE -> ../../blobs/HASH.
class HubCacheTest : public CheckpointReaderTest {
 protected:
  void SetUp() override {
    fs::create_directories(snapshot_);
    fs::create_directories(folder_.path() / "blobs");
    write_shard(folder_.path() / "blobs" / "0123abcd", {"a"});
  }

  fs::path snapshot_ = folder_.path() / "snapshots" / "main";
};

TEST_F(HubCacheTest, LinksToBlobsAreFollowed) {
  fs::create_symlink("../../blobs/0123abcd", snapshot_ / "model.safetensors");
  EXPECT_THAT(CheckpointReader::open(files_, snapshot_).names(), ElementsAre("a"));
  // Also through a link to the snapshot folder.
  fs::create_directory_symlink(snapshot_, folder_.path() / "link");
  EXPECT_THAT(CheckpointReader::open(files_, folder_.path() / "link").names(), ElementsAre("a"));
}

TEST_F(HubCacheTest, OtherLinksAreNot) {
  const auto message = [&](const fs::path& target) {
    fs::remove(snapshot_ / "model.safetensors");
    fs::create_symlink(target, snapshot_ / "model.safetensors");
    return error_of([&] { static_cast<void>(CheckpointReader::open(files_, snapshot_)); });
  };
  EXPECT_THAT(message("../../blobs/.."), HasSubstr("is a symbolic link"));
  EXPECT_THAT(message("../../blobs/../../x"), HasSubstr("is a symbolic link"));
  EXPECT_THAT(message("../blobs/0123abcd"), HasSubstr("is a symbolic link"));
  EXPECT_THAT(message("../../blobs/gone"), HasSubstr("is missing"));
  fs::create_symlink("/dev/zero", folder_.path() / "blobs" / "device");
  EXPECT_THAT(message("../../blobs/device"), HasSubstr("must be in regular files"));
}

}  // namespace
}  // namespace weft::model
