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
  // Two ranks: half of 1000 there, half back; 32 + 16 + 2 losses of 8 + 8 about the step.
  EXPECT_EQ(step_bytes(0, 2, 1000, 4), 4U * 1000 + 72);
  // Slices of 3, 2 and 2: rank 0 sends 4 of others and its 3 twice.
  EXPECT_EQ(step_bytes(0, 3, 7, 3), 4U * (4 + 6) + 2 * 64);
  EXPECT_EQ(step_bytes(2, 3, 7, 3), 4U * (5 + 4) + 2 * 64);
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
