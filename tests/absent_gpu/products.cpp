#include "tests/absent_gpu/products.h"

#include <cstdio>
#include <string>

#include "tests/absent_gpu/streams.h"

namespace weft::absent_gpu {

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

bool Matrix::is_right(const char* what) const {
  if (ld < rows) {
    return Device::get().fault(std::string("a product's ") + what + " has a leading dimension of " +
                               std::to_string(ld) + " for " + std::to_string(rows) + " rows");
  }
  const std::int64_t elements = (columns - 1) * ld + rows + (count - 1) * stride;
  return is_device_memory(data, static_cast<std::size_t>(elements * bytes_of(type)),
                          (std::string("a product's ") + what).c_str());
}

void count_product(const char* by, const Matrix& a, const Matrix& b, const Matrix& c,
                   std::int64_t k, cudaStream_t stream) {
  char name[200];
  std::snprintf(name, sizeof name,
                "product %s %s x %s -> %s, m %ld n %ld k %ld, ld %ld %ld %ld x %d", by,
                name_of(a.type), name_of(b.type), name_of(c.type), static_cast<long>(c.rows),
                static_cast<long>(c.columns), static_cast<long>(k), static_cast<long>(a.ld),
                static_cast<long>(b.ld), static_cast<long>(c.ld), c.count);
  Device::get().work(Work::kProduct, name, recording_of(stream));
}

}  // namespace weft::absent_gpu
