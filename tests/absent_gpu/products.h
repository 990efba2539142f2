#pragma once

// What cuBLAS and cuBLASLt share: their matrices, checked and counted.

#include <cuda_runtime_api.h>
#include <library_types.h>

#include <cstdint>

namespace weft::absent_gpu {

[[nodiscard]] std::int64_t bytes_of(cudaDataType type);
[[nodiscard]] const char* name_of(cudaDataType type);

/// A column-major matrix, `count` of them at a stride.
struct Matrix {
  const void* data;
  cudaDataType type;
  std::int64_t rows, columns, ld;
  std::int64_t stride = 0;
  int count = 1;

  /// Whether it lies in device memory and its leading dimension holds its rows; else a fault.
  [[nodiscard]] bool is_right(const char* what) const;
};

/// Counts the product c [m, n] = a b over k, by its shapes.
void count_product(const char* by, const Matrix& a, const Matrix& b, const Matrix& c,
                   std::int64_t k, cudaStream_t stream);

}  // namespace weft::absent_gpu
