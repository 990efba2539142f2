#pragma once

#include <cstdint>

#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

// The operators of kernels/qk_norm_rope.h on device pointers. Both return false, having done
// nothing, for a head size that the kernel does not take: odd, more than 512 in bf16 or 256 in
// fp32, or more than 64 where it, a stride or a pointer rules out 16-byte accesses.

/// How the rows [tokens, heads_q + 2 * heads_k, head_dim] are laid out, and what turns them. From
/// one row to the next are as many elements as a stride says.
struct Heads {
  int heads_q;
  int heads_k;
  int head_dim;
  const void* q_weight;  ///< [head_dim] of the rows' element
  const void* k_weight;
  const float* cos;  ///< [positions, head_dim / 2]
  const float* sin;
  const std::int32_t* positions;  ///< [tokens]
};

struct QkNormRopeForward {
  Element element;
  Heads heads;
  void* qkv;
  float* rstd;       ///< [tokens, heads_q + heads_k]
  void* normalized;  ///< [tokens, (heads_q + heads_k) * head_dim], or null
  std::int64_t tokens;
  std::int64_t qkv_stride;
  float eps;
};
bool qk_norm_rope_forward(const QkNormRopeForward& args, Stream stream);

struct QkNormRopeBackward {
  Element element;
  Heads heads;
  void* dqkv;
  const void* qkv;         ///< as the forward left it; not read where normalized is given
  const void* normalized;  ///< or null
  const float* rstd;
  float* dq_weight;  ///< [head_dim], added to; or null
  float* dk_weight;
  float* partials;  ///< [partial_sums_of(tokens), 2 * head_dim], scratch where one of them is given
  std::int64_t tokens;
  std::int64_t dqkv_stride;
  std::int64_t qkv_stride;  ///< 0 where normalized is given
};
bool qk_norm_rope_backward(const QkNormRopeBackward& args, Stream stream);

}  // namespace weft::kernels::cuda
