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

}  // namespace weft::kernels
