#pragma once

// kernels/cuda/platform.h as g++ sees it: the same names, on the SIMT emulation. Every access to
// memory and every meeting of threads is checked.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/launch_types.h"
#include "tests/simt/block.h"

// NOLINTBEGIN: CUDA's own names
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define WEFT_UNROLL
// NOLINTEND

namespace weft::kernels::cuda {

using simt::Where;

constexpr int kWarp = simt::kWarpLanes;

inline int thread_index() { return simt::Block::running().thread(); }
inline int block_threads() { return simt::Block::running().threads(); }
inline std::int64_t block_index() { return simt::Block::running().index(); }
inline std::int64_t grid_blocks() { return simt::Block::running().blocks(); }

inline void sync_block(const Where& where = Where::current()) {
  simt::Block::running().sync_block(where);
}
inline void sync_warp(const Where& where = Where::current()) {
  simt::Block::running().sync_warp(where);
}

namespace detail {

template <typename T>
std::uint64_t bits_of(const T& value) {
  std::uint64_t bits = 0;
  static_assert(sizeof(T) <= sizeof(bits));
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}

template <typename T>
T value_of(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

inline void access(const void* pointer, std::size_t size, bool write, bool atomic,
                   const Where& where) {
  simt::Moment now = simt::Block::running().now();
  now.atomic = atomic;
  simt::Device::current().access(pointer, size, write, now, where);
}

}  // namespace detail

template <typename T>
T shuffle_xor(T value, int mask, const Where& where = Where::current()) {
  simt::Block& block = simt::Block::running();
  const auto values = block.exchange({"shuffle_xor", mask, detail::bits_of(value), where});
  return detail::value_of<T>(values[static_cast<std::size_t>((block.thread() % kWarp) ^ mask)]);
}
template <typename T>
T shuffle(T value, int lane, const Where& where = Where::current()) {
  const auto values =
      simt::Block::running().exchange({"shuffle", lane, detail::bits_of(value), where});
  return detail::value_of<T>(values[static_cast<std::size_t>(lane)]);
}
inline bool any_lane(bool value, const Where& where = Where::current()) {
  const auto values = simt::Block::running().exchange({"any_lane", 0, value ? 1u : 0u, where});
  bool any = false;
  for (const std::uint64_t lane : values) {
    any = any || lane != 0;
  }
  return any;
}

template <typename T>
T load(const T* pointer, const Where& where = Where::current()) {
  detail::access(pointer, sizeof(T), /*write=*/false, /*atomic=*/false, where);
  return *pointer;
}
template <typename T>
void store(T* pointer, const T& value, const Where& where = Where::current()) {
  detail::access(pointer, sizeof(T), /*write=*/true, /*atomic=*/false, where);
  *pointer = value;
}
inline unsigned atomic_add(unsigned* pointer, unsigned value,
                           const Where& where = Where::current()) {
  detail::access(pointer, sizeof(unsigned), /*write=*/true, /*atomic=*/true, where);
  const unsigned before = *pointer;
  *pointer += value;
  return before;
}

template <typename T>
class Shared {
 public:
  explicit Shared(std::int64_t offset) : offset_(offset) {}
  T get(int index, const Where& where = Where::current()) const {
    T value;
    std::memcpy(&value, place(index, /*write=*/false, where), sizeof(T));
    return value;
  }
  void set(int index, T value, const Where& where = Where::current()) const {
    std::memcpy(place(index, /*write=*/true, where), &value, sizeof(T));
  }

 private:
  void* place(int index, bool write, const Where& where) const {
    return simt::Block::running().shared(offset_ + std::int64_t{index} * std::int64_t{sizeof(T)},
                                         sizeof(T), write, where);
  }
  std::int64_t offset_;
};
template <typename T>
Shared<T> shared_array(int offset) {
  return Shared<T>(offset);
}

inline float exp_of(float x) { return std::exp(x); }
inline float log_of(float x) { return std::log(x); }
inline float sqrt_of(float x) { return std::sqrt(x); }
inline double sqrt_of(double x) { return std::sqrt(x); }
inline float larger_of(float a, float b) { return std::fmax(a, b); }
inline float rounded_product(float a, float b) { return a * b; }

inline std::uint16_t bf16_bits(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<std::uint16_t>(is_nan ? 0x7fffu
                                           : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
inline float float_of_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

inline std::uint32_t bits_of_float(float x) { return std::bit_cast<std::uint32_t>(x); }
inline float float_of_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

namespace detail {

// As the instruction cvt.rn.satfinite.e4m3x2.f32 rounds.
inline std::uint16_t e4m3_bits(float x) {
  if (x != x) {
    return 0x7f;
  }
  const std::uint32_t sign = std::bit_cast<std::uint32_t>(x) >> 31 << 7;
  const float size = std::fabs(x);
  constexpr float kLargest = 448.0f;
  constexpr float kSmallestNormal = 0.015625f;  // 2^-6
  if (size >= kLargest) {
    return static_cast<std::uint16_t>(sign | 0x7e);
  }
  if (size < kSmallestNormal) {
    // Subnormals are multiples of 2^-9; eight of them are the smallest normal number.
    return static_cast<std::uint16_t>(sign |
                                      static_cast<std::uint32_t>(std::nearbyint(size * 512)));
  }
  // Three bits of mantissa stay, and the exponent's bias falls from 127 to 7.
  const auto bits = std::bit_cast<std::uint32_t>(size);
  const std::uint32_t rounded = bits + 0x7ffffu + ((bits >> 20) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded >> 20) - (120u << 3)));
}

}  // namespace detail

inline std::uint16_t e4m3_pair(float low, float high) {
  return static_cast<std::uint16_t>(detail::e4m3_bits(low) | detail::e4m3_bits(high) << 8);
}

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), std::int64_t blocks, int threads,
            int shared_bytes, Stream, Arguments... arguments) {
  simt::launch(name, blocks, threads, shared_bytes, [&] { kernel(arguments...); });
}

}  // namespace weft::kernels::cuda
