// Accesses that no barrier orders, in shared and in global memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "kernels/cuda/primitives.h"
#include "tests/simt/violation_of.h"

namespace weft::kernels::cuda {
namespace {

using simt::Role;
using simt::Rule;
using simt::violation_of;
using ::testing::HasSubstr;

constexpr int kThreads = 64;

class Races : public ::testing::Test {
 protected:
  Races() {
    simt::Device::current().clear();
    simt::Device::current().add("out", out_.data(), sizeof(out_), Role::kInOut);
  }
  void run(void (*kernel)(unsigned*), std::int64_t blocks = 1) {
    launch("kernel", kernel, blocks, kThreads, kThreads * 4, nullptr, out_.data());
  }

  alignas(16) std::array<unsigned, kThreads> out_{};
};

// Turns the block's indices round through shared memory.
template <bool kBarrier>
__global__ void reverse(unsigned* out) {
  const Shared<int> shared = shared_array<int>(0);
  shared.set(thread_index(), thread_index());
  if (kBarrier) {
    sync_block();
  }
  store(out + thread_index(), static_cast<unsigned>(shared.get(kThreads - 1 - thread_index())));
}

TEST_F(Races, AreNoneWithABarrierBetweenWriterAndReader) {
  run(reverse<true>);
  EXPECT_EQ(out_[0], 63u);
  EXPECT_EQ(out_[63], 0u);
}

TEST_F(Races, AMissingBarrierBeforeTheReadIsFound) {
  // The first thread reads what nobody has written.
  EXPECT_EQ(violation_of([&] { run(reverse<false>); }).rule, Rule::kUninitialised);
}

// The second sum writes the scratch that slow threads of the first still read.
__global__ void reuses_scratch_without_a_barrier(unsigned* out) {
  const Shared<int> shared = shared_array<int>(0);
  int sum = 0;
  for (int round = 0; round < 2; ++round) {
    if (thread_index() % kWarp == 0) {
      shared.set(thread_index() / kWarp, round);
    }
    sync_block();
    sum += shared.get(0) + shared.get(1);
  }
  store(out + thread_index(), static_cast<unsigned>(sum));
}

TEST_F(Races, AMissingBarrierBeforeTheNextWriteIsFound) {
  const auto found = violation_of([&] { run(reuses_scratch_without_a_barrier); });
  EXPECT_EQ(found.rule, Rule::kRace);
  EXPECT_THAT(found.message, HasSubstr("of shared memory, unordered with an access of thread"));
}

__global__ void two_writers(unsigned* out) {
  const Shared<int> shared = shared_array<int>(0);
  shared.set(0, 7);
  store(out + thread_index(), 1u);
}

TEST_F(Races, TwoWritersOfSharedMemoryAreFound) {
  EXPECT_EQ(violation_of([&] { run(two_writers); }).rule, Rule::kRace);
}

// Neighbours of a warp hand values over; a barrier of the warp is enough for that.
template <bool kBarrier>
__global__ void neighbours(unsigned* out) {
  const Shared<int> shared = shared_array<int>(0);
  shared.set(thread_index(), thread_index());
  if (kBarrier) {
    sync_warp();
  } else {
    (void)shuffle(0, 0);  // a meeting, but memory is not ordered by it
  }
  store(out + thread_index(), static_cast<unsigned>(shared.get(thread_index() ^ 1)));
}

TEST_F(Races, AreNoneWithABarrierOfTheWarpBetweenItsLanes) {
  run(neighbours<true>);
  EXPECT_EQ(out_[6], 7u);
}

TEST_F(Races, AShuffleDoesNotOrderMemory) {
  EXPECT_EQ(violation_of([&] { run(neighbours<false>); }).rule, Rule::kRace);
}

__global__ void across_warps(unsigned* out) {
  const Shared<int> shared = shared_array<int>(0);
  if (thread_index() < kWarp) {
    shared.set(thread_index(), 1);
  }
  sync_warp();
  if (thread_index() >= kWarp) {
    store(out + thread_index(), static_cast<unsigned>(shared.get(thread_index() - kWarp)));
  }
}

TEST_F(Races, ABarrierOfTheWarpDoesNotOrderTwoWarps) {
  EXPECT_EQ(violation_of([&] { run(across_warps); }).rule, Rule::kRace);
}

__global__ void beyond_shared_memory(unsigned* out) {
  shared_array<int>(4).set(thread_index(), 0);
  store(out + thread_index(), 0u);
}

TEST_F(Races, AnAccessBeyondSharedMemoryIsFound) {
  const auto found = violation_of([&] { run(beyond_shared_memory); });
  EXPECT_EQ(found.rule, Rule::kBounds);
  EXPECT_THAT(found.message, HasSubstr("thread 63"));
}

__global__ void all_blocks_write(unsigned* out) { store(out + thread_index(), 1u); }

TEST_F(Races, TwoBlocksThatWriteOnePlaceAreFound) {
  run(all_blocks_write);
  const auto found = violation_of([&] { run(all_blocks_write, 2); });
  EXPECT_EQ(found.rule, Rule::kRace);
  EXPECT_THAT(found.message, HasSubstr("block 1 thread 0"));
  EXPECT_THAT(found.message, HasSubstr("unordered with an access of block 0 thread 0"));
}

__global__ void reads_its_neighbour(unsigned* out) {
  const unsigned next = load(out + (thread_index() + 1) % kThreads);
  store(out + thread_index(), next);
}

// Bytes, each thread one of its own or, two threads apart, the same.
template <int kApart>
__global__ void writes_bytes(unsigned* out) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(out);
  store(bytes + thread_index() / kApart, static_cast<std::uint8_t>(thread_index()));
}

TEST_F(Races, AreNoneBetweenNeighbouringBytes) {
  run(writes_bytes<1>);
  EXPECT_EQ(out_[1], 0x07060504u);
  EXPECT_EQ(violation_of([&] { run(writes_bytes<2>); }).rule, Rule::kRace);
}

TEST_F(Races, AWriteWhereAnotherThreadReadIsFound) {
  EXPECT_EQ(violation_of([&] { run(reads_its_neighbour); }).rule, Rule::kRace);
}

__global__ void counts(unsigned* out) { atomic_add(out, 1u); }

TEST_F(Races, AtomicsDoNotRace) {
  run(counts, 3);
  EXPECT_EQ(out_[0], 3u * kThreads);
}

__global__ void counts_and_reads(unsigned* out) {
  atomic_add(out, 1u);
  store(out + 1 + thread_index() % 8, load(out));
}

TEST_F(Races, AnAtomicAndAPlainReadRace) {
  EXPECT_EQ(violation_of([&] { run(counts_and_reads); }).rule, Rule::kRace);
}

}  // namespace
}  // namespace weft::kernels::cuda
