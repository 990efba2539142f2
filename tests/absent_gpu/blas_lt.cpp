// cuBLASLt, which multiplies 8-bit floats: as blas.cpp.

#include <cublasLt.h>

#include <cstring>

#include "tests/absent_gpu/products.h"
#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::bytes_of;
using weft::absent_gpu::Device;
using weft::absent_gpu::is_device_memory;
using weft::absent_gpu::Matrix;

namespace {

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
  weft::absent_gpu::count_product("cublasLt", first, second, result, k, stream);
  return CUBLAS_STATUS_SUCCESS;
}
}
