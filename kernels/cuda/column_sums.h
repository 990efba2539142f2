#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

/// How many blocks share the rows of a sum over rows, each with a partial sum of its own: the same
/// on every device, so that the result is.
inline std::int64_t partial_sums_of(std::int64_t rows) { return std::min<std::int64_t>(rows, 256); }

/// out[i] += the sum over r of partials[r * stride + i], in the order of the rows; `width` columns.
void add_column_sums(const float* partials, std::int64_t rows, std::int64_t stride,
                     std::int64_t width, float* out, Stream stream);

}  // namespace weft::kernels::cuda
