#pragma once

// The few things a kernel asks of its device. Kernels use these instead of CUDA's own names, so
// that tests/simt/include/kernels/cuda/platform.h, found first by g++, can run the same sources on
// a CPU and check every one of them. This is nvcc's version: each is one instruction or none.

#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "kernels/cuda/launch_types.h"

// Before a loop that indexes an array of registers: it must be unrolled or the array is in memory.
#define WEFT_UNROLL _Pragma("unroll")

namespace weft::kernels::cuda {

constexpr int kWarp = 32;

__device__ __forceinline__ int thread_index() { return static_cast<int>(threadIdx.x); }
__device__ __forceinline__ int block_threads() { return static_cast<int>(blockDim.x); }
__device__ __forceinline__ std::int64_t block_index() { return blockIdx.x; }
__device__ __forceinline__ std::int64_t grid_blocks() { return gridDim.x; }

/// A barrier that all threads of the block must reach; orders their accesses to memory.
__device__ __forceinline__ void sync_block() { __syncthreads(); }
/// The same for a warp.
__device__ __forceinline__ void sync_warp() { __syncwarp(); }

/// The value of lane (own lane ^ mask). All lanes of the warp must call it. 4 or 8 bytes.
template <typename T>
__device__ __forceinline__ T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
/// The value of `lane`. All lanes of the warp must call it.
template <typename T>
__device__ __forceinline__ T shuffle(T value, int lane) {
  return __shfl_sync(0xffffffffu, value, lane);
}
/// Whether any lane says so. All lanes of the warp must call it.
__device__ __forceinline__ bool any_lane(bool value) { return __any_sync(0xffffffffu, value) != 0; }

/// Global memory: elements, and 16-byte packs of them that are aligned to their size.
template <typename T>
__device__ __forceinline__ T load(const T* pointer) {
  if constexpr (sizeof(T) == 16) {
    const uint4 raw = *reinterpret_cast<const uint4*>(pointer);
    T value;
    memcpy(&value, &raw, sizeof(T));
    return value;
  } else {
    return *pointer;
  }
}
template <typename T>
__device__ __forceinline__ void store(T* pointer, const T& value) {
  if constexpr (sizeof(T) == 16) {
    uint4 raw;
    memcpy(&raw, &value, sizeof(T));
    *reinterpret_cast<uint4*>(pointer) = raw;
  } else {
    *pointer = value;
  }
}
/// Integers only: a sum of floats would depend on the order. Returns what was there before.
__device__ __forceinline__ unsigned atomic_add(unsigned* pointer, unsigned value) {
  return atomicAdd(pointer, value);
}

/// Elements of the block's shared memory, whose bytes the launch asks for; not initialised.
template <typename T>
class Shared {
 public:
  __device__ __forceinline__ explicit Shared(T* first) : first_(first) {}
  __device__ __forceinline__ T get(int index) const { return first_[index]; }
  __device__ __forceinline__ void set(int index, T value) const { first_[index] = value; }

 private:
  T* first_;
};
/// `offset` in bytes, a multiple of the size of T.
template <typename T>
__device__ __forceinline__ Shared<T> shared_array(int offset) {
  extern __shared__ __align__(16) unsigned char weft_shared_memory[];
  return Shared<T>(reinterpret_cast<T*>(weft_shared_memory + offset));
}

__device__ __forceinline__ float exp_of(float x) { return expf(x); }
__device__ __forceinline__ float log_of(float x) { return logf(x); }
__device__ __forceinline__ float sqrt_of(float x) { return sqrtf(x); }
__device__ __forceinline__ double sqrt_of(double x) { return sqrt(x); }
__device__ __forceinline__ float larger_of(float a, float b) { return fmaxf(a, b); }
/// a * b rounded by itself, never fused with an addition.
__device__ __forceinline__ float rounded_product(float a, float b) { return __fmul_rn(a, b); }

/// The bits of x rounded to bf16, to nearest even.
__device__ __forceinline__ std::uint16_t bf16_bits(float x) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(x));
}
/// The fp32 number with the upper half `bits`.
__device__ __forceinline__ float float_of_bf16(std::uint16_t bits) {
  return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

__device__ __forceinline__ std::uint32_t bits_of_float(float x) { return __float_as_uint(x); }
__device__ __forceinline__ float float_of_bits(std::uint32_t bits) { return __uint_as_float(bits); }

/// The bits of `low` and `high` rounded to e4m3, to nearest even, `low` in the lower byte. What is
/// above 448 in magnitude, infinity too, becomes 448; NaN becomes 0x7f.
__device__ __forceinline__ std::uint16_t e4m3_pair(float low, float high) {
  return __nv_cvt_float2_to_fp8x2(make_float2(low, high), __NV_SATFINITE, __NV_E4M3);
}

/// Runs `kernel` in `blocks` blocks of `threads` threads (a multiple of 32) with `shared_bytes` of
/// shared memory each. Throws weft's internal Error when the device refuses.
template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), std::int64_t blocks, int threads,
            int shared_bytes, Stream stream, Arguments... arguments) {
  if (blocks > 0x7fffffff) {
    fail_launch(name, "more blocks than a grid can have");
  }
  kernel<<<dim3(static_cast<unsigned>(blocks)), dim3(static_cast<unsigned>(threads)),
           static_cast<std::size_t>(shared_bytes), stream>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess) {
    fail_launch(name, cudaGetErrorString(error));
  }
}

}  // namespace weft::kernels::cuda
