#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "kernels/fp8.h"

namespace weft::test {

/// Rows of NaN: an output that an operator leaves unwritten shows.
inline kernels::Fp8Rows poisoned_fp8(std::int64_t rows, std::int64_t width) {
  return {
      at::empty({rows, width}, at::TensorOptions(at::kByte)).fill_(0x7f).view(at::kFloat8_e4m3fn),
      at::empty({rows}, at::TensorOptions(at::kFloat)).fill_(std::nan(""))};
}

/// What the rows stand for, in fp64.
inline at::Tensor value_of(const kernels::Fp8Rows& rows) {
  return rows.values.to(at::kFloat).to(at::kDouble) * rows.scales.to(at::kDouble).unsqueeze(1);
}

inline kernels::Fp8Rows quantized(const at::Tensor& x, const at::Tensor& factors = {}) {
  const kernels::Fp8Rows rows = poisoned_fp8(x.size(0), x.size(1));
  kernels::quantize_rows(x, factors, rows);
  return rows;
}

}  // namespace weft::test
