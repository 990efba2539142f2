#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

/// One AdamW step over flat buffers (kernels/adamw.h), in one launch. Factors as there.
struct AdamWStep {
  Element element;
  void* parameters;
  const void* gradient;
  void* moment1;
  void* moment2;
  std::int64_t count;
  float decay, beta1, rest1, beta2, rest2;  ///< rest = 1 - beta
  float step_size, denominator_scale, epsilon, gradient_scale;
  /// The gradient's sum of squares, on the device, or null. Where it is not finite the step changes
  /// nothing; where `max_norm` is above 0, the gradient is clipped to that norm, before
  /// `gradient_scale`.
  const double* squared_norm;
  double max_norm;
};
void adamw_step(const AdamWStep& args, Stream stream);

/// Blocks that share the elements of a sum of squares, on every device.
inline std::int64_t square_sums_of(std::int64_t count) {
  return std::clamp<std::int64_t>((count + 4095) / 4096, 1, 256);
}

struct SumOfSquares {
  Element element;
  const void* values;
  std::int64_t count;
  double* partials;  ///< [square_sums_of(count)], scratch
  double* result;    ///< one number
};
/// Adds up in fp64 and in an order that depends on `count` alone.
void sum_of_squares(const SumOfSquares& args, Stream stream);

}  // namespace weft::kernels::cuda
