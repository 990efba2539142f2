#include "kernels/cuda/column_sums.h"

#include "kernels/cuda/primitives.h"

namespace weft::kernels::cuda {
namespace {

constexpr int kThreads = 128;

// A thread per column: neighbours read neighbours, and the order of the sum is that of the rows.
__global__ void __launch_bounds__(kThreads)
    add_columns(const float* partials, std::int64_t rows, std::int64_t stride, std::int64_t width,
                float* out) {
  const std::int64_t column = block_index() * kThreads + thread_index();
  if (column >= width) {
    return;
  }
  float sum = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    sum += load(partials + row * stride + column);
  }
  store(out + column, load(out + column) + sum);
}

}  // namespace

void add_column_sums(const float* partials, std::int64_t rows, std::int64_t stride,
                     std::int64_t width, float* out, Stream stream) {
  if (width > 0) {
    launch("add_columns", add_columns, (width + kThreads - 1) / kThreads, kThreads, 0, stream,
           partials, rows, stride, width, out);
  }
}

}  // namespace weft::kernels::cuda
