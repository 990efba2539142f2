#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace weft::kernels {

/// The values of `numbers`, tensors of one fp64 element each on one device, in one copy. On a GPU
/// the host waits here for all that was launched before, so a step should come here once.
[[nodiscard]] std::vector<double> read_on_host(const std::vector<at::Tensor>& numbers);

/// An uninitialised tensor [count] in memory of the host that is pinned where `device` is a GPU.
[[nodiscard]] at::Tensor empty_on_host(std::int64_t count, at::ScalarType dtype,
                                       c10::Device device);
/// Its copy on the device. From pinned memory the copy is part of the stream and the host goes on:
/// the next batch is made ready while the GPU works on this one. LibTorch keeps the memory until it
/// has been read.
[[nodiscard]] at::Tensor send(const at::Tensor& host, c10::Device device);

/// Those values as a tensor [count] on the device; `dtype` is the scalar type of T.
template <typename T>
[[nodiscard]] at::Tensor to_device(std::span<const T> values, at::ScalarType dtype,
                                   c10::Device device) {
  const at::Tensor host = empty_on_host(static_cast<std::int64_t>(values.size()), dtype, device);
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<T>());
  return send(host, device);
}

/// Calls of read_on_host that this process has made.
[[nodiscard]] std::int64_t host_reads();

}  // namespace weft::kernels
