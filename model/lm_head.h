#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "kernels/arena.h"
#include "model/packed_batch.h"

namespace weft::model {

/// Final norm, LM head and loss. Rows without a target never reach the head, and logits exist for a
/// chunk of rows at a time.
struct LmHead {
  at::Tensor norm;    ///< [H]
  at::Tensor weight;  ///< [V, H]
  double eps = 1e-6;
  bool keep_norm = false;      ///< as LayerParameters::keep_input_norm
  at::Tensor norm_gradient;    ///< [H] fp32, undefined when frozen
  at::Tensor weight_gradient;  ///< [V, H] fp32, undefined when frozen
};

/// Log-probability of each target, [N] fp32 (fp64), from the residual stream after the last layer:
/// hidden [T, H].
[[nodiscard]] at::Tensor head_log_probs(const LmHead& head, const at::Tensor& hidden,
                                        const PackedBatch& batch, kernels::Arena& scratch);

struct TargetScores {
  at::Tensor log_probs;  ///< [N] fp32 (fp64)
  at::Tensor correct;    ///< [N] bool: the target is the most probable token
};
/// As head_log_probs, and whether greedy decoding would have chosen each target.
[[nodiscard]] TargetScores head_target_scores(const LmHead& head, const at::Tensor& hidden,
                                              const PackedBatch& batch, kernels::Arena& scratch);

/// As head_log_probs; dx [T, H] receives the gradient of scale * sum(-log_probs) with respect to
/// `hidden`.
[[nodiscard]] at::Tensor head_forward_backward(const LmHead& head, const at::Tensor& hidden,
                                               const PackedBatch& batch, double scale,
                                               const at::Tensor& dx, kernels::Arena& scratch);

/// Logits of the given rows [n] int64, chunk by chunk: body(first index into `rows`, logits [m,
/// V]), valid during the call. Logits are fp32 (fp64).
void head_logits(const LmHead& head, const at::Tensor& hidden, const at::Tensor& rows,
                 kernels::Arena& scratch,
                 const std::function<void(std::int64_t, const at::Tensor&)>& body);

}  // namespace weft::model
