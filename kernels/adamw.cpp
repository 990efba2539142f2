#include "kernels/adamw.h"

#include <ATen/ops/empty.h>

#include <cmath>

#include "kernels/cuda/adamw.h"
#include "kernels/device_dispatch.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// Whether the CUDA kernel took the step.
bool step_on_device(const at::Tensor& parameters, const at::Tensor& gradient,
                    const at::Tensor& moment1, const at::Tensor& moment2,
                    const detail::AdamWFactors& factors) {
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(parameters)) {
      const auto f = [](double factor) { return static_cast<float>(factor); };
      cuda::adamw_step({.element = element_of(parameters),
                        .parameters = device_inout(parameters, "parameters"),
                        .gradient = device_in(gradient, "gradient"),
                        .moment1 = device_inout(moment1, "moment1"),
                        .moment2 = device_inout(moment2, "moment2"),
                        .count = parameters.numel(),
                        .decay = f(factors.decay),
                        .beta1 = f(factors.beta1),
                        .rest1 = f(1.0 - factors.beta1),
                        .beta2 = f(factors.beta2),
                        .rest2 = f(1.0 - factors.beta2),
                        .step_size = f(factors.step_size),
                        .denominator_scale = f(factors.denominator_scale),
                        .epsilon = f(factors.epsilon),
                        .gradient_scale = f(factors.gradient_scale),
                        .squared_norm = nullptr,
                        .max_norm = 0.0f},
                       stream_of(parameters));
      return true;
    }
  }
  return false;
}

// The sum as a tensor of one fp64 number on the values' device; undefined when no CUDA kernel takes
// them.
at::Tensor sum_on_device(const at::Tensor& flat) {
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(flat)) {
      const auto fp64 = flat.options().dtype(at::kDouble);
      const at::Tensor sum = at::empty({1}, fp64);
      const at::Tensor partials = at::empty({cuda::square_sums_of(flat.numel())}, fp64);
      cuda::sum_of_squares({.element = element_of(flat),
                            .values = device_in(flat, "values"),
                            .count = flat.numel(),
                            .partials = device_out<double>(partials, "partials"),
                            .result = device_out<double>(sum, "sum")},
                           stream_of(flat));
      return sum;
    }
  }
  return {};
}

}  // namespace

void adamw_step(const at::Tensor& parameters, const at::Tensor& gradient, const at::Tensor& moment1,
                const at::Tensor& moment2, const AdamWOptions& options, std::int64_t step,
                double gradient_scale) {
  const at::ScalarType dtype = parameters.scalar_type();
  check_tensor(parameters, {parameters.numel()}, dtype, "adamw parameters");
  check_tensor(gradient, parameters.sizes(), dtype, "adamw gradient");
  check_tensor(moment1, parameters.sizes(), dtype, "adamw moment1");
  check_tensor(moment2, parameters.sizes(), dtype, "adamw moment2");
  log_traffic("adamw", {parameters, gradient, moment1, moment2}, {parameters, moment1, moment2});
  const auto t = static_cast<double>(step);
  const double correction1 = 1.0 - std::pow(options.beta1, t);
  const double correction2 = 1.0 - std::pow(options.beta2, t);
  const detail::AdamWFactors factors{1.0 - options.learning_rate * options.weight_decay,
                                     options.beta1,
                                     options.beta2,
                                     options.learning_rate / correction1,
                                     1.0 / std::sqrt(correction2),
                                     options.epsilon,
                                     gradient_scale};
  if (step_on_device(parameters, gradient, moment1, moment2, factors)) {
    return;
  }
  if (runs_on_cpu_loops(parameters)) {
    detail::adamw_step_cpu(parameters, gradient, moment1, moment2, factors);
    return;
  }
  const at::Tensor g = gradient * gradient_scale;
  moment1.mul_(factors.beta1).add_(g, 1.0 - factors.beta1);
  moment2.mul_(factors.beta2).addcmul_(g, g, 1.0 - factors.beta2);
  parameters.mul_(factors.decay);
  parameters.addcdiv_(moment1, moment2.sqrt().mul_(factors.denominator_scale).add_(factors.epsilon),
                      -factors.step_size);
}

double sum_of_squares(const at::Tensor& flat) {
  check_tensor(flat, flat.sizes(), flat.scalar_type(), "sum_of_squares values");
  log_traffic("gradient norm", {flat}, {}, 2);
  if (flat.is_meta()) {
    return 0.0;  // nothing has a value there
  }
  if (const at::Tensor sum = sum_on_device(flat); sum.defined()) {
    return sum.item<double>();
  }
  return runs_on_cpu_loops(flat) ? detail::sum_of_squares_cpu(flat)
                                 : flat.to(at::kDouble).square().sum().item<double>();
}

}  // namespace weft::kernels
