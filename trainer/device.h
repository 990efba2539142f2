#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "model/qwen3_config.h"

namespace weft::trainer {

/// "cpu", "cuda" or "auto" (a GPU where one is usable). A config Error says why "cuda" can't be
/// had. The CUDA half of LibTorch is loaded here, when it is first wanted, so that a CPU machine
/// does without it.
/// Of several GPUs the process gets number `local_rank`, counted round where there are fewer.
[[nodiscard]] c10::Device resolve_device(const std::string& name, int local_rank = 0);

/// "fp32", "bf16" or "auto" (bf16 on a GPU, fp32 on a CPU).
[[nodiscard]] at::ScalarType resolve_dtype(const std::string& name, c10::Device device);

/// Why a base of 8-bit floats can't be multiplied on a GPU of this compute capability (90 is 9.0)
/// with activations of this type, as a sentence for a config Error; "" where it can. The product is
/// LibTorch's, and wants sizes that are multiples of 16.
[[nodiscard]] std::string why_no_fp8(int capability, at::ScalarType dtype,
                                     const model::Qwen3Config& config);

/// A config Error where the device can't have base_dtype: fp8.
void check_fp8_base(c10::Device device, at::ScalarType dtype, const model::Qwen3Config& config);

/// GPUs that this process sees; 0 without any.
[[nodiscard]] int device_count();

/// What may be taken of `free` bytes of a GPU where libraries will want `kept` of them; of little
/// half, as that may still do.
[[nodiscard]] std::int64_t leave_for_libraries(std::int64_t free, std::int64_t kept);

/// Memory that a process may still take on this device, in bytes: what the kernel calls available
/// on a CPU; of a GPU what is free but for what its libraries take later, outside of LibTorch's
/// allocator: code that is loaded when it is first launched, cuDNN's and cuBLAS's own. 0 where it
/// can't be told.
[[nodiscard]] std::uint64_t available_memory_bytes(c10::Device device);

/// The most memory that was in use at one time, in bytes: of a GPU by LibTorch's allocator, on a
/// CPU what of this process was resident.
[[nodiscard]] std::uint64_t peak_memory_bytes(c10::Device device);

}  // namespace weft::trainer
