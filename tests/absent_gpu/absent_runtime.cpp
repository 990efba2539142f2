// cudart: what LibTorch is linked with and neither weft nor a plain training step calls. Declared
// without their arguments, which are not looked at, and so without CUDA's headers.

namespace weft::absent_gpu {
int not_there(const char* name);
}

#define WEFT_ABSENT(name) \
  int name() { return weft::absent_gpu::not_there(#name); }

extern "C" {
WEFT_ABSENT(cudaDeviceEnablePeerAccess)
WEFT_ABSENT(cudaDeviceGetDefaultMemPool)
WEFT_ABSENT(cudaFreeAsync)
WEFT_ABSENT(cudaGraphDebugDotPrint)
WEFT_ABSENT(cudaGraphNodeGetDependencies)
WEFT_ABSENT(cudaHostRegister)
WEFT_ABSENT(cudaHostUnregister)
WEFT_ABSENT(cudaIpcCloseMemHandle)
WEFT_ABSENT(cudaIpcGetEventHandle)
WEFT_ABSENT(cudaIpcGetMemHandle)
WEFT_ABSENT(cudaIpcOpenEventHandle)
WEFT_ABSENT(cudaIpcOpenMemHandle)
WEFT_ABSENT(cudaMallocAsync)
WEFT_ABSENT(cudaMemPoolGetAttribute)
WEFT_ABSENT(cudaMemPoolSetAccess)
WEFT_ABSENT(cudaMemPoolSetAttribute)
WEFT_ABSENT(cudaMemPoolTrimTo)
WEFT_ABSENT(cudaMemcpy2DAsync)
WEFT_ABSENT(cudaMemcpyPeerAsync)
WEFT_ABSENT(cudaStreamGetPriority)

char __cudaInitModule(void**) { return 0; }
int cudaProfilerStart() { return 0; }
int cudaProfilerStop() { return 0; }
}
