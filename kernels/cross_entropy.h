#pragma once

#include <ATen/core/Tensor.h>

namespace weft::kernels {

/// Log-probability of one target per row of a chunk of logits: log_probs[i] = logits[i, target[i]]
/// - logsumexp(logits[i]). logits [N, V] fp32, fp64 or bf16; targets [N] int64, each in [0, V);
/// log_probs [N] fp32 (fp64 for fp64 logits).
void target_log_probs(const at::Tensor& logits, const at::Tensor& targets,
                      const at::Tensor& log_probs);

/// As target_log_probs, and the gradient of scale * sum(-log_probs), (softmax(logits) -
/// onehot(target)) * scale: in place of the logits, or in `gradient` [N, V] where it is defined, of
/// the logits' type or, of fp32 logits, bf16. The logits are then undefined.
void cross_entropy_forward_backward(const at::Tensor& logits, const at::Tensor& targets,
                                    double scale, const at::Tensor& log_probs,
                                    const at::Tensor& gradient = {});

namespace detail {
void cross_entropy_cpu(const at::Tensor& logits, const at::Tensor& targets, double scale,
                       bool gradient, const at::Tensor& log_probs);
}  // namespace detail

}  // namespace weft::kernels
