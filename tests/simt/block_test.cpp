// Threads, barriers and warps of the emulation, and the defects in them that it has to find.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "kernels/cuda/primitives.h"
#include "tests/simt/violation_of.h"

namespace weft::kernels::cuda {
namespace {

using simt::Role;
using simt::Rule;
using simt::violation_of;
using ::testing::HasSubstr;

constexpr int kThreads = 96;

class Blocks : public ::testing::Test {
 protected:
  Blocks() {
    simt::Device::current().clear();
    simt::Device::current().add("out", out_.data(), sizeof(out_), Role::kInOut);
  }
  void run(void (*kernel)(float*)) {
    launch("kernel", kernel, 2, kThreads, kSumBytes<float>, nullptr, out_.data());
  }

  alignas(16) std::array<float, 2 * kThreads> out_{};
};

int global_index() { return static_cast<int>(block_index()) * block_threads() + thread_index(); }

__global__ void write_index(float* out) {
  store(out + global_index(), static_cast<float>(global_index()));
}

TEST_F(Blocks, RunEveryThreadOfEveryBlock) {
  run(write_index);
  std::array<float, 2 * kThreads> wanted{};
  std::iota(wanted.begin(), wanted.end(), 0.0f);
  EXPECT_EQ(out_, wanted);
}

__global__ void sum_block(float* out) {
  const Shared<float> scratch = shared_array<float>(0);
  const float sum = block_sum(static_cast<float>(thread_index()), scratch);
  const float again = block_sum(1.0f, scratch);
  store(out + global_index(), sum + again / 1024.0f);
}

TEST_F(Blocks, SumOverTheirThreads) {
  run(sum_block);
  EXPECT_THAT(out_, ::testing::Each(kThreads * (kThreads - 1) / 2 + kThreads / 1024.0f));
}

__global__ void shuffle_lanes(float* out) {
  const int from_first = shuffle(thread_index(), 0);
  const int neighbour = shuffle_xor(thread_index(), 1);
  const bool some = any_lane(thread_index() == 40);
  store(out + global_index(),
        static_cast<float>(from_first * 1000 + neighbour) + (some ? 0.5f : 0.0f));
}

TEST_F(Blocks, ExchangeValuesInAWarp) {
  run(shuffle_lanes);
  EXPECT_EQ(out_[0], 1.0f);
  EXPECT_EQ(out_[31], 30.0f);
  EXPECT_EQ(out_[32], 32033.5f);
  EXPECT_EQ(out_[95], 64094.0f);
}

__global__ void barrier_in_divergent_code(float* out) {
  if (thread_index() < 50) {
    sync_block();
  }
  store(out + global_index(), 0.0f);
}

TEST_F(Blocks, ABarrierInDivergentCodeIsFound) {
  const auto found = violation_of([&] { run(barrier_in_divergent_code); });
  EXPECT_EQ(found.rule, Rule::kBarrier);
  EXPECT_THAT(found.message, HasSubstr("kernel: block 0: thread 0 waits in a barrier of the block "
                                       "at block_test.cpp:"));
  EXPECT_THAT(found.message, HasSubstr("but thread 50 has left"));
}

__global__ void two_barriers(float* out) {
  if (thread_index() < 32) {
    sync_block();
  } else {
    sync_block();
  }
  store(out + global_index(), 0.0f);
}

TEST_F(Blocks, TwoDifferentBarriersThatMeetAreFound) {
  const auto found = violation_of([&] { run(two_barriers); });
  EXPECT_EQ(found.rule, Rule::kBarrier);
  EXPECT_THAT(found.message, HasSubstr("but thread 32 waits in a barrier of the block"));
}

__global__ void early_exit_in_a_shuffle(float* out) {
  if (thread_index() == 70) {
    return;
  }
  store(out + global_index(), warp_sum(1.0f));
}

TEST_F(Blocks, AnEarlyExitBeforeAShuffleIsFound) {
  const auto found = violation_of([&] { run(early_exit_in_a_shuffle); });
  EXPECT_EQ(found.rule, Rule::kWarp);
  EXPECT_THAT(found.message, HasSubstr("thread 64 waits in shuffle_xor at primitives.h:"));
  EXPECT_THAT(found.message, HasSubstr("but thread 70 has left"));
}

__global__ void shuffle_beside_a_barrier(float* out) {
  if (thread_index() % kWarp == 0) {
    sync_block();
  } else {
    store(out + global_index(), warp_sum(1.0f));
  }
}

TEST_F(Blocks, AShuffleWithALaneThatWaitsAtABarrierIsFound) {
  const auto found = violation_of([&] { run(shuffle_beside_a_barrier); });
  EXPECT_EQ(found.rule, Rule::kWarp);
  EXPECT_THAT(found.message, HasSubstr("but thread 0 waits in a barrier of the block"));
}

__global__ void different_shuffles(float* out) {
  const float value =
      thread_index() % 2 == 0 ? shuffle_xor(1.0f, 1) : static_cast<float>(any_lane(true));
  store(out + global_index(), value);
}

TEST_F(Blocks, LanesAtDifferentOperationsAreFound) {
  const auto found = violation_of([&] { run(different_shuffles); });
  EXPECT_EQ(found.rule, Rule::kWarp);
  EXPECT_THAT(found.message, HasSubstr("but thread 1 waits in any_lane"));
}

TEST_F(Blocks, OfASizeThatNoDeviceTakesAreRefused) {
  const auto launch_with = [&](std::int64_t blocks, int threads, int shared_bytes) {
    return violation_of([&] {
             launch("kernel", write_index, blocks, threads, shared_bytes, nullptr, out_.data());
           })
        .rule;
  };
  EXPECT_EQ(launch_with(0, 32, 0), Rule::kLaunch);
  EXPECT_EQ(launch_with(std::int64_t{1} << 31, 32, 0), Rule::kLaunch);
  EXPECT_EQ(launch_with(1, 33, 0), Rule::kLaunch);
  EXPECT_EQ(launch_with(1, 1056, 0), Rule::kLaunch);
  EXPECT_EQ(launch_with(1, 32, 228 * 1024), Rule::kLaunch);
}

}  // namespace
}  // namespace weft::kernels::cuda
