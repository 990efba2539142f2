// What holds for any lengths and options, tried on random ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

#include "base/random.h"
#include "data/mixture.h"
#include "data/packing.h"

namespace weft::data {
namespace {

struct Case {
  std::vector<std::int32_t> lengths;
  LoaderOptions options;
  std::vector<std::int64_t> first{0};
};

std::string describe(const Case& c) {
  std::ostringstream text;
  text << c.lengths.size() << " documents, max_length " << c.options.max_length << " x "
       << c.options.batch_size << ", packing " << c.options.packing << ", shuffle "
       << c.options.shuffle << ", " << c.options.weights.size() << " weights, seed "
       << c.options.seed;
  return text.str();
}

Case random_case(Random& random) {
  Case c;
  const std::uint64_t longest = 1 + random.below(random.below(2) == 0 ? 8 : 5000);
  c.options = {.max_length = static_cast<std::int64_t>(longest),
               .batch_size = 1 + static_cast<std::int64_t>(random.below(4)),
               .packing = random.below(4) != 0,
               .shuffle = random.below(4) != 0,
               .seed = random.bits()};
  const std::uint64_t count = 1 + random.below(random.below(2) == 0 ? 10 : 3000);
  const double power = 0.3 + 4 * random.uniform();  // mostly short, even, or mostly long
  for (std::uint64_t i = 0; i < count; ++i) {
    const double length = static_cast<double>(longest) * std::pow(random.uniform(), power);
    c.lengths.push_back(
        1 + std::min(static_cast<std::int32_t>(length), static_cast<std::int32_t>(longest) - 1));
  }
  const std::uint64_t sources = std::min<std::uint64_t>(1 + random.below(4), count);
  for (std::uint64_t s = 1; s <= sources; ++s) {
    c.first.push_back(static_cast<std::int64_t>(count * s / sources));
    if (random.below(2) == 0 || !c.options.weights.empty() || s == 1) {
      c.options.weights.push_back(0.1 + random.uniform());
    }
  }
  if (c.options.weights.size() != sources || random.below(2) == 0) {
    c.options.weights.clear();
  }
  return c;
}

/// The documents an epoch must hold, sorted.
std::vector<std::int64_t> expected_documents(const Case& c, std::int64_t epoch) {
  std::vector<std::int64_t> documents(c.lengths.size());
  std::iota(documents.begin(), documents.end(), 0);
  if (!c.options.weights.empty()) {
    documents = mixture_epoch(c.first, c.options.weights, c.options.shuffle, c.options.seed, epoch);
    std::sort(documents.begin(), documents.end());
  }
  return documents;
}

void expect_holds(const Case& c, std::int64_t epoch) {
  const EpochPlan plan = plan_epoch(c.lengths, c.options, epoch, c.first);
  std::vector<std::int64_t> documents = plan.documents;
  std::sort(documents.begin(), documents.end());
  ASSERT_EQ(documents, expected_documents(c, epoch));
  ASSERT_EQ(plan.starts.front(), 0);
  ASSERT_EQ(plan.starts.back(), std::ssize(plan.documents));
  const std::int64_t budget = c.options.max_length * c.options.batch_size;
  std::int64_t before = budget;
  for (std::int64_t b = 0; b < plan.batches(); ++b) {
    std::int64_t tokens = 0;
    for (const std::int64_t document : plan.batch(b)) {
      tokens += c.lengths[static_cast<std::size_t>(document)];
    }
    ASSERT_GT(tokens, 0);
    ASSERT_LE(tokens, budget);
    if (!c.options.packing) {
      ASSERT_LE(std::ssize(plan.batch(b)), c.options.batch_size);
    } else if (!c.options.shuffle) {
      const auto first = static_cast<std::size_t>(plan.batch(b)[0]);
      ASSERT_GT(before + c.lengths[first], budget) << "it had room in the batch before";
      before = tokens;
    }
  }
}

TEST(PackingProperty, RandomCasesHoldEveryDocumentOnceWithinTheBudget) {
  Random random(2024);
  for (int i = 0; i < 400; ++i) {
    const Case c = random_case(random);
    for (const std::int64_t epoch : {0, 1, 5}) {
      expect_holds(c, epoch);
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "case " << i << ": " << describe(c);
    }
  }
}

TEST(PackingProperty, NoTwoBatchesOfAShuffledEpochWouldFitIntoOneButAFew) {
  // With a window over all documents only the last batch can be under half full.
  Random random(77);
  for (int i = 0; i < 100; ++i) {
    Case c = random_case(random);
    c.options.packing = true;
    c.options.shuffle = true;
    c.options.weights.clear();
    const EpochPlan plan = plan_epoch(c.lengths, c.options, 0);
    const std::int64_t budget = c.options.max_length * c.options.batch_size;
    int half_empty = 0;
    for (std::int64_t b = 0; b < plan.batches(); ++b) {
      std::int64_t tokens = 0;
      for (const std::int64_t document : plan.batch(b)) {
        tokens += c.lengths[static_cast<std::size_t>(document)];
      }
      half_empty += 2 * tokens < budget ? 1 : 0;
    }
    EXPECT_LE(half_empty, 1) << describe(c);
  }
}

}  // namespace
}  // namespace weft::data
