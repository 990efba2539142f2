#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace weft::kernels {

/// Bytes of a GPU's memory that a run may take: what is free, and what LibTorch's allocator keeps
/// and does not use. 0 where the build has no CUDA or the device is not a GPU.
[[nodiscard]] std::int64_t free_device_bytes(c10::Device device);

/// Compute capability of a CUDA device, as 90; 0 as above.
[[nodiscard]] int compute_capability(c10::Device device);

/// What a CUDA device calls itself, as "NVIDIA H200"; empty as above.
[[nodiscard]] std::string device_name(c10::Device device);

/// The most bytes that LibTorch's allocator had in use on a GPU at one time; 0 as above.
[[nodiscard]] std::int64_t peak_device_bytes(c10::Device device);

/// Counts that from what is in use now.
void forget_peak(c10::Device device);

/// The newest CUDA that the driver takes, as 13000 for 13.0; 0 as above.
[[nodiscard]] int driver_version();

/// Gives memory of a GPU that LibTorch's allocator keeps and does not use back to the device, after
/// waiting for its work; nothing for another device.
void give_back_unused(c10::Device device);

/// Waits until a GPU has done what it was given; at once for another device, and while launches are
/// recorded, which are not work yet.
void wait_for_device(c10::Device device);

}  // namespace weft::kernels
