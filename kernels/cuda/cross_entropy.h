#pragma once

#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

/// The operators of kernels/cross_entropy.h on device pointers.
struct CrossEntropy {
  Element element;
  void* logits;  ///< [rows, width]; becomes the gradient when `gradient`
  const std::int64_t* targets;
  float* log_probs;
  std::int64_t rows;
  std::int64_t width;
  float scale;  ///< of the gradient
  bool gradient;
};
void cross_entropy(const CrossEntropy& args, Stream stream);

}  // namespace weft::kernels::cuda
