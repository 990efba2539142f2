#include "model/context_layout.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace weft::model {
namespace {

using Bounds = std::vector<std::int32_t>;

// Packings with a few long documents, many short ones, both, and empty ones.
Bounds random_bounds(std::mt19937& random) {
  Bounds bounds{0};
  const int documents = std::uniform_int_distribution(1, 40)(random);
  const double longest = std::uniform_real_distribution(0.0, 9.0)(random);
  for (int i = 0; i < documents; ++i) {
    const double length = std::exp(std::uniform_real_distribution(-1.0, longest)(random));
    bounds.push_back(bounds.back() + static_cast<std::int32_t>(length));
  }
  return bounds;
}

std::int64_t length_of(const Bounds& bounds, std::int64_t document) {
  const auto at = static_cast<std::size_t>(document);
  return bounds[at + 1] - bounds[at];
}

class ContextLayout : public ::testing::TestWithParam<int> {
 protected:
  // Calls body(bounds, parts) for many packings.
  template <typename Body>
  void for_each_packing(Body&& body) {
    std::mt19937 random(static_cast<std::uint32_t>(GetParam()));
    for (int round = 0; round < 200; ++round) {
      const Bounds bounds = random_bounds(random);
      SCOPED_TRACE(fmt::format("documents end at {}", fmt::join(bounds, ", ")));
      body(bounds, lay_out_context(bounds, GetParam()));
    }
  }
};

TEST_P(ContextLayout, GivesEveryTokenToOneRank) {
  for_each_packing([&](const Bounds& bounds, const std::vector<ContextPart>& parts) {
    ASSERT_EQ(parts.size(), static_cast<std::size_t>(GetParam()));
    std::vector<int> seen(static_cast<std::size_t>(bounds.back()));
    for (const ContextPart& part : parts) {
      std::int64_t rows = 0;
      const auto take = [&](const ContextPiece& piece) {
        for (std::int64_t i = piece.begin; i < piece.end; ++i) {
          ++seen[static_cast<std::size_t>(bounds[static_cast<std::size_t>(piece.document)] + i)];
        }
        rows += piece.size();
      };
      std::for_each(part.split.begin(), part.split.end(), take);
      EXPECT_EQ(part.split_rows, rows);
      for (const std::int64_t document : part.whole) {
        take({document, 0, length_of(bounds, document)});
      }
      EXPECT_EQ(part.rows, rows);
      EXPECT_TRUE(std::is_sorted(part.whole.begin(), part.whole.end()));
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), bounds.back());
  });
}

// Of a split document each rank has two pieces that are not empty, and as much of the triangle.
TEST_P(ContextLayout, SplitsWhatIsLongAndBalancesItsWork) {
  const std::int64_t ranks = GetParam();
  for_each_packing([&](const Bounds& bounds, const std::vector<ContextPart>& parts) {
    std::size_t expected = 0;
    for (std::size_t d = 0; d + 1 < bounds.size(); ++d) {
      const std::int64_t length = length_of(bounds, static_cast<std::int64_t>(d));
      expected += length > 2 * ranks && 8 * ranks * length > bounds.back() ? 2U : 0U;
    }
    for (const ContextPart& part : parts) {
      ASSERT_EQ(part.split.size(), parts[0].split.size());
      ASSERT_GE(part.split.size(), expected) << "and what can't be dealt out evenly";
      for (std::size_t i = 0; i < part.split.size(); i += 2) {
        const auto length = static_cast<double>(length_of(bounds, part.split[i].document));
        double seen = 0;
        for (std::size_t p = i; p < i + 2; ++p) {
          EXPECT_GT(part.split[p].size(), 0);
          EXPECT_EQ(part.split[p].document, part.split[i].document);
          const auto begin = static_cast<double>(part.split[p].begin);
          const auto end = static_cast<double>(part.split[p].end);
          seen += (end * end - begin * begin) / 2;
        }
        const double even = length * length / 2 / static_cast<double>(ranks);
        EXPECT_NEAR(seen, even, 2 * length) << "one row more or less of either piece";
      }
    }
  });
}

TEST_P(ContextLayout, NoRankHasManyMoreRowsThanAnother) {
  for_each_packing([&](const Bounds& bounds, const std::vector<ContextPart>& parts) {
    const auto [least, most] = std::minmax_element(
        parts.begin(), parts.end(),
        [](const ContextPart& a, const ContextPart& b) { return a.rows < b.rows; });
    const auto splits = static_cast<std::int64_t>(parts[0].split.size() / 2);
    const std::int64_t whole =
        std::max<std::int64_t>(bounds.back() / (8 * GetParam()), 2 * GetParam());
    EXPECT_LE(most->rows - least->rows, std::max(2 * splits, whole));
  });
}
INSTANTIATE_TEST_SUITE_P(Ranks, ContextLayout, ::testing::Values(1, 2, 3, 4, 7));

// One document more than the ranks can have as many of: dealt out whole it would be an eighth of a
// rank's rows, for which no memory is planned.
TEST(ContextLayoutByHand, EqualDocumentsAreDealtOutEvenly) {
  for (const auto& [ranks, documents] : {std::pair{2, 17}, {8, 65}, {8, 71}, {3, 25}}) {
    SCOPED_TRACE(fmt::format("{} documents, {} ranks", documents, ranks));
    Bounds bounds{0};
    for (int i = 0; i < documents; ++i) {
      bounds.push_back(bounds.back() + 500);
    }
    const std::vector<ContextPart> parts = lay_out_context(bounds, ranks);
    EXPECT_LT(parts[0].split.size(), 4U * static_cast<std::size_t>(ranks));
    for (const ContextPart& part : parts) {
      EXPECT_LE(32 * ranks * part.rows, 33 * bounds.back());
    }
  }
}

TEST(ContextLayoutByHand, OneLongAndTwoShortDocuments) {
  const std::vector<ContextPart> parts = lay_out_context(Bounds{0, 1, 11, 12}, 2);
  using Pieces = std::vector<ContextPiece>;
  EXPECT_EQ(parts[0].split, (Pieces{{1, 0, 2}, {1, 7, 10}}));
  EXPECT_EQ(parts[1].split, (Pieces{{1, 2, 5}, {1, 5, 7}}));
  EXPECT_EQ(parts[0].whole, (std::vector<std::int64_t>{0}));
  EXPECT_EQ(parts[1].whole, (std::vector<std::int64_t>{2}));
}

}  // namespace
}  // namespace weft::model
