#include "trainer/optimizer.h"

#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace weft::trainer {

AdamWOptimizer::AdamWOptimizer(model::FlatParameters& parameters,
                               const kernels::AdamWOptions& options)
    : parameters_(parameters),
      options_(options),
      moment1_(at::zeros_like(parameters.values())),
      moment2_(at::zeros_like(parameters.values())) {
  const auto& entries = parameters.entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::int64_t end =
        i + 1 < entries.size() ? entries[i + 1].offset : parameters.values().numel();
    if (!ranges_.empty() && ranges_.back().decay == entries[i].decay) {
      ranges_.back().end = end;
    } else {
      ranges_.push_back({entries[i].offset, end, entries[i].decay});
    }
  }
}

double AdamWOptimizer::gradient_norm() const {
  return std::sqrt(kernels::sum_of_squares(parameters_.gradients()));
}

at::Tensor AdamWOptimizer::squared_gradient_norm() const {
  return kernels::sum_of_squares_tensor(parameters_.gradients());
}

void AdamWOptimizer::step(double learning_rate, double gradient_scale) {
  ++steps_;
  step_ranges(learning_rate, gradient_scale, steps_);
}

void AdamWOptimizer::step_through(double learning_rate, const kernels::StepGate& gate) {
  step_ranges(learning_rate, gate, steps_ + 1);
}

template <typename Scale>
void AdamWOptimizer::step_ranges(double learning_rate, const Scale& scale, std::int64_t number) {
  for (const Range& range : ranges_) {
    kernels::AdamWOptions options = options_;
    options.learning_rate = learning_rate;
    options.weight_decay = range.decay ? options_.weight_decay : 0.0;
    const auto part = [&](const at::Tensor& buffer) {
      return buffer.narrow(0, range.begin, range.end - range.begin);
    };
    kernels::adamw_step(part(parameters_.values()), part(parameters_.gradients()), part(moment1_),
                        part(moment2_), options, number, scale);
  }
}

void AdamWOptimizer::zero_gradients() { parameters_.gradients().zero_(); }

}  // namespace weft::trainer
