#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "kernels/arena.h"
#include "kernels/attention_device.h"
#include "kernels/qk_norm_rope.h"

namespace weft::kernels {

// Causal grouped-query attention inside each document of a packed micro-batch; no attention across
// documents. Rows qkv [T, layout.row()] as qk_norm_rope leaves them. Softmax is scaled by
// 1 / sqrt(head_dim). Rows of out and dqkv may lie in wider ones.

/// The documents of a micro-batch.
struct AttentionDocuments {
  AttentionDocuments(std::span<const std::int32_t> bounds,
                     std::shared_ptr<DeviceAttention> attention = nullptr)
      : cu_seqlens(bounds), device(std::move(attention)) {}
  AttentionDocuments(const std::vector<std::int32_t>& bounds)
      : AttentionDocuments(std::span(bounds)) {}

  /// Their first rows and the total, on the host: 0 = c0 <= c1 <= ... <= T. Owned by the caller.
  std::span<const std::int32_t> cu_seqlens;
  /// Computes it where it is not null (make_device_attention).
  std::shared_ptr<DeviceAttention> device;
};

/// out [T, heads_q * head_dim]; `lse` [heads_q * T] fp32 (fp64): log-sum-exp of the scores, for
/// each document a block [heads_q, length] (a DeviceAttention has a layout of its own).
void attention_forward(const at::Tensor& qkv, const HeadLayout& layout,
                       const AttentionDocuments& documents, const at::Tensor& out,
                       const at::Tensor& lse, Arena& scratch);

/// dqkv [T, layout.row()] from dout [T, heads_q * head_dim] and what the forward pass read and
/// wrote.
void attention_backward(const at::Tensor& dout, const at::Tensor& qkv, const HeadLayout& layout,
                        const AttentionDocuments& documents, const at::Tensor& out,
                        const at::Tensor& lse, const at::Tensor& dqkv, Arena& scratch);

/// New queries of one sequence against all its keys and values so far: q [n, heads_q, head_dim] are
/// the last n of `length` positions, keys and values [length, heads_k, head_dim] (may be strided
/// views of a cache). out [n, heads_q * head_dim].
void attention_cached(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                      const at::Tensor& out);

}  // namespace weft::kernels
