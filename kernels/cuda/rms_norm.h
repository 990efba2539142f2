#pragma once

#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

// The operators of kernels/rms_norm.h on device pointers. Rows [rows, width] of `element`, one
// after another, or a stride of so many elements apart. Both return false, having done nothing,
// when a row is too wide for the kernel: more than 8192 elements, or than 2048 where the width, a
// stride or a pointer rules out 16-byte accesses.

struct RmsNormForward {
  Element element;
  void* x;            ///< read; written where delta is given
  const void* delta;  ///< or null
  const void* weight;
  void* y;
  float* rstd;
  void* normalized;          ///< or null
  std::uint8_t* fp8_values;  ///< y again as rows of e4m3 numbers (kernels/fp8.h), or null
  float* fp8_scales;         ///< [rows]; null with fp8_values
  std::int64_t rows;
  std::int64_t width;
  std::int64_t y_stride;
  float eps;
};
bool rms_norm_forward(const RmsNormForward& args, Stream stream);

struct RmsNormBackward {
  Element element;
  const void* dy;
  const void* output;  ///< norm(x), or norm(x) * weight when `weighted`
  bool weighted;
  const void* weight;
  const float* rstd;
  void* dx;         ///< added to
  float* dweight;   ///< added to; or null
  float* partials;  ///< [partial_sums_of(rows), width], scratch; null when dweight is
  std::int64_t rows;
  std::int64_t width;
  std::int64_t output_stride;
  std::int64_t dx_stride;
};
bool rms_norm_backward(const RmsNormBackward& args, Stream stream);

}  // namespace weft::kernels::cuda
