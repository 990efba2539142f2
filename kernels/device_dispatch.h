#pragma once

// How an operator hands its tensors to a launcher of kernels/cuda/. The emulation's version of this
// header (tests/simt/include) sends tensors of the CPU to the emulated kernels.

#include <ATen/core/Tensor.h>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels {

#if defined(WEFT_CUDA_KERNELS)
inline constexpr bool kHasDeviceKernels = true;
#else
inline constexpr bool kHasDeviceKernels = false;
#endif

/// Whether the hand-written CUDA kernels take tensors like this one: fp32, bf16 or e4m3 on a CUDA
/// device.
/// Makes that device the current one.
bool runs_on_device_kernels(const at::Tensor& tensor);

/// The stream of LibTorch that work on the tensor's device is ordered on.
cuda::Stream stream_of(const at::Tensor& tensor);

/// fp32 or bf16, as the launchers name it.
inline cuda::Element element_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? cuda::Element::kBfloat16 : cuda::Element::kFloat32;
}

// The data of a tensor, null where it is undefined, and what a kernel does with it. `name` is for
// the emulation's messages.
template <typename T = void>
const T* device_in(const at::Tensor& tensor, const char* /*name*/) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}
template <typename T = void>
T* device_out(const at::Tensor& tensor, const char* /*name*/) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}
template <typename T = void>
T* device_inout(const at::Tensor& tensor, const char* name) {
  return device_out<T>(tensor, name);
}

}  // namespace weft::kernels
