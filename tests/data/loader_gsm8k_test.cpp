// The main job's data: GSM8K through the real tokenizer into shards and out of the loader.
#include <gmock/gmock.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "data/loader.h"
#include "data/tokenize.h"
#include "data/tokenizer.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

class Gsm8kTest : public FolderTest {};

TEST_F(Gsm8kTest, BatchesOf4096AreFullAndHoldEveryTokenOnce) {
  const char* const data = std::getenv("WEFT_TEST_DATA");
  if (data == nullptr || !fs::exists(fs::path(data) / "gsm8k")) {
    GTEST_SKIP() << "WEFT_TEST_DATA names no folder with gsm8k/ and qwen3-tokenizer/";
  }
  const auto tokenizer = load_tokenizer(files_, fs::path(data) / "qwen3-tokenizer");
  TokenizeInput input;
  input.path = fs::path(data) / "gsm8k" / "train.jsonl";
  input.prompt_field = "question";
  input.response_field = "answer";
  const auto result =
      tokenize_to_shards(files_, std::span(&input, 1), *tokenizer, {}, folder_ / "s");
  const ShardCounts totals = result.manifest.totals();
  EXPECT_EQ(totals.documents, 7473);

  const auto set = std::make_shared<ShardSet>(
      files_, folder_ / "s", ShardSetOptions{.tokenizer_sha256 = tokenizer->sha256()});
  Loader loader({set}, {.max_length = 4096, .batch_size = 1, .seed = 1});
  const std::int64_t batches = loader.batches_in_epoch(0);
  ShardCounts seen;
  for (std::int64_t i = 0; i < batches; ++i) {
    const MicroBatch batch = loader.next();
    seen.documents += std::ssize(batch.cu_seqlens) - 1;
    seen.tokens += std::ssize(batch.tokens);
    seen.trained_tokens += batch.trained_tokens;
  }
  EXPECT_EQ(seen, totals);
  const double fill = static_cast<double>(totals.tokens) / (4096 * static_cast<double>(batches));
  RecordProperty("fill", std::to_string(fill));
  std::printf("fill %.4f: %lld tokens in %lld batches of 4096\n", fill,
              static_cast<long long>(totals.tokens), static_cast<long long>(batches));
  EXPECT_GE(fill, 0.98);
}

}  // namespace
}  // namespace weft::data
