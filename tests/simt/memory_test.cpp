// Global memory of the emulation: bounds, alignment, roles, and the count of what was moved. The
// kernels with a defect are variants of one that is right.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kernels/cuda/primitives.h"
#include "tests/simt/violation_of.h"

namespace weft::kernels::cuda {
namespace {

using simt::Device;
using simt::Role;
using simt::Rule;
using simt::Traffic;
using simt::violation_of;
using ::testing::HasSubstr;

constexpr int kRows = 3;
constexpr int kWidth = 256;
constexpr int kBytes = kRows * kWidth * static_cast<int>(sizeof(float));

struct alignas(64) Rows {
  float values[kRows * kWidth];
};

class Memory : public ::testing::Test {
 protected:
  Memory() {
    std::iota(std::begin(in_.values), std::end(in_.values), 0.0f);
    Device::current().clear();
    Device::current().add("in", &in_, sizeof(in_), Role::kInput);
    Device::current().add("out", &out_, sizeof(out_), Role::kOutput);
  }
  void run(void (*kernel)(const float*, float*)) {
    launch("kernel", kernel, kRows, 64, 0, nullptr, in_.values, out_.values);
  }

  Rows in_{};
  char gap_[64] = {};  // or the end of one would be the start of the other
  Rows out_{};
};

// Doubles a row: each thread moves four elements.
__device__ void double_row(const float* in, float* out, std::int64_t row, int first) {
  Pack<float, 4> pack = load_pack<4>(in + row * kWidth + first);
  for (float& value : pack.values) {
    value *= 2;
  }
  store_pack(out + row * kWidth + first, pack);
}

__global__ void right(const float* in, float* out) {
  double_row(in, out, block_index(), thread_index() * 4);
}

TEST_F(Memory, CountsEveryByteOnceInAnIdealKernel) {
  run(right);
  EXPECT_EQ(out_.values[kRows * kWidth - 1], 2.0f * (kRows * kWidth - 1));
  const Traffic ideal{kBytes, kBytes / 16, kBytes / 32};
  EXPECT_EQ(Device::current().reads("in"), ideal);
  EXPECT_EQ(Device::current().writes("out"), ideal);
  EXPECT_EQ(Device::current().writes("in"), Traffic());
  EXPECT_NO_THROW(Device::current().check_written());
}

// The rows in wider ones: the gaps belong to nobody.
TEST_F(Memory, AnAccessBehindARowIsFound) {
  const auto run_on = [&](std::size_t width) {
    Device::current().clear();
    Device::current().add("in", &in_, sizeof(in_), Role::kInput);
    Device::current().add_rows("out", &out_, {kRows, width, kWidth * sizeof(float)}, Role::kOutput);
    run(right);
  };
  run_on(kWidth * sizeof(float));
  EXPECT_NO_THROW(Device::current().check_written());
  EXPECT_EQ(Device::current().writes("out").bytes, kBytes);
  const auto found = violation_of([&] { run_on((kWidth - 4) * sizeof(float)); });
  EXPECT_EQ(found.rule, Rule::kBounds);
  EXPECT_THAT(found.message, HasSubstr("out, whose rows of 1008 bytes are 1024 apart"));
}

__global__ void reads_twice(const float* in, float* out) {
  right(in, out);
  right(in, out);
}

TEST_F(Memory, ADoubleReadIsCounted) {
  run(reads_twice);
  EXPECT_EQ(Device::current().reads("in").bytes, 2 * kBytes);
  EXPECT_EQ(Device::current().reads("in").sectors, 2 * kBytes / 32);
}

// Every lane reads another sector: 32 bytes are moved for 4.
__global__ void strided(const float* in, float* out) {
  const int column = thread_index() % 8 * 32 + thread_index() / 8;
  for (int i = 0; i < 4; ++i) {
    const std::int64_t at = block_index() * kWidth + column + i * 8;
    store(out + at, load(in + at));
  }
}

TEST_F(Memory, AnAccessThatIsNotCoalescedIsCounted) {
  run(strided);
  EXPECT_EQ(Device::current().reads("in").bytes, kBytes);
  EXPECT_EQ(Device::current().reads("in").accesses, kBytes / 4);
  EXPECT_EQ(Device::current().reads("in").sectors, kBytes / 32 * 2);
  EXPECT_NO_THROW(Device::current().check_written());
}

__global__ void off_by_one_row(const float* in, float* out) {
  double_row(in, out, block_index() + 1, thread_index() * 4);
}

TEST_F(Memory, AnOffByOneRowIsFound) {
  const auto found = violation_of([&] { run(off_by_one_row); });
  EXPECT_EQ(found.rule, Rule::kBounds);
  EXPECT_THAT(found.message, HasSubstr("kernel: block 2 thread 0 at primitives.h:"));
  EXPECT_THAT(found.message,
              HasSubstr("16 bytes 3072 bytes after the start of in, which has 3072"));
}

__global__ void unaligned(const float* in, float* out) {
  double_row(in, out, block_index(), thread_index() < 63 ? thread_index() * 4 + 1 : 0);
}

TEST_F(Memory, AnUnalignedLoadIsFound) {
  const auto found = violation_of([&] { run(unaligned); });
  EXPECT_EQ(found.rule, Rule::kAlignment);
  EXPECT_THAT(found.message, HasSubstr("load of 16 bytes at byte 4 of in, not aligned"));
}

__global__ void drops_the_tail(const float* in, float* out) {
  if (thread_index() < 63) {
    right(in, out);
  }
}

TEST_F(Memory, ADroppedTailIsFound) {
  run(drops_the_tail);
  const auto found = violation_of([] { Device::current().check_written(); });
  EXPECT_EQ(found.rule, Rule::kUnwritten);
  EXPECT_THAT(found.message, HasSubstr("byte 1008 of 3072 bytes of out"));
}

__global__ void writes_its_input(const float* in, float* out) {
  store(out + thread_index(), 0.0f);
  store(const_cast<float*>(in) + thread_index(), 0.0f);
}

TEST_F(Memory, AWriteToAnInputIsFound) {
  EXPECT_EQ(violation_of([&] { run(writes_its_input); }).rule, Rule::kReadOnly);
}

__global__ void adds_to_its_output(const float* in, float* out) {
  const std::int64_t at = block_index() * kWidth + thread_index();
  store(out + at, load(out + at) + load(in + at));
}

TEST_F(Memory, AReadOfAnOutputThatIsNotWrittenYetIsFound) {
  const auto found = violation_of([&] { run(adds_to_its_output); });
  EXPECT_EQ(found.rule, Rule::kUninitialised);
  EXPECT_THAT(found.message, HasSubstr("load of 4 bytes at byte 0 of out"));
}

TEST_F(Memory, GoesWhenAnotherBufferTakesItsPlace) {
  Device::current().add("new", &in_, 16, Role::kInOut);
  EXPECT_EQ(violation_of([&] { run(right); }).rule, Rule::kBounds);
}

}  // namespace
}  // namespace weft::kernels::cuda
