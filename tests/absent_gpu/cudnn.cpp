// libcudnn.so.9 in front of the real one: graphs are lowered and compiled by it, for the device
// that a file describes, because a handle needs one that is there; plans are checked and not
// executed.

#include <cudnn.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::Device;
using weft::absent_gpu::recording_of;
using weft::absent_gpu::Work;

namespace {

// WEFT_ABSENT_GPU_CUDNN: the real library; WEFT_ABSENT_GPU_DESCRIPTION: the device, in cuDNN's
// JSON.
template <typename Function>
Function* real(const char* name) {
  static void* const library = [] {
    const char* const path = std::getenv("WEFT_ABSENT_GPU_CUDNN");
    void* const opened = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (opened == nullptr) {
      std::fprintf(stderr, "absent GPU: WEFT_ABSENT_GPU_CUDNN names no cuDNN: %s\n",
                   path == nullptr ? "not set" : dlerror());
      std::abort();
    }
    return opened;
  }();
  void* const found = dlsym(library, name);
  if (found == nullptr) {
    std::fprintf(stderr, "absent GPU: cuDNN has no %s\n", name);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

#define WEFT_REAL(name) real<decltype(name)>(#name)

struct Handle {
  cudaStream_t stream = nullptr;
};

struct Pack {
  std::vector<void*> pointers;
  std::vector<std::int64_t> ids;
  void* workspace = nullptr;
};

// What the real one was told and can't be asked.
struct Known {
  std::mutex mutex;
  std::map<cudnnBackendDescriptor_t, Pack> packs;
  std::map<cudnnBackendDescriptor_t, std::int64_t> ids;  // of tensors
  std::set<std::int64_t> numbers;  // ids of tensors that are a number in the host's memory
};

Known& known() {
  static auto* const known = new Known;
  return *known;
}

cudnnBackendDescriptor_t described_device() {
  static const cudnnBackendDescriptor_t device = [] {
    const char* const path = std::getenv("WEFT_ABSENT_GPU_DESCRIPTION");
    std::ifstream file(path == nullptr ? "" : path);
    const std::string json{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    cudnnBackendDescriptor_t made = nullptr;
    cudnnStatus_t status =
        WEFT_REAL(cudnnBackendCreateDescriptor)(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &made);
    if (status == CUDNN_STATUS_SUCCESS) {
      status = WEFT_REAL(cudnnBackendSetAttribute)(
          made, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
          static_cast<std::int64_t>(json.size()), json.data());
    }
    if (status == CUDNN_STATUS_SUCCESS) {
      status = WEFT_REAL(cudnnBackendFinalize)(made);
    }
    if (status != CUDNN_STATUS_SUCCESS) {
      std::fprintf(stderr, "absent GPU: WEFT_ABSENT_GPU_DESCRIPTION is no device of cuDNN's\n");
      std::abort();
    }
    return made;
  }();
  return device;
}

// A described device takes the place of a handle.
cudnnStatus_t set_device(cudnnBackendDescriptor_t to, cudnnBackendAttributeName_t attribute) {
  cudnnBackendDescriptor_t device = described_device();
  return WEFT_REAL(cudnnBackendSetAttribute)(to, attribute, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                             &device);
}

bool is_right(const Pack& pack, std::int64_t workspace_bytes) {
  const std::lock_guard lock(known().mutex);
  for (std::size_t i = 0; i < pack.pointers.size(); ++i) {
    if (known().numbers.count(pack.ids.at(i)) == 0 &&
        !weft::absent_gpu::is_device_memory(pack.pointers[i], 1, "a tensor of cuDNN")) {
      return false;
    }
  }
  return workspace_bytes == 0 ||
         weft::absent_gpu::is_device_memory(
             pack.workspace, static_cast<std::size_t>(workspace_bytes), "cuDNN's workspace");
}

void remember(cudnnBackendDescriptor_t of, cudnnBackendAttributeName_t name, std::int64_t count,
              const void* values) {
  const std::lock_guard lock(known().mutex);
  switch (name) {
    case CUDNN_ATTR_TENSOR_UNIQUE_ID:
      known().ids[of] = *static_cast<const std::int64_t*>(values);
      break;
    case CUDNN_ATTR_TENSOR_IS_BY_VALUE:
      if (*static_cast<const bool*>(values)) {
        known().numbers.insert(known().ids[of]);
      }
      break;
    case CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS:
      known().packs[of].pointers.assign(static_cast<void* const*>(values),
                                        static_cast<void* const*>(values) + count);
      break;
    case CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS:
      known().packs[of].ids.assign(static_cast<const std::int64_t*>(values),
                                   static_cast<const std::int64_t*>(values) + count);
      break;
    case CUDNN_ATTR_VARIANT_PACK_WORKSPACE:
      known().packs[of].workspace = *static_cast<void* const*>(values);
      break;
    default:
      break;
  }
}

std::int64_t workspace_of(cudnnBackendDescriptor_t plan) {
  std::int64_t bytes = 0;
  std::int64_t count = 0;
  (void)WEFT_REAL(cudnnBackendGetAttribute)(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                            CUDNN_TYPE_INT64, 1, &count, &bytes);
  return bytes;
}

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return WEFT_REAL(cudnnGetVersion)(); }
size_t cudnnGetCudartVersion() { return WEFT_REAL(cudnnGetCudartVersion)(); }
const char* cudnnGetErrorString(cudnnStatus_t status) {
  return WEFT_REAL(cudnnGetErrorString)(status);
}
void cudnnGetLastErrorString(char* text, size_t size) {
  WEFT_REAL(cudnnGetLastErrorString)(text, size);
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = reinterpret_cast<cudnnHandle_t>(new Handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete reinterpret_cast<Handle*>(handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  reinterpret_cast<Handle*>(handle)->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  *stream = reinterpret_cast<Handle*>(handle)->stream;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
  const cudnnStatus_t status = WEFT_REAL(cudnnBackendCreateDescriptor)(type, descriptor);
  if (status != CUDNN_STATUS_SUCCESS) {
    return status;
  }
  // Each takes the device itself, as no handle brings it.
  switch (type) {
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
      return set_device(*descriptor, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
      return set_device(*descriptor, CUDNN_ATTR_ENGINE_DEVICEPROP);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      return set_device(*descriptor, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
    default:
      return status;
  }
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  {
    const std::lock_guard lock(known().mutex);
    known().packs.erase(descriptor);
    known().ids.erase(descriptor);
  }
  return WEFT_REAL(cudnnBackendDestroyDescriptor)(descriptor);
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  return WEFT_REAL(cudnnBackendFinalize)(descriptor);
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t requested,
                                       std::int64_t* count, void* values) {
  return WEFT_REAL(cudnnBackendGetAttribute)(descriptor, name, type, requested, count, values);
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t count,
                                       const void* values) {
  if (type == CUDNN_TYPE_HANDLE) {
    return CUDNN_STATUS_SUCCESS;
  }
  remember(descriptor, name, count, values);
  return WEFT_REAL(cudnnBackendSetAttribute)(descriptor, name, type, count, values);
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack) {
  Pack given;
  {
    const std::lock_guard lock(known().mutex);
    given = known().packs[pack];
  }
  if (!is_right(given, workspace_of(plan))) {
    return CUDNN_STATUS_EXECUTION_FAILED;
  }
  Device::get().work(Work::kAttention, "cuDNN plan",
                     recording_of(reinterpret_cast<Handle*>(handle)->stream));
  return CUDNN_STATUS_SUCCESS;
}
}
