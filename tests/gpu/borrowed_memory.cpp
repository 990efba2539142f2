#include "tests/gpu/borrowed_memory.h"

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace weft::gpu {
namespace {

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
  }
}

}  // namespace

BorrowedMemory& BorrowedMemory::current() {
  static BorrowedMemory memory;
  return memory;
}

void* BorrowedMemory::borrow(void* data, std::size_t bytes, bool reads, bool writes) {
  for (Buffer& buffer : buffers_) {
    if (buffer.host == data && buffer.bytes == bytes) {
      buffer.writes = buffer.writes || writes;
      return buffer.device;
    }
  }
  Buffer buffer{data, nullptr, bytes, writes};
  check(cudaMalloc(&buffer.device, bytes == 0 ? 1 : bytes), "cudaMalloc");
  buffers_.push_back(buffer);
  if (reads) {
    check(cudaMemcpy(buffer.device, data, bytes, cudaMemcpyHostToDevice), "copy to the GPU");
  } else {
    check(cudaMemset(buffer.device, 0xff, bytes), "cudaMemset");  // NaN in fp32, fp64 and bf16
  }
  return buffer.device;
}

void BorrowedMemory::give_back() {
  const cudaError_t ran = cudaDeviceSynchronize();
  std::vector<Buffer> buffers;
  buffers.swap(buffers_);
  for (const Buffer& buffer : buffers) {
    if (ran == cudaSuccess && buffer.writes) {
      check(cudaMemcpy(buffer.host, buffer.device, buffer.bytes, cudaMemcpyDeviceToHost),
            "copy from the GPU");
    }
    (void)cudaFree(buffer.device);
  }
  check(ran, "the kernel failed");
}

const char* why_no_gpu() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    return cudaGetErrorString(error);
  }
  return count == 0 ? "there is no GPU" : "";
}

}  // namespace weft::gpu
