#include <gmock/gmock.h>

#include <thread>

#include "base/json.h"
#include "base/sha256.h"
#include "data/shard_reader.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;

class ShardTest : public FolderTest {
 protected:
  /// Every document of the set equals the ones written.
  static void expect_equal(const ShardSet& set, const std::vector<Document>& documents) {
    ASSERT_EQ(set.documents(), static_cast<std::int64_t>(documents.size()));
    for (std::size_t i = 0; i < documents.size(); ++i) {
      const auto index = static_cast<std::int64_t>(i);
      Document read;
      set.read(index, std::int64_t{1} << 40, read.ids, read.mask);
      EXPECT_EQ(read.ids, documents[i].ids) << "document " << i;
      EXPECT_EQ(read.mask, documents[i].mask) << "document " << i;
      EXPECT_EQ(set.source(index), documents[i].source);
      EXPECT_EQ(set.length(index), documents[i].size());
    }
  }
};

TEST_F(ShardTest, DocumentsComeBackFromSeveralShards) {
  const auto documents = random_documents(1, 200, 90);
  const Manifest manifest =
      write_shards(files_, folder_ / "s", documents, {.shard_tokens = 1000, .compress = false});
  EXPECT_GE(manifest.shards.size(), 8u);
  expect_equal(ShardSet(files_, folder_ / "s"), documents);
}

TEST_F(ShardTest, CompressedShardsHoldTheSameInLessSpace) {
  const auto documents = random_documents(2, 500, 200);
  const Manifest plain = write_shards(files_, folder_ / "plain", documents);
  const Manifest small = write_shards(files_, folder_ / "small", documents, {.compress = true});
  expect_equal(ShardSet(files_, folder_ / "small"), documents);
  EXPECT_LT(small.shards[0].bytes, plain.shards[0].bytes * 2 / 3);
}

TEST_F(ShardTest, DocumentsThatSpanChunksComeBack) {
  Random random(3);
  std::vector<Document> documents{random_document(random, 64 * 1024 - 1),
                                  random_document(random, 3), random_document(random, 150'000)};
  write_shards(files_, folder_ / "s", documents, {.compress = true});
  expect_equal(ShardSet(files_, folder_ / "s"), documents);
}

TEST_F(ShardTest, ADocumentOverTheLimitGetsAShardOfItsOwn) {
  Random random(4);
  std::vector<Document> documents{random_document(random, 10), random_document(random, 500),
                                  random_document(random, 10)};
  const Manifest manifest = write_shards(files_, folder_ / "s", documents, {.shard_tokens = 100});
  ASSERT_EQ(manifest.shards.size(), 3u);
  EXPECT_EQ(manifest.shards[1].counts.tokens, 500);
  expect_equal(ShardSet(files_, folder_ / "s"), documents);
}

TEST_F(ShardTest, ShardsAreFilledUpToTheLimitExactly) {
  Random random(5);
  std::vector<Document> documents{random_document(random, 60), random_document(random, 40),
                                  random_document(random, 1)};
  const Manifest manifest = write_shards(files_, folder_ / "s", documents, {.shard_tokens = 100});
  ASSERT_EQ(manifest.shards.size(), 2u);
  EXPECT_EQ(manifest.shards[0].counts.tokens, 100);
}

TEST_F(ShardTest, ALimitCutsADocumentWhileReading) {
  const auto documents = random_documents(6, 3, 50);
  write_shards(files_, folder_ / "s", documents);
  const ShardSet set(files_, folder_ / "s");
  Document read;
  set.read(1, 1, read.ids, read.mask);
  set.read(2, 1, read.ids, read.mask);
  EXPECT_EQ(read.ids, (std::vector<std::int32_t>{documents[1].ids[0], documents[2].ids[0]}));
  EXPECT_EQ(read.mask, (std::vector<std::uint8_t>{0, 0}));
}

TEST_F(ShardTest, EqualInputsGiveEqualBytes) {
  const auto documents = random_documents(7, 50, 50);
  const Manifest first = write_shards(files_, folder_ / "a", documents);
  const Manifest second = write_shards(files_, folder_ / "b", documents);
  EXPECT_EQ(first, second);
  EXPECT_EQ(sha256_file(files_, folder_ / "a" / "shard-00000.h5"), first.shards[0].sha256);
}

TEST_F(ShardTest, ManySetsAreReadFromManyThreads) {
  const auto documents = random_documents(8, 300, 60);
  write_shards(files_, folder_ / "s", documents, {.shard_tokens = 2000, .compress = true});
  const ShardSet set(files_, folder_ / "s");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { expect_equal(set, documents); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(ShardTest, DocumentsThatCannotBeAreRefusedWhenWritten) {
  ShardWriter writer(files_, folder_, test_identity(), {});
  writer.add({.ids = {1, 2}, .mask = {0, 1}});
  const auto add = [&](Document document) { return error_of([&] { writer.add(document); }); };
  EXPECT_EQ(add({.ids = {}, .mask = {}}),
            "document 1: 0 tokens with a mask of 0; expected equal numbers, at least 1");
  EXPECT_THAT(add({.ids = {1, 2}, .mask = {0}}), HasSubstr("2 tokens with a mask of 1"));
  EXPECT_EQ(add({.ids = {1, 1000}, .mask = {0, 1}}),
            "document 1: token id 1000 is outside the vocabulary of 1000");
  EXPECT_THAT(add({.ids = {-1}, .mask = {0}}), HasSubstr("token id -1"));
  EXPECT_EQ(add({.ids = {1, 2}, .mask = {1, 1}}),
            "document 1: a mask must hold 0 and 1 and start with 0");
  EXPECT_THAT(add({.ids = {1, 2}, .mask = {0, 2}}), HasSubstr("a mask must hold 0 and 1"));
}

TEST_F(ShardTest, AShardLimitOutOfRangeIsAConfigError) {
  const auto make = [&](std::int64_t limit) {
    return error_of([&] { ShardWriter(files_, folder_, test_identity(), {.shard_tokens = limit}); },
                    ErrorKind::kConfig);
  };
  EXPECT_EQ(make(0), "shard_tokens is 0, expected 1 to 1073741824");
  EXPECT_THAT(make(std::int64_t{1} << 40), HasSubstr("expected 1 to"));
}

TEST_F(ShardTest, AnotherTokenizerIsRefused) {
  write_shards(files_, folder_ / "s", random_documents(9, 3, 5));
  const std::string message = error_of(
      [&] { ShardSet(files_, folder_ / "s", {.tokenizer_sha256 = std::string(64, 'c')}); });
  EXPECT_THAT(message, HasSubstr("made with the tokenizer aaaaaaaaaaaa…, the model's is "
                                 "cccccccccccc…: tokenise again with the model's tokenizer"));
  ShardSet(files_, folder_ / "s", {.tokenizer_sha256 = std::string(64, 'a')});
}

TEST_F(ShardTest, AChangedByteIsFoundByItsChecksum) {
  write_shards(files_, folder_ / "s", random_documents(10, 20, 50));
  const fs::path path = folder_ / "s" / "shard-00000.h5";
  std::string bytes = read_file(files_, path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  put("s/shard-00000.h5", bytes);
  EXPECT_EQ(error_of([&] { ShardSet(files_, folder_ / "s"); }),
            path.string() +
                ": its SHA-256 is not the one in shards.json: the file was changed or "
                "damaged; tokenise again");
}

TEST_F(ShardTest, AShardOfOtherInputsBesideTheManifestIsRefused) {
  const auto documents = random_documents(11, 20, 50);
  Manifest manifest = write_shards(files_, folder_ / "s", documents);
  manifest.identity.fingerprint = std::string(64, 'd');
  fs::remove(folder_ / "s" / "shards.json");
  write_manifest(files_, folder_ / "s", manifest);
  EXPECT_THAT(error_of([&] { ShardSet(files_, folder_ / "s"); }),
              HasSubstr("shard-00000.h5: was made with another tokenizer or from other inputs"));
}

}  // namespace
}  // namespace weft::data
