// cuBLAS and cuBLASLt: products are checked against the rules of NVIDIA's documents, counted, and
// not computed.

#include <cublasLt.h>
#include <cublas_v2.h>

#include <cstdio>
#include <cstring>

#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::Device;
using weft::absent_gpu::is_device_memory;
using weft::absent_gpu::recording_of;
using weft::absent_gpu::Work;

namespace {

struct Handle {
  cudaStream_t stream = nullptr;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
};

std::int64_t bytes_of(cudaDataType type) {
  switch (type) {
    case CUDA_R_64F:
      return 8;
    case CUDA_R_32F:
    case CUDA_R_32I:
      return 4;
    case CUDA_R_16F:
    case CUDA_R_16BF:
      return 2;
    default:
      return 1;
  }
}

const char* name_of(cudaDataType type) {
  switch (type) {
    case CUDA_R_64F:
      return "f64";
    case CUDA_R_32F:
      return "f32";
    case CUDA_R_16F:
      return "f16";
    case CUDA_R_16BF:
      return "bf16";
    case CUDA_R_8F_E4M3:
      return "e4m3";
    case CUDA_R_8F_E5M2:
      return "e5m2";
    default:
      return "other";
  }
}

// A column-major matrix, `count` of them at a stride.
struct Matrix {
  const void* data;
  cudaDataType type;
  std::int64_t rows, columns, ld;
  std::int64_t stride = 0;
  int count = 1;

  bool is_right(const char* what) const {
    if (ld < rows) {
      return Device::get().fault(std::string("a product's ") + what +
                                 " has a leading dimension of " + std::to_string(ld) + " for " +
                                 std::to_string(rows) + " rows");
    }
    const std::int64_t elements = (columns - 1) * ld + rows + (count - 1) * stride;
    return is_device_memory(data, static_cast<std::size_t>(elements * bytes_of(type)),
                            (std::string("a product's ") + what).c_str());
  }
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

void count(const char* by, const Matrix& a, const Matrix& b, const Matrix& c, std::int64_t k,
           cudaStream_t stream) {
  char name[200];
  std::snprintf(name, sizeof name,
                "product %s %s x %s -> %s, m %ld n %ld k %ld, ld %ld %ld %ld x %d", by,
                name_of(a.type), name_of(b.type), name_of(c.type), static_cast<long>(c.rows),
                static_cast<long>(c.columns), static_cast<long>(k), static_cast<long>(a.ld),
                static_cast<long>(b.ld), static_cast<long>(c.ld), c.count);
  Device::get().work(Work::kProduct, name, recording_of(stream));
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
  count("cublas", a, b, c, k, reinterpret_cast<Handle*>(handle)->stream);
  return CUBLAS_STATUS_SUCCESS;
}

struct Layout {
  cudaDataType type;
  std::int64_t rows, columns, ld, stride = 0;
  std::int32_t count = 1;
};

struct Operation {
  cublasOperation_t ta = CUBLAS_OP_N, tb = CUBLAS_OP_N;
  const void* scale_a = nullptr;
  const void* scale_b = nullptr;
  std::int32_t mode_a = CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
  std::int32_t mode_b = CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
};

bool is_8_bit(cudaDataType type) { return type == CUDA_R_8F_E4M3 || type == CUDA_R_8F_E5M2; }

// "To use FP8 kernels": factors transposed and not, 16-byte alignment, scales where they are asked.
bool is_fp8_right(const Operation& o, const Layout& a, const Layout& b, const Layout& d) {
  if (o.ta != CUBLAS_OP_T || o.tb != CUBLAS_OP_N) {
    return Device::get().fault("a product of 8-bit floats whose factors are not [k, m] and [k, n]");
  }
  if (a.ld % 16 != 0 || b.ld % 16 != 0 || a.rows % 16 != 0 || (d.ld * bytes_of(d.type)) % 16 != 0) {
    return Device::get().fault("a product of 8-bit floats whose sizes are not multiples of 16");
  }
  const auto scales = [](const void* data, std::int32_t mode, std::int64_t rows, const char* what) {
    const std::int64_t numbers = mode == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F ? rows : 1;
    return data == nullptr || is_device_memory(data, static_cast<std::size_t>(numbers) * 4, what);
  };
  return scales(o.scale_a, o.mode_a, d.rows, "the first factor's scales") &&
         scales(o.scale_b, o.mode_b, d.columns, "the second factor's scales");
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

size_t cublasLtGetVersion() { return 130000; }
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t columns,
                                          std::int64_t ld) {
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(
      new Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), ld});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete reinterpret_cast<const Layout*>(layout);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  auto& l = *reinterpret_cast<Layout*>(layout);
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) {
    std::memcpy(&l.count, value, bytes);
  } else if (attribute == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) {
    std::memcpy(&l.stride, value, bytes);
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t,
                                        cudaDataType) {
  *operation = reinterpret_cast<cublasLtMatmulDesc_t>(new Operation);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  delete reinterpret_cast<const Operation*>(operation);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  auto& o = *reinterpret_cast<Operation*>(operation);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      std::memcpy(&o.ta, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
      std::memcpy(&o.tb, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_A_SCALE_POINTER:
      std::memcpy(&o.scale_a, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_B_SCALE_POINTER:
      std::memcpy(&o.scale_b, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_A_SCALE_MODE:
      std::memcpy(&o.mode_a, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_B_SCALE_MODE:
      std::memcpy(&o.mode_b, value, bytes);
      break;
    default:
      break;
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new char);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete reinterpret_cast<char*>(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t* results,
                                              int* found) {
  const auto& first = *reinterpret_cast<const Layout*>(a);
  const bool right =
      !is_8_bit(first.type) ||
      is_fp8_right(*reinterpret_cast<const Operation*>(operation), first,
                   *reinterpret_cast<const Layout*>(b), *reinterpret_cast<const Layout*>(d));
  *found = right ? 1 : 0;
  results[0] = {};
  results[0].state = right ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
  return results[0].state;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void*,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void*, const void*,
                              cublasLtMatrixLayout_t, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t*, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  const auto matrix = [](const void* data, cublasLtMatrixLayout_t layout) {
    const auto& l = *reinterpret_cast<const Layout*>(layout);
    return Matrix{data, l.type, l.rows, l.columns, l.ld, l.stride, l.count};
  };
  const Matrix first = matrix(a, a_layout);
  const Matrix second = matrix(b, b_layout);
  const Matrix result = matrix(d, d_layout);
  if (!first.is_right("first factor") || !second.is_right("second factor") ||
      !result.is_right("result") ||
      (workspace_bytes > 0 &&
       !is_device_memory(workspace, workspace_bytes, "cuBLASLt's workspace"))) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const auto& o = *reinterpret_cast<const Operation*>(operation);
  const std::int64_t k = o.ta == CUBLAS_OP_N ? first.columns : first.rows;
  count("cublasLt", first, second, result, k, stream);
  return CUBLAS_STATUS_SUCCESS;
}
}
