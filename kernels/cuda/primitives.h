#pragma once

// What kernels share, on top of platform.h: packs of elements, sums over warps and blocks.

#include "kernels/cuda/platform.h"

namespace weft::kernels::cuda {

struct Bf16 {
  std::uint16_t bits;
};

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(Bf16 x) { return float_of_bf16(x.bits); }
template <typename T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ Bf16 from_float<Bf16>(float x) {
  return {bf16_bits(x)};
}

/// Elements of T in a 16-byte access.
template <typename T>
constexpr int kVector = 16 / static_cast<int>(sizeof(T));

/// N neighbouring elements, moved by one access.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];

  __device__ __forceinline__ float get(int i) const { return to_float(values[i]); }
  __device__ __forceinline__ void set(int i, float x) { values[i] = from_float<T>(x); }
};

template <int N, typename T>
__device__ __forceinline__ Pack<T, N> load_pack(const T* pointer) {
  return load(reinterpret_cast<const Pack<T, N>*>(pointer));
}
template <typename T, int N>
__device__ __forceinline__ void store_pack(T* pointer, const Pack<T, N>& pack) {
  store(reinterpret_cast<Pack<T, N>*>(pointer), pack);
}

/// Every lane gets the sum over its group of `lanes` neighbours, a power of two; the order of the
/// sum is fixed.
template <typename T>
__device__ __forceinline__ T group_sum(T value, int lanes) {
  for (int mask = lanes / 2; mask > 0; mask /= 2) {
    value += shuffle_xor(value, mask);
  }
  return value;
}
template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
  return group_sum(value, kWarp);
}

/// Bytes of shared memory that block_sum and block_max need.
template <typename T>
constexpr int kSumBytes = kWarp* static_cast<int>(sizeof(T));

/// Every thread gets the sum over the block, in a fixed order. `scratch` holds an element per warp
/// and may be used again at once.
template <typename T>
__device__ __forceinline__ T block_sum(T value, const Shared<T>& scratch) {
  value = warp_sum(value);
  if (thread_index() % kWarp == 0) {
    scratch.set(thread_index() / kWarp, value);
  }
  sync_block();
  T sum = scratch.get(0);
  for (int warp = 1; warp < block_threads() / kWarp; ++warp) {
    sum += scratch.get(warp);
  }
  sync_block();
  return sum;
}

/// The same for the largest; a NaN does not count.
__device__ __forceinline__ float block_max(float value, const Shared<float>& scratch) {
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    value = larger_of(value, shuffle_xor(value, mask));
  }
  if (thread_index() % kWarp == 0) {
    scratch.set(thread_index() / kWarp, value);
  }
  sync_block();
  float largest = scratch.get(0);
  for (int warp = 1; warp < block_threads() / kWarp; ++warp) {
    largest = larger_of(largest, scratch.get(warp));
  }
  sync_block();
  return largest;
}

}  // namespace weft::kernels::cuda
