#pragma once

#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

// The operators of kernels/fp8.h on device pointers.

struct QuantizeRows {
  Element element;
  const void* x;         ///< [rows, width]
  const float* factors;  ///< [width], or null
  std::uint8_t* values;  ///< [rows, width]
  float* scales;         ///< [rows]
  std::int64_t rows;
  std::int64_t width;
};
/// Returns false, having done nothing, when a row is too wide: more than 65,536 bf16 or 32,768
/// fp32, or than 8,192 where the width or a pointer rules out 16-byte accesses.
bool quantize_rows(const QuantizeRows& args, Stream stream);

struct TransposeBytes {
  const std::uint8_t* in;  ///< [rows, columns]
  std::uint8_t* out;       ///< [columns, rows]
  std::int64_t rows;
  std::int64_t columns;
};
void transpose_bytes(const TransposeBytes& args, Stream stream);

}  // namespace weft::kernels::cuda
