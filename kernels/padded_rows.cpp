#include "kernels/padded_rows.h"

#include <ATen/ops/as_strided.h>

#include "kernels/tensor_checks.h"

namespace weft::kernels {
namespace {

at::Tensor view_from(const at::Tensor& rows, std::int64_t first, std::int64_t count) {
  if (first + count > rows.stride(0)) {
    fail_internal("there are {} columns behind rows {}, expected {}", columns_behind(rows),
                  describe(rows), first + count - rows.size(1));
  }
  return at::as_strided(rows, {rows.size(0), count}, {rows.stride(0), 1},
                        rows.storage_offset() + first);
}

}  // namespace

at::Tensor take_padded_rows(Arena& arena, std::int64_t tokens, std::int64_t width,
                            std::int64_t spare, at::ScalarType dtype) {
  return arena.take({tokens, width + spare}, dtype).narrow(1, 0, width);
}

std::int64_t columns_behind(const at::Tensor& rows) { return rows.stride(0) - rows.size(1); }

at::Tensor behind(const at::Tensor& rows, std::int64_t count) {
  return view_from(rows, rows.size(1), count);
}

bool are_behind(const at::Tensor& rows, const at::Tensor& columns) {
  return rows.is_alias_of(columns) && columns.size(0) == rows.size(0) &&
         columns.stride(0) == rows.stride(0) &&
         columns.storage_offset() == rows.storage_offset() + rows.size(1);
}

at::Tensor with_columns_behind(const at::Tensor& rows, std::int64_t count) {
  return view_from(rows, 0, rows.size(1) + count);
}

}  // namespace weft::kernels
