// What the AdamW kernel can do beyond the operator: clip, or skip the step, by a norm that never
// leaves the device.
#include "kernels/cuda/adamw.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/adamw.h"
#include "tests/simt/device.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

constexpr std::int64_t kCount = 1027;
constexpr float kMaxNorm = 0.5f;

struct Step {
  at::Tensor parameters = test::random_normal({kCount}, at::kFloat, 1);
  at::Tensor gradient = test::random_normal({kCount}, at::kFloat, 2);
  at::Tensor moment1 = test::filled({kCount}, at::kFloat, 0.25);
  at::Tensor moment2 = test::filled({kCount}, at::kFloat, 0.5);

  void run(double squared_norm, float max_norm, float gradient_scale = 1.0f) {
    simt::Device& device = simt::Device::current();
    device.clear();
    for (const at::Tensor& tensor : {parameters, moment1, moment2}) {
      device.add("state", tensor.data_ptr(), tensor.nbytes(), simt::Role::kInOut);
    }
    device.add("gradient", gradient.data_ptr(), gradient.nbytes(), simt::Role::kInput);
    device.add("squared_norm", &squared_norm, sizeof(double), simt::Role::kInput);
    cuda::adamw_step({.element = cuda::Element::kFloat32,
                      .parameters = parameters.data_ptr(),
                      .gradient = gradient.data_ptr(),
                      .moment1 = moment1.data_ptr(),
                      .moment2 = moment2.data_ptr(),
                      .count = kCount,
                      .decay = 1.0f,
                      .beta1 = 0.5f,
                      .rest1 = 0.5f,
                      .beta2 = 0.5f,
                      .rest2 = 0.5f,
                      .step_size = 0.125f,
                      .denominator_scale = 1.0f,
                      .epsilon = 1e-6f,
                      .gradient_scale = gradient_scale,
                      .squared_norm = &squared_norm,
                      .max_norm = max_norm},
                     nullptr);
  }
};

TEST(AdamWKernel, ClipsByANormOnTheDevice) {
  Step clipped;
  const double squared = sum_of_squares(clipped.gradient);
  clipped.run(squared, kMaxNorm);
  Step scaled;
  scaled.run(0.0, 0.0f, static_cast<float>(kMaxNorm / (std::sqrt(squared) + 1e-6)));
  EXPECT_TRUE(test::same_bits(clipped.parameters, scaled.parameters));
  EXPECT_TRUE(test::same_bits(clipped.moment2, scaled.moment2));
  EXPECT_FALSE(test::same_bits(clipped.parameters, Step().parameters));
}

TEST(AdamWKernel, LeavesAGradientBelowTheNormAlone) {
  Step below;
  below.run(sum_of_squares(below.gradient), 1000.0f);
  Step plain;
  plain.run(1.0, 0.0f);
  EXPECT_TRUE(test::same_bits(below.parameters, plain.parameters));
}

TEST(AdamWKernel, ChangesNothingWhenTheNormIsNotFinite) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Step step;
    step.run(bad, kMaxNorm);
    EXPECT_TRUE(test::same_bits(step.parameters, Step().parameters));
    EXPECT_TRUE(test::same_bits(step.moment1, Step().moment1));
    EXPECT_TRUE(test::same_bits(step.moment2, Step().moment2));
  }
}

}  // namespace
}  // namespace weft::kernels
