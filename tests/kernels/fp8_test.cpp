#include "kernels/fp8.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/pow.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/fp8_scale.h"
#include "tests/support/fp8_testing.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::filled;
using test::poisoned;
using test::poisoned_fp8;
using test::quantized;
using test::random_normal;
using test::value_of;
using ::testing::HasSubstr;

// By logarithms in fp64 instead of integers.
double scale_by_formula(double largest) {
  if (largest == 0.0) {
    return 1.0;
  }
  return std::ldexp(1.0, std::max(static_cast<int>(std::ceil(std::log2(largest / 448.0))), -126));
}

at::Tensor powers_of_two(std::int64_t width, std::uint64_t seed) {
  return at::pow(2.0, random_normal({width}, at::kFloat, seed, 3.0).round()).to(at::kFloat);
}

TEST(Fp8Scale, IsTheLeastPowerOfTwoThatFits) {
  for (int exponent = -140; exponent < 128; ++exponent) {
    for (const double mantissa : {1.0, 1.25, 1.7499999, 1.75, 1.7500002, 1.9999999}) {
      const auto largest = static_cast<float>(std::ldexp(mantissa, exponent));
      const std::uint32_t bits = fp8_scale_bits(std::bit_cast<std::uint32_t>(largest));
      EXPECT_EQ(std::bit_cast<float>(bits), scale_by_formula(largest)) << largest;
      EXPECT_EQ(std::bit_cast<float>(fp8_inverse_bits(bits)), 1.0 / std::bit_cast<float>(bits));
    }
  }
}

// Rounding is the one error: half a unit in the last of three bits, or half the smallest number.
TEST(Fp8, QuantizingRoundsOnce) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t rows : {1, 2, 7}) {
      for (const std::int64_t width : {1, 5, 64, 127, 130, 1032}) {
        for (const bool multiplied : {false, true}) {
          SCOPED_TRACE(fmt::format("[{}, {}], factors {}", rows, width, multiplied));
          const at::Tensor x = random_normal({rows, width}, dtype, 1, 20.0);
          const at::Tensor factors = multiplied ? powers_of_two(width, 2) : at::Tensor();
          const at::Tensor exact =
              multiplied ? x.to(at::kDouble) * factors.to(at::kDouble) : x.to(at::kDouble);
          const Fp8Rows result = quantized(x, factors);
          for (std::int64_t row = 0; row < rows; ++row) {
            EXPECT_EQ(result.scales[row].item<double>(),
                      scale_by_formula(exact[row].abs().max().item<double>()));
          }
          const at::Tensor scaled = exact / result.scales.to(at::kDouble).unsqueeze(1);
          EXPECT_TRUE(test::same_bits(result.values, scaled.to(at::kFloat).to(at::kFloat8_e4m3fn)));
          const at::Tensor allowed = scaled.abs() / 16 + std::ldexp(1.0, -10);
          EXPECT_LE(((value_of(result) / result.scales.unsqueeze(1) - scaled).abs() - allowed)
                        .max()
                        .item<double>(),
                    0.0);
        }
      }
    }
  });
}

TEST(Fp8, ARowOfZerosStaysOne) {
  test::for_each_dtype([](at::ScalarType dtype) {
    const at::Tensor x = random_normal({3, 130}, dtype, 1);
    x[1].zero_();
    const Fp8Rows result = quantized(x);
    EXPECT_EQ(result.scales[1].item<float>(), 1.0f);
    EXPECT_EQ(value_of(result)[1].abs().max().item<double>(), 0.0);
    EXPECT_GT(value_of(result)[2].abs().max().item<double>(), 0.0);
  });
}

TEST(Fp8, WhatIsNotFiniteIsNaNAndSpoilsNoOtherRow) {
  test::for_each_dtype([](at::ScalarType dtype) {
    const at::Tensor x = random_normal({4, 131}, dtype, 1);
    x[0][3] = std::numeric_limits<double>::quiet_NaN();
    x[1][130] = std::numeric_limits<double>::infinity();
    x[2][64] = -std::numeric_limits<double>::infinity();
    const at::Tensor value = value_of(quantized(x));
    EXPECT_TRUE(value[0][3].isnan().item<bool>());
    EXPECT_TRUE(value[1][130].isnan().item<bool>());
    EXPECT_TRUE(value[2][64].isnan().item<bool>());
    EXPECT_EQ(value.isnan().sum().item<std::int64_t>(), 3);
    EXPECT_TRUE(test::same_bits(value[3], value_of(quantized(x.narrow(0, 3, 1).clone()))[0]));
  });
}

TEST(Fp8, LargestAndSmallestNumbersKeepTheirSize) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const double size : {3e38, 1e-37, 6e-39}) {
      const at::Tensor x = filled({1, 9}, dtype, size);
      const double stored = x[0][0].item<double>();
      EXPECT_NEAR(value_of(quantized(x))[0][8].item<double>(), stored, stored / 16) << size;
    }
  }
}

struct Product {
  at::Tensor x = random_normal({7, 48}, at::kBFloat16, 1);
  at::Tensor dy = random_normal({7, 80}, at::kBFloat16, 2, 1e-3);
  Fp8Rows weight = quantized(random_normal({80, 48}, at::kFloat, 3, 0.05));
  Arena scratch{c10::Device(at::kCPU)};
};

TEST(Fp8, TheLinearMapIsThatOfTheQuantizedNumbers) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Product p;
    const Fp8Rows x = quantized(p.x);
    const at::Tensor y = poisoned({7, 80}, dtype);
    fp8_linear(y, x, p.weight, p.scratch);
    const at::Tensor exact = at::mm(value_of(x), value_of(p.weight).t());
    EXPECT_TRUE(as_precise_as(
        y, at::mm(value_of(x).to(at::kFloat), value_of(p.weight).to(at::kFloat).t()).to(dtype),
        exact));
    // And near the map of the numbers before: three bits each, errors of either sign.
    const at::Tensor before = at::mm(p.x.to(at::kDouble), value_of(p.weight).t());
    EXPECT_LT((exact - before).norm().item<double>(), 0.05 * before.norm().item<double>());
  }
}

TEST(Fp8, ItsBackwardPassHasTheSameWeights) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    Product p;
    const Fp8Rows dy = quantized(p.dy, p.weight.scales);
    const at::Tensor dx = poisoned({7, 48}, dtype);
    fp8_linear_backward(dx, dy, p.weight, p.scratch);
    const at::Tensor values = p.weight.values.to(at::kFloat).to(at::kDouble);
    EXPECT_TRUE(as_precise_as(dx,
                              at::mm(value_of(dy).to(at::kFloat), values.to(at::kFloat)).to(dtype),
                              at::mm(value_of(dy), values)));
    const at::Tensor before = at::mm(p.dy.to(at::kDouble), value_of(p.weight));
    EXPECT_LT((dx.to(at::kDouble) - before).norm().item<double>(),
              0.05 * before.norm().item<double>());
  }
}

TEST(Fp8, ANaNReachesTheProductOfItsRowAlone) {
  Product p;
  p.x[2][5] = std::numeric_limits<double>::quiet_NaN();
  const at::Tensor y = poisoned({7, 80}, at::kBFloat16);
  fp8_linear(y, quantized(p.x), p.weight, p.scratch);
  EXPECT_EQ(y.isnan().sum().item<std::int64_t>(), 80);
  EXPECT_TRUE(y[2].isnan().all().item<bool>());
}

TEST(Fp8, TransposingMovesEveryByte) {
  for (const std::int64_t rows : {1, 16, 63, 64, 80, 130}) {
    for (const std::int64_t columns : {1, 16, 48, 65, 128}) {
      SCOPED_TRACE(fmt::format("[{}, {}]", rows, columns));
      const Fp8Rows in = quantized(random_normal({rows, columns}, at::kFloat, 5));
      const Fp8Rows out = poisoned_fp8(columns, rows);
      transpose_fp8(in.values, out.values);
      EXPECT_TRUE(
          test::same_bits(out.values.view(at::kByte), in.values.view(at::kByte).t().contiguous()));
    }
  }
}

TEST(Fp8, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    EXPECT_TRUE(test::independent_of_threads([&] {
      const Fp8Rows rows = quantized(random_normal({33, 254}, dtype, 1));
      return test::Tensors{rows.values.view(at::kByte), rows.scales};
    }));
  }
}

TEST(Fp8, NamesTheTensorOfWrongShapeOrDtype) {
  Product p;
  const at::Tensor x = random_normal({2, 6}, at::kFloat, 1);
  const auto quantizing = [&](const at::Tensor& factors, const Fp8Rows& out) {
    return test::internal_error_of([&] { quantize_rows(x, factors, out); });
  };
  EXPECT_THAT(quantizing({}, poisoned_fp8(2, 5)),
              HasSubstr("quantize_rows values is [2, 5] Float8_e4m3fn, expected [2, 6]"));
  EXPECT_THAT(quantizing({}, {poisoned_fp8(2, 6).values, poisoned({3}, at::kFloat)}),
              HasSubstr("quantize_rows scales is [3]"));
  EXPECT_THAT(quantizing({}, {x, poisoned({2}, at::kFloat)}), HasSubstr("quantize_rows values"));
  EXPECT_THAT(quantizing(poisoned({6}, at::kBFloat16), poisoned_fp8(2, 6)),
              HasSubstr("quantize_rows factors"));
  EXPECT_THAT(test::internal_error_of([&] {
                fp8_linear(poisoned({7, 79}, at::kFloat), quantized(p.x), p.weight, p.scratch);
              }),
              HasSubstr("fp8_linear y is [7, 79]"));
  EXPECT_THAT(
      test::internal_error_of([&] {
        fp8_linear_backward(poisoned({7, 48}, at::kFloat), quantized(p.x), p.weight, p.scratch);
      }),
      HasSubstr("fp8_linear_backward dy is [7, 48]"));
  EXPECT_THAT(
      test::internal_error_of([&] { transpose_fp8(p.weight.values, poisoned_fp8(80, 48).values); }),
      HasSubstr("transpose_fp8 out"));
}

}  // namespace
}  // namespace weft::kernels
