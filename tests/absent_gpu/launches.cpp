// cudart: kernels are registered, counted by name, and not run.

#include <cstdio>
#include <map>

#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::Device;
using weft::absent_gpu::failed;
using weft::absent_gpu::recording_of;
using weft::absent_gpu::Work;

namespace {

struct Kernel {
  std::string name;
  int shared_limit = 48 << 10;  // cudaFuncSetAttribute raises it
};

struct Kernels {
  std::mutex mutex;
  std::map<const void*, Kernel> by_function;
};

Kernels& kernels() {
  static auto* const kernels = new Kernels;
  return *kernels;
}

struct Configuration {
  dim3 grid, block;
  size_t shared = 0;
  cudaStream_t stream = nullptr;
};
thread_local std::vector<Configuration> pushed;

bool is_within(const dim3& size, unsigned x, unsigned y, unsigned z) {
  return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= x && size.y <= y && size.z <= z;
}

cudaError_t launch(const void* function, const Configuration& c) {
  Kernel kernel;
  {
    const std::lock_guard lock(kernels().mutex);
    const auto found = kernels().by_function.find(function);
    if (found == kernels().by_function.end()) {
      Device::get().fault("a launch of a kernel that was not registered");
      return failed(cudaErrorInvalidDeviceFunction);
    }
    kernel = found->second;
  }
  const bool block =
      is_within(c.block, 1024, 1024, 64) && c.block.x * c.block.y * c.block.z <= 1024;
  if (!block || !is_within(c.grid, 2147483647, 65535, 65535) ||
      c.shared > static_cast<size_t>(kernel.shared_limit)) {
    char text[200];
    std::snprintf(text, sizeof text,
                  " can't have %u x %u x %u blocks of %u x %u x %u threads with %zu bytes",
                  c.grid.x, c.grid.y, c.grid.z, c.block.x, c.block.y, c.block.z, c.shared);
    Device::get().fault(kernel.name + text);
    return failed(cudaErrorInvalidConfiguration);
  }
  Device::get().work(Work::kLaunch, kernel.name, recording_of(c.stream));
  return cudaSuccess;
}

}  // namespace

extern "C" {

void** __cudaRegisterFatBinary(void* binary) { return new void*(binary); }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void** handle) { delete handle; }
void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, void*,
                            void*, void*, void*, int*) {
  const std::lock_guard lock(kernels().mutex);
  kernels().by_function[function].name = name;
}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  pushed.push_back({grid, block, shared, stream});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (pushed.empty()) {
    return failed(cudaErrorMissingConfiguration);
  }
  const Configuration c = pushed.back();
  pushed.pop_back();
  *grid = c.grid;
  *block = c.block;
  *shared = c.shared;
  *static_cast<cudaStream_t*>(stream) = c.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void**, size_t shared,
                             cudaStream_t stream) {
  return launch(function, {grid, block, shared, stream});
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, arguments, shared,
                          stream);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* c, const void* function, void**) {
  return launch(function, {c->gridDim, c->blockDim, c->dynamicSmemBytes, c->stream});
}
cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block,
                                        void** arguments, size_t shared, cudaStream_t stream) {
  return cudaLaunchKernel(function, grid, block, arguments, shared, stream);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->ptxVersion = 90;
  attributes->binaryVersion = 90;
  attributes->maxDynamicSharedSizeBytes = 48 << 10;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    if (value > 232448) {
      Device::get().fault("more shared memory than a block can have");
      return failed(cudaErrorInvalidValue);
    }
    const std::lock_guard lock(kernels().mutex);
    kernels().by_function[function].shared_limit = value;
  }
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*,
                                                                   int threads, size_t, unsigned) {
  *blocks = threads > 0 ? 2048 / threads : 1;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int threads, size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared,
                                                                0);
}
}
