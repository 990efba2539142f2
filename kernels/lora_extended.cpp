#include "kernels/lora_extended.h"

#include "kernels/gemm.h"
#include "kernels/padded_rows.h"
#include "kernels/tensor_checks.h"

namespace weft::kernels::detail {
namespace {

// Views of the buffer. A's rows and B's columns come with the zeros that fill up the last pack: so
// what they are multiplied into is written whole, and the products may add it all up.
struct Views {
  at::Tensor with_b;  // [out, in + spare]
  at::Tensor with_a;  // [out + spare, in]
  at::Tensor a;       // [spare, in]
  at::Tensor b;       // [out, spare], scaled
};

Views views_of(const BaseWeight& weight, const LoraGroup& lora) {
  const at::Tensor& matrix = weight.matrix;
  const std::int64_t out = matrix.size(0);
  const std::int64_t in = matrix.size(1);
  const std::int64_t spare = lora.spare();
  check_tensor(lora.extended, {out + spare, in + spare}, matrix.scalar_type(),
               "lora_linear extended");
  if (!matrix.is_alias_of(lora.extended) || matrix.stride(0) != in + spare ||
      matrix.storage_offset() != lora.extended.storage_offset()) {
    fail_internal("lora_linear weight {} is not the one in the extended buffer {}",
                  describe(matrix), describe(lora.extended));
  }
  if (lora.dropout != 0.0) {
    fail_internal("lora_linear with dropout {} in the extended form, which has none", lora.dropout);
  }
  const at::Tensor upper = lora.extended.narrow(0, 0, out);
  const at::Tensor left = lora.extended.narrow(1, 0, in);
  return {upper, left, left.narrow(0, out, spare), upper.narrow(1, in, spare)};
}

}  // namespace

void extended_forward(const at::Tensor& x, const BaseWeight& weight, const LoraGroup& lora,
                      const at::Tensor& y, const at::Tensor& s, Arena& scratch) {
  const Views views = views_of(weight, lora);
  gemm(s, x, views.a.t(), scratch);
  if (are_behind(x, s)) {
    gemm(y, with_columns_behind(x, lora.spare()), views.with_b.t(), scratch);
  } else {
    gemm(y, x, weight.matrix.t(), scratch);
    gemm(y, s, views.b.t(), scratch, /*accumulate=*/true);
  }
}

void extended_backward_input(const at::Tensor& dy, const BaseWeight& weight, const LoraGroup& lora,
                             const at::Tensor& ds, const at::Tensor& dx, Arena& scratch) {
  const Views views = views_of(weight, lora);
  gemm(ds, dy, views.b, scratch);
  if (!dx.defined()) {
    return;
  }
  if (are_behind(dy, ds)) {
    gemm(dx, with_columns_behind(dy, lora.spare()), views.with_a, scratch);
  } else {
    gemm(dx, dy, weight.matrix, scratch);
    gemm(dx, ds, views.a, scratch, /*accumulate=*/true);
  }
}

}  // namespace weft::kernels::detail
