#pragma once

// Rows that a block keeps in registers: which threads hold what, and which instance of a kernel
// template that is.

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/primitives.h"

namespace weft::kernels::cuda {

/// Registers are bounded by the largest block that a kernel may be launched with.
constexpr int kRowThreads = 512;

/// Whether all pointers (null is fine) allow 16-byte accesses.
template <typename... Pointers>
bool aligned_for_vectors(Pointers... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

template <int kValue>
using Constant = std::integral_constant<int, kValue>;

/// A number that a power of two divides if it divides every one of `sizes`, and else not.
template <typename... Sizes>
std::int64_t divisors_of(Sizes... sizes) {
  return (sizes | ...);
}

/// Calls body(Constant<elements in an access>): 16 bytes where the width and the pointers allow it,
/// else one. `width` stands for the strides too (divisors_of).
template <typename T, typename Body, typename... Pointers>
void with_vector(std::int64_t width, const Body& body, Pointers... pointers) {
  if (width % kVector<T> == 0 && aligned_for_vectors(pointers...)) {
    body(Constant<kVector<T>>());
  } else {
    body(Constant<1>());
  }
}

/// Elements of a row that a thread may hold; more would not fit in its registers.
constexpr int kRowElements = 16;

/// Calls body(Constant<chunks>, threads) such that threads * chunks * vector elements hold a row of
/// `width`, chunks as few as can be. Returns false, without a call, when a row is too wide.
template <int kPack, typename Body>
bool with_chunks(std::int64_t width, Constant<kPack>, const Body& body) {
  const std::int64_t packs = (width + kPack - 1) / kPack;
  const auto threads = [&](int chunks) {
    const std::int64_t needed = (packs + chunks - 1) / chunks;
    return static_cast<int>((needed + kWarp - 1) / kWarp * kWarp);
  };
  if (packs <= kRowThreads) {
    body(Constant<1>(), threads(1));
    return true;
  }
  if (packs <= 2 * kRowThreads) {
    body(Constant<2>(), threads(2));
    return true;
  }
  if constexpr (4 * kPack <= kRowElements) {
    if (packs <= 4 * kRowThreads) {
      body(Constant<4>(), threads(4));
      return true;
    }
  }
  return false;
}

/// Calls body(T()) with the element's type.
template <typename Body>
auto with_element(Element element, const Body& body) {
  return element == Element::kBfloat16 ? body(Bf16()) : body(float());
}

/// First element of this thread's pack number `chunk`.
__device__ __forceinline__ int pack_start(int chunk, int vector) {
  return (chunk * block_threads() + thread_index()) * vector;
}

}  // namespace weft::kernels::cuda
