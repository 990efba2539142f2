// cudart: what the device is. Numbers of NVIDIA's documents for an H200 SXM.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::Device;
using weft::absent_gpu::failed;

namespace {

constexpr int kMaxThreads = 1024;

thread_local int current = 0;

// WEFT_ABSENT_GPU_COUNT. A process is expected to use one of them.
int devices() {
  const char* const text = std::getenv("WEFT_ABSENT_GPU_COUNT");
  return text == nullptr ? 1 : std::atoi(text);
}

void describe(cudaDeviceProp& p) {
  p = {};
  std::snprintf(p.name, sizeof p.name, "absent GPU (as an H200)");
  p.major = 9;
  p.minor = 0;
  p.totalGlobalMem = Device::get().capacity();
  p.sharedMemPerBlock = 48 << 10;
  p.sharedMemPerBlockOptin = 232448;
  p.sharedMemPerMultiprocessor = 233472;
  p.reservedSharedMemPerBlock = 1024;
  p.regsPerBlock = 65536;
  p.regsPerMultiprocessor = 65536;
  p.warpSize = 32;
  p.maxThreadsPerBlock = kMaxThreads;
  p.maxThreadsPerMultiProcessor = 2048;
  p.maxBlocksPerMultiProcessor = 32;
  const int block[3] = {kMaxThreads, kMaxThreads, 64};
  const int grid[3] = {2147483647, 65535, 65535};
  std::memcpy(p.maxThreadsDim, block, sizeof block);
  std::memcpy(p.maxGridSize, grid, sizeof grid);
  p.multiProcessorCount = 132;
  p.l2CacheSize = 50 << 20;
  p.memoryBusWidth = 6144;
  p.unifiedAddressing = 1;
  p.concurrentKernels = 1;
  p.cooperativeLaunch = 1;
  p.asyncEngineCount = 3;
  p.totalConstMem = 65536;
  p.memPitch = 2147483647;
  p.textureAlignment = 512;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  (void)Device::get();  // which writes a report at the end, also of a program that only asks
  *count = devices();
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= devices()) {
    return failed(cudaErrorInvalidDevice);
  }
  current = device;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  describe(*properties);
  return device >= 0 && device < devices() ? cudaSuccess : failed(cudaErrorInvalidDevice);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  static const std::map<int, int> known = [] {
    cudaDeviceProp p;
    describe(p);
    return std::map<int, int>{
        {cudaDevAttrMaxThreadsPerBlock, p.maxThreadsPerBlock},
        {cudaDevAttrMaxBlockDimX, p.maxThreadsDim[0]},
        {cudaDevAttrMaxBlockDimY, p.maxThreadsDim[1]},
        {cudaDevAttrMaxBlockDimZ, p.maxThreadsDim[2]},
        {cudaDevAttrMaxGridDimX, p.maxGridSize[0]},
        {cudaDevAttrMaxGridDimY, p.maxGridSize[1]},
        {cudaDevAttrMaxGridDimZ, p.maxGridSize[2]},
        {cudaDevAttrMaxSharedMemoryPerBlock, static_cast<int>(p.sharedMemPerBlock)},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, static_cast<int>(p.sharedMemPerBlockOptin)},
        {cudaDevAttrMaxSharedMemoryPerMultiprocessor,
         static_cast<int>(p.sharedMemPerMultiprocessor)},
        {cudaDevAttrReservedSharedMemoryPerBlock, static_cast<int>(p.reservedSharedMemPerBlock)},
        {cudaDevAttrMaxRegistersPerBlock, p.regsPerBlock},
        {cudaDevAttrWarpSize, p.warpSize},
        {cudaDevAttrMultiProcessorCount, p.multiProcessorCount},
        {cudaDevAttrMaxThreadsPerMultiProcessor, p.maxThreadsPerMultiProcessor},
        {cudaDevAttrMaxBlocksPerMultiprocessor, p.maxBlocksPerMultiProcessor},
        {cudaDevAttrL2CacheSize, p.l2CacheSize},
        {cudaDevAttrComputeCapabilityMajor, p.major},
        {cudaDevAttrComputeCapabilityMinor, p.minor},
        {cudaDevAttrCooperativeLaunch, p.cooperativeLaunch},
        {cudaDevAttrUnifiedAddressing, p.unifiedAddressing},
        {cudaDevAttrGlobalMemoryBusWidth, p.memoryBusWidth},
        {cudaDevAttrMemoryClockRate, 3201000},
        {cudaDevAttrClockRate, 1980000},
    };
  }();
  const auto found = known.find(attribute);
  *value = found == known.end() ? 0 : found->second;
  return device >= 0 && device < devices() ? cudaSuccess : failed(cudaErrorInvalidDevice);
}
cudaError_t cudaDeviceGetPCIBusId(char* id, int size, int device) {
  std::snprintf(id, static_cast<std::size_t>(size), "0000:%02x:00.0", device);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
// LibTorch asks for the driver's functions by name for memory that it maps itself, which this
// device does not have: it finds them absent.
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* status) {
  *function = nullptr;
  if (status != nullptr) {
    *status = cudaDriverEntryPointSymbolNotFound;
  }
  return cudaErrorSymbolNotFound;
}
}
