#include "model/dtype.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace weft::model {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian");

struct Row {
  DType dtype;
  std::string_view name;
  int bits;
  std::string_view torch;
};

constexpr std::array<Row, 22> kRows = {{
    {DType::kBool, "BOOL", 8, ""},
    {DType::kFloat4, "F4", 4, ""},
    {DType::kFloat6E2M3, "F6_E2M3", 6, ""},
    {DType::kFloat6E3M2, "F6_E3M2", 6, ""},
    {DType::kUint8, "U8", 8, ""},
    {DType::kInt8, "I8", 8, ""},
    {DType::kFloat8E5M2, "F8_E5M2", 8, ""},
    {DType::kFloat8E4M3, "F8_E4M3", 8, ""},
    {DType::kFloat8E8M0, "F8_E8M0", 8, ""},
    {DType::kFloat8E4M3Fnuz, "F8_E4M3FNUZ", 8, ""},
    {DType::kFloat8E5M2Fnuz, "F8_E5M2FNUZ", 8, ""},
    {DType::kInt16, "I16", 16, ""},
    {DType::kUint16, "U16", 16, ""},
    {DType::kFloat16, "F16", 16, "float16"},
    {DType::kBFloat16, "BF16", 16, "bfloat16"},
    {DType::kInt32, "I32", 32, ""},
    {DType::kUint32, "U32", 32, ""},
    {DType::kFloat32, "F32", 32, "float32"},
    {DType::kComplex64, "C64", 64, ""},
    {DType::kFloat64, "F64", 64, "float64"},
    {DType::kInt64, "I64", 64, ""},
    {DType::kUint64, "U64", 64, ""},
}};

const Row& row(DType dtype) { return kRows[static_cast<std::size_t>(dtype)]; }

// The four scalar conversions are branch-free so that the span loops vectorise.

inline std::uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}

inline float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

inline std::uint16_t to_float16(float value) {
  constexpr std::uint32_t kInfinity = 255u << 23;
  constexpr std::uint32_t kTooLarge = (127u + 16u) << 23;        // 2^16
  constexpr std::uint32_t kSmallestNormal = 113u << 23;          // 2^-14
  constexpr std::uint32_t kSubnormalMagic = (112u + 14u) << 23;  // 0.5: its last bit is 2^-24
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits & 0x80000000u;
  const std::uint32_t magnitude = bits ^ sign;
  const std::uint32_t special = magnitude > kInfinity ? 0x7e00u : 0x7c00u;
  // Adding the magic number lets the FPU round the subnormal's bits into place.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) +
                                   std::bit_cast<float>(kSubnormalMagic)) -
      kSubnormalMagic;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  const std::uint32_t finite = magnitude < kSmallestNormal ? subnormal : normal;
  const std::uint32_t result = magnitude >= kTooLarge ? special : finite;
  return static_cast<std::uint16_t>(result | (sign >> 16));
}

inline float from_float16(std::uint16_t bits) {
  constexpr std::uint32_t kExponent = 0x7c00u << 13;
  const std::uint32_t shifted = (bits & 0x7fffu) << 13;
  const std::uint32_t exponent = shifted & kExponent;
  const std::uint32_t normal = shifted + (112u << 23);
  const std::uint32_t special = normal + (112u << 23);
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(
      std::bit_cast<float>(normal + (1u << 23)) - std::bit_cast<float>(113u << 23));
  const std::uint32_t finite = exponent == 0 ? subnormal : normal;
  const std::uint32_t result = exponent == kExponent ? special : finite;
  return std::bit_cast<float>(result | (static_cast<std::uint32_t>(bits & 0x8000u) << 16));
}

constexpr std::size_t kPiece =
    4096;  // elements converted at a time: stays in the first-level cache

/// Calls `convert(in, out)` on aligned copies of raw elements, a piece at a time.
template <typename In, typename Out, typename Convert>
void convert_pieces(std::span<const std::byte> in, std::span<std::byte> out, Convert convert) {
  std::array<In, kPiece> in_piece;
  std::array<Out, kPiece> out_piece;
  const std::size_t count = in.size() / sizeof(In);
  for (std::size_t first = 0; first < count; first += kPiece) {
    const std::size_t n = std::min(kPiece, count - first);
    std::memcpy(in_piece.data(), in.data() + first * sizeof(In), n * sizeof(In));
    convert(std::span<const In>(in_piece.data(), n), std::span<Out>(out_piece.data(), n));
    std::memcpy(out.data() + first * sizeof(Out), out_piece.data(), n * sizeof(Out));
  }
}

void doubles_to_floats(std::span<const double> in, std::span<float> out) {
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = static_cast<float>(in[i]);
}

void floats_to_doubles(std::span<const float> in, std::span<double> out) {
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i];
}

void to_float_bytes(DType from, std::span<const std::byte> in, std::span<std::byte> out) {
  switch (from) {
    case DType::kBFloat16:
      return convert_pieces<std::uint16_t, float>(in, out, bfloat16_to_floats);
    case DType::kFloat16:
      return convert_pieces<std::uint16_t, float>(in, out, float16_to_floats);
    case DType::kFloat64:
      return convert_pieces<double, float>(in, out, doubles_to_floats);
    default:
      fail_internal("no conversion from {} to F32", dtype_name(from));
  }
}

void from_float_bytes(std::span<const std::byte> in, DType to, std::span<std::byte> out) {
  switch (to) {
    case DType::kBFloat16:
      return convert_pieces<float, std::uint16_t>(in, out, floats_to_bfloat16);
    case DType::kFloat16:
      return convert_pieces<float, std::uint16_t>(in, out, floats_to_float16);
    case DType::kFloat64:
      return convert_pieces<float, double>(in, out, floats_to_doubles);
    default:
      fail_internal("no conversion from F32 to {}", dtype_name(to));
  }
}

/// A double as a float that rounds onward correctly: rounded to odd, so that no second rounding
/// meets a false tie.
float round_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || std::isnan(value) || std::isinf(nearest)) {
    return nearest;
  }
  const auto bits = std::bit_cast<std::uint32_t>(nearest);
  if ((bits & 1u) != 0) return nearest;
  const bool away = std::abs(static_cast<double>(nearest)) < std::abs(value);
  return std::bit_cast<float>(away ? bits + 1u : bits - 1u);
}

void doubles_to_half(std::span<const std::byte> in, DType to, std::span<std::byte> out) {
  convert_pieces<double, std::uint16_t>(in, out, [to](auto from_piece, auto to_piece) {
    for (std::size_t i = 0; i < from_piece.size(); ++i) {
      const float value = round_to_odd(from_piece[i]);
      to_piece[i] = to == DType::kBFloat16 ? to_bfloat16(value) : to_float16(value);
    }
  });
}

}  // namespace

std::string_view dtype_name(DType dtype) { return row(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& candidate : kRows) {
    if (candidate.name == name) return candidate.dtype;
  }
  return std::nullopt;
}

std::string all_dtype_names() {
  std::string names;
  for (const Row& each : kRows) {
    if (!names.empty()) names += ", ";
    names += each.name;
  }
  return names;
}

int dtype_bits(DType dtype) { return row(dtype).bits; }

std::size_t dtype_bytes(DType dtype) {
  if (row(dtype).bits % 8 != 0) {
    fail_internal("{} elements are smaller than a byte", dtype_name(dtype));
  }
  return static_cast<std::size_t>(row(dtype).bits) / 8;
}

bool is_weight_dtype(DType dtype) { return !row(dtype).torch.empty(); }

std::string_view torch_dtype_name(DType dtype) { return row(dtype).torch; }

std::optional<DType> dtype_from_torch_name(std::string_view name) {
  if (name.starts_with("torch.")) name.remove_prefix(6);
  for (const Row& candidate : kRows) {
    if (!candidate.torch.empty() && candidate.torch == name) return candidate.dtype;
  }
  return std::nullopt;
}

std::uint16_t float_to_bfloat16(float value) { return to_bfloat16(value); }
float bfloat16_to_float(std::uint16_t bits) { return from_bfloat16(bits); }
std::uint16_t float_to_float16(float value) { return to_float16(value); }
float float16_to_float(std::uint16_t bits) { return from_float16(bits); }

void floats_to_bfloat16(std::span<const float> in, std::span<std::uint16_t> out) {
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = to_bfloat16(in[i]);
}

void bfloat16_to_floats(std::span<const std::uint16_t> in, std::span<float> out) {
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = from_bfloat16(in[i]);
}

void floats_to_float16(std::span<const float> in, std::span<std::uint16_t> out) {
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = to_float16(in[i]);
}

void float16_to_floats(std::span<const std::uint16_t> in, std::span<float> out) {
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = from_float16(in[i]);
}

void convert_elements(DType from, std::span<const std::byte> in, DType to,
                      std::span<std::byte> out) {
  if (!is_weight_dtype(from) || !is_weight_dtype(to) ||
      in.size() / dtype_bytes(from) != out.size() / dtype_bytes(to)) {
    fail_internal("cannot convert {} bytes of {} to {} bytes of {}", in.size(), dtype_name(from),
                  out.size(), dtype_name(to));
  }
  if (in.empty()) return;
  if (from == to) {
    std::memcpy(out.data(), in.data(), in.size());
  } else if (to == DType::kFloat32) {
    to_float_bytes(from, in, out);
  } else if (from == DType::kFloat32) {
    from_float_bytes(in, to, out);
  } else if (from == DType::kFloat64) {
    doubles_to_half(in, to, out);
  } else {
    // A 16-bit value is exact as F32, so only the second step rounds.
    std::vector<std::byte> floats(in.size() / dtype_bytes(from) * sizeof(float));
    to_float_bytes(from, in, floats);
    from_float_bytes(floats, to, out);
  }
}

std::optional<std::size_t> first_non_finite(DType dtype, std::span<const std::byte> elements) {
  if (!is_weight_dtype(dtype)) return std::nullopt;
  const std::size_t width = dtype_bytes(dtype);
  const std::size_t count = elements.size() / width;
  std::array<std::byte, kPiece * sizeof(float)> floats;
  for (std::size_t first = 0; first < count; first += kPiece) {
    const std::size_t n = std::min(kPiece, count - first);
    const auto piece = elements.subspan(first * width, n * width);
    convert_elements(dtype, piece, DType::kFloat32, std::span(floats).first(n * sizeof(float)));
    for (std::size_t i = 0; i < n; ++i) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, floats.data() + i * sizeof(float), sizeof(bits));
      if ((bits & 0x7f800000u) == 0x7f800000u) return first + i;
    }
  }
  return std::nullopt;
}

}  // namespace weft::model
