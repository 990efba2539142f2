// cuBLAS: products are checked against the rules of NVIDIA's documents, counted, and not computed.

#include <cublas_v2.h>

#include <string>

#include "tests/absent_gpu/products.h"
#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::Device;
using weft::absent_gpu::is_device_memory;
using weft::absent_gpu::Matrix;
using weft::absent_gpu::name_of;

namespace {

struct Handle {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
};

// Table 1 of cublasGemmEx for CUBLAS_COMPUTE_32F: both factors alike, and the sum as they are or
// fp32.
bool are_types_right(cudaDataType a, cudaDataType b, cudaDataType c) {
  const bool floats = a == CUDA_R_16F || a == CUDA_R_16BF || a == CUDA_R_32F || a == CUDA_R_64F;
  if (a == b && floats && (c == a || (c == CUDA_R_32F && a != CUDA_R_64F))) {
    return true;
  }
  return Device::get().fault(std::string("cuBLAS has no product of ") + name_of(a) + " and " +
                             name_of(b) + " into " + name_of(c));
}

cublasStatus_t multiply(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m,
                        int n, int k, Matrix a, Matrix b, Matrix c) {
  if (m < 0 || n < 0 || k < 0) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (m == 0 || n == 0) {
    return CUBLAS_STATUS_SUCCESS;
  }
  a.rows = ta == CUBLAS_OP_N ? m : k;
  a.columns = ta == CUBLAS_OP_N ? k : m;
  b.rows = tb == CUBLAS_OP_N ? k : n;
  b.columns = tb == CUBLAS_OP_N ? n : k;
  c.rows = m;
  c.columns = n;
  if (!are_types_right(a.type, b.type, c.type) || (k > 0 && !a.is_right("first factor")) ||
      (k > 0 && !b.is_right("second factor")) || !c.is_right("result")) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  weft::absent_gpu::count_product("cublas", a, b, c, k, reinterpret_cast<Handle*>(handle)->stream);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = reinterpret_cast<cublasHandle_t>(new Handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete reinterpret_cast<Handle*>(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  reinterpret_cast<Handle*>(handle)->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void* data, size_t bytes) {
  return is_device_memory(data, bytes, "cuBLAS's workspace") ? CUBLAS_STATUS_SUCCESS
                                                             : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  reinterpret_cast<Handle*>(handle)->math = mode;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  *mode = reinterpret_cast<Handle*>(handle)->math;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  reinterpret_cast<Handle*>(handle)->pointers = mode;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t* mode) {
  *mode = reinterpret_cast<Handle*>(handle)->pointers;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,
                            int m, int n, int k, const void*, const void* a, cudaDataType a_type,
                            int lda, const void* b, cudaDataType b_type, int ldb, const void*,
                            void* c, cudaDataType c_type, int ldc, cublasComputeType_t,
                            cublasGemmAlgo_t) {
  return multiply(handle, ta, tb, m, n, k, {a, a_type, 0, 0, lda}, {b, b_type, 0, 0, ldb},
                  {c, c_type, 0, 0, ldc});
}
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t ta,
                                          cublasOperation_t tb, int m, int n, int k, const void*,
                                          const void* a, cudaDataType a_type, int lda,
                                          long long a_stride, const void* b, cudaDataType b_type,
                                          int ldb, long long b_stride, const void*, void* c,
                                          cudaDataType c_type, int ldc, long long c_stride,
                                          int count, cublasComputeType_t, cublasGemmAlgo_t) {
  return multiply(handle, ta, tb, m, n, k, {a, a_type, 0, 0, lda, a_stride, count},
                  {b, b_type, 0, 0, ldb, b_stride, count}, {c, c_type, 0, 0, ldc, c_stride, count});
}
cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,
                              int m, int n, int k, const float*, const float* a, int lda,
                              const float* b, int ldb, const float*, float* c, int ldc) {
  return multiply(handle, ta, tb, m, n, k, {a, CUDA_R_32F, 0, 0, lda}, {b, CUDA_R_32F, 0, 0, ldb},
                  {c, CUDA_R_32F, 0, 0, ldc});
}
cublasStatus_t cublasDgemm_v2(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,
                              int m, int n, int k, const double*, const double* a, int lda,
                              const double* b, int ldb, const double*, double* c, int ldc) {
  return multiply(handle, ta, tb, m, n, k, {a, CUDA_R_64F, 0, 0, lda}, {b, CUDA_R_64F, 0, 0, ldb},
                  {c, CUDA_R_64F, 0, 0, ldc});
}
cublasStatus_t cublasDgemmStridedBatched(cublasHandle_t handle, cublasOperation_t ta,
                                         cublasOperation_t tb, int m, int n, int k, const double*,
                                         const double* a, int lda, long long a_stride,
                                         const double* b, int ldb, long long b_stride,
                                         const double*, double* c, int ldc, long long c_stride,
                                         int count) {
  return multiply(handle, ta, tb, m, n, k, {a, CUDA_R_64F, 0, 0, lda, a_stride, count},
                  {b, CUDA_R_64F, 0, 0, ldb, b_stride, count},
                  {c, CUDA_R_64F, 0, 0, ldc, c_stride, count});
}
cublasStatus_t cublasSgemmEx(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb,
                             int m, int n, int k, const float*, const void* a, cudaDataType a_type,
                             int lda, const void* b, cudaDataType b_type, int ldb, const float*,
                             void* c, cudaDataType c_type, int ldc) {
  return multiply(handle, ta, tb, m, n, k, {a, a_type, 0, 0, lda}, {b, b_type, 0, 0, ldb},
                  {c, c_type, 0, 0, ldc});
}
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t ta,
                                         cublasOperation_t tb, int m, int n, int k, const float*,
                                         const float* a, int lda, long long a_stride,
                                         const float* b, int ldb, long long b_stride, const float*,
                                         float* c, int ldc, long long c_stride, int count) {
  return multiply(handle, ta, tb, m, n, k, {a, CUDA_R_32F, 0, 0, lda, a_stride, count},
                  {b, CUDA_R_32F, 0, 0, ldb, b_stride, count},
                  {c, CUDA_R_32F, 0, 0, ldc, c_stride, count});
}
cublasStatus_t cublasSgemv_v2(cublasHandle_t handle, cublasOperation_t t, int m, int n,
                              const float*, const float* a, int lda, const float* x, int,
                              const float*, float* y, int) {
  const int out = t == CUBLAS_OP_N ? m : n;
  const int in = t == CUBLAS_OP_N ? n : m;
  return multiply(handle, t, CUBLAS_OP_N, out, 1, in, {a, CUDA_R_32F, 0, 0, lda},
                  {x, CUDA_R_32F, 0, 0, in}, {y, CUDA_R_32F, 0, 0, out});
}
}
