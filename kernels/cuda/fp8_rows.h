#pragma once

// What the kernels that write rows of e4m3 numbers share (kernels/fp8.h).

#include "kernels/cuda/flat.h"
#include "kernels/cuda/rows.h"
#include "kernels/fp8_scale.h"

namespace weft::kernels::cuda {

/// A pack that does not change: two bf16 share a register, where the elements of a Pack take one
/// each.
template <typename T, int N>
struct KeptPack {
  Pack<T, N> pack;

  __device__ __forceinline__ static KeptPack at(const T* place) { return {load_pack<N>(place)}; }
  __device__ __forceinline__ static KeptPack of(const Pack<T, N>& pack) { return {pack}; }
  __device__ __forceinline__ float get(int k) const { return pack.get(k); }
};
template <>
struct KeptPack<Bf16, 8> {
  Pack<std::uint32_t, 4> words;

  __device__ __forceinline__ static KeptPack at(const Bf16* place) {
    return {load_pack<4>(reinterpret_cast<const std::uint32_t*>(place))};
  }
  __device__ __forceinline__ static KeptPack of(const Pack<Bf16, 8>& pack) {
    KeptPack kept;
    WEFT_UNROLL
    for (int i = 0; i < 4; ++i) {
      kept.words.values[i] =
          pack.values[2 * i].bits | static_cast<std::uint32_t>(pack.values[2 * i + 1].bits) << 16;
    }
    return kept;
  }
  __device__ __forceinline__ float get(int k) const {
    const std::uint32_t word = words.values[k / 2];
    return float_of_bits(k % 2 == 0 ? word << 16 : word & 0xffff0000u);
  }
};

/// x times the row's factors from these on, where there are any; in fp32, which rounds nothing.
template <typename T, int kPack>
__device__ __forceinline__ Floats<kPack> multiplied(const KeptPack<T, kPack>& x,
                                                    const float* factors) {
  Floats<kPack> result;
  if (factors != nullptr) {
    result = Floats<kPack>::of(factors);
  }
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    result.values[k] = factors == nullptr ? x.get(k) : x.get(k) * result.values[k];
  }
  return result;
}

/// The larger of `largest` and |x|; a NaN does not count.
__device__ __forceinline__ float larger_magnitude(float largest, float x) {
  return larger_of(largest, larger_of(x, -x));
}

/// The inverse scale of the block's row, given the largest magnitude that this thread has seen. All
/// threads of the block must call it; the first stores the scale.
__device__ __forceinline__ float choose_fp8_scale(float largest, float* place,
                                                  const Shared<float>& scratch) {
  const std::uint32_t scale = fp8_scale_bits(bits_of_float(block_max(largest, scratch)));
  if (thread_index() == 0) {
    store(place, float_of_bits(scale));
  }
  return float_of_bits(fp8_inverse_bits(scale));
}

/// Stores kPack elements in one access: element(k) * inverse, NaN where that is not finite.
template <int kPack, typename Element>
__device__ __forceinline__ void store_fp8(std::uint8_t* place, float inverse, Element&& element) {
  const auto number = [&](int k) {
    const float x = element(k) * inverse;
    const float rest = x - x;  // NaN for infinity and NaN
    return rest == 0.0f ? x : rest;
  };
  if constexpr (kPack == 1) {
    store(place, static_cast<std::uint8_t>(e4m3_pair(number(0), 0.0f) & 0xffu));
  } else {
    static_assert(kPack == 4 || kPack == 8, "a pack is a word");
    using Word = std::conditional_t<kPack == 4, std::uint32_t, std::uint64_t>;
    Word word = 0;
    WEFT_UNROLL
    for (int k = 0; k < kPack; k += 2) {
      word |= static_cast<Word>(e4m3_pair(number(k), number(k + 1))) << (8 * k);
    }
    store(reinterpret_cast<Word*>(place), word);
  }
}

/// `largest`, or the largest magnitude of a pack times its factors.
template <typename T, int kPack>
__device__ __forceinline__ float larger_of_pack(float largest, const KeptPack<T, kPack>& pack,
                                                const float* factors) {
  const auto product = multiplied(pack, factors);
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    largest = larger_magnitude(largest, product.values[k]);
  }
  return largest;
}

/// Stores a pack times its factors.
template <typename T, int kPack>
__device__ __forceinline__ void store_product(std::uint8_t* place, float inverse,
                                              const KeptPack<T, kPack>& pack,
                                              const float* factors) {
  const auto product = multiplied(pack, factors);
  store_fp8<kPack>(place, inverse, [&](int k) { return product.values[k]; });
}

/// As with_chunks, for rows that are kept as they are: up to kMost packs a thread.
template <int kMost, int kPack, typename Body>
bool with_many_chunks(std::int64_t width, Constant<kPack> pack, const Body& body) {
  const auto body_of = [&](auto chunks) {
    const std::int64_t packs = (width + kPack - 1) / kPack;
    const std::int64_t needed = (packs + chunks - 1) / chunks;
    if (needed > kRowThreads) {
      return false;
    }
    body(chunks, static_cast<int>((needed + kWarp - 1) / kWarp * kWarp));
    return true;
  };
  if constexpr (kMost > 1) {
    return with_many_chunks<kMost / 2>(width, pack, body) || body_of(Constant<kMost>());
  } else {
    return body_of(Constant<1>());
  }
}

/// Stores a row that the threads of a block hold in packs, each thread those of pack_start.
template <typename T, int kPack, int kChunks>
__device__ __forceinline__ void store_fp8_packs(std::uint8_t* row, int width, float inverse,
                                                const Pack<T, kPack> (&packs)[kChunks]) {
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i < width) {
      store_fp8<kPack>(row + i, inverse, [&](int k) { return packs[c].get(k); });
    }
  }
}

}  // namespace weft::kernels::cuda
