#include "kernels/device_properties.h"

#if defined(WEFT_CUDA_KERNELS)
#include <ATen/Context.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <cuda_runtime_api.h>
#endif

namespace weft::kernels {

#if defined(WEFT_CUDA_KERNELS)

namespace {

// Of all pools together.
constexpr std::size_t kAll = 0;

// LibTorch's allocator knows no device before its first tensor there, or this.
c10::CachingDeviceAllocator::DeviceStats statistics_of(c10::Device device) {
  at::globalContext().lazyInitDevice(c10::DeviceType::CUDA);
  return c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
}

}  // namespace

std::int64_t free_device_bytes(c10::Device device) {
  if (!device.is_cuda() || c10::cuda::device_count() <= device.index()) {
    return 0;
  }
  c10::cuda::set_device(device.index());
  std::size_t free = 0;
  std::size_t total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    return 0;
  }
  const auto statistics = statistics_of(device);
  return static_cast<std::int64_t>(free) + statistics.reserved_bytes[kAll].current -
         statistics.allocated_bytes[kAll].current;
}

int compute_capability(c10::Device device) {
  int major = 0;
  int minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index());
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device.index());
  return 10 * major + minor;
}

std::string device_name(c10::Device device) {
  cudaDeviceProp properties;
  return device.is_cuda() && cudaGetDeviceProperties(&properties, device.index()) == cudaSuccess
             ? properties.name
             : "";
}

std::int64_t peak_device_bytes(c10::Device device) {
  return device.is_cuda() ? statistics_of(device).allocated_bytes[kAll].peak : 0;
}

void forget_peak(c10::Device device) {
  if (device.is_cuda()) {
    c10::cuda::CUDACachingAllocator::resetPeakStats(device.index());
  }
}

int driver_version() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

void give_back_unused(c10::Device device) {
  if (device.is_cuda()) {
    c10::cuda::CUDACachingAllocator::emptyCache();
  }
}

void wait_for_device(c10::Device device) {
  if (device.is_cuda() &&
      c10::cuda::currentStreamCaptureStatusMayInitCtx() == c10::cuda::CaptureStatus::None) {
    c10::cuda::set_device(device.index());
    c10::cuda::device_synchronize();
  }
}

#else

std::int64_t free_device_bytes(c10::Device) { return 0; }

int compute_capability(c10::Device) { return 0; }
std::string device_name(c10::Device) { return ""; }

std::int64_t peak_device_bytes(c10::Device) { return 0; }

void forget_peak(c10::Device) {}
int driver_version() { return 0; }

void give_back_unused(c10::Device) {}

void wait_for_device(c10::Device) {}

#endif

}  // namespace weft::kernels
