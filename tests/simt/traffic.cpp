#include "tests/simt/traffic.h"

#include <fmt/format.h>

#include "tests/simt/device.h"

namespace weft::simt {
namespace {

::testing::AssertionResult is_ideal(const Traffic& traffic, int times, const char* what,
                                    const std::string& name, const at::Tensor& tensor) {
  const std::int64_t bytes = times * static_cast<std::int64_t>(tensor.nbytes());
  const Traffic ideal{bytes, bytes / 16, bytes / 32};
  if (traffic == ideal) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << fmt::format(
             "{} of {}: {} bytes in {} accesses and {} sectors; ideal are {} in {} and {}", what,
             name, traffic.bytes, traffic.accesses, traffic.sectors, ideal.bytes, ideal.accesses,
             ideal.sectors);
}

}  // namespace

::testing::AssertionResult read_times(int times, const std::string& name,
                                      const at::Tensor& tensor) {
  return is_ideal(Device::current().reads(name), times, "reads", name, tensor);
}

::testing::AssertionResult written_times(int times, const std::string& name,
                                         const at::Tensor& tensor) {
  return is_ideal(Device::current().writes(name), times, "writes", name, tensor);
}

void for_each_kernel_dtype(const std::function<void(at::ScalarType)>& body) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    SCOPED_TRACE(c10::toString(dtype));
    body(dtype);
  }
}

}  // namespace weft::simt
