#include "kernels/lora_linear.h"

#include "kernels/dropout.h"
#include "kernels/gemm.h"
#include "kernels/lora_extended.h"
#include "kernels/tensor_checks.h"

namespace weft::kernels {
namespace {

// Calls body(slice, index, first rank, number of ranks) for each adapter of the group.
template <typename Body>
void for_each_slice(const LoraGroup& lora, Body&& body) {
  std::int64_t rank = 0;
  std::uint64_t index = 0;
  for (const LoraSlice& slice : lora.slices) {
    const std::int64_t count = slice.b.size(1);
    body(slice, index, rank, count);
    rank += count;
    ++index;
  }
}

void check(const at::Tensor& x_like, const BaseWeight& weight, const LoraGroup& lora,
           const at::Tensor& s) {
  const at::ScalarType dtype = weight.is_fp8() ? x_like.scalar_type() : weight.matrix.scalar_type();
  check_rows(x_like, x_like.sizes(), dtype, "lora_linear activations");
  if (!lora.empty()) {
    check_rows(lora.a, {lora.ranks(), weight.matrix.size(1)}, dtype, "lora_linear A");
    check_rows(s, {x_like.size(0), lora.columns()}, dtype, "lora_linear s");
  }
}

void add_grad_b(const LoraSlice& slice, const at::Tensor& dy, const at::Tensor& s, Arena& scratch) {
  if (slice.grad_b.defined()) {
    gemm(slice.grad_b, dy.t(), s, scratch, /*accumulate=*/true, slice.scale);
  }
}

// y = x · weightᵀ.
void base_forward(const at::Tensor& x, const BaseWeight& weight, const at::Tensor& y,
                  Arena& scratch, const Fp8Rows& x_fp8) {
  if (!weight.is_fp8()) {
    gemm(y, x, weight.matrix.t(), scratch);
    return;
  }
  const Arena::Scope scope(scratch);
  Fp8Rows rows = x_fp8;
  if (!rows.defined()) {
    rows = take_fp8_rows(x.size(0), x.size(1), scratch);
    quantize_rows(x, {}, rows);
  }
  fp8_linear(y, rows, weight.fp8(), scratch);
}

// dx = dy · weight.
void base_backward(const at::Tensor& dy, const BaseWeight& weight, const at::Tensor& dx,
                   Arena& scratch, const Fp8Rows& dy_fp8) {
  if (!weight.is_fp8()) {
    gemm(dx, dy, weight.matrix, scratch);
    return;
  }
  const Arena::Scope scope(scratch);
  Fp8Rows rows = dy_fp8;
  if (!rows.defined()) {
    rows = take_fp8_rows(dy.size(0), dy.size(1), scratch);
    quantize_rows(dy, weight.scales, rows);
  }
  fp8_linear_backward(dx, rows, weight.fp8(), scratch);
}

}  // namespace

std::int64_t lora_spare(std::int64_t ranks, at::ScalarType dtype) {
  const std::int64_t pack = 16 / static_cast<std::int64_t>(c10::elementSize(dtype));
  return (ranks + pack - 1) / pack * pack;
}

void lora_linear_forward(const at::Tensor& x, const BaseWeight& weight, const LoraGroup& lora,
                         const at::Tensor& y, const at::Tensor& s, bool training,
                         const DropoutKey& key, Arena& scratch, const Fp8Rows& x_fp8) {
  check(x, weight, lora, s);
  if (lora.extended.defined()) {
    detail::extended_forward(x, weight, lora, y, s, scratch);
    return;
  }
  base_forward(x, weight, y, scratch, x_fp8);
  if (lora.empty()) {
    return;
  }
  if (!training || lora.dropout == 0.0) {
    gemm(s, x, lora.a.t(), scratch);
  } else {
    // PEFT drops independently for each module, so each slice has a mask of its own.
    for_each_slice(
        lora, [&](const LoraSlice&, std::uint64_t index, std::int64_t rank, std::int64_t count) {
          const Arena::Scope scope(scratch);
          const at::Tensor dropped = scratch.take(x.sizes(), x.scalar_type());
          dropout(x, lora.dropout, key.seed, key.stream + index, dropped);
          gemm(s.narrow(1, rank, count), dropped, lora.a.narrow(0, rank, count).t(), scratch);
        });
  }
  for_each_slice(lora,
                 [&](const LoraSlice& slice, std::uint64_t, std::int64_t rank, std::int64_t count) {
                   gemm(y.narrow(1, slice.out_begin, slice.b.size(0)), s.narrow(1, rank, count),
                        slice.b.t(), scratch,
                        /*accumulate=*/true, slice.scale);
                 });
}

void lora_linear_backward_input(const at::Tensor& dy, const BaseWeight& weight,
                                const LoraGroup& lora, const at::Tensor& s, const at::Tensor& ds,
                                const at::Tensor& dx, const DropoutKey& key, Arena& scratch,
                                const Fp8Rows& dy_fp8) {
  check(dy, weight, lora, s);
  if (!lora.empty()) {
    check_rows(ds, s.sizes(), s.scalar_type(), "lora_linear ds");
  }
  if (lora.extended.defined()) {
    detail::extended_backward_input(dy, weight, lora, ds, dx, scratch);
    for_each_slice(
        lora, [&](const LoraSlice& slice, std::uint64_t, std::int64_t rank, std::int64_t count) {
          add_grad_b(slice, dy.narrow(1, slice.out_begin, slice.b.size(0)),
                     s.narrow(1, rank, count), scratch);
        });
    return;
  }
  if (dx.defined()) {
    base_backward(dy, weight, dx, scratch, dy_fp8);
  }
  for_each_slice(lora, [&](const LoraSlice& slice, std::uint64_t index, std::int64_t rank,
                           std::int64_t count) {
    const at::Tensor dy_slice = dy.narrow(1, slice.out_begin, slice.b.size(0));
    const at::Tensor ds_slice = ds.narrow(1, rank, count);
    gemm(ds_slice, dy_slice, slice.b, scratch, /*accumulate=*/false, slice.scale);
    add_grad_b(slice, dy_slice, s.narrow(1, rank, count), scratch);
    if (dx.defined() && lora.dropout != 0.0) {
      const Arena::Scope scope(scratch);
      const at::Tensor part = scratch.take(dx.sizes(), dx.scalar_type());
      gemm(part, ds_slice, lora.a.narrow(0, rank, count), scratch);
      dropout(part, lora.dropout, key.seed, key.stream + index, dx, /*accumulate=*/true);
    }
  });
  if (dx.defined() && !lora.empty() && lora.dropout == 0.0) {
    gemm(dx, ds, lora.a, scratch, /*accumulate=*/true);
  }
}

void lora_linear_backward_weights(const at::Tensor& dy, const at::Tensor& x, const LoraGroup& lora,
                                  const at::Tensor& ds, const at::Tensor& grad_weight,
                                  const DropoutKey& key, Arena& scratch) {
  if (grad_weight.defined()) {
    gemm(grad_weight, dy.t(), x, scratch, /*accumulate=*/true);
  }
  if (lora.empty() || !lora.grad_a.defined()) {
    return;
  }
  check_rows(ds, {x.size(0), lora.columns()}, x.scalar_type(), "lora_linear ds");
  if (lora.dropout == 0.0) {
    gemm(lora.grad_a, ds.narrow(1, 0, lora.ranks()).t(), x, scratch, /*accumulate=*/true);
    return;
  }
  for_each_slice(lora,
                 [&](const LoraSlice&, std::uint64_t index, std::int64_t rank, std::int64_t count) {
                   const Arena::Scope scope(scratch);
                   const at::Tensor dropped = scratch.take(x.sizes(), x.scalar_type());
                   dropout(x, lora.dropout, key.seed, key.stream + index, dropped);
                   gemm(lora.grad_a.narrow(0, rank, count), ds.narrow(1, rank, count).t(), dropped,
                        scratch, /*accumulate=*/true);
                 });
}

}  // namespace weft::kernels
