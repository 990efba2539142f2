#include "data/packing.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace weft::data {
namespace {

using testing::ElementsAre;

std::vector<std::int64_t> sorted_documents(const EpochPlan& plan) {
  std::vector<std::int64_t> documents = plan.documents;
  std::sort(documents.begin(), documents.end());
  return documents;
}

/// Every document once, no batch empty or over `budget`.
void expect_valid(const EpochPlan& plan, std::span<const std::int32_t> lengths,
                  std::int64_t budget) {
  std::vector<std::int64_t> all(lengths.size());
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(sorted_documents(plan), all);
  for (std::int64_t b = 0; b < plan.batches(); ++b) {
    std::int64_t tokens = 0;
    for (const std::int64_t document : plan.batch(b)) {
      tokens += lengths[static_cast<std::size_t>(document)];
    }
    EXPECT_GT(tokens, 0) << "batch " << b;
    EXPECT_LE(tokens, budget) << "batch " << b;
  }
}

double fill(const EpochPlan& plan, std::span<const std::int32_t> lengths, std::int64_t budget) {
  const auto tokens = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  return static_cast<double>(tokens) / static_cast<double>(plan.batches() * budget);
}

/// Log-normal around the median: as the token counts of GSM8K's chats with median 190 and spread
/// 0.36.
std::vector<std::int32_t> log_normal(int count, double median, double spread, int shortest,
                                     int longest) {
  Random random(17);
  std::vector<std::int32_t> lengths;
  for (int i = 0; i < count; ++i) {
    const double length = median * std::exp(spread * random.normal());
    lengths.push_back(std::clamp(static_cast<std::int32_t>(length), shortest, longest));
  }
  return lengths;
}

TEST(Packing, Gsm8kLengthsFillBatches) {
  const auto lengths = log_normal(7473, 190, 0.36, 60, 700);
  for (const std::int64_t batch_size : {1, 2}) {
    const LoaderOptions options{.max_length = 4096, .batch_size = batch_size, .seed = 5};
    const EpochPlan plan = plan_epoch(lengths, options, 0);
    expect_valid(plan, lengths, 4096 * batch_size);
    EXPECT_GE(fill(plan, lengths, 4096 * batch_size), 0.98);
  }
}

TEST(Packing, LengthsUpToTheBudgetFillBatches) {
  const auto lengths = log_normal(20'000, 600, 1.0, 10, 4096);
  const EpochPlan plan = plan_epoch(lengths, {.max_length = 4096, .seed = 5}, 0);
  expect_valid(plan, lengths, 4096);
  EXPECT_GE(fill(plan, lengths, 4096), 0.98);
}

TEST(Packing, LengthsStayMixed) {
  // Best-fit decreasing would put the longest documents into batches of their own.
  const auto lengths = log_normal(7473, 190, 0.36, 60, 700);
  const EpochPlan plan = plan_epoch(lengths, {.max_length = 4096, .seed = 5}, 0);
  const double mean =
      std::accumulate(lengths.begin(), lengths.end(), 0.0) / static_cast<double>(lengths.size());
  int unusual = 0;
  for (std::int64_t b = 0; b < plan.batches(); ++b) {
    double tokens = 0;
    for (const std::int64_t document : plan.batch(b)) {
      tokens += lengths[static_cast<std::size_t>(document)];
    }
    const double batch_mean = tokens / static_cast<double>(plan.batch(b).size());
    unusual += std::abs(batch_mean / mean - 1) > 0.35 ? 1 : 0;
  }
  EXPECT_LE(unusual, plan.batches() / 50);
}

TEST(Packing, AFewDocumentsOfAnyLengthAreAllThere) {
  for (int count = 1; count < 40; ++count) {
    const auto lengths = log_normal(count, 20, 1.0, 1, 64);
    for (const std::int64_t batch_size : {1, 3}) {
      const LoaderOptions options{.max_length = 64, .batch_size = batch_size, .seed = 1};
      expect_valid(plan_epoch(lengths, options, 0), lengths, 64 * batch_size);
    }
  }
}

TEST(Packing, IsAFunctionOfSeedAndEpochAlone) {
  const auto lengths = log_normal(500, 50, 0.5, 1, 200);
  const LoaderOptions options{.max_length = 256, .batch_size = 2, .seed = 9};
  const auto documents = [&](LoaderOptions with, std::int64_t epoch) {
    return plan_epoch(lengths, with, epoch).documents;
  };
  EXPECT_EQ(documents(options, 3), documents(options, 3));
  EXPECT_NE(documents(options, 3), documents(options, 4));
  LoaderOptions other = options;
  other.seed = 10;
  EXPECT_NE(documents(options, 3), documents(other, 3));
}

TEST(Packing, InOrderABatchEndsWhereTheNextDocumentDoesNotFit) {
  const std::vector<std::int32_t> lengths{4, 4, 3, 8, 1, 1};
  const EpochPlan plan =
      plan_epoch(lengths, {.max_length = 8, .batch_size = 1, .shuffle = false}, 7);
  EXPECT_THAT(plan.documents, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(plan.starts, ElementsAre(0, 2, 3, 4, 6));
}

TEST(Packing, WithoutPackingABatchIsANumberOfDocuments) {
  const std::vector<std::int32_t> lengths{5, 1, 8, 2, 3};
  const EpochPlan plan = plan_epoch(
      lengths, {.max_length = 8, .batch_size = 2, .packing = false, .shuffle = false}, 0);
  EXPECT_THAT(plan.documents, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(plan.starts, ElementsAre(0, 2, 4, 5));
  const EpochPlan shuffled =
      plan_epoch(lengths, {.max_length = 8, .batch_size = 2, .packing = false, .seed = 2}, 0);
  expect_valid(shuffled, lengths, 16);
  EXPECT_THAT(shuffled.starts, ElementsAre(0, 2, 4, 5));
}

TEST(Packing, AFullLastBatchIsNotFollowedByAnEmptyOne) {
  const std::vector<std::int32_t> lengths{5, 1, 8, 2};
  EXPECT_EQ(plan_epoch(lengths, {.max_length = 8, .batch_size = 2, .packing = false}, 0).batches(),
            2);
}

TEST(Packing, NoDocumentsMakeNoBatches) {
  EXPECT_EQ(plan_epoch({}, {.max_length = 8}, 0).batches(), 0);
}

TEST(Packing, AMillionDocumentsTakeSeconds) {
  const auto lengths = log_normal(1'000'000, 190, 0.5, 20, 4096);
  const EpochPlan plan = plan_epoch(lengths, {.max_length = 4096, .seed = 1}, 0);
  EXPECT_GE(fill(plan, lengths, 4096), 0.99);
}

}  // namespace
}  // namespace weft::data
