#include "kernels/adamw.h"

#include <cmath>

#include "kernels/tensor_checks.h"

namespace weft::kernels {

void adamw_step(const at::Tensor& parameters, const at::Tensor& gradient, const at::Tensor& moment1,
                const at::Tensor& moment2, const AdamWOptions& options, std::int64_t step,
                double gradient_scale) {
  const at::ScalarType dtype = parameters.scalar_type();
  check_tensor(parameters, {parameters.numel()}, dtype, "adamw parameters");
  check_tensor(gradient, parameters.sizes(), dtype, "adamw gradient");
  check_tensor(moment1, parameters.sizes(), dtype, "adamw moment1");
  check_tensor(moment2, parameters.sizes(), dtype, "adamw moment2");
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
  return runs_on_cpu_loops(flat) ? detail::sum_of_squares_cpu(flat)
                                 : flat.to(at::kDouble).square().sum().item<double>();
}

}  // namespace weft::kernels
