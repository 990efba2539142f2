#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace weft::kernels {

/// The values of `numbers`, tensors of one fp64 element each on one device, in one copy. On a GPU
/// the host waits here for all that was launched before, so a step should come here once.
[[nodiscard]] std::vector<double> read_on_host(const std::vector<at::Tensor>& numbers);

/// Calls of read_on_host that this process has made.
[[nodiscard]] std::int64_t host_reads();

}  // namespace weft::kernels
