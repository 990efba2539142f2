#pragma once

#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

// The operators of kernels/swiglu.h on device pointers: gate_up [rows, 2 * width], out [rows,
// width], both of `element`.

struct SwiGluForward {
  Element element;
  const void* gate_up;
  void* out;
  std::int64_t rows;
  std::int64_t width;
};
void swiglu_forward(const SwiGluForward& args, Stream stream);

struct SwiGluBackward {
  Element element;
  void* gate_up;  ///< becomes its gradient
  void* dout;     ///< becomes the forward's output
  std::int64_t rows;
  std::int64_t width;
};
void swiglu_backward(const SwiGluBackward& args, Stream stream);

}  // namespace weft::kernels::cuda
