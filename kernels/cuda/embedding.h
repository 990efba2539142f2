#pragma once

#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

// The operators of kernels/embedding.h on device pointers.

struct EmbeddingForward {
  Element element;
  const void* table;           ///< [rows of the vocabulary, width]
  const std::int64_t* tokens;  ///< [count]
  void* out;                   ///< [count, width]
  std::int64_t count;
  std::int64_t width;
};
void embedding_forward(const EmbeddingForward& args, Stream stream);

struct EmbeddingBackward {
  Element element;
  const void* dout;            ///< [count, width] of `element`
  const std::int64_t* sorted;  ///< [count] tokens in ascending order
  const std::int64_t* order;   ///< [count] the row of dout of each, ascending for equal tokens
  float* grad_table;           ///< added to
  std::int64_t count;
  std::int64_t width;
};
void embedding_backward(const EmbeddingBackward& args, Stream stream);

}  // namespace weft::kernels::cuda
