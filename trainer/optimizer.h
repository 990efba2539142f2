#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kernels/adamw.h"
#include "model/flat_parameters.h"

namespace weft::trainer {

/// AdamW over flat parameters: both moments in buffers of the same layout. Weight decay applies to
/// the entries that ask for it.
class AdamWOptimizer {
 public:
  AdamWOptimizer(model::FlatParameters& parameters, const kernels::AdamWOptions& options);

  /// Global norm of the gradients; not finite when any gradient is not.
  [[nodiscard]] double gradient_norm() const;
  /// One update with gradients multiplied by `gradient_scale`.
  void step(double learning_rate, double gradient_scale);

  /// The square of gradient_norm(), [1] fp64 on the gradients' device; not waited for.
  [[nodiscard]] at::Tensor squared_gradient_norm() const;
  /// One update by a gate, which is decided on where the gradients are. It counts as done once
  /// count_step() says that the gate was open.
  void step_through(double learning_rate, const kernels::StepGate& gate);
  void count_step() { ++steps_; }

  void zero_gradients();

  /// Updates done so far; bias correction depends on it.
  [[nodiscard]] std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  [[nodiscard]] const at::Tensor& moment1() const { return moment1_; }
  [[nodiscard]] const at::Tensor& moment2() const { return moment2_; }

 private:
  template <typename Scale>
  void step_ranges(double learning_rate, const Scale& scale, std::int64_t number);

  /// Neighbouring entries with the same decay, as one range of the flat buffers.
  struct Range {
    std::int64_t begin;
    std::int64_t end;
    bool decay;
  };

  model::FlatParameters& parameters_;
  kernels::AdamWOptions options_;
  std::vector<Range> ranges_;
  at::Tensor moment1_;
  at::Tensor moment2_;
  std::int64_t steps_ = 0;
};

}  // namespace weft::trainer
