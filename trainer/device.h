#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace weft::trainer {

/// "cpu", "cuda" or "auto" (a GPU where one is usable). A config Error says why "cuda" can't be
/// had. The CUDA half of LibTorch is loaded here, when it is first wanted, so that a CPU machine
/// does without it.
/// Of several GPUs the process gets number `local_rank`, counted round where there are fewer.
[[nodiscard]] c10::Device resolve_device(const std::string& name, int local_rank = 0);

/// "fp32", "bf16" or "auto" (bf16 on a GPU, fp32 on a CPU).
[[nodiscard]] at::ScalarType resolve_dtype(const std::string& name, c10::Device device);

/// Memory that a process may still take on this device, in bytes: what the kernel calls available
/// on a CPU; 0 where it can't be told.
[[nodiscard]] std::uint64_t available_memory_bytes(c10::Device device);

/// The most memory that was in use at one time, in bytes: of a GPU by LibTorch's allocator, on a
/// CPU what of this process was resident.
[[nodiscard]] std::uint64_t peak_memory_bytes(c10::Device device);

}  // namespace weft::trainer
