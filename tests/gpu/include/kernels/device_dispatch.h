#pragma once

// kernels/device_dispatch.h as the operators' tests on a GPU see it: fp32 and bf16 tensors of the
// CPU are copied to the GPU for the launch and back after it, so that the tests need nothing of
// LibTorch's CUDA half.

#include <ATen/core/Tensor.h>

#include "kernels/cuda/launch_types.h"
#include "tests/gpu/borrowed_memory.h"

namespace weft::kernels {

inline constexpr bool kHasDeviceKernels = true;

inline bool runs_on_device_kernels(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16 ||
         tensor.scalar_type() == at::kFloat8_e4m3fn;
}

/// Lives until the launch that it is passed to has returned: then it waits for the kernels and
/// brings what they wrote back.
class FinishingStream {
 public:
  FinishingStream() = default;
  FinishingStream(const FinishingStream&) = delete;
  FinishingStream& operator=(const FinishingStream&) = delete;
  ~FinishingStream() noexcept(false) { gpu::BorrowedMemory::current().give_back(); }
  operator cuda::Stream() const { return nullptr; }  // NOLINT: stands in for a stream
};

inline FinishingStream stream_of(const at::Tensor&) { return {}; }

inline cuda::Element element_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? cuda::Element::kBfloat16 : cuda::Element::kFloat32;
}

namespace detail {
inline void* borrow(const at::Tensor& tensor, bool reads, bool writes) {
  if (!tensor.defined()) {
    return nullptr;
  }
  // What lies behind the rows of a wider matrix goes there and back with them.
  const bool gaps = !tensor.is_contiguous();
  const std::size_t bytes =
      gaps ? static_cast<std::size_t>((tensor.size(0) - 1) * tensor.stride(0) + tensor.size(1)) *
                 tensor.element_size()
           : tensor.nbytes();
  return gpu::BorrowedMemory::current().borrow(tensor.data_ptr(), bytes, reads || gaps, writes);
}
}  // namespace detail

template <typename T = void>
const T* device_in(const at::Tensor& tensor, const char* /*name*/) {
  return static_cast<const T*>(detail::borrow(tensor, /*reads=*/true, /*writes=*/false));
}
template <typename T = void>
T* device_out(const at::Tensor& tensor, const char* /*name*/) {
  return static_cast<T*>(detail::borrow(tensor, /*reads=*/false, /*writes=*/true));
}
template <typename T = void>
T* device_inout(const at::Tensor& tensor, const char* /*name*/) {
  return static_cast<T*>(detail::borrow(tensor, /*reads=*/true, /*writes=*/true));
}

}  // namespace weft::kernels
