#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace weft::kernels {

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
};

/// One AdamW step (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019), as
/// torch.optim.AdamW computes it, in one pass over flat buffers of equal length: parameters and
/// both moments in place. The gradient is multiplied by `gradient_scale` (clipping) on the fly and
/// not changed. `step` counts from 1. fp32 or fp64.
void adamw_step(const at::Tensor& parameters, const at::Tensor& gradient, const at::Tensor& moment1,
                const at::Tensor& moment2, const AdamWOptions& options, std::int64_t step,
                double gradient_scale);

/// Decides over a step by numbers that a GPU's host has not seen: where `squared_norm` is not
/// finite nothing is changed; else the gradient is clipped to `max_norm`, unless that is 0, as
/// torch.nn.utils.clip_grad_norm_ does.
struct StepGate {
  at::Tensor squared_norm;  ///< [1] fp64 beside the parameters
  double max_norm = 0.0;
};
/// The same step, by a gate. Equal, bit for bit, to the one with the gate's factor as
/// `gradient_scale`.
void adamw_step(const at::Tensor& parameters, const at::Tensor& gradient, const at::Tensor& moment1,
                const at::Tensor& moment2, const AdamWOptions& options, std::int64_t step,
                const StepGate& gate);

/// Sum of squares in fp64, in an order that does not depend on the number of threads. Not finite if
/// any element is not.
[[nodiscard]] double sum_of_squares(const at::Tensor& flat);
/// The same as a tensor [1] fp64 beside `flat`, which a GPU's host does not wait for.
[[nodiscard]] at::Tensor sum_of_squares_tensor(const at::Tensor& flat);

namespace detail {
struct AdamWFactors {
  double decay, beta1, beta2, step_size, denominator_scale, epsilon, gradient_scale;
};
void adamw_step_cpu(const at::Tensor& parameters, const at::Tensor& gradient,
                    const at::Tensor& moment1, const at::Tensor& moment2,
                    const AdamWFactors& factors);
double sum_of_squares_cpu(const at::Tensor& flat);
}  // namespace detail

}  // namespace weft::kernels
