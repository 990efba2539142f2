#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace weft::simt {

/// Whether the kernels of the last operator read all of `tensor`, known to them as `name`, `times`
/// times: in 16-byte accesses, and in no more sectors than it has.
::testing::AssertionResult read_times(int times, const std::string& name, const at::Tensor& tensor);
/// The same for writes.
::testing::AssertionResult written_times(int times, const std::string& name,
                                         const at::Tensor& tensor);
inline ::testing::AssertionResult read_once(const std::string& name, const at::Tensor& tensor) {
  return read_times(1, name, tensor);
}
inline ::testing::AssertionResult written_once(const std::string& name, const at::Tensor& tensor) {
  return written_times(1, name, tensor);
}

/// Runs `body` for fp32 and bf16; a failure names the dtype.
void for_each_kernel_dtype(const std::function<void(at::ScalarType)>& body);

}  // namespace weft::simt
