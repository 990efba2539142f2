#pragma once

#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

/// The operators of kernels/cross_entropy.h on device pointers.
struct CrossEntropy {
  Element element;     ///< of the logits
  const void* logits;  ///< [rows, width]
  void* gradient;      ///< [rows, width], may be the logits; null: none
  Element gradient_element;
  const std::int64_t* targets;
  float* log_probs;
  std::int64_t rows;
  std::int64_t width;
  float scale;  ///< of the gradient
};
void cross_entropy(const CrossEntropy& args, Stream stream);

}  // namespace weft::kernels::cuda
