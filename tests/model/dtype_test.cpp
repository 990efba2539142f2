#include "model/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "base/error.h"

namespace weft::model {
namespace {

TEST(DType, NamesRoundTrip) {
  for (const char* name :
       {"BOOL",    "F4",          "F6_E2M3",     "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3",
        "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16",     "U16", "F16", "BF16",    "I32",
        "U32",     "F32",         "C64",         "F64",     "I64", "U64"}) {
    const auto dtype = dtype_from_name(name);
    ASSERT_TRUE(dtype.has_value()) << name;
    EXPECT_EQ(dtype_name(*dtype), name);
    EXPECT_NE(all_dtype_names().find(name), std::string::npos);
  }
  EXPECT_FALSE(dtype_from_name("bf16").has_value());
  EXPECT_FALSE(dtype_from_name("").has_value());
}

TEST(DType, SizesAndTorchNames) {
  EXPECT_EQ(dtype_bytes(DType::kBFloat16), 2u);
  EXPECT_EQ(dtype_bytes(DType::kFloat64), 8u);
  EXPECT_EQ(dtype_bits(DType::kFloat6E2M3), 6);
  EXPECT_THROW(static_cast<void>(dtype_bytes(DType::kFloat4)), Error);
  EXPECT_EQ(dtype_from_torch_name("bfloat16"), DType::kBFloat16);
  EXPECT_EQ(dtype_from_torch_name("torch.float32"), DType::kFloat32);
  EXPECT_FALSE(dtype_from_torch_name("int8").has_value());
  EXPECT_EQ(torch_dtype_name(DType::kFloat16), "float16");
  EXPECT_TRUE(is_weight_dtype(DType::kFloat64));
  EXPECT_FALSE(is_weight_dtype(DType::kFloat8E4M3));
}

/// Reference rounding of a double to a format with `mantissa` stored bits and smallest normal
/// exponent `min_exponent`.
double round_reference(double value, int mantissa, int min_exponent, double overflow) {
  if (value == 0 || std::isnan(value) || std::isinf(value)) return value;
  const int exponent = std::max(std::ilogb(value), min_exponent);
  const double unit = std::ldexp(1.0, exponent - mantissa);
  const double rounded = std::nearbyint(value / unit) * unit;  // ties to even
  if (std::abs(rounded) >= overflow) return std::copysign(INFINITY, value);
  return rounded;
}

double bfloat16_reference(double value) {
  return round_reference(value, 7, -126, std::ldexp(1.0, 128));
}

double float16_reference(double value) {
  return round_reference(value, 10, -14, std::ldexp(1.0, 16));
}

TEST(DType, EveryHalfValueSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float from_f16 = float16_to_float(half);
    const float from_bf16 = bfloat16_to_float(half);
    if ((half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0) {
      EXPECT_TRUE(std::isnan(from_f16));
      EXPECT_TRUE(std::isnan(float16_to_float(float_to_float16(from_f16))));
    } else {
      ASSERT_EQ(float_to_float16(from_f16), half);
    }
    if ((half & 0x7f80) == 0x7f80 && (half & 0x7f) != 0) {
      EXPECT_TRUE(std::isnan(from_bf16));
      EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(from_bf16))));
    } else {
      ASSERT_EQ(float_to_bfloat16(from_bf16), half);
    }
  }
}

TEST(DType, RoundsToNearestEven) {
  std::mt19937 random(7);
  std::vector<std::uint32_t> patterns = {0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x7f800000,
                                         0x80000000, 0x00000001, 0x007fffff, 0x33000000, 0x33000001,
                                         0x477fefff, 0x477ff000, 0x38800000, 0x387fffff};
  for (int i = 0; i < 200000; ++i) patterns.push_back(static_cast<std::uint32_t>(random()));
  for (const std::uint32_t pattern : patterns) {
    const auto value = std::bit_cast<float>(pattern);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(value))));
      ASSERT_TRUE(std::isnan(float16_to_float(float_to_float16(value))));
      continue;
    }
    ASSERT_EQ(bfloat16_to_float(float_to_bfloat16(value)), bfloat16_reference(value)) << value;
    ASSERT_EQ(float16_to_float(float_to_float16(value)), float16_reference(value)) << value;
    ASSERT_EQ(std::signbit(float16_to_float(float_to_float16(value))), std::signbit(value));
  }
}

TEST(DType, SpansEqualScalars) {
  std::mt19937 random(11);
  std::vector<float> values(1003);
  for (float& value : values) value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  std::vector<std::uint16_t> bf16(values.size());
  std::vector<std::uint16_t> f16(values.size());
  floats_to_bfloat16(values, bf16);
  floats_to_float16(values, f16);
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(bf16[i], float_to_bfloat16(values[i]));
    ASSERT_EQ(f16[i], float_to_float16(values[i]));
  }
}

TEST(DType, ConvertsUnalignedBytesOfAllPairs) {
  const std::vector<float> values = {1.0f, -2.5f, 0.0f, 1024.0f, -0.125f};
  for (const DType from : {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64}) {
    for (const DType to : {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64}) {
      std::vector<std::byte> stored(values.size() * dtype_bytes(from) + 1);
      std::vector<std::byte> result(values.size() * dtype_bytes(to) + 1);
      std::vector<std::byte> back(values.size() * sizeof(float));
      const auto stored_span = std::span(stored).subspan(1);
      const auto result_span = std::span(result).subspan(1);
      convert_elements(DType::kFloat32, std::as_bytes(std::span(values)), from, stored_span);
      convert_elements(from, stored_span, to, result_span);
      convert_elements(to, result_span, DType::kFloat32, back);
      EXPECT_EQ(std::memcmp(back.data(), values.data(), back.size()), 0)
          << dtype_name(from) << " to " << dtype_name(to);
    }
  }
}

TEST(DType, DoublesRoundOnce) {
  // Just above a tie of bfloat16: rounding to float first would lose the excess and round down.
  const std::vector<double> values = {1.0 + 0x1p-8 + 0x1p-40, 1.0 + 0x1p-11 + 0x1p-40,
                                      -(1.0 + 0x1p-8 + 0x1p-40)};
  std::vector<std::uint16_t> out(values.size());
  convert_elements(DType::kFloat64, std::as_bytes(std::span(values)), DType::kBFloat16,
                   std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(bfloat16_to_float(out[0]), 1.0f + 0x1p-7f);
  EXPECT_EQ(bfloat16_to_float(out[2]), -(1.0f + 0x1p-7f));
  convert_elements(DType::kFloat64, std::as_bytes(std::span(values)), DType::kFloat16,
                   std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(float16_to_float(out[1]), 1.0f + 0x1p-10f);
}

TEST(DType, RefusesSizesThatDoNotMatch) {
  std::vector<std::byte> bytes(8);
  EXPECT_THROW(convert_elements(DType::kFloat32, bytes, DType::kBFloat16, bytes), Error);
  EXPECT_THROW(convert_elements(DType::kInt32, bytes, DType::kFloat32, bytes), Error);
}

TEST(DType, FindsTheFirstNonFinite) {
  std::vector<float> values(5000, 1.0f);
  EXPECT_FALSE(first_non_finite(DType::kFloat32, std::as_bytes(std::span(values))).has_value());
  values[4999] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(first_non_finite(DType::kFloat32, std::as_bytes(std::span(values))), 4999u);
  values[4100] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::uint16_t> half(values.size());
  floats_to_bfloat16(values, half);
  EXPECT_EQ(first_non_finite(DType::kBFloat16, std::as_bytes(std::span(half))), 4100u);
}

}  // namespace
}  // namespace weft::model
