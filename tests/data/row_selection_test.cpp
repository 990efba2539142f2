#include "data/row_selection.h"

#include <gmock/gmock.h>

namespace weft::data {
namespace {

std::vector<std::int64_t> chosen(const RowSelection& selection, std::int64_t rows) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t row = 0; row < rows; ++row) {
    if (selection.contains(row)) {
      numbers.push_back(row);
    }
  }
  return numbers;
}

TEST(RowSelection, AllAndTheFirst) {
  EXPECT_EQ(chosen(RowSelection(), 5).size(), 5u);
  EXPECT_THAT(chosen(RowSelection::first(2), 5), testing::ElementsAre(0, 1));
  EXPECT_FALSE(RowSelection::first(2).ends_before(1));
  EXPECT_TRUE(RowSelection::first(2).ends_before(2));
}

TEST(RowSelection, ASampleHasExactlyItsSizeAndDependsOnTheSeed) {
  for (const std::int64_t count : {0, 1, 7, 999, 1000}) {
    EXPECT_EQ(std::ssize(chosen(RowSelection::sample(count, 1000, 3), 1000)), count);
  }
  EXPECT_EQ(chosen(RowSelection::sample(50, 1000, 3), 1000),
            chosen(RowSelection::sample(50, 1000, 3), 1000));
  EXPECT_NE(chosen(RowSelection::sample(50, 1000, 3), 1000),
            chosen(RowSelection::sample(50, 1000, 4), 1000));
}

TEST(RowSelection, EveryRowIsEquallyLikely) {
  std::vector<int> hits(10);
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    for (const std::int64_t row : chosen(RowSelection::sample(3, 10, seed), 10)) {
      ++hits[static_cast<std::size_t>(row)];
    }
  }
  // 1,500 expected; the standard deviation is 32.
  EXPECT_THAT(hits, testing::Each(testing::AllOf(testing::Gt(1340), testing::Lt(1660))));
}

}  // namespace
}  // namespace weft::data
