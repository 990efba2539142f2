#pragma once

#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

// The operators of kernels/swiglu.h on device pointers: gate_up [rows, 2 * width], out [rows,
// width], both of `element`; from one row to the next are as many elements as the strides say.

struct SwiGluForward {
  Element element;
  const void* gate_up;
  void* out;
  std::int64_t rows;
  std::int64_t width;
  std::int64_t gate_up_stride;
  std::int64_t out_stride;
};
void swiglu_forward(const SwiGluForward& args, Stream stream);

/// The same, and `out` again as rows of e4m3 numbers (kernels/fp8.h). Returns false, having done
/// nothing, when a row is too wide: more than 32,768 bf16 or 16,384 fp32, or than 4,096 where the
/// width, a stride or a pointer rules out 16-byte accesses.
struct SwiGluForwardFp8 {
  SwiGluForward forward;
  std::uint8_t* fp8_values;  ///< [rows, width]
  float* fp8_scales;         ///< [rows]
};
bool swiglu_forward_fp8(const SwiGluForwardFp8& args, Stream stream);

struct SwiGluBackward {
  Element element;
  void* gate_up;  ///< becomes its gradient
  void* dout;     ///< becomes the forward's output
  std::int64_t rows;
  std::int64_t width;
  std::int64_t gate_up_stride;
  std::int64_t dout_stride;
};
void swiglu_backward(const SwiGluBackward& args, Stream stream);

/// The same, and the gradients of gate and up, times `factors`, again as rows of e4m3 numbers.
/// Returns false as above, of half the widths.
constexpr std::int64_t kWidestFp8GradientBytes = 32768;  ///< of a row of gate
struct SwiGluBackwardFp8 {
  SwiGluBackward backward;
  const float* factors;      ///< [2 * width]
  std::uint8_t* fp8_values;  ///< [rows, 2 * width]
  float* fp8_scales;         ///< [rows]
};
bool swiglu_backward_fp8(const SwiGluBackwardFp8& args, Stream stream);

}  // namespace weft::kernels::cuda
