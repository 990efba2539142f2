#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/arena.h"

namespace weft::kernels {

/// out [M, N] = alpha * a [M, K] · b [K, N], or += when `accumulate`.
///
/// a and b share a dtype (on a CPU one may be fp32 beside bf16) and may be transposed views. `out`
/// may be columns of a wider matrix. On a CPU, bf16 and e4m3 operands are widened to fp32 piece by
/// piece and multiplied there (without native bf16 instructions that is many times faster than
/// ATen's bf16 product), sums stay in fp32 and are rounded once. An fp32 `out` with bf16 operands
/// is allowed everywhere: gradients are collected so, and a GPU leaves its sums in it unrounded.
/// Temporaries come from `scratch`.
void gemm(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, Arena& scratch,
          bool accumulate = false, double alpha = 1.0);

}  // namespace weft::kernels
