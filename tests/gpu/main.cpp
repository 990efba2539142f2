// Leaves with 77, which counts as skipped, where there is no GPU.

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/gpu/borrowed_memory.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const char* const reason = weft::gpu::why_no_gpu();
  if (*reason != '\0' && !GTEST_FLAG_GET(list_tests)) {
    constexpr int kSkipped = 77;
    std::printf("skipped: %s\n", reason);
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}
