#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define WEFT_HOST_DEVICE __host__ __device__
#else
#define WEFT_HOST_DEVICE
#endif

namespace weft::kernels {

/// The bits of the fp32 power of two that a row of e4m3 numbers is divided by, given the bits of
/// its largest magnitude: 2^ceil(log2(largest / 448)), not below 2^-126; 1 for a row of zeros; for
/// an infinite one that of the largest finite number. By integers, so that every device gets the
/// same.
WEFT_HOST_DEVICE constexpr std::uint32_t fp8_scale_bits(std::uint32_t largest) {
  // 448 is 1.75 * 2^8: adding a quarter less one unit carries into the exponent above 1.75.
  constexpr std::uint32_t kQuarter = 0x1fffff;
  constexpr std::uint32_t kExponentOf256 = 8;
  const std::uint32_t exponent = (largest + kQuarter) >> 23;
  if (largest == 0) {
    return std::uint32_t{127} << 23;
  }
  return (exponent > kExponentOf256 ? exponent - kExponentOf256 : 1) << 23;
}

/// The bits of one divided by such a power of two.
WEFT_HOST_DEVICE constexpr std::uint32_t fp8_inverse_bits(std::uint32_t scale) {
  return (std::uint32_t{254} << 23) - scale;
}

}  // namespace weft::kernels

#undef WEFT_HOST_DEVICE
