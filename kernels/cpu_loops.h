#pragma once

// What the CPU operators share: row-parallel loops, one body for fp32, fp64 and bf16, compiled for
// AVX2 and for any x86-64, chosen when the program starts.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "base/error.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define WEFT_CPU_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define WEFT_CPU_CLONES
#endif
#define WEFT_INLINE inline __attribute__((always_inline))

// Defines run_BODY(dtype, args, rows): calls the function template BODY<T>(args, begin, end) on
// pieces of [0, rows) in parallel.
#define WEFT_CPU_KERNEL(body, Args)                                                          \
  WEFT_CPU_CLONES void body##_f32(const Args& args, std::int64_t begin, std::int64_t end) {  \
    body<float>(args, begin, end);                                                           \
  }                                                                                          \
  WEFT_CPU_CLONES void body##_f64(const Args& args, std::int64_t begin, std::int64_t end) {  \
    body<double>(args, begin, end);                                                          \
  }                                                                                          \
  WEFT_CPU_CLONES void body##_bf16(const Args& args, std::int64_t begin, std::int64_t end) { \
    body<c10::BFloat16>(args, begin, end);                                                   \
  }                                                                                          \
  void run_##body(at::ScalarType dtype, const Args& args, std::int64_t rows) {               \
    const auto loop = dtype == at::kFloat    ? body##_f32                                    \
                      : dtype == at::kDouble ? body##_f64                                    \
                                             : body##_bf16;                                  \
    at::parallel_for(0, rows, 1,                                                             \
                     [&](std::int64_t begin, std::int64_t end) { loop(args, begin, end); }); \
  }

namespace weft::kernels {

/// fp32 for fp32 and bf16, fp64 for fp64: what sums and transcendental functions are computed in.
template <typename T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename T>
WEFT_INLINE Accumulator<T> load(const T* pointer) {
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(std::bit_cast<std::uint16_t>(*pointer))
                                << 16);
  } else {
    return *pointer;
  }
}

template <typename T>
WEFT_INLINE void store(T* pointer, Accumulator<T> value) {
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    // Round to nearest even; a NaN keeps its top bits, made quiet so that it can't round to
    // infinity.
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const std::uint32_t quiet = (bits >> 16) | 0x40u;
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    *pointer = std::bit_cast<c10::BFloat16>(static_cast<std::uint16_t>(is_nan ? quiet : rounded));
  } else {
    *pointer = value;
  }
}

/// e^x with a relative error under 1e-7, without a branch so that loops vectorise; 1.2e-38 below
/// -87.3, 2.4e38 above 88.3. Cephes' expf polynomial (S. Moshier).
WEFT_INLINE float exp_of(float x) {
  x = std::min(std::max(x, -87.33654f), 88.3762626647949f);
  const float n = std::floor(x * 1.44269504088896341f + 0.5f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}
WEFT_INLINE double exp_of(double x) { return std::exp(x); }

}  // namespace weft::kernels
