#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace weft::kernels {

/// How a packed row of queries, keys and values is laid out: [heads_q + 2 * heads_k] heads of
/// head_dim.
struct HeadLayout {
  std::int64_t heads_q;
  std::int64_t heads_k;
  std::int64_t head_dim;

  [[nodiscard]] std::int64_t rotated() const { return heads_q + heads_k; }
  [[nodiscard]] std::int64_t row() const { return (heads_q + 2 * heads_k) * head_dim; }
};

// Per-head RMSNorm of queries and keys, then rotary position embedding (Su et al., RoFormer, 2021;
// halves rotated, as in Qwen3), in place on packed rows qkv [T, row()], which may lie in wider
// ones. Values are not touched. cos and sin are [positions, head_dim / 2] in the statistics dtype
// (fp32; fp64 for fp64 rows), positions [T] int32 picks their row. Norm weights are [head_dim] in
// the rows' dtype.

/// rstd [T, heads_q + heads_k] in the statistics dtype. `normalized` [T, (heads_q + heads_k) *
/// head_dim], where defined, receives the normalised heads without weight, before rotation.
void qk_norm_rope_forward(const at::Tensor& qkv, const HeadLayout& layout,
                          const at::Tensor& q_weight, const at::Tensor& k_weight, double eps,
                          const at::Tensor& cos, const at::Tensor& sin, const at::Tensor& positions,
                          const at::Tensor& rstd, const at::Tensor& normalized = {});

/// Turns the gradient of the rotated rows, dqkv, into that of the projection's output, in place.
/// Works from `qkv` as the forward left it, or from `normalized` where that is defined (needed when
/// a weight may be zero). `dq_weight` and `dk_weight` [head_dim] in the statistics dtype, where
/// defined, are added to.
void qk_norm_rope_backward(const at::Tensor& dqkv, const at::Tensor& qkv,
                           const at::Tensor& normalized, const HeadLayout& layout,
                           const at::Tensor& q_weight, const at::Tensor& k_weight,
                           const at::Tensor& cos, const at::Tensor& sin,
                           const at::Tensor& positions, const at::Tensor& rstd,
                           const at::Tensor& dq_weight = {}, const at::Tensor& dk_weight = {});

namespace detail {
void qk_norm_rope_forward_cpu(const at::Tensor& qkv, const HeadLayout& layout,
                              const at::Tensor& q_weight, const at::Tensor& k_weight, double eps,
                              const at::Tensor& cos, const at::Tensor& sin,
                              const at::Tensor& positions, const at::Tensor& rstd,
                              const at::Tensor& normalized);
void qk_norm_rope_backward_cpu(const at::Tensor& dqkv, const at::Tensor& qkv,
                               const at::Tensor& normalized, const HeadLayout& layout,
                               const at::Tensor& q_weight, const at::Tensor& k_weight,
                               const at::Tensor& cos, const at::Tensor& sin,
                               const at::Tensor& positions, const at::Tensor& rstd,
                               const at::Tensor& dq_weight, const at::Tensor& dk_weight);
}  // namespace detail

}  // namespace weft::kernels
