// libcuda.so.1 for a machine without a GPU: loads modules and kernels of no use, so that cuDNN can
// build its plans, and answers "no device" to all else.

extern "C" {

using Result = int;
constexpr Result kSuccess = 0;
constexpr Result kNoDevice = 100;

// Everything that cuDNN looks up and does not need for a plan.
#define WEFT_ABSENT(name) \
  Result name() { return kNoDevice; }
WEFT_ABSENT(cuCtxGetLimit)
WEFT_ABSENT(cuCtxPopCurrent)
WEFT_ABSENT(cuCtxPushCurrent)
WEFT_ABSENT(cuDeviceGet)
WEFT_ABSENT(cuKernelGetAttribute)
WEFT_ABSENT(cuKernelSetAttribute)
WEFT_ABSENT(cuLaunchCooperativeKernel)
WEFT_ABSENT(cuLaunchKernel)
WEFT_ABSENT(cuLaunchKernelEx)
WEFT_ABSENT(cuLibraryLoadFromFile)
WEFT_ABSENT(cuLinkAddData)
WEFT_ABSENT(cuLinkComplete)
WEFT_ABSENT(cuLinkCreate)
WEFT_ABSENT(cuLinkDestroy)
WEFT_ABSENT(cuOccupancyMaxPotentialClusterSize)
WEFT_ABSENT(cuStreamGetCtx)
#undef WEFT_ABSENT

Result cuInit(unsigned) { return kNoDevice; }
Result cuDriverGetVersion(int* version) {
  *version = 13000;
  return kSuccess;
}
Result cuDeviceGetCount(int* count) {
  *count = 0;
  return kNoDevice;
}
// LibTorch asks whether a device is in use already, and by which context.
Result cuCtxGetCurrent(void** context) {
  static int current = 0;
  *context = &current;
  return kSuccess;
}
Result cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return kSuccess;
}
Result cuGetErrorString(Result, const char** text) {
  *text = "no device";
  return kSuccess;
}
Result cuGetErrorName(Result, const char** text) {
  *text = "CUDA_ERROR_NO_DEVICE";
  return kSuccess;
}
Result cuLibraryLoadData(void** library, const void*, void*, void*, unsigned, void*, void*,
                         unsigned) {
  static int loaded = 0;
  *library = &loaded;
  return kSuccess;
}
Result cuLibraryUnload(void*) { return kSuccess; }
Result cuLibraryGetKernel(void** kernel, void*, const char*) {
  static int found = 0;
  *kernel = &found;
  return kSuccess;
}
}
