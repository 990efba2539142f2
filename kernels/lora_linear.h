#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/arena.h"
#include "kernels/fp8.h"

namespace weft::kernels {

/// Columns that adapters of so many ranks together take in the extended form: whole packs of 16
/// bytes.
[[nodiscard]] std::int64_t lora_spare(std::int64_t ranks, at::ScalarType dtype);

/// One adapter on columns [out_begin, out_begin + b.size(0)) of a projection's output (Hu et al.,
/// "LoRA", 2021): y += scale * dropout(x) · Aᵀ · Bᵀ.
struct LoraSlice {
  std::int64_t out_begin = 0;
  at::Tensor b;  ///< [out, rank], the activations' dtype
  at::Tensor
      grad_b;  ///< [out, rank] fp32 (fp64); added to by the backward pass; undefined in inference
  double scale = 1.0;
};

/// The adapters that share one input: q, k and v, or gate and up, or a single projection. Their A
/// matrices are stacked, so that the input is read once.
struct LoraGroup {
  at::Tensor a;       ///< [sum of ranks, in]
  at::Tensor grad_a;  ///< fp32 (fp64); added to
  std::vector<LoraSlice> slices;
  double dropout = 0.0;
  /// The extended form, without dropout: one buffer [out + spare, in + spare] that holds the
  /// projection's own matrix, `a` in the rows below it, and beside it, each in columns of its own,
  /// scale · b; the rest is zero. `a` and every b are views of it then, and b has its scale.
  /// Undefined: the plain form.
  at::Tensor extended;

  [[nodiscard]] bool empty() const { return slices.empty(); }
  [[nodiscard]] std::int64_t ranks() const { return empty() ? 0 : a.size(0); }
  /// Rows and columns that `extended` has beside the matrix; 0 in the plain form.
  [[nodiscard]] std::int64_t spare() const {
    return extended.defined() ? lora_spare(ranks(), extended.scalar_type()) : 0;
  }
  /// Columns of s and ds.
  [[nodiscard]] std::int64_t columns() const { return extended.defined() ? spare() : ranks(); }
};

/// A projection's own matrix [out, in]: in the activations' type, or frozen rows of 8-bit floats.
struct BaseWeight {
  at::Tensor matrix;
  at::Tensor scales;  ///< [out] fp32 with 8-bit floats, else undefined

  // NOLINTNEXTLINE(google-explicit-constructor): a matrix is a weight
  BaseWeight(at::Tensor plain, at::Tensor row_scales = {})
      : matrix(std::move(plain)), scales(std::move(row_scales)) {}

  [[nodiscard]] bool is_fp8() const { return scales.defined(); }
  [[nodiscard]] Fp8Rows fp8() const { return {matrix, scales}; }
};

/// Which dropout mask is meant: pure numbers, so that the backward pass draws the same one.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::uint64_t stream =
      0;  ///< unique per micro-batch, layer and projection; slices of a group add their index
};

// Rows of x, y, dy and dx may lie in wider ones. In the extended form, where s are the columns
// behind x (kernels/padded_rows.h), y is one product of the two and the buffer, and where ds are
// those behind dy, so is dx; elsewhere the adapters' part is added by a second one.

/// y [T, out] = x [T, in] · weightᵀ + the adapters' part; weight [out, in]. `s` [T, columns]
/// receives x · Aᵀ (times dropout) for the backward pass. `training` switches dropout on.
/// Temporaries come from `scratch`. For a weight of 8-bit floats x is multiplied by it as such: as
/// `x_fp8` where that is defined, else quantised here. The adapters take x as it is.
void lora_linear_forward(const at::Tensor& x, const BaseWeight& weight, const LoraGroup& lora,
                         const at::Tensor& y, const at::Tensor& s, bool training,
                         const DropoutKey& key, Arena& scratch, const Fp8Rows& x_fp8 = {});

/// The backward pass has two halves, because SwiGLU has its input (x) back only after the gradient
/// has passed it.
///
/// First half: dx [T, in] = gradient of the input (not when dx is undefined), `ds` [T, columns] =
/// dy · B * scale, and grad_b += . By a weight of 8-bit floats, dy's rows are multiplied as such:
/// as `dy_fp8` where that is defined, times the weight's scales, else quantised here.
void lora_linear_backward_input(const at::Tensor& dy, const BaseWeight& weight,
                                const LoraGroup& lora, const at::Tensor& s, const at::Tensor& ds,
                                const at::Tensor& dx, const DropoutKey& key, Arena& scratch,
                                const Fp8Rows& dy_fp8 = {});
/// Second half: grad_a += dsᵀ · dropout(x), and grad_weight [out, in] fp32 (fp64) += dyᵀ · x where
/// it is defined.
void lora_linear_backward_weights(const at::Tensor& dy, const at::Tensor& x, const LoraGroup& lora,
                                  const at::Tensor& ds, const at::Tensor& grad_weight,
                                  const DropoutKey& key, Arena& scratch);

}  // namespace weft::kernels
