#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weft::model {

/// Element types of tensor files. The order is that of the safetensors format: files list tensors
/// by descending type.
enum class DType {
  kBool,
  kFloat4,
  kFloat6E2M3,
  kFloat6E3M2,
  kUint8,
  kInt8,
  kFloat8E5M2,
  kFloat8E4M3,
  kFloat8E8M0,
  kFloat8E4M3Fnuz,
  kFloat8E5M2Fnuz,
  kInt16,
  kUint16,
  kFloat16,
  kBFloat16,
  kInt32,
  kUint32,
  kFloat32,
  kComplex64,
  kFloat64,
  kInt64,
  kUint64,
};

/// The name in a safetensors header: "BF16", "F32", …
[[nodiscard]] std::string_view dtype_name(DType dtype);
/// The type with that safetensors name, or nothing.
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name);
/// All safetensors names, separated by ", ".
[[nodiscard]] std::string all_dtype_names();
/// Bits of one element: 4 to 64.
[[nodiscard]] int dtype_bits(DType dtype);
/// Bytes of one element; an internal Error for the types smaller than a byte.
[[nodiscard]] std::size_t dtype_bytes(DType dtype);
/// F64, F32, BF16 or F16: what weights may be stored as.
[[nodiscard]] bool is_weight_dtype(DType dtype);

/// The name that config.json uses ("bfloat16", "float32", "float16", "float64"); empty for other
/// types.
[[nodiscard]] std::string_view torch_dtype_name(DType dtype);
/// The type of such a name, with or without "torch." in front, or nothing.
[[nodiscard]] std::optional<DType> dtype_from_torch_name(std::string_view name);

/// One value: rounded to nearest, ties to even; overflow gives infinity, NaN stays NaN.
[[nodiscard]] std::uint16_t float_to_bfloat16(float value);
[[nodiscard]] float bfloat16_to_float(std::uint16_t bits);
[[nodiscard]] std::uint16_t float_to_float16(float value);
[[nodiscard]] float float16_to_float(std::uint16_t bits);

/// Spans of equal length, as the functions above.
void floats_to_bfloat16(std::span<const float> in, std::span<std::uint16_t> out);
void bfloat16_to_floats(std::span<const std::uint16_t> in, std::span<float> out);
void floats_to_float16(std::span<const float> in, std::span<std::uint16_t> out);
void float16_to_floats(std::span<const std::uint16_t> in, std::span<float> out);

/// Converts raw little-endian elements between weight types, rounding once. `in` and `out` hold
/// equally many elements and do not overlap; they need no alignment.
void convert_elements(DType from, std::span<const std::byte> in, DType to,
                      std::span<std::byte> out);

/// Index of the first NaN or infinity among raw elements of a weight type, or nothing.
[[nodiscard]] std::optional<std::size_t> first_non_finite(DType dtype,
                                                          std::span<const std::byte> elements);

}  // namespace weft::model
