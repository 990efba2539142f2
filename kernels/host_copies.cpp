#include "kernels/host_copies.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <atomic>

#include "kernels/tensor_checks.h"

namespace weft::kernels {
namespace {

std::atomic<std::int64_t> reads = 0;

}  // namespace

std::vector<double> read_on_host(const std::vector<at::Tensor>& numbers) {
  if (numbers.empty()) {
    return {};
  }
  std::vector<at::Tensor> flat;
  for (const at::Tensor& number : numbers) {
    if (!number.defined() || number.numel() != 1 || number.scalar_type() != at::kDouble) {
      fail_internal("a number to read is {}, expected one element of Double", describe(number));
    }
    flat.push_back(number.reshape({1}));
  }
  ++reads;
  const at::Tensor host = at::cat(flat).to(at::kCPU);
  const auto* first = host.const_data_ptr<double>();
  return {first, first + host.numel()};
}

at::Tensor empty_on_host(std::int64_t count, at::ScalarType dtype, c10::Device device) {
  return at::empty({count}, at::TensorOptions(dtype).pinned_memory(device.is_cuda()));
}

at::Tensor send(const at::Tensor& host, c10::Device device) {
  return host.to(device, /*non_blocking=*/device.is_cuda());
}

std::int64_t host_reads() { return reads; }

}  // namespace weft::kernels
