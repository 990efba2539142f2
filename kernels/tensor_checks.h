#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <string>

#include "base/error.h"

namespace weft::kernels {

/// "[512, 1024] Float", for messages.
std::string describe(const at::Tensor& tensor);

/// An internal Error when `tensor` does not have these sizes and dtype or is not contiguous: a
/// caller's defect.
void check_tensor(const at::Tensor& tensor, at::IntArrayRef sizes, at::ScalarType dtype,
                  const char* name);

/// The same for rows [T, width] that may lie in wider ones: each is contiguous, and from one to the
/// next is at least its width.
void check_rows(const at::Tensor& rows, at::IntArrayRef sizes, at::ScalarType dtype,
                const char* name);

/// Statistics of a row are fp32, or fp64 when the rows are.
inline at::ScalarType statistics_dtype(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

/// Whether the hand-written CPU loops take this tensor; everything else runs as a composition of
/// ATen operators.
inline bool runs_on_cpu_loops(const at::Tensor& tensor) {
  return tensor.is_cpu() &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble ||
          tensor.scalar_type() == at::kBFloat16);
}

}  // namespace weft::kernels
