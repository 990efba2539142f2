#include "kernels/arena.h"

#include <gmock/gmock.h>

#include <limits>

#include "base/error.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

Arena make_arena() { return Arena(c10::Device(at::kCPU)); }

std::uintptr_t address(const at::Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data_ptr());
}

TEST(Arena, HandsOutAlignedTensorsThatDoNotOverlap) {
  Arena arena = make_arena();
  test::Tensors taken;
  for (const at::ScalarType dtype :
       {at::kFloat, at::kBFloat16, at::kDouble, at::kLong, at::kByte}) {
    for (const std::int64_t width : {1, 5, 127}) {
      const at::Tensor tensor = arena.take({3, width}, dtype);
      EXPECT_EQ(tensor.scalar_type(), dtype);
      EXPECT_EQ(tensor.sizes(), (at::IntArrayRef{3, width}));
      EXPECT_TRUE(tensor.is_contiguous());
      EXPECT_EQ(address(tensor) % 64, 0u);
      taken.push_back(tensor.fill_(static_cast<std::int64_t>(taken.size())));
    }
  }
  for (std::size_t i = 0; i < taken.size(); ++i) {
    EXPECT_TRUE(test::near(taken[i], test::filled(taken[i].sizes(), at::kDouble, double(i)), 0.0));
  }
}

TEST(Arena, AScopeGivesBackWhatWasTakenInIt) {
  Arena arena = make_arena();
  const at::Tensor outer = arena.take({100}, at::kFloat);
  std::uintptr_t first = 0;
  for (int round = 0; round < 3; ++round) {
    const Arena::Scope scope(arena);
    const at::Tensor inner = arena.take({1000}, at::kFloat);
    EXPECT_NE(address(inner), address(outer));
    first = round == 0 ? address(inner) : first;
    EXPECT_EQ(address(inner), first);
  }
  EXPECT_EQ(arena.peak_bytes(), 448 + 4032);  // both rounded up to 64 bytes
}

TEST(Arena, StopsAllocatingAfterTheFirstRounds) {
  Arena arena = make_arena();
  const auto round = [&] {
    const Arena::Scope scope(arena);
    const at::Tensor a = arena.take({kMiB}, at::kFloat);
    const at::Tensor b = arena.take({kMiB / 2}, at::kFloat);
    return address(a) ^ address(b);
  };
  round();
  EXPECT_GE(arena.reserved_bytes(), 6 * kMiB);
  arena.reset();  // merges the blocks into one
  const std::int64_t reserved = arena.reserved_bytes();
  EXPECT_LE(reserved, 6 * kMiB + 64);
  const std::uintptr_t addresses = round();
  arena.reset();
  EXPECT_EQ(round(), addresses);
  EXPECT_EQ(arena.reserved_bytes(), reserved);
  EXPECT_EQ(arena.peak_bytes(), 6 * kMiB);
}

TEST(Arena, ReservesOneBlockForWhatIsKnownBeforehand) {
  Arena arena = make_arena();
  arena.reserve(6 * kMiB);
  EXPECT_TRUE(arena.settled());
  (void)arena.take({4 * kMiB}, at::kByte);
  (void)arena.take({2 * kMiB}, at::kByte);
  EXPECT_EQ(arena.reserved_bytes(), 6 * kMiB);
  arena.reset();
  arena.reserve(kMiB);  // there is more already
  EXPECT_EQ(arena.reserved_bytes(), 6 * kMiB);
  arena.reserve(7 * kMiB);
  EXPECT_TRUE(arena.settled());
  EXPECT_EQ(arena.reserved_bytes(), 7 * kMiB);
}

TEST(Arena, ATensorOutlivesTheBlocksItCameFrom) {
  Arena arena = make_arena();
  const at::Tensor kept = arena.take({kMiB}, at::kByte).fill_(7);
  const at::Tensor second = arena.take({4 * kMiB}, at::kByte);
  arena.reset();
  EXPECT_EQ(kept.min().item<int>(), 7);
}

TEST(Arena, TakesEmptyTensors) {
  Arena arena = make_arena();
  EXPECT_EQ(arena.take({0, 5}, at::kDouble).sizes(), (at::IntArrayRef{0, 5}));
  EXPECT_EQ(arena.take({kMiB}, at::kByte).numel(), kMiB);  // the block is full now
  EXPECT_EQ(arena.take({0}, at::kFloat).numel(), 0);
  EXPECT_EQ(arena.peak_bytes(), kMiB);
}

TEST(Arena, RefusesSizesWhoseBytesOverflow) {
  Arena arena = make_arena();
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max() / 2;
  EXPECT_THAT(
      [&] {
        (void)arena.take({huge, 3}, at::kFloat);
      },
      ::testing::ThrowsMessage<Error>(::testing::HasSubstr("temporary tensor")));
}

}  // namespace
}  // namespace weft::kernels
