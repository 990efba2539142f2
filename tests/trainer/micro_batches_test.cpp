#include "trainer/micro_batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace weft::trainer {
namespace {

// Documents of the given lengths; every second token is a target, and token values count up.
data::MicroBatch batch_of(const std::vector<std::int32_t>& lengths) {
  data::MicroBatch batch;
  batch.cu_seqlens.push_back(0);
  for (const std::int32_t length : lengths) {
    for (std::int32_t i = 0; i < length; ++i) {
      batch.tokens.push_back(static_cast<std::int32_t>(batch.tokens.size()));
      batch.mask.push_back(static_cast<std::uint8_t>(i % 2));
      batch.trained_tokens += i % 2;
    }
    batch.cu_seqlens.push_back(static_cast<std::int32_t>(batch.tokens.size()));
    batch.max_seqlen = std::max(batch.max_seqlen, length);
  }
  return batch;
}

TEST(SplitMicroBatch, KeepsWholeDocumentsWithinTheTokens) {
  const data::MicroBatch batch = batch_of({3, 4, 2, 9, 1});
  const auto pieces = split_micro_batch(batch, 7);
  ASSERT_EQ(pieces.size(), 4U);
  EXPECT_EQ(pieces[0].cu_seqlens, (std::vector<std::int32_t>{0, 3, 7}));
  EXPECT_EQ(pieces[1].cu_seqlens, (std::vector<std::int32_t>{0, 2}));
  EXPECT_EQ(pieces[2].cu_seqlens, (std::vector<std::int32_t>{0, 9}));  // longer than a piece
  EXPECT_EQ(pieces[3].cu_seqlens, (std::vector<std::int32_t>{0, 1}));
  std::vector<std::int32_t> tokens;
  std::int64_t trained = 0;
  for (const data::MicroBatch& piece : pieces) {
    tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
    trained += piece.trained_tokens;
  }
  EXPECT_EQ(tokens, batch.tokens);
  EXPECT_EQ(trained, batch.trained_tokens);
  EXPECT_EQ(pieces[2].max_seqlen, 9);
}

TEST(SplitMicroBatch, LeavesWhatFitsAsItIs) {
  const data::MicroBatch batch = batch_of({3, 4});
  EXPECT_EQ(split_micro_batch(batch, 7), std::vector<data::MicroBatch>{batch});
}

TEST(SortedByLength, PutsTheShortestFirstAndKeepsDocumentsWhole) {
  const data::MicroBatch sorted = sorted_by_length(batch_of({3, 1, 4, 1}));
  EXPECT_EQ(sorted.cu_seqlens, (std::vector<std::int32_t>{0, 1, 2, 5, 9}));
  EXPECT_EQ(sorted.tokens, (std::vector<std::int32_t>{3, 8, 0, 1, 2, 4, 5, 6, 7}));
  EXPECT_EQ(sorted.mask, (std::vector<std::uint8_t>{0, 0, 0, 1, 0, 0, 1, 0, 1}));
  EXPECT_EQ(sorted.max_seqlen, 4);
  EXPECT_EQ(sorted.trained_tokens, 3);
}

TEST(FilledUp, AddsADocumentWithoutTargets) {
  const data::MicroBatch batch = batch_of({30, 50});
  const data::MicroBatch filled = filled_up(batch, 4096, 2048);
  EXPECT_EQ(filled.cu_seqlens, (std::vector<std::int32_t>{0, 30, 80, 128}));
  EXPECT_EQ(std::accumulate(filled.mask.begin() + 80, filled.mask.end(), 0), 0);
  EXPECT_EQ(filled.trained_tokens, batch.trained_tokens);
  EXPECT_EQ(filled.mask.size(), 128U);
  EXPECT_TRUE(std::equal(batch.tokens.begin(), batch.tokens.end(), filled.tokens.begin()));
}

TEST(FilledUp, NoDocumentIsLongerThanTheRunHas) {
  const data::MicroBatch filled = filled_up(batch_of({16, 16}), 8192, 100);
  EXPECT_EQ(filled.cu_seqlens, (std::vector<std::int32_t>{0, 16, 32, 132, 232, 256}));
  EXPECT_EQ(filled.max_seqlen, 100);
}

TEST(FilledUp, KeepsToTheTokensThatABatchMayHave) {
  EXPECT_EQ(filled_up(batch_of({80}), 100, 100).tokens.size(), 100U);
  EXPECT_EQ(filled_up(batch_of({128}), 4096, 2048), batch_of({128}));
  EXPECT_EQ(filled_up(batch_of({120}), 100, 100), batch_of({120}));
  EXPECT_EQ(filled_up(batch_of({4000}), 8192, 4096).tokens.size(), 4096U);
}

}  // namespace
}  // namespace weft::trainer
