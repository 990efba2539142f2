#include "kernels/gemm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <limits>

#include "kernels/work_log.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

const c10::Device kCpu(at::kCPU);

struct Shape {
  std::int64_t m, k, n;
};
const Shape kShapes[] = {{1, 1, 1}, {2, 5, 3}, {7, 64, 127}, {33, 130, 5}, {33, 127, 64}};

at::Tensor matrix(std::int64_t rows, std::int64_t columns, at::ScalarType dtype, bool transposed,
                  std::uint64_t seed) {
  return transposed ? random_normal({columns, rows}, dtype, seed).t()
                    : random_normal({rows, columns}, dtype, seed);
}

TEST(Gemm, IsAsPreciseAsTheCompositionForAnyLayout) {
  test::for_each_dtype([](at::ScalarType dtype) {
    Arena scratch(kCpu);
    for (const Shape& s : kShapes) {
      for (const int layout : {0, 1, 2, 3}) {
        SCOPED_TRACE(fmt::format("{}x{}x{} layout {}", s.m, s.k, s.n, layout));
        const at::Tensor a = matrix(s.m, s.k, dtype, (layout & 1) != 0, 1);
        const at::Tensor b = matrix(s.k, s.n, dtype, (layout & 2) != 0, 2);
        const at::Tensor exact = at::mm(a.to(at::kDouble), b.to(at::kDouble));
        const at::Tensor out = poisoned({s.m, s.n}, dtype);
        gemm(out, a, b, scratch);
        EXPECT_TRUE(as_precise_as(out, at::mm(a, b), exact));
      }
    }
  });
}

TEST(Gemm, AddsToColumnsOfAWiderMatrix) {
  test::for_each_dtype([](at::ScalarType dtype) {
    Arena scratch(kCpu);
    for (const bool accumulate : {false, true}) {
      const at::Tensor a = random_normal({7, 64}, dtype, 1);
      const at::Tensor b = matrix(64, 5, dtype, /*transposed=*/true, 2);
      const at::Tensor old = random_normal({7, 9}, dtype, 3);
      const at::Tensor wide = old.clone();
      const at::Tensor out = wide.narrow(1, 3, 5);
      if (!accumulate) {
        out.fill_(std::numeric_limits<double>::quiet_NaN());
      }
      gemm(out, a, b, scratch, accumulate, 0.3);
      const at::Tensor start = old.narrow(1, 3, 5) * (accumulate ? 1.0 : 0.0);
      const at::Tensor exact =
          start.to(at::kDouble) + 0.3 * at::mm(a.to(at::kDouble), b.to(at::kDouble));
      EXPECT_TRUE(as_precise_as(out, start + 0.3 * at::mm(a, b), exact));
      EXPECT_TRUE(test::same_bits(wide.narrow(1, 0, 3), old.narrow(1, 0, 3)));
      EXPECT_TRUE(test::same_bits(wide.narrow(1, 8, 1), old.narrow(1, 8, 1)));
    }
  });
}

TEST(Gemm, AnEmptyInnerDimensionGivesZeros) {
  test::for_each_dtype([](at::ScalarType dtype) {
    Arena scratch(kCpu);
    const at::Tensor out = poisoned({2, 3}, dtype);
    gemm(out, poisoned({2, 0}, dtype), poisoned({0, 3}, dtype), scratch);
    EXPECT_TRUE(test::near(out, test::filled({2, 3}, at::kDouble, 0.0), 0.0));
    const at::Tensor kept = test::filled({2, 3}, dtype, 4.0);
    gemm(kept, poisoned({2, 0}, dtype), poisoned({0, 3}, dtype), scratch,
         /*accumulate=*/true);
    EXPECT_TRUE(test::near(kept, test::filled({2, 3}, at::kDouble, 4.0), 0.0));
    gemm(poisoned({0, 3}, dtype), poisoned({0, 2}, dtype), poisoned({2, 3}, dtype), scratch);
  });
}

// Gradients are collected in fp32 from bf16 operands, without a rounding to bf16 in between.
TEST(Gemm, CollectsNarrowOperandsInFp32) {
  Arena scratch(kCpu);
  const at::Tensor dy = random_normal({33, 5}, at::kBFloat16, 1);
  const at::Tensor x = random_normal({33, 127}, at::kBFloat16, 2);
  const at::Tensor out = test::filled({5, 127}, at::kFloat, 2.0);
  gemm(out, dy.t(), x, scratch, /*accumulate=*/true, 0.5);
  gemm(out, dy.t(), x, scratch, /*accumulate=*/true, 0.5);
  const at::Tensor exact = 2.0 + at::mm(dy.t().to(at::kDouble), x.to(at::kDouble));
  EXPECT_TRUE(test::near(out, exact, 2e-5));
}

// The gradient of the logits stays fp32 beside a bf16 head: no rounding, and no second copy of it.
TEST(Gemm, TakesAnFp32OperandBesideANarrowOne) {
  Arena scratch(kCpu);
  const at::Tensor wide = random_normal({33, 70}, at::kFloat, 1);
  const at::Tensor narrow = random_normal({70, 9}, at::kBFloat16, 2);
  const at::Tensor exact = at::mm(wide.to(at::kDouble), narrow.to(at::kDouble));
  const at::Tensor out = poisoned({33, 9}, at::kFloat);
  gemm(out, wide, narrow, scratch);
  EXPECT_TRUE(test::near(out, exact, 2e-5));
  const at::Tensor turned = poisoned({9, 33}, at::kFloat);
  gemm(turned, narrow.t(), wide.t(), scratch);
  EXPECT_TRUE(test::near(turned, exact.t(), 2e-5));
  EXPECT_LT(scratch.peak_bytes(), wide.numel() * 4 + narrow.numel() * 8);
}

// Over 4 Mi elements, so that the right operand is widened in several pieces.
TEST(Gemm, WidensALargeOperandPieceByPiece) {
  Arena scratch(kCpu);
  constexpr std::int64_t kLong = 65537;
  for (const bool transposed : {false, true}) {
    const std::int64_t k = transposed ? kLong : 70;
    const std::int64_t n = transposed ? 70 : kLong;
    const at::Tensor a = random_normal({2, k}, at::kBFloat16, 1);
    const at::Tensor b = matrix(k, n, at::kBFloat16, transposed, 2);
    const at::Tensor out = test::filled({2, n}, at::kFloat, 1.0);
    const at::Tensor exact = 1.0 + 2.0 * at::mm(a.to(at::kDouble), b.to(at::kDouble));
    gemm(out, a, b, scratch, /*accumulate=*/true, 2.0);
    EXPECT_TRUE(test::near(out, exact, 5e-6 * exact.abs().max().item<double>()));
    EXPECT_LT(scratch.peak_bytes(), std::int64_t{20} << 20);
  }
}

// A GPU's product leaves its sums in fp32; the plan of a step must not count a temporary for it.
TEST(Gemm, IntoFp32IsPlannedWithoutATemporaryOnAGpu) {
  const auto meta = [](at::IntArrayRef sizes, at::ScalarType dtype) {
    return at::empty(sizes, at::TensorOptions(dtype).device(at::kMeta));
  };
  Arena scratch(at::kMeta);
  scratch.plan_for(at::kCUDA);
  const WorkLog log;
  for (const bool accumulate : {false, true}) {
    gemm(meta({33, 5}, at::kFloat), meta({33, 64}, at::kBFloat16), meta({64, 5}, at::kBFloat16),
         scratch, accumulate);
  }
  EXPECT_EQ(scratch.peak_bytes(), 0);
  ASSERT_EQ(log.entries().size(), 2);
  EXPECT_EQ(log.entries()[0].bytes_read, 2 * (33 * 64 + 64 * 5));
  EXPECT_EQ(log.entries()[1].bytes_read, 2 * (33 * 64 + 64 * 5) + 4 * 33 * 5);
  EXPECT_EQ(log.entries()[1].bytes_written, 4 * 33 * 5);
}

TEST(Gemm, GivesBackItsTemporaries) {
  Arena scratch(kCpu);
  const at::Tensor a = random_normal({7, 64}, at::kBFloat16, 1);
  const at::Tensor out = poisoned({7, 7}, at::kBFloat16);
  gemm(out, a, a.t(), scratch);
  const std::int64_t peak = scratch.peak_bytes();
  EXPECT_GT(peak, 0);
  gemm(out, a, a.t(), scratch);
  EXPECT_EQ(scratch.peak_bytes(), peak);
}

TEST(Gemm, LetsNanThrough) {
  Arena scratch(kCpu);
  for (const at::ScalarType dtype : test::kDtypes) {
    const at::Tensor a = random_normal({3, 64}, dtype, 1);
    a[1][5] = std::numeric_limits<double>::quiet_NaN();
    const at::Tensor out = test::filled({3, 5}, dtype, 0.0);
    gemm(out, a, random_normal({64, 5}, dtype, 2), scratch);
    EXPECT_TRUE(out[1].isnan().all().item<bool>());
    EXPECT_TRUE(out[0].isfinite().all().item<bool>());
  }
}

TEST(Gemm, NamesTheShapesThatDoNotFit) {
  Arena scratch(kCpu);
  const auto error = [&](const at::Tensor& out, const at::Tensor& a, const at::Tensor& b) {
    return test::internal_error_of([&] { gemm(out, a, b, scratch); });
  };
  const at::Tensor a = poisoned({2, 3}, at::kFloat);
  const at::Tensor b = poisoned({3, 4}, at::kFloat);
  EXPECT_EQ(error(poisoned({2, 5}, at::kFloat), a, b),
            "gemm of [2, 3] Float by [3, 4] Float into [2, 5] Float");
  EXPECT_THAT(error(poisoned({2, 3}, at::kFloat), a, a), HasSubstr("gemm of"));
  EXPECT_THAT(error(poisoned({2, 4}, at::kFloat), a, b.to(at::kHalf)), HasSubstr("Half"));
}

}  // namespace
}  // namespace weft::kernels
