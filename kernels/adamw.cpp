#include "kernels/adamw.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cuda/adamw.h"
#include "kernels/device_dispatch.h"
#include "kernels/host_copies.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// What a step is computed from; `gate` is null where the host has decided.
struct Step {
  const at::Tensor& parameters;
  const at::Tensor& gradient;
  const at::Tensor& moment1;
  const at::Tensor& moment2;
  detail::AdamWFactors factors;
  const StepGate* gate;
};

void check(const Step& step) {
  const at::ScalarType dtype = step.parameters.scalar_type();
  check_tensor(step.parameters, {step.parameters.numel()}, dtype, "adamw parameters");
  check_tensor(step.gradient, step.parameters.sizes(), dtype, "adamw gradient");
  check_tensor(step.moment1, step.parameters.sizes(), dtype, "adamw moment1");
  check_tensor(step.moment2, step.parameters.sizes(), dtype, "adamw moment2");
  if (step.gate != nullptr) {
    check_tensor(step.gate->squared_norm, {1}, at::kDouble, "adamw squared_norm");
  }
}

detail::AdamWFactors factors_of(const AdamWOptions& options, std::int64_t step,
                                double gradient_scale) {
  const auto t = static_cast<double>(step);
  const double correction1 = 1.0 - std::pow(options.beta1, t);
  const double correction2 = 1.0 - std::pow(options.beta2, t);
  return {1.0 - options.learning_rate * options.weight_decay,
          options.beta1,
          options.beta2,
          options.learning_rate / correction1,
          1.0 / std::sqrt(correction2),
          options.epsilon,
          gradient_scale};
}

// Whether the CUDA kernel took the step.
bool step_on_device(const Step& s) {
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(s.parameters)) {
      const auto f = [](double factor) { return static_cast<float>(factor); };
      const detail::AdamWFactors& factors = s.factors;
      const StepGate gate = s.gate == nullptr ? StepGate() : *s.gate;
      cuda::adamw_step({.element = element_of(s.parameters),
                        .parameters = device_inout(s.parameters, "parameters"),
                        .gradient = device_in(s.gradient, "gradient"),
                        .moment1 = device_inout(s.moment1, "moment1"),
                        .moment2 = device_inout(s.moment2, "moment2"),
                        .count = s.parameters.numel(),
                        .decay = f(factors.decay),
                        .beta1 = f(factors.beta1),
                        .rest1 = f(1.0 - factors.beta1),
                        .beta2 = f(factors.beta2),
                        .rest2 = f(1.0 - factors.beta2),
                        .step_size = f(factors.step_size),
                        .denominator_scale = f(factors.denominator_scale),
                        .epsilon = f(factors.epsilon),
                        .gradient_scale = f(factors.gradient_scale),
                        .squared_norm = device_in<double>(gate.squared_norm, "squared_norm"),
                        .max_norm = gate.max_norm},
                       stream_of(s.parameters));
      return true;
    }
  }
  return false;
}

// The composition for devices without a kernel of their own. `scale` is a number, or a tensor of no
// dimension.
template <typename Scale>
void step_composed(const Step& s, const Scale& scale) {
  const at::Tensor g = s.gradient * scale;
  s.moment1.mul_(s.factors.beta1).add_(g, 1.0 - s.factors.beta1);
  s.moment2.mul_(s.factors.beta2).addcmul_(g, g, 1.0 - s.factors.beta2);
  s.parameters.mul_(s.factors.decay);
  s.parameters.addcdiv_(s.moment1,
                        s.moment2.sqrt().mul_(s.factors.denominator_scale).add_(s.factors.epsilon),
                        -s.factors.step_size);
}

// The host learns nothing of the gate: the step is taken, and taken back where it is shut.
void gated_step_composed(const Step& s) {
  const std::array changed{s.parameters, s.moment1, s.moment2};
  const std::array before{s.parameters.clone(), s.moment1.clone(), s.moment2.clone()};
  const at::Tensor squared = s.gate->squared_norm.squeeze(0);
  at::Tensor clip = at::ones_like(squared);
  if (s.gate->max_norm > 0) {
    clip = at::clamp_max(clip * s.gate->max_norm / (squared.sqrt() + 1e-6), 1.0);
  }
  step_composed(s, clip);
  const at::Tensor open = squared.isfinite();
  for (std::size_t i = 0; i < changed.size(); ++i) {
    changed[i].copy_(at::where(open, changed[i], before[i]));
  }
}

// Where the gate can be read without waiting.
void gated_step_cpu(const Step& s) {
  const double squared = *s.gate->squared_norm.const_data_ptr<double>();
  if (!std::isfinite(squared)) {
    return;
  }
  detail::AdamWFactors factors = s.factors;
  if (s.gate->max_norm > 0) {
    factors.gradient_scale = std::min(1.0, s.gate->max_norm / (std::sqrt(squared) + 1e-6));
  }
  detail::adamw_step_cpu(s.parameters, s.gradient, s.moment1, s.moment2, factors);
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
  const Step s{parameters, gradient, moment1, moment2, factors_of(options, step, gradient_scale),
               nullptr};
  check(s);
  log_traffic("adamw", {parameters, gradient, moment1, moment2}, {parameters, moment1, moment2});
  if (step_on_device(s)) {
    return;
  }
  if (runs_on_cpu_loops(parameters)) {
    detail::adamw_step_cpu(parameters, gradient, moment1, moment2, s.factors);
    return;
  }
  step_composed(s, gradient_scale);
}

void adamw_step(const at::Tensor& parameters, const at::Tensor& gradient, const at::Tensor& moment1,
                const at::Tensor& moment2, const AdamWOptions& options, std::int64_t step,
                const StepGate& gate) {
  const Step s{parameters, gradient, moment1, moment2, factors_of(options, step, 1.0), &gate};
  check(s);
  log_traffic("adamw", {parameters, gradient, moment1, moment2, gate.squared_norm},
              {parameters, moment1, moment2});
  if (step_on_device(s)) {
    return;
  }
  const auto run = runs_on_cpu_loops(parameters) ? gated_step_cpu : gated_step_composed;
  run(s);
}

at::Tensor sum_of_squares_tensor(const at::Tensor& flat) {
  check_tensor(flat, flat.sizes(), flat.scalar_type(), "sum_of_squares values");
  log_traffic("gradient norm", {flat}, {}, 2);
  if (at::Tensor sum = sum_on_device(flat); sum.defined()) {
    return sum;
  }
  if (runs_on_cpu_loops(flat)) {
    return at::full({1}, detail::sum_of_squares_cpu(flat), at::TensorOptions(at::kDouble));
  }
  return flat.to(at::kDouble).square().sum().unsqueeze(0);
}

double sum_of_squares(const at::Tensor& flat) {
  const at::Tensor sum = sum_of_squares_tensor(flat);
  return flat.is_meta() ? 0.0 : read_on_host({sum}).front();  // nothing has a value there
}

}  // namespace weft::kernels
