#include "trainer/device.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "kernels/device_properties.h"

namespace weft::trainer {
namespace {

// "" when a GPU is usable, else why not.
std::string why_no_cuda() {
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return "there is no NVIDIA driver (libcuda.so.1 was not found)";
  }
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    const char* reason = dlerror();
    return fmt::format("LibTorch's CUDA half can't be loaded: {}",
                       reason == nullptr ? "unknown reason" : reason);
  }
  return at::hasCUDA() ? "" : "LibTorch finds no usable GPU";
}

// A number of kilobytes of a file in /proc, in bytes; 0 when it is not there.
std::uint64_t proc_bytes(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    if (word == name) {
      std::uint64_t kilobytes = 0;
      file >> kilobytes;
      return kilobytes * 1024;
    }
  }
  return 0;
}

}  // namespace

c10::Device resolve_device(const std::string& name, int local_rank) {
  if (name == "cpu") {
    return at::kCPU;
  }
  const std::string reason = why_no_cuda();
  if (reason.empty()) {
    return {at::kCUDA, static_cast<c10::DeviceIndex>(local_rank % std::max(device_count(), 1))};
  }
  if (name == "cuda") {
    fail_config("device: cuda can't be used: {}; set device: cpu, or install the driver", reason);
  }
  return at::kCPU;
}

at::ScalarType resolve_dtype(const std::string& name, c10::Device device) {
  if (name == "fp32") {
    return at::kFloat;
  }
  if (name == "bf16") {
    return at::kBFloat16;
  }
  return device.is_cuda() ? at::kBFloat16 : at::kFloat;
}

std::string why_no_fp8(int capability, at::ScalarType dtype, const model::Qwen3Config& config) {
  constexpr std::int64_t kMultiple = 16;
  if (capability < 89) {
    return fmt::format(
        "base_dtype: fp8 needs a GPU of compute capability 8.9 or newer, and this one has {}.{}; "
        "set base_dtype: auto",
        capability / 10, capability % 10);
  }
  if (dtype != at::kBFloat16) {
    return "base_dtype: fp8 needs dtype: bf16 on a GPU";
  }
  for (const auto& [name, size] :
       {std::pair{"hidden_size", config.hidden_size},
        {"intermediate_size", config.intermediate_size},
        {"num_attention_heads * head_dim", config.num_attention_heads * config.head_dim},
        {"num_key_value_heads * head_dim", config.num_key_value_heads * config.head_dim}}) {
    if (size % kMultiple != 0) {
      return fmt::format(
          "base_dtype: fp8 needs sizes that are multiples of {} on a GPU, and the model's {} is "
          "{}; "
          "set base_dtype: auto",
          kMultiple, name, size);
    }
  }
  return "";
}

void check_fp8_base(c10::Device device, at::ScalarType dtype, const model::Qwen3Config& config) {
  const std::string problem =
      device.is_cuda() ? why_no_fp8(kernels::compute_capability(device), dtype, config) : "";
  if (!problem.empty()) {
    fail_config("{}", problem);
  }
}

int device_count() { return static_cast<int>(at::getNumGPUs()); }

std::int64_t leave_for_libraries(std::int64_t free, std::int64_t kept) {
  return std::max(free - kept, free / 2);
}

std::uint64_t available_memory_bytes(c10::Device device) {
  if (device.is_cpu()) {
    return proc_bytes("/proc/meminfo", "MemAvailable:");
  }
  constexpr std::int64_t kLibraries = std::int64_t{512} << 20;
  return static_cast<std::uint64_t>(
      leave_for_libraries(kernels::free_device_bytes(device), kLibraries));
}

std::uint64_t peak_memory_bytes(c10::Device device) {
  return device.is_cpu() ? proc_bytes("/proc/self/status", "VmHWM:")
                         : static_cast<std::uint64_t>(kernels::peak_device_bytes(device));
}

}  // namespace weft::trainer
