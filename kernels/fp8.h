#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/arena.h"

namespace weft::kernels {

/// Rows of 8-bit floats (e4m3 of Micikevicius et al., "FP8 Formats for Deep Learning", 2022) with a
/// scale each: row r stands for values[r] * scales[r]. A scale is the least power of two by which
/// the row's largest element is at most 448, so that scaling rounds nothing and only the
/// conversion, to nearest even, does. Elements that are not finite become NaN.
struct Fp8Rows {
  at::Tensor values;  ///< [rows, width] Float8_e4m3fn
  at::Tensor scales;  ///< [rows] fp32

  [[nodiscard]] bool defined() const { return values.defined(); }
};

/// Uninitialised rows from `arena`.
[[nodiscard]] Fp8Rows take_fp8_rows(std::int64_t rows, std::int64_t width, Arena& arena);

/// out = the rows of x [rows, width] fp32 or bf16, their columns times `factors` [width] fp32 where
/// that is defined: powers of two, so that this rounds nothing either.
void quantize_rows(const at::Tensor& x, const at::Tensor& factors, const Fp8Rows& out);

/// y [T, out] = x [T, in] · weightᵀ; y fp32 or bf16, sums in fp32. On a GPU (compute capability
/// 8.9) y is bf16, and in and out are multiples of 16. Elsewhere the 8-bit numbers are widened,
/// which is exact, and multiplied in fp32. Temporaries come from `scratch`.
void fp8_linear(const at::Tensor& y, const Fp8Rows& x, const Fp8Rows& weight, Arena& scratch);

/// dx [T, in] = dy [T, out] · weight, for the same weight [out, in], value for value: its scales
/// must have been the `factors` when dy was quantised. A GPU's product wants both operands along
/// the columns that it adds up, so the weight's values are turned in `scratch` first; a second copy
/// of every weight would take the memory that 8 bits save.
void fp8_linear_backward(const at::Tensor& dx, const Fp8Rows& dy, const Fp8Rows& weight,
                         Arena& scratch);

/// out [columns, rows] = in [rows, columns] turned, of 8-bit floats.
void transpose_fp8(const at::Tensor& in, const at::Tensor& out);

/// An internal Error when `rows` do not have these sizes [rows, width].
void check_fp8_rows(const Fp8Rows& rows, at::IntArrayRef sizes, const char* values,
                    const char* scales);

namespace detail {
/// For operators whose own entry in the work log counts it.
void quantize_rows_without_log(const at::Tensor& x, const at::Tensor& factors, const Fp8Rows& out);
void quantize_rows_cpu(const at::Tensor& x, const at::Tensor& factors, const Fp8Rows& out);
}  // namespace detail

}  // namespace weft::kernels
