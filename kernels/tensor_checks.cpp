#include "kernels/tensor_checks.h"

#include <fmt/ranges.h>

namespace weft::kernels {

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) {
    return "undefined";
  }
  return fmt::format("[{}] {}{}", fmt::join(tensor.sizes(), ", "),
                     c10::toString(tensor.scalar_type()),
                     tensor.is_contiguous() ? "" : ", not contiguous");
}

void check_tensor(const at::Tensor& tensor, at::IntArrayRef sizes, at::ScalarType dtype,
                  const char* name) {
  if (!tensor.defined() || tensor.sizes() != sizes || tensor.scalar_type() != dtype ||
      !tensor.is_contiguous()) {
    fail_internal("{} is {}, expected [{}] {}, contiguous", name, describe(tensor),
                  fmt::join(sizes, ", "), c10::toString(dtype));
  }
}

void check_rows(const at::Tensor& rows, at::IntArrayRef sizes, at::ScalarType dtype,
                const char* name) {
  const bool in_wider_rows =
      rows.defined() && rows.dim() == 2 && rows.stride(1) == 1 && rows.stride(0) >= rows.size(1);
  if (!in_wider_rows || rows.sizes() != sizes || rows.scalar_type() != dtype) {
    check_tensor(rows, sizes, dtype, name);
  }
}

}  // namespace weft::kernels
