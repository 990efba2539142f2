// cudart: memory of the device and pinned memory of the host.

#include <cstdlib>
#include <cstring>

#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::Block;
using weft::absent_gpu::check_unsafe_call;
using weft::absent_gpu::Device;
using weft::absent_gpu::failed;
using weft::absent_gpu::is_device_memory;
using weft::absent_gpu::Recording;
using weft::absent_gpu::recording_of;
using weft::absent_gpu::Work;

namespace {

// WEFT_ABSENT_GPU_COPIES: larger copies are counted and not made, so that a model of many GiB takes
// no memory. All are made by default.
bool is_made(std::size_t bytes) {
  static const char* const text = std::getenv("WEFT_ABSENT_GPU_COPIES");
  static const std::size_t limit = text == nullptr ? SIZE_MAX : std::strtoull(text, nullptr, 10);
  return bytes <= limit;
}

bool is_on_device(const void* data) { return Device::get().find(data, 1).on_device; }

// Checks what the direction says against where the memory is; the real direction's name.
const char* direction(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = is_on_device(to);
  const bool from_device = is_on_device(from);
  const bool says_to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool says_from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind != cudaMemcpyDefault && (says_to != to_device || says_from != from_device)) {
    Device::get().fault("a copy whose direction is not where its memory is");
    return nullptr;
  }
  if ((to_device && !is_device_memory(to, bytes, "the target of a copy")) ||
      (from_device && !is_device_memory(from, bytes, "the source of a copy"))) {
    return nullptr;
  }
  return to_device && from_device ? "copy on the device"
         : to_device              ? "copy to the device"
         : from_device            ? "copy from the device"
                                  : "copy on the host";
}

bool is_pageable(const void* data) { return Device::get().find(data, 1).bytes == 0; }

cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t stream, bool host_waits) {
  if (bytes == 0) {
    return cudaSuccess;
  }
  const char* const name = direction(to, from, bytes, kind);
  if (name == nullptr) {
    return failed(cudaErrorInvalidValue);
  }
  Recording* const recording = recording_of(stream);
  const bool pageable = is_pageable(to) || is_pageable(from);
  if (recording != nullptr && (pageable || host_waits)) {
    return weft::absent_gpu::check_wait(stream, "a copy of memory that is not pinned");
  }
  Device::get().work(Work::kCopy, name, recording);
  // From memory that is not pinned the driver copies before it returns; into it, it waits.
  if (host_waits || (pageable && is_on_device(from))) {
    Device::get().host_waited();
  }
  if (recording == nullptr && is_made(bytes)) {
    std::memmove(to, from, bytes);
  }
  return cudaSuccess;
}

cudaError_t set(void* data, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) {
    return cudaSuccess;
  }
  if (!is_device_memory(data, bytes, "memory to set")) {
    return failed(cudaErrorInvalidValue);
  }
  Recording* const recording = recording_of(stream);
  Device::get().work(Work::kSet, "memory set", recording);
  if (recording == nullptr && is_made(bytes)) {
    std::memset(data, value, bytes);
  }
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (const cudaError_t error = check_unsafe_call("cudaMalloc"); error != cudaSuccess) {
    return error;
  }
  *data = bytes == 0 ? nullptr : Device::get().allocate(bytes, true);
  return *data == nullptr && bytes > 0 ? failed(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFree(void* data) {
  if (const cudaError_t error = check_unsafe_call("cudaFree"); error != cudaSuccess) {
    return error;
  }
  if (data != nullptr && (!is_on_device(data) || !Device::get().release(data))) {
    Device::get().fault("cudaFree of what cudaMalloc did not give");
    return failed(cudaErrorInvalidValue);
  }
  Device::get().host_waited();
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  if (const cudaError_t error = check_unsafe_call("cudaHostAlloc"); error != cudaSuccess) {
    return error;
  }
  *data = Device::get().allocate(bytes, false);
  return *data == nullptr ? failed(cudaErrorMemoryAllocation) : cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  if (data != nullptr && (is_on_device(data) || !Device::get().release(data))) {
    Device::get().fault("cudaFreeHost of what cudaHostAlloc did not give");
    return failed(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = Device::get().free_bytes();
  *total = Device::get().capacity();
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* data) {
  const void* begin = nullptr;
  const Block block = Device::get().find(data, 1, &begin);
  *attributes = {};
  (void)cudaGetDevice(&attributes->device);
  attributes->type = block.bytes == 0  ? cudaMemoryTypeUnregistered
                     : block.on_device ? cudaMemoryTypeDevice
                                       : cudaMemoryTypeHost;
  attributes->devicePointer = block.bytes == 0 ? nullptr : const_cast<void*>(data);
  attributes->hostPointer = block.on_device ? nullptr : const_cast<void*>(data);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return copy(to, from, bytes, kind, nullptr, true);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return copy(to, from, bytes, kind, stream, false);
}
cudaError_t cudaMemcpyToSymbol(const void*, const void*, size_t, size_t, cudaMemcpyKind) {
  return cudaSuccess;
}
cudaError_t cudaMemset(void* data, int value, size_t bytes) {
  return set(data, value, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  return set(data, value, bytes, stream);
}
cudaError_t cudaGetSymbolAddress(void** data, const void* symbol) {
  *data = const_cast<void*>(symbol);
  return cudaSuccess;
}
}
