#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/arena.h"

namespace weft::kernels {

// Rows [T, width] with columns behind them in the same memory, so that a product can read both as
// one matrix. All of this makes views.

/// [tokens, width] with `spare` columns behind each row; contiguous where `spare` is 0.
[[nodiscard]] at::Tensor take_padded_rows(Arena& arena, std::int64_t tokens, std::int64_t width,
                                          std::int64_t spare, at::ScalarType dtype);

/// Columns that there are behind the rows.
[[nodiscard]] std::int64_t columns_behind(const at::Tensor& rows);

/// The first `count` of them, [T, count]. An internal Error where there are not so many.
[[nodiscard]] at::Tensor behind(const at::Tensor& rows, std::int64_t count);

/// Whether `columns` are the ones behind `rows`.
[[nodiscard]] bool are_behind(const at::Tensor& rows, const at::Tensor& columns);

/// The rows with the `count` columns behind them, [T, width + count].
[[nodiscard]] at::Tensor with_columns_behind(const at::Tensor& rows, std::int64_t count);

}  // namespace weft::kernels
