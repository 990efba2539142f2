#pragma once

// kernels/device_dispatch.h as the emulated operators see it: fp32, bf16 and e4m3 tensors of the
// CPU are the device's. Other dtypes run as ever.

#include <ATen/core/Tensor.h>

#include "kernels/cuda/launch_types.h"
#include "tests/simt/device.h"

namespace weft::kernels {

inline constexpr bool kHasDeviceKernels = true;

/// Every operator asks this first, so the buffers of the one before are forgotten here.
inline bool runs_on_device_kernels(const at::Tensor& tensor) {
  simt::Device::current().clear();
  return simt::Device::current().in_use() &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16 ||
          tensor.scalar_type() == at::kFloat8_e4m3fn);
}

inline cuda::Stream stream_of(const at::Tensor&) { return nullptr; }

inline cuda::Element element_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? cuda::Element::kBfloat16 : cuda::Element::kFloat32;
}

namespace detail {
inline void* device_buffer(const at::Tensor& tensor, const char* name, simt::Role role) {
  if (!tensor.defined()) {
    return nullptr;
  }
  const auto bytes_of = [&](std::int64_t elements) {
    return static_cast<std::size_t>(elements) * tensor.element_size();
  };
  if (tensor.is_contiguous()) {
    simt::Device::current().add(name, tensor.data_ptr(), tensor.nbytes(), role);
  } else {
    simt::Device::current().add_rows(name, tensor.data_ptr(),
                                     {static_cast<std::size_t>(tensor.size(0)),
                                      bytes_of(tensor.size(1)), bytes_of(tensor.stride(0))},
                                     role);
  }
  return tensor.data_ptr();
}
}  // namespace detail

template <typename T = void>
const T* device_in(const at::Tensor& tensor, const char* name) {
  return static_cast<const T*>(detail::device_buffer(tensor, name, simt::Role::kInput));
}
template <typename T = void>
T* device_out(const at::Tensor& tensor, const char* name) {
  return static_cast<T*>(detail::device_buffer(tensor, name, simt::Role::kOutput));
}
template <typename T = void>
T* device_inout(const at::Tensor& tensor, const char* name) {
  return static_cast<T*>(detail::device_buffer(tensor, name, simt::Role::kInOut));
}

}  // namespace weft::kernels
