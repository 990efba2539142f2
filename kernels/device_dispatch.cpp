#include "kernels/device_dispatch.h"

#if defined(WEFT_CUDA_KERNELS)
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <array>
#include <atomic>

#include "base/log.h"
#include "kernels/architectures.h"
#include "kernels/device_properties.h"
#endif

namespace weft::kernels {

#if defined(WEFT_CUDA_KERNELS)

namespace {

// Whether the kernels were compiled for the GPU; said once where they were not.
bool has_code_for(c10::DeviceIndex device) {
  constexpr int kDevices = 64;
  static std::array<std::atomic<int>, kDevices> known{};  // 0: not asked yet, 1: yes, 2: no
  std::atomic<int>& answer = known[static_cast<std::size_t>(device) % kDevices];
  if (answer == 0) {
    const int capability = compute_capability({at::kCUDA, device});
    const bool covered = architectures_cover(WEFT_CUDA_ARCHITECTURES, capability);
    if (!covered) {
      log_warning(
          "GPU {} has compute capability {}.{}, and weft's kernels were compiled for {}: slower "
          "operators of LibTorch take their place. Build with -DWEFT_CUDA_ARCHITECTURES={}",
          device, capability / 10, capability % 10, WEFT_CUDA_ARCHITECTURES, capability);
    }
    answer = covered ? 1 : 2;
  }
  return answer == 1;
}

}  // namespace

bool runs_on_device_kernels(const at::Tensor& tensor) {
  const bool takes = tensor.is_cuda() &&
                     (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16 ||
                      tensor.scalar_type() == at::kFloat8_e4m3fn) &&
                     has_code_for(tensor.get_device());
  if (takes) {
    c10::cuda::set_device(tensor.get_device());
  }
  return takes;
}

cuda::Stream stream_of(const at::Tensor& tensor) {
  return c10::cuda::getCurrentCUDAStream(tensor.get_device()).stream();
}

#else

bool runs_on_device_kernels(const at::Tensor&) { return false; }

cuda::Stream stream_of(const at::Tensor&) { return nullptr; }

#endif

}  // namespace weft::kernels
