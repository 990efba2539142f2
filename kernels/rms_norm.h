#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/fp8.h"

namespace weft::kernels {

// RMSNorm over the last dimension (Zhang & Sennrich, 2019): y = x / sqrt(mean(x^2) + eps) * weight.
// Sums in fp32 (fp64 for fp64 rows). Rows [T, H] fp32, fp64 or bf16; weight [H] of the same dtype;
// statistics [T] fp32 or fp64.

/// x += delta where delta is defined; then y = norm(x) * weight and rstd = 1 / sqrt(mean(x^2) +
/// eps). `normalized`, where defined, receives norm(x) without the weight, and `quantized` y again
/// as rows of e4m3 numbers. All outputs are allocated by the caller. The rows of y may lie in wider
/// ones.
void add_rms_norm_forward(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                          double eps, const at::Tensor& y, const at::Tensor& rstd,
                          const at::Tensor& normalized = {}, const Fp8Rows& quantized = {});

/// dx += the gradient of the norm for dy. Works from the output: norm(x) is `normalized` where
/// defined, else y / weight (so then no weight may be zero: see is_invertible). `dweight` [H] fp32
/// (fp64), where defined, is added to. The rows of y and dx may lie in wider ones.
void rms_norm_backward(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& normalized,
                       const at::Tensor& weight, const at::Tensor& rstd, const at::Tensor& dx,
                       const at::Tensor& dweight = {});

/// Whether norm(x) can be had back from the output at full precision: no weight is nearly zero.
bool is_invertible(const at::Tensor& norm_weight);

namespace detail {
void add_rms_norm_forward_cpu(const at::Tensor& x, const at::Tensor& delta,
                              const at::Tensor& weight, double eps, const at::Tensor& y,
                              const at::Tensor& rstd, const at::Tensor& normalized);
void rms_norm_backward_cpu(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& normalized,
                           const at::Tensor& weight, const at::Tensor& rstd, const at::Tensor& dx,
                           const at::Tensor& dweight);
}  // namespace detail

}  // namespace weft::kernels
