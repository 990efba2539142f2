#include "kernels/cuda/sdpa_shape.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

namespace weft::kernels::cuda {
namespace {

SdpaShape heads(bool backward = true) {
  SdpaShape shape;
  shape.heads_q = 16;
  shape.heads_k = 8;
  shape.head_dim = 128;
  shape.backward = backward;
  return shape;
}

std::vector<std::int32_t> bounds(const std::vector<std::int32_t>& lengths) {
  std::vector<std::int32_t> cu{0};
  for (const std::int32_t length : lengths) {
    cu.push_back(cu.back() + length);
  }
  return cu;
}

TEST(SdpaShape, BucketsAreFewAndNeverTooSmall) {
  std::int64_t before = 0;
  int buckets = 0;
  for (std::int64_t n = 1; n <= 4096; ++n) {
    const std::int64_t bucket = document_bucket(n);
    ASSERT_GE(bucket, n);
    ASSERT_LT(bucket, 2 * n) << n;  // less than half of them is padding
    ASSERT_GE(bucket, before);
    buckets += bucket != before ? 1 : 0;
    before = bucket;
  }
  EXPECT_LE(buckets, 13);
  EXPECT_EQ(length_bucket(1), 256);
  EXPECT_EQ(length_bucket(256), 256);
  EXPECT_EQ(length_bucket(257), 512);
  EXPECT_EQ(length_bucket(40'960), 65'536);
  EXPECT_EQ(row_bucket(1), 4096);
  EXPECT_EQ(row_bucket(4097), 8192);
}

TEST(SdpaShape, KeysDifferWhereAnyPartDoes) {
  const SdpaShape shape{8, 1024, 4096, 16, 8, 128, true, true};
  std::vector<SdpaShape> others(10, shape);
  ++others[0].documents;
  ++others[1].max_length;
  ++others[2].rows;
  ++others[3].heads_q;
  ++others[4].heads_k;
  ++others[5].head_dim;
  others[6].deterministic = false;
  others[7].backward = false;
  ++others[8].out_spare;
  ++others[9].dqkv_spare;
  for (const SdpaShape& other : others) {
    EXPECT_NE(other, shape);
    EXPECT_NE(other < shape, shape < other);
  }
}

TEST(SdpaGroups, OneCallTakesAllWhereSumsMayChange) {
  const auto cu = bounds({5, 900, 0, 3000, 7});
  const auto groups = group_documents(cu, heads(), {.deterministic = false});
  // The empty document parts its neighbours.
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].first, 0);
  EXPECT_EQ(groups[0].documents, 2);
  EXPECT_EQ(groups[0].shape.max_length, 1024);
  EXPECT_EQ(groups[1].first, 3);
  EXPECT_EQ(groups[1].shape.max_length, 4096);
  EXPECT_FALSE(groups[1].shape.deterministic);
  EXPECT_EQ(groups[1].shape.rows, 4096);
}

TEST(SdpaGroups, ShortDocumentsDoNotPayForLongOnes) {
  const auto cu = bounds({100, 120, 90, 300, 400, 4000});
  const auto groups = group_documents(cu, heads(), {});
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].documents, 3);
  EXPECT_EQ(groups[0].shape.max_length, 256);
  EXPECT_EQ(groups[1].documents, 2);
  EXPECT_EQ(groups[1].shape.max_length, 512);
  EXPECT_EQ(groups[2].documents, 1);
  EXPECT_EQ(groups[2].shape.max_length, 4096);
  for (const SdpaGroup& group : groups) {
    EXPECT_TRUE(group.shape.deterministic);
    EXPECT_EQ(group.shape.rows, 8192);
    EXPECT_EQ(group.shape.heads_q, 16);
  }
}

// Each shape is a plan to compile, forward and backward: documents of 60 to 500 tokens, packed and
// sorted as for a GPU, have a handful of them.
TEST(SdpaGroups, OfMixedLengthsHaveFewShapes) {
  std::mt19937 random(1);
  std::set<SdpaShape> shapes;
  std::size_t calls = 0;
  constexpr int kBatches = 150;
  for (int batch = 0; batch < kBatches; ++batch) {
    std::vector<std::int32_t> lengths;
    for (std::int32_t rows = 0; rows < 7700; rows += lengths.back()) {
      lengths.push_back(static_cast<std::int32_t>(60 + random() % 220 + random() % 220));
    }
    std::sort(lengths.begin(), lengths.end());
    const auto groups = group_documents(bounds(lengths), heads(), {});
    calls += groups.size();
    for (const SdpaGroup& group : groups) {
      shapes.insert(group.shape);
    }
  }
  EXPECT_LE(shapes.size(), 6U);
  EXPECT_LE(calls, 2U * kBatches);
}

TEST(SdpaGroups, KeepTheScoresUnderTheirLimit) {
  // One document of 4,096 takes 512 MiB of scores at 16 heads.
  EXPECT_EQ(score_gradient_bytes({1, 4096, 4096, 16, 8, 128, true, true}), std::int64_t{512} << 20);
  const auto cu = bounds({4096, 4096, 4096, 4096, 4096});
  const auto groups = group_documents(cu, heads(), {.score_bytes = std::int64_t{1} << 30});
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].documents, 2);
  EXPECT_EQ(groups[2].documents, 1);
}

TEST(SdpaGroups, ADocumentOverTheLimitAloneGivesUpEqualBits) {
  const auto cu = bounds({100, 32'768, 100});
  const auto groups = group_documents(cu, heads(), {});
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_TRUE(groups[0].shape.deterministic);
  EXPECT_FALSE(groups[1].shape.deterministic);
  EXPECT_TRUE(groups[2].shape.deterministic);
}

// Whatever the lengths: every row is in one call, and what a call's table says lies in its rows.
TEST(SdpaGroups, CoverEveryRowOnce) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::int32_t> lengths(1 + random() % 40);
    for (std::int32_t& length : lengths) {
      length = static_cast<std::int32_t>(random() % 5 == 0 ? 0 : random() % 3000);
    }
    const auto cu = bounds(lengths);
    SdpaShape padded = heads();
    padded.out_spare = 16;
    padded.dqkv_spare = 48;
    for (const bool deterministic : {false, true}) {
      std::int64_t rows = 0;
      for (const SdpaGroup& group :
           group_documents(cu, padded, {.deterministic = deterministic, .score_bytes = 1 << 28})) {
        const SdpaTable table = table_of(group, cu);
        const SdpaShape& shape = group.shape;
        const auto documents = static_cast<std::size_t>(shape.documents);
        ASSERT_EQ(table.lengths.size(), documents);
        ASSERT_EQ(table.packed.size(), documents + 1);
        ASSERT_LE(group.documents, shape.documents);
        EXPECT_EQ(table.packed[0],
                  std::int64_t{cu[static_cast<std::size_t>(group.first)]} * shape.packed_row());
        for (std::size_t d = 0; d < documents; ++d) {
          ASSERT_LE(table.lengths[d], shape.max_length);
          ASSERT_EQ(table.packed[d + 1] - table.packed[d], table.lengths[d] * shape.packed_row());
          ASSERT_EQ(table.dqkv[d + 1] - table.dqkv[d], table.lengths[d] * (32 * 128 + 48));
          ASSERT_EQ(table.out[d + 1] - table.out[d], table.lengths[d] * (16 * 128 + 16));
          ASSERT_EQ(table.dout[d + 1] - table.dout[d], table.lengths[d] * 16 * 128);
          ASSERT_EQ(table.k[d + 1] - table.k[d], table.lengths[d] * 8 * 128);
          ASSERT_EQ(table.statistics[d + 1] - table.statistics[d], table.lengths[d] * 16);
        }
        rows += std::accumulate(table.lengths.begin(), table.lengths.end(), std::int64_t{0});
      }
      ASSERT_EQ(rows, cu.back());
    }
  }
}

}  // namespace
}  // namespace weft::kernels::cuda
