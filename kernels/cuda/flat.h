#pragma once

// Flat buffers: a thread takes one pack of elements, or one of the few that no pack holds.

#include "kernels/cuda/rows.h"

namespace weft::kernels::cuda {

constexpr int kFlatThreads = 256;

/// Blocks of kFlatThreads threads that for_my_elements needs for `count` elements.
inline std::int64_t flat_blocks(std::int64_t count, int pack) {
  const std::int64_t parts = count / pack + count % pack;
  return (parts + kFlatThreads - 1) / kFlatThreads;
}

/// Calls body(index of the first element, Constant<how many>) for what is this thread's.
template <int kPack, typename Body>
__device__ __forceinline__ void for_my_elements(std::int64_t count, const Body& body) {
  const std::int64_t part = block_index() * kFlatThreads + thread_index();
  const std::int64_t packs = count / kPack;
  if (part < packs) {
    body(part * kPack, Constant<kPack>());
  } else if (part < packs + count % kPack) {
    body(packs * kPack + part - packs, Constant<1>());
  }
}

/// kCount floats, moved by as few accesses as can be.
template <int kCount>
struct Floats {
  static constexpr int kAccess = kCount < 4 ? kCount : 4;
  float values[kCount];

  __device__ __forceinline__ static Floats of(const float* pointer) {
    Floats result;
    WEFT_UNROLL
    for (int i = 0; i < kCount; i += kAccess) {
      const auto pack = load_pack<kAccess>(pointer + i);
      WEFT_UNROLL
      for (int k = 0; k < kAccess; ++k) {
        result.values[i + k] = pack.values[k];
      }
    }
    return result;
  }
  __device__ __forceinline__ void put(float* pointer) const {
    WEFT_UNROLL
    for (int i = 0; i < kCount; i += kAccess) {
      Pack<float, kAccess> pack;
      WEFT_UNROLL
      for (int k = 0; k < kAccess; ++k) {
        pack.values[k] = values[i + k];
      }
      store_pack(pointer + i, pack);
    }
  }
};

}  // namespace weft::kernels::cuda
