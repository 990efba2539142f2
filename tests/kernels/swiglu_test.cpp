#include "kernels/swiglu.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/silu.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <limits>

#include "tests/support/fp8_testing.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

test::Tensors composition(const test::Tensors& in) {
  const auto halves = in[0].chunk(2, 1);
  return {at::silu(halves[0]) * halves[1]};
}

TEST(SwiGlu, IsAsPreciseAsTheComposition) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t tokens : {1, 2, 7, 33}) {
      for (const std::int64_t width : {1, 5, 64, 127, 130}) {
        SCOPED_TRACE(fmt::format("T {} F {}", tokens, width));
        const at::Tensor gate_up = random_normal({tokens, 2 * width}, dtype, 1, 3.0);
        const at::Tensor dout = random_normal({tokens, width}, dtype, 2);
        const auto [plain, exact] = test::evaluate(composition, {gate_up}, {dout});
        const at::Tensor out = poisoned({tokens, width}, dtype);
        swiglu_forward(gate_up, out);
        EXPECT_TRUE(as_precise_as(out, plain.outputs[0], exact.outputs[0]));
        const at::Tensor gradient = gate_up.clone();
        const at::Tensor recomputed = dout.clone();
        swiglu_backward(gradient, recomputed);
        EXPECT_TRUE(as_precise_as(gradient, plain.gradients[0], exact.gradients[0]));
        EXPECT_TRUE(as_precise_as(recomputed, plain.outputs[0], exact.outputs[0]));
      }
    }
  });
}

TEST(SwiGlu, MatchesFiniteDifferences) {
  const at::Tensor gate_up = random_normal({3, 10}, at::kDouble, 1, 2.0);
  const at::Tensor dout = random_normal({3, 5}, at::kDouble, 2);
  const at::Tensor out = poisoned({3, 5}, at::kDouble);
  const at::Tensor wanted = test::numeric_gradient(
      [&] {
        swiglu_forward(gate_up, out);
        return (out * dout).sum().item<double>();
      },
      gate_up);
  swiglu_backward(gate_up, dout.clone());
  EXPECT_TRUE(test::near(gate_up, wanted, 1e-8));
}

TEST(SwiGlu, StaysFiniteForLargeGates) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const at::Tensor gate_up = test::filled({4, 2}, dtype, 1.0);
    const at::Tensor wanted = test::filled({4, 1}, at::kDouble, 0.0);
    const double gates[] = {-1e4, -90.0, 90.0, 1e4};
    for (int i = 0; i < 4; ++i) {
      gate_up[i][0] = gates[i];
      wanted[i][0] = gate_up[i][0].item<double>() > 0 ? gate_up[i][0].item<double>() : 0.0;
    }
    const at::Tensor out = poisoned({4, 1}, dtype);
    swiglu_forward(gate_up, out);
    EXPECT_TRUE(test::near(out, wanted, 1e-30));
    swiglu_backward(gate_up, test::filled({4, 1}, dtype, 1.0));
    EXPECT_TRUE(test::near(gate_up.narrow(1, 0, 1), (wanted > 0).to(at::kDouble), 1e-30));
    EXPECT_TRUE(test::near(gate_up.narrow(1, 1, 1), wanted, 1e-30));
  }
}

TEST(SwiGlu, LetsNanThrough) {
  for (const at::ScalarType dtype : test::kDtypes) {
    for (const std::int64_t column : {3, 130 + 3}) {  // a gate, an up
      const at::Tensor gate_up = random_normal({2, 260}, dtype, 1);
      gate_up[1][column] = std::numeric_limits<double>::quiet_NaN();
      const at::Tensor out = poisoned({2, 130}, dtype);
      swiglu_forward(gate_up, out);
      EXPECT_EQ(out.isnan().sum().item<std::int64_t>(), 1);
      EXPECT_TRUE(out[1][3].isnan().item<bool>());
      swiglu_backward(gate_up, random_normal({2, 130}, dtype, 2));
      EXPECT_TRUE(gate_up[1][3].isnan().item<bool>());
    }
  }
}

TEST(SwiGlu, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    EXPECT_TRUE(test::independent_of_threads([&] {
      const at::Tensor gate_up = random_normal({33, 254}, dtype, 1);
      const at::Tensor out = random_normal({33, 127}, dtype, 2);
      swiglu_backward(gate_up, out);
      return test::Tensors{gate_up, out};
    }));
  }
}

// Strides that rule 16-byte accesses out and that do not.
TEST(SwiGlu, TakesRowsInWiderOnesAndLeavesWhatIsBehindThem) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t spare : {1, 8, 24}) {
      SCOPED_TRACE(spare);
      const at::Tensor plain = random_normal({7, 128}, dtype, 1);
      const at::Tensor plain_out = poisoned({7, 64}, dtype);
      const at::Tensor gate_up = test::padded(plain, spare);
      const at::Tensor out = test::padded(plain_out, spare + 8);
      swiglu_forward(plain, plain_out);
      swiglu_forward(gate_up, out);
      EXPECT_TRUE(test::same_bits(out, plain_out) && test::left_alone_behind(out));
      const at::Tensor plain_dout = random_normal({7, 64}, dtype, 2);
      const at::Tensor dout = test::padded(plain_dout, spare + 8);
      swiglu_backward(plain, plain_dout);
      swiglu_backward(gate_up, dout);
      EXPECT_TRUE(test::same_bits(gate_up, plain) && test::left_alone_behind(gate_up));
      EXPECT_TRUE(test::same_bits(dout, plain_dout) && test::left_alone_behind(dout));
    }
  });
}

TEST(SwiGlu, QuantizesWhatItWrites) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t width : {1, 7, 64, 130}) {
      SCOPED_TRACE(fmt::format("width {}", width));
      const at::Tensor gate_up = random_normal({5, 2 * width}, dtype, 1, 3.0);
      const at::Tensor out = poisoned({5, width}, dtype);
      const Fp8Rows rows = test::poisoned_fp8(5, width);
      swiglu_forward(gate_up, out, rows);
      EXPECT_TRUE(test::same_bits(test::value_of(rows), test::value_of(test::quantized(out))));
      const at::Tensor factors =
          at::arange(2 * width, at::TensorOptions(at::kFloat)).remainder(3).exp2();
      const at::Tensor dout = random_normal({5, width}, dtype, 2);
      const Fp8Rows gradients = test::poisoned_fp8(5, 2 * width);
      swiglu_backward(gate_up, dout, factors, gradients);
      EXPECT_TRUE(test::same_bits(test::value_of(gradients),
                                  test::value_of(test::quantized(gate_up, factors))));
    }
  }
  const at::Tensor padded = test::padded(poisoned({2, 6}, at::kFloat), 2);
  EXPECT_THAT(test::internal_error_of([&] {
                swiglu_backward(padded, poisoned({2, 3}, at::kFloat), poisoned({6}, at::kFloat),
                                test::poisoned_fp8(2, 6));
              }),
              HasSubstr("swiglu gate_up, which is quantised,"));
}

TEST(SwiGlu, NamesTheTensorOfWrongShapeOrDtype) {
  const at::Tensor gate_up = poisoned({2, 6}, at::kFloat);
  const auto error = [&](const at::Tensor& rows, const at::Tensor& out) {
    return test::internal_error_of([&] { swiglu_forward(rows, out); });
  };
  EXPECT_THAT(error(gate_up, poisoned({2, 4}, at::kFloat)), HasSubstr("swiglu gate_up"));
  EXPECT_THAT(error(gate_up, poisoned({3, 3}, at::kFloat)), HasSubstr("swiglu out is [3, 3]"));
  EXPECT_THAT(error(gate_up, poisoned({2, 3}, at::kDouble)), HasSubstr("swiglu"));
  EXPECT_THAT(test::internal_error_of([&] {
                swiglu_backward(gate_up, poisoned({2, 2}, at::kFloat));
              }),
              HasSubstr("swiglu gate_up"));
}

}  // namespace
}  // namespace weft::kernels
