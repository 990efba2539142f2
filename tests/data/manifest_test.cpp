#include <gmock/gmock.h>

#include "base/json.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ManifestTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    manifest_.identity = test_identity();
    manifest_.recipe = {{"max_length", 12}};
    manifest_.sources = {{.path = "a.txt",
                          .rows = 9,
                          .kept = {.documents = 5, .tokens = 70, .trained_tokens = 30},
                          .left_out = 4,
                          .duplicates = 6,
                          .dropped = 4,
                          .empty = 1,
                          .no_target = 2,
                          .overlong_dropped = 1,
                          .truncated = 3,
                          .split = 0,
                          .tokens_lost = 17,
                          .first_dropped = "a.txt:3: it is empty"}};
    for (const char* const name : {"shard-00000.h5", "shard-00001.h5"}) {
      manifest_.shards.push_back({.file = name,
                                  .bytes = 1234,
                                  .counts = {.documents = 5, .tokens = 70, .trained_tokens = 30},
                                  .sha256 = std::string(64, 'e')});
    }
    write_manifest(files_, folder_, manifest_);
    json_ = read_json(files_, path());
  }

  [[nodiscard]] fs::path path() const { return folder_ / "shards.json"; }

  /// What reading says of the changed JSON, which must begin with the path.
  std::string refusal() {
    put("shards.json", dump_json(json_));
    const std::string message = error_of([&] { (void)read_manifest(files_, folder_); });
    EXPECT_THAT(message, StartsWith(path().string()));
    return message;
  }

  Manifest manifest_;
  Json json_;
};

TEST_F(ManifestTest, ComesBackEqual) {
  EXPECT_EQ(read_manifest(files_, folder_), manifest_);
  EXPECT_TRUE(is_shard_folder(files_, folder_));
  EXPECT_EQ(json_["tokens"], 140);
}

TEST_F(ManifestTest, CountsThatOlderFoldersLackAreZero) {
  json_["sources"][0].erase("left_out");
  json_["sources"][0].erase("duplicates");
  json_["sources"][0].erase("first_dropped");
  put("shards.json", dump_json(json_));
  EXPECT_EQ(read_manifest(files_, folder_).sources[0].left_out, 0);
  json_["sources"][0]["duplicates"] = -1;
  EXPECT_THAT(refusal(), HasSubstr("'duplicates' is -1"));
}

TEST_F(ManifestTest, AFolderWithoutOneIsNoShardFolder) {
  fs::remove(path());
  EXPECT_FALSE(is_shard_folder(files_, folder_));
  EXPECT_FALSE(is_shard_folder(files_, folder_ / "nowhere"));
  EXPECT_THAT(error_of([&] { (void)read_manifest(files_, folder_); }),
              HasSubstr("is not a folder of token shards: it has no shards.json"));
}

TEST_F(ManifestTest, AnotherVersion) {
  json_["version"] = 7;
  EXPECT_THAT(refusal(),
              HasSubstr("format 'weft.shards' version 7, expected 'weft.shards' version 1"));
}

TEST_F(ManifestTest, FileNamesThatLeaveTheFolder) {
  for (const char* const name : {"../x.h5", "/etc/passwd", "", ".", "..", "a/b.h5", ".hidden"}) {
    json_["shards"][1]["file"] = name;
    EXPECT_THAT(refusal(), HasSubstr("shard 1: 'file' is '" + std::string(name) +
                                     "', expected the plain name"));
  }
}

TEST_F(ManifestTest, AShardListedTwice) {
  json_["shards"][1]["file"] = "shard-00000.h5";
  EXPECT_THAT(refusal(), HasSubstr("lists shard 'shard-00000.h5' twice"));
}

TEST_F(ManifestTest, CountsThatDoNotAddUp) {
  json_["tokens"] = 141;
  EXPECT_THAT(refusal(), HasSubstr("says 10 documents with 141 tokens (60 trained), its shards sum "
                                   "to 10, 140 (60)"));
}

TEST_F(ManifestTest, CountsThatOverflow) {
  json_["shards"][0]["tokens"] = std::numeric_limits<std::int64_t>::max();
  put("shards.json", dump_json(json_));
  EXPECT_THAT(error_of([&] { (void)read_manifest(files_, folder_); }), HasSubstr("too large"));
}

TEST_F(ManifestTest, NegativeCount) {
  json_["shards"][0]["bytes"] = -1;
  EXPECT_THAT(refusal(), HasSubstr("shard 0: 'bytes' is -1, expected 0 or more"));
}

TEST_F(ManifestTest, ADigestThatIsNone) {
  json_["shards"][0]["sha256"] = "abc";
  EXPECT_THAT(refusal(), HasSubstr("'sha256' is 'abc', expected 64 hexadecimal digits"));
}

TEST_F(ManifestTest, AVocabularyOfNone) {
  json_["vocab_size"] = 0;
  EXPECT_THAT(refusal(), HasSubstr("'vocab_size' is 0, expected 1 to 2147483647"));
}

TEST_F(ManifestTest, AListThatIsNone) {
  json_["shards"] = 3;
  EXPECT_THAT(refusal(), HasSubstr("'shards' is not a list"));
}

TEST_F(ManifestTest, AShardOfAnotherSize) {
  put("shard-00000.h5", "short");
  EXPECT_THAT(
      error_of([&] { ShardSet(files_, folder_); }),
      HasSubstr("shard-00000.h5: is 5 bytes, shards.json says 1234: cut short or replaced"));
}

TEST_F(ManifestTest, AShardThatIsALink) {
  fs::create_symlink("/etc/hostname", folder_ / "shard-00000.h5");
  EXPECT_THAT(error_of([&] { ShardSet(files_, folder_); }), HasSubstr("shard-00000.h5"));
}

TEST_F(ManifestTest, AMissingShard) {
  EXPECT_THAT(error_of([&] { ShardSet(files_, folder_); }), HasSubstr("shard-00000.h5"));
}

}  // namespace
}  // namespace weft::data
