#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace weft::kernels {

/// A view of `count` heads of rows [T, heads * head_dim], from head number `first` on: [T, count,
/// head_dim].
[[nodiscard]] inline at::Tensor heads_of(const at::Tensor& rows, std::int64_t first,
                                         std::int64_t count, std::int64_t head_dim) {
  return rows.narrow(1, first * head_dim, count * head_dim).unflatten(1, {count, head_dim});
}

}  // namespace weft::kernels
