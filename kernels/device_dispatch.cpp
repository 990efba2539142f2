#include "kernels/device_dispatch.h"

#if defined(WEFT_CUDA_KERNELS)
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace weft::kernels {

#if defined(WEFT_CUDA_KERNELS)

bool runs_on_device_kernels(const at::Tensor& tensor) {
  const bool takes = tensor.is_cuda() &&
                     (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
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
