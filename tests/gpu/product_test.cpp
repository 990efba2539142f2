// Products that only a GPU has: bf16 into fp32, and 8-bit floats with a scale for each row.

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/device_properties.h"
#include "kernels/fp8.h"
#include "kernels/gemm.h"
#include "tests/support/fp8_testing.h"
#include "tests/support/tensor_testing.h"
#include "trainer/device.h"

namespace weft::kernels {
namespace {

using test::random_normal;

const c10::Device kGpu(at::kCUDA, 0);

class GpuProduct : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!trainer::resolve_device("auto").is_cuda()) {
      GTEST_SKIP() << "there is no GPU that LibTorch can use";
    }
  }

  Arena scratch_{kGpu};
};

struct Shape {
  std::int64_t m, k, n;
};

// Logits are such: rounded to bf16, an error of 2^-9 of the largest would show.
TEST_F(GpuProduct, OfBf16IntoFp32IsNotRoundedToBf16) {
  for (const Shape& s : {Shape{1, 64, 1}, {33, 130, 5}, {7, 128, 1000}, {512, 1024, 257}}) {
    for (const bool accumulate : {false, true}) {
      SCOPED_TRACE(fmt::format("{}x{}x{} accumulate {}", s.m, s.k, s.n, accumulate));
      const at::Tensor a = random_normal({s.k, s.m}, at::kBFloat16, 1).t();
      const at::Tensor b = random_normal({s.k, s.n}, at::kBFloat16, 2);
      const at::Tensor old = random_normal({s.m, s.n}, at::kFloat, 3);
      const at::Tensor out = old.to(kGpu);
      gemm(out, a.to(kGpu), b.to(kGpu), scratch_, accumulate, 0.5);
      const at::Tensor exact = 0.5 * at::mm(a.to(at::kDouble), b.to(at::kDouble)) +
                               (accumulate ? 1.0 : 0.0) * old.to(at::kDouble);
      EXPECT_TRUE(test::near(out.cpu(), exact, 1e-5 * exact.abs().max().item<double>()));
    }
  }
  EXPECT_EQ(scratch_.peak_bytes(), 0);
}

class GpuFp8Product : public GpuProduct {
 protected:
  void SetUp() override {
    GpuProduct::SetUp();
    if (!IsSkipped() && compute_capability(kGpu) < 89) {
      GTEST_SKIP() << "the GPU has no products of 8-bit floats";
    }
  }

  static Fp8Rows on_gpu(const Fp8Rows& rows) {
    return {rows.values.to(kGpu), rows.scales.to(kGpu)};
  }
};

// The 8-bit numbers and their scales are exact, so what is left is the sum's error and one rounding
// to bf16.
TEST_F(GpuFp8Product, ForwardAndBackwardAddUpTheSameNumbers) {
  for (const Shape& s : {Shape{1, 64, 16}, {33, 128, 48}, {257, 1024, 512}}) {
    SCOPED_TRACE(fmt::format("{} rows, {} to {}", s.m, s.k, s.n));
    const Fp8Rows x = test::quantized(random_normal({s.m, s.k}, at::kBFloat16, 1, 5.0));
    const Fp8Rows weight = test::quantized(random_normal({s.n, s.k}, at::kBFloat16, 2, 0.05));
    const at::Tensor y = test::poisoned({s.m, s.n}, at::kBFloat16).to(kGpu);
    fp8_linear(y, on_gpu(x), on_gpu(weight), scratch_);
    const at::Tensor exact = at::mm(test::value_of(x), test::value_of(weight).t());
    EXPECT_TRUE(test::near(y.cpu(), exact, 0.004 * exact.abs().max().item<double>()));

    const Fp8Rows dy =
        test::quantized(random_normal({s.m, s.n}, at::kBFloat16, 3, 2.0), weight.scales);
    const at::Tensor dx = test::poisoned({s.m, s.k}, at::kBFloat16).to(kGpu);
    fp8_linear_backward(dx, on_gpu(dy), on_gpu(weight), scratch_);
    const at::Tensor exact_dx =
        at::mm(test::value_of(dy), weight.values.to(at::kFloat).to(at::kDouble));
    EXPECT_TRUE(test::near(dx.cpu(), exact_dx, 0.004 * exact_dx.abs().max().item<double>()));
  }
}

TEST_F(GpuFp8Product, QuantizesToTheBitsOfTheCpu) {
  for (const std::int64_t width : {16, 127, 4096}) {
    const at::Tensor x = random_normal({33, width}, at::kBFloat16, 1, 20.0);
    const Fp8Rows expected = test::quantized(x);
    const Fp8Rows rows = on_gpu(test::poisoned_fp8(33, width));
    quantize_rows(x.to(kGpu), {}, rows);
    EXPECT_TRUE(rows.values.cpu().view(at::kByte).equal(expected.values.view(at::kByte)));
    EXPECT_TRUE(test::same_bits(rows.scales.cpu(), expected.scales));
  }
}

}  // namespace
}  // namespace weft::kernels
