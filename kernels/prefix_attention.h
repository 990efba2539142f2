#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/arena.h"
#include "kernels/attention_device.h"

namespace weft::kernels {

// Causal grouped-query attention of a piece of a document, whose keys and values are elsewhere: q
// [n, heads_q, head_dim] are the last n of the m >= n positions that keys and values [m, heads_k,
// head_dim] have. All may be views with strides; a head's elements lie together. On a GPU it is
// FlashAttention-2 for bf16 rows, unless `options` ask for a composition.

/// out [n, heads_q, head_dim]; `lse` [heads_q * n] fp32 (fp64): log-sum-exp of the scores,
/// [heads_q, n].
void prefix_attention_forward(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                              const at::Tensor& out, const at::Tensor& lse,
                              const AttentionOptions& options, Arena& scratch);

/// dq [n, heads_q, head_dim] from dout of the same sizes and what the forward pass read and wrote;
/// adds to dkeys and dvalues [m, heads_k, head_dim] in the statistics dtype.
void prefix_attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& keys,
                               const at::Tensor& values, const at::Tensor& out,
                               const at::Tensor& lse, const at::Tensor& dq, const at::Tensor& dkeys,
                               const at::Tensor& dvalues, const AttentionOptions& options,
                               Arena& scratch);

}  // namespace weft::kernels
