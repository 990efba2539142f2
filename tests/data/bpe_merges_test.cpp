#include "data/bpe_merges.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

namespace weft::data {

namespace {

using Word = std::vector<std::int32_t>;

Word apply_merges(const BpeMerges& merges, Word word) {
  merges.apply(word);
  return word;
}

/// The definition: look for the lowest rank, the leftmost; join; again.
Word apply_naively(const std::vector<BpeMerge>& merges, Word word) {
  while (true) {
    std::size_t best_rank = merges.size();
    std::size_t best = 0;
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      for (std::size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left == word[i] && merges[rank].right == word[i + 1]) {
          best_rank = rank;
          best = i;
        }
      }
    }
    if (best_rank == merges.size()) return word;
    word[best] = merges[best_rank].merged;
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(BpeMerges, TakesTheLowestRankThenTheLeftmost) {
  const std::vector<BpeMerge> merges{{1, 2, 10}, {0, 1, 11}, {0, 0, 12}, {12, 0, 13}};
  const BpeMerges bpe(merges);
  EXPECT_EQ(apply_merges(bpe, {0, 1, 2}), (Word{0, 10}));
  EXPECT_EQ(apply_merges(bpe, {0, 1, 1}), (Word{11, 1}));
  EXPECT_EQ(apply_merges(bpe, {0, 0, 0}), (Word{13}));
  EXPECT_EQ(apply_merges(bpe, {5}), (Word{5}));
  EXPECT_EQ(apply_merges(bpe, {}), (Word{}));
}

TEST(BpeMerges, WithoutMergesChangesNothing) {
  EXPECT_EQ(apply_merges(BpeMerges(), {1, 2, 3}), (Word{1, 2, 3}));
  EXPECT_EQ(apply_merges(BpeMerges(std::vector<BpeMerge>{}), {1, 2, 3}), (Word{1, 2, 3}));
}

TEST(BpeMerges, FollowsTheDefinitionAtEveryLength) {
  std::mt19937 random(3);
  std::vector<BpeMerge> merges;
  std::map<std::pair<int, int>, int> seen;
  for (std::int32_t next = 4; next < 64;) {
    const auto left = static_cast<std::int32_t>(random() % static_cast<unsigned>(next));
    const auto right = static_cast<std::int32_t>(random() % static_cast<unsigned>(next));
    if (seen.emplace(std::pair(left, right), next).second) merges.push_back({left, right, next++});
  }
  const BpeMerges bpe(merges);
  for (std::size_t length = 0; length < 140; ++length) {
    for (int round = 0; round < 10; ++round) {
      Word word(length);
      for (auto& id : word) id = static_cast<std::int32_t>(random() % 4);
      ASSERT_EQ(apply_merges(bpe, word), apply_naively(merges, word)) << length;
    }
  }
}

TEST(BpeMerges, JoinsAMillionEqualTokens) {
  std::vector<BpeMerge> merges;
  for (std::int32_t id = 0; id < 8; ++id) merges.push_back({id, id, id + 1});
  EXPECT_EQ(apply_merges(BpeMerges(merges), Word(1'000'000, 0)).size(), 1'000'000u / 256 + 1);
}

}  // namespace

}  // namespace weft::data
