#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include "tests/support/caught.h"

namespace weft {
namespace {

using Block = std::array<std::uint32_t, 4>;

// The known answers that the authors of Philox publish (Random123, kat_vectors, "philox4x32 10").
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32(0, 0, 0), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32(~0ULL, ~0ULL, ~0ULL),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, StreamIsAFunctionOfSeedStreamAndPosition) {
  Random whole(7, 3);
  std::vector<std::uint64_t> values(100);
  for (auto& value : values) {
    value = whole.bits();
  }
  EXPECT_EQ(whole.position(), 100U);
  Random resumed(7, 3, 40);
  for (std::size_t i = 40; i < values.size(); ++i) {
    EXPECT_EQ(resumed.bits(), values[i]) << i;
  }
}

TEST(Random, OtherSeedsAndStreamsGiveOtherNumbers) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (std::uint64_t stream = 0; stream < 10; ++stream) {
      Random random(seed, stream);
      for (int i = 0; i < 10; ++i) {
        seen.insert(random.bits());
      }
    }
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(Random, EveryDrawAdvancesByOne) {
  Random random(1);
  random.uniform();
  EXPECT_EQ(random.position(), 1U);
  random.normal();
  EXPECT_EQ(random.position(), 2U);
}

TEST(Random, UniformFillsTheUnitInterval) {
  Random random(11);
  std::vector<int> bins(16);
  constexpr int kDraws = 160'000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    ++bins[static_cast<std::size_t>(value * 16)];
  }
  for (const int count : bins) {
    EXPECT_NEAR(count, kDraws / 16, 500);  // five standard deviations
  }
}

TEST(Random, BelowIsUniformForAwkwardBounds) {
  Random random(5);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) {
    ++counts.at(static_cast<std::size_t>(random.below(7)));
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, 10'000, 500);
  }
  // Two thirds of 2^64: plain `bits % bound` would favour the lower half two to one.
  const std::uint64_t bound = 12297829382473034411ULL;
  int low = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t value = random.below(bound);
    ASSERT_LT(value, bound);
    low += value < bound / 2 ? 1 : 0;
  }
  EXPECT_NEAR(low, 10'000, 400);
  EXPECT_EQ(random.below(1), 0U);
}

TEST(Random, BelowZeroIsADefect) {
  Random random(5);
  EXPECT_EQ(test::caught([&] { random.below(0); }).kind(), ErrorKind::kInternal);
}

TEST(Random, NormalHasTheMomentsOfANormal) {
  Random random(3);
  constexpr int kDraws = 200'000;
  double sum = 0, squares = 0, cubes = 0, fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = random.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
    cubes += value * value * value;
    fourth += value * value * value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.012);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.016);
  EXPECT_NEAR(cubes / kDraws, 0.0, 0.045);
  EXPECT_NEAR(fourth / kDraws, 3.0, 0.12);
}

TEST(Random, ShuffleIsAPermutationAndRepeats) {
  std::vector<std::int64_t> first(1000);
  std::iota(first.begin(), first.end(), 0);
  std::vector<std::int64_t> second = first;
  const std::vector<std::int64_t> sorted = first;
  Random(9, 2).shuffle(first);
  Random(9, 2).shuffle(second);
  EXPECT_EQ(first, second);
  EXPECT_NE(first, sorted);
  std::sort(first.begin(), first.end());
  EXPECT_EQ(first, sorted);
}

TEST(Random, ShuffleGivesEachOrderEquallyOften) {
  Random random(21);
  std::vector<int> counts(6);
  for (int i = 0; i < 12'000; ++i) {
    std::vector<std::int64_t> values = {0, 1, 2};
    random.shuffle(values);
    ++counts[static_cast<std::size_t>(values[0] * 2 + (values[1] > values[2] ? 1 : 0))];
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, 2000, 210);
  }
}

}  // namespace
}  // namespace weft
