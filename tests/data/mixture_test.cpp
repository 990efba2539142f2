#include "data/mixture.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace weft::data {
namespace {

using testing::ElementsAre;

std::vector<std::int64_t> counts(std::int64_t total, const std::vector<double>& weights) {
  return mixture_counts(total, weights);
}

TEST(Mixture, CountsAreExactAndRemaindersGoToTheLargest) {
  EXPECT_THAT(counts(10, {0.7, 0.2, 0.1}), ElementsAre(7, 2, 1));
  EXPECT_THAT(counts(10, {7, 2, 1}), ElementsAre(7, 2, 1));
  EXPECT_THAT(counts(10, {1, 1, 1}), ElementsAre(4, 3, 3));
  EXPECT_THAT(counts(100, {1, 2, 3.5}), ElementsAre(15, 31, 54));  // 15.38, 30.77, 53.85
  EXPECT_THAT(counts(1000, {0.999, 0.001}), ElementsAre(999, 1));
  EXPECT_THAT(counts(3, {1e9, 1e-9}), ElementsAre(3, 0));
}

TEST(Mixture, CountsAddUpAndAreNeverOneOff) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const auto total = static_cast<std::int64_t>(random.below(1'000'000));
    std::vector<double> weights(1 + random.below(12));
    std::generate(weights.begin(), weights.end(), [&] { return 1e-3 + random.uniform(); });
    const auto got = counts(total, weights);
    EXPECT_EQ(std::accumulate(got.begin(), got.end(), std::int64_t{0}), total);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t s = 0; s < weights.size(); ++s) {
      EXPECT_LT(
          std::abs(static_cast<double>(got[s]) - static_cast<double>(total) * weights[s] / sum),
          1.0 + 1e-6);
    }
  }
}

/// Times each document was given in `epochs` epochs, checked epoch by epoch.
void expect_exact_rotation(const std::vector<std::int64_t>& sizes,
                           const std::vector<double>& weights, bool shuffle, int epochs) {
  std::vector<std::int64_t> first{0};
  std::partial_sum(sizes.begin(), sizes.end(), std::back_inserter(first));
  const auto expected = counts(first.back(), weights);
  std::vector<std::int64_t> given(static_cast<std::size_t>(first.back()), 0);
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    const auto documents = mixture_epoch(first, weights, shuffle, 7, epoch);
    std::vector<std::int64_t> of_source(sizes.size(), 0);
    for (const std::int64_t document : documents) {
      ++given.at(static_cast<std::size_t>(document));
      const auto source = std::upper_bound(first.begin(), first.end(), document) - first.begin();
      ++of_source[static_cast<std::size_t>(source) - 1];
    }
    EXPECT_EQ(of_source, expected) << "epoch " << epoch;
    for (std::size_t s = 0; s < sizes.size(); ++s) {
      const auto [least, most] =
          std::minmax_element(given.begin() + first[s], given.begin() + first[s + 1]);
      EXPECT_LE(*most - *least, 1) << "source " << s << " after epoch " << epoch;
    }
  }
}

TEST(Mixture, EveryEpochIsExactAndNoDocumentIsGivenTwiceMoreThanAnother) {
  for (const bool shuffle : {false, true}) {
    expect_exact_rotation({10, 1000, 37}, {1, 1, 1}, shuffle, 12);
    expect_exact_rotation({1, 99}, {0.9, 0.1}, shuffle, 5);
    expect_exact_rotation({50, 50}, {3, 1}, shuffle, 9);
    expect_exact_rotation({5}, {2}, shuffle, 3);
  }
}

TEST(Mixture, WeightsInProportionToTheSizesGiveEveryDocumentOnce) {
  const std::vector<std::int64_t> first{0, 30, 100};
  auto documents = mixture_epoch(first, std::vector<double>{30, 70}, true, 1, 4);
  std::sort(documents.begin(), documents.end());
  std::vector<std::int64_t> all(100);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(documents, all);
}

TEST(Mixture, InOrderSourcesAreSpreadEvenlyAndGoOnWhereTheyWere) {
  const std::vector<std::int64_t> first{0, 2, 8};
  const std::vector<double> weights{1, 1};
  EXPECT_THAT(mixture_epoch(first, weights, false, 0, 0), ElementsAre(0, 2, 1, 3, 0, 4, 1, 5));
  EXPECT_THAT(mixture_epoch(first, weights, false, 0, 1), ElementsAre(0, 6, 1, 7, 0, 2, 1, 3));
}

TEST(Mixture, IsAFunctionOfSeedAndEpochAlone) {
  const std::vector<std::int64_t> first{0, 40, 100};
  const std::vector<double> weights{1, 2};
  const auto epoch = [&](std::uint64_t seed, std::int64_t number) {
    return mixture_epoch(first, weights, true, seed, number);
  };
  EXPECT_EQ(epoch(1, 5), epoch(1, 5));
  EXPECT_NE(epoch(1, 5), epoch(1, 6));
  EXPECT_NE(epoch(1, 5), epoch(2, 5));
}

}  // namespace
}  // namespace weft::data
