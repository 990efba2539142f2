#include "distributed/scaling.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file_system.h"

namespace weft::distributed {
namespace {

// After a change: WEFT_REGENERATE_DOCS=1 weft_distributed_tests --gtest_filter=Scaling.*
TEST(Scaling, PageIsWhatTheModelSays) {
  FileSystem& files = posix_file_system();
  const fs::path path = WEFT_SOURCE_DIR "/docs/scaling.md";
  if (std::getenv("WEFT_REGENERATE_DOCS") != nullptr) {
    publish_file(files, path, scaling_markdown());
  }
  EXPECT_EQ(read_file(files, path), scaling_markdown());
}

TEST(Scaling, BytesOfAStepByHand) {
  EXPECT_EQ(step_bytes(0, 1, 1000, 4), 0U);
  // Two ranks: half of 1000 there, half back; 40 + 16 + 2 losses of 8 + 8 about the step.
  EXPECT_EQ(step_bytes(0, 2, 1000, 4), 4U * 1000 + 80);
  // Slices of 3, 2 and 2: rank 0 sends 4 of others and its 3 twice.
  EXPECT_EQ(step_bytes(0, 3, 7, 3), 4U * (4 + 6) + 2 * 72);
  EXPECT_EQ(step_bytes(2, 3, 7, 3), 4U * (5 + 4) + 2 * 72);
}

// Four ranks in two groups: two rounds of losses for four micro-batches, as with two ranks.
TEST(Scaling, BytesOfAStepOfGroupsByHand) {
  EXPECT_EQ(step_bytes(0, 4, 1000, 4, 2), 4U * (750 + 250 * 3) + 3 * 80);
}

TEST(Scaling, BytesOfASharedMicroBatchByHand) {
  // Keys and values there and back again, and their gradients, to two others.
  EXPECT_EQ(context_bytes(3, 4, 100, false), 3U * 4 * 2 * 100);
  EXPECT_EQ(context_bytes(3, 4, 100, true), 4U * 4 * 2 * 100);
}

TEST(Scaling, BytesOfASharedBaseByHand) {
  // Four layers, three ranks: layers 2 and 3 on the way up, 1 and 0 on the way down, to two others.
  EXPECT_EQ(shared_layer_bytes(3, 4, 100, 1), 4U * 2 * 100);
  EXPECT_EQ(shared_layer_bytes(3, 4, 100, 5), 5U * 4 * 2 * 100);
  EXPECT_EQ(shared_layer_bytes(2, 2, 100, 5), 0U);  // both layers stay held
  EXPECT_EQ(shared_layer_bytes(2, 1, 100, 5), 0U);
}

TEST(Scaling, ALayerIsHiddenBehindAnotherFromSoManyTokensOn) {
  const Cluster cluster{1e12, 100e9, 10e9, 0, 0, 8};
  // 2 bytes arrive for each weight, of which one rank of two sends half; 2 FLOPs a token.
  EXPECT_DOUBLE_EQ(hiding_tokens(cluster, 2), 0.5 * 2 / 100e9 / (2 / 1e12));
  EXPECT_DOUBLE_EQ(hiding_tokens(cluster, 16), 15.0 / 16 * 2 / 10e9 / (2 / 1e12));
}

TEST(Scaling, AnAllReduceTakesWhatItsSlowestLinkAllows) {
  const Cluster cluster{1e12, 100e9, 10e9, 0, 0, 8};
  EXPECT_EQ(all_reduce_seconds(cluster, 1, 1e9), 0);
  EXPECT_DOUBLE_EQ(all_reduce_seconds(cluster, 2, 1e9), 0.01);
  EXPECT_DOUBLE_EQ(all_reduce_seconds(cluster, 16, 1e9), 2 * 15.0 / 16 * 0.1);
  const Cluster slow{1e12, 100e9, 10e9, 0, 1e-3, 8};  // latency makes the tree the better one
  EXPECT_DOUBLE_EQ(all_reduce_seconds(slow, 1024, 1e6), 2e-4 + 20e-3);
}

}  // namespace
}  // namespace weft::distributed
