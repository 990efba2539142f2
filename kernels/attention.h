#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "kernels/arena.h"
#include "kernels/qk_norm_rope.h"

namespace weft::kernels {

// Causal grouped-query attention inside each document of a packed micro-batch; no attention across
// documents. Rows qkv [T, layout.row()] as qk_norm_rope leaves them. `cu_seqlens` are the
// documents' first rows and the total, on the host: 0 = c0 <= c1 <= ... <= T. Softmax is scaled by
// 1 / sqrt(head_dim).

/// out [T, heads_q * head_dim]; `lse` [heads_q * T] fp32 (fp64): log-sum-exp of the scores, for
/// each document a block [heads_q, length].
void attention_forward(const at::Tensor& qkv, const HeadLayout& layout,
                       std::span<const std::int32_t> cu_seqlens, const at::Tensor& out,
                       const at::Tensor& lse, Arena& scratch);

/// dqkv [T, layout.row()] from dout [T, heads_q * head_dim] and what the forward pass read and
/// wrote.
void attention_backward(const at::Tensor& dout, const at::Tensor& qkv, const HeadLayout& layout,
                        std::span<const std::int32_t> cu_seqlens, const at::Tensor& out,
                        const at::Tensor& lse, const at::Tensor& dqkv, Arena& scratch);

/// New queries of one sequence against all its keys and values so far: q [n, heads_q, head_dim] are
/// the last n of `length` positions, keys and values [length, heads_k, head_dim] (may be strided
/// views of a cache). out [n, heads_q * head_dim].
void attention_cached(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                      const at::Tensor& out);

}  // namespace weft::kernels
