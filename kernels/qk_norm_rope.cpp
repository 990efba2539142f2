#include "kernels/qk_norm_rope.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include "kernels/cuda/qk_norm_rope.h"
#include "kernels/device_dispatch.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

void check(const at::Tensor& qkv, const HeadLayout& layout, const at::Tensor& q_weight,
           const at::Tensor& k_weight, const at::Tensor& cos, const at::Tensor& sin,
           const at::Tensor& positions, const at::Tensor& rstd, const at::Tensor& normalized) {
  const at::ScalarType dtype = qkv.scalar_type();
  const at::ScalarType wide = statistics_dtype(dtype);
  const std::int64_t tokens = qkv.size(0);
  check_rows(qkv, {tokens, layout.row()}, dtype, "qk_norm_rope qkv");
  check_tensor(q_weight, {layout.head_dim}, dtype, "qk_norm_rope q_weight");
  check_tensor(k_weight, {layout.head_dim}, dtype, "qk_norm_rope k_weight");
  check_tensor(cos, {cos.size(0), layout.head_dim / 2}, wide, "qk_norm_rope cos");
  check_tensor(sin, cos.sizes(), wide, "qk_norm_rope sin");
  check_tensor(positions, {tokens}, at::kInt, "qk_norm_rope positions");
  check_tensor(rstd, {tokens, layout.rotated()}, wide, "qk_norm_rope rstd");
  if (normalized.defined()) {
    check_tensor(normalized, {tokens, layout.rotated() * layout.head_dim}, dtype,
                 "qk_norm_rope normalized");
  }
}

// Weight per head: q_weight for the query heads, k_weight for the key heads; [heads, head_dim].
at::Tensor head_weights(const HeadLayout& layout, const at::Tensor& q_weight,
                        const at::Tensor& k_weight, at::ScalarType wide) {
  return at::cat({q_weight.to(wide).expand({layout.heads_q, layout.head_dim}),
                  k_weight.to(wide).expand({layout.heads_k, layout.head_dim})});
}

at::Tensor rotate(const at::Tensor& heads, const at::Tensor& cos, const at::Tensor& sin,
                  bool backward) {
  const std::int64_t half = heads.size(-1) / 2;
  const at::Tensor first = heads.narrow(-1, 0, half);
  const at::Tensor second = heads.narrow(-1, half, half);
  const at::Tensor turn = backward ? -sin : sin;
  return at::cat({first * cos - second * turn, second * cos + first * turn}, -1);
}

at::Tensor table_rows(const at::Tensor& table, const at::Tensor& positions) {
  return at::index_select(table, 0, positions).unsqueeze(1);
}

at::Tensor rotated_columns(const at::Tensor& rows, const HeadLayout& layout) {
  return rows.narrow(1, 0, layout.rotated() * layout.head_dim);
}

cuda::Heads device_heads(const HeadLayout& layout, const at::Tensor& q_weight,
                         const at::Tensor& k_weight, const at::Tensor& cos, const at::Tensor& sin,
                         const at::Tensor& positions) {
  return {.heads_q = static_cast<int>(layout.heads_q),
          .heads_k = static_cast<int>(layout.heads_k),
          .head_dim = static_cast<int>(layout.head_dim),
          .q_weight = device_in(q_weight, "q_weight"),
          .k_weight = device_in(k_weight, "k_weight"),
          .cos = device_in<float>(cos, "cos"),
          .sin = device_in<float>(sin, "sin"),
          .positions = device_in<std::int32_t>(positions, "positions")};
}

// These return whether the CUDA kernels took the rows.
bool forward_on_device(const at::Tensor& qkv, const HeadLayout& layout, const at::Tensor& q_weight,
                       const at::Tensor& k_weight, double eps, const at::Tensor& cos,
                       const at::Tensor& sin, const at::Tensor& positions, const at::Tensor& rstd,
                       const at::Tensor& normalized) {
  if constexpr (kHasDeviceKernels) {
    return runs_on_device_kernels(qkv) &&
           cuda::qk_norm_rope_forward(
               {.element = element_of(qkv),
                .heads = device_heads(layout, q_weight, k_weight, cos, sin, positions),
                .qkv = device_inout(qkv, "qkv"),
                .rstd = device_out<float>(rstd, "rstd"),
                .normalized = device_out(normalized, "normalized"),
                .tokens = qkv.size(0),
                .qkv_stride = qkv.stride(0),
                .eps = static_cast<float>(eps)},
               stream_of(qkv));
  }
  return false;
}

bool backward_on_device(const at::Tensor& dqkv, const at::Tensor& qkv, const at::Tensor& normalized,
                        const HeadLayout& layout, const at::Tensor& q_weight,
                        const at::Tensor& k_weight, const at::Tensor& cos, const at::Tensor& sin,
                        const at::Tensor& positions, const at::Tensor& rstd,
                        const at::Tensor& dq_weight, const at::Tensor& dk_weight) {
  if constexpr (kHasDeviceKernels) {
    if (!runs_on_device_kernels(dqkv)) {
      return false;
    }
    const at::Tensor partials =
        dq_weight.defined() || dk_weight.defined()
            ? at::empty({cuda::partial_sums_of(dqkv.size(0)), 2 * layout.head_dim}, rstd.options())
            : at::Tensor();
    return cuda::qk_norm_rope_backward(
        {.element = element_of(dqkv),
         .heads = device_heads(layout, q_weight, k_weight, cos, sin, positions),
         .dqkv = device_inout(dqkv, "dqkv"),
         .qkv = normalized.defined() ? nullptr : device_in(qkv, "qkv"),
         .normalized = device_in(normalized, "normalized"),
         .rstd = device_in<float>(rstd, "rstd"),
         .dq_weight = device_inout<float>(dq_weight, "dq_weight"),
         .dk_weight = device_inout<float>(dk_weight, "dk_weight"),
         .partials = device_out<float>(partials, "partials"),
         .tokens = dqkv.size(0),
         .dqkv_stride = dqkv.stride(0),
         .qkv_stride = normalized.defined() ? 0 : qkv.stride(0)},
        stream_of(dqkv));
  }
  return false;
}

}  // namespace

void qk_norm_rope_forward(const at::Tensor& qkv, const HeadLayout& layout,
                          const at::Tensor& q_weight, const at::Tensor& k_weight, double eps,
                          const at::Tensor& cos, const at::Tensor& sin, const at::Tensor& positions,
                          const at::Tensor& rstd, const at::Tensor& normalized) {
  check(qkv, layout, q_weight, k_weight, cos, sin, positions, rstd, normalized);
  const at::Tensor turned = rotated_columns(qkv, layout);
  log_traffic("qk norm, rope", {turned, q_weight, k_weight, positions}, {turned, rstd, normalized});
  // ATen cannot pick rows of the tables there
  if (qkv.is_meta() || forward_on_device(qkv, layout, q_weight, k_weight, eps, cos, sin, positions,
                                         rstd, normalized)) {
    return;
  }
  if (runs_on_cpu_loops(qkv)) {
    detail::qk_norm_rope_forward_cpu(qkv, layout, q_weight, k_weight, eps, cos, sin, positions,
                                     rstd, normalized);
    return;
  }
  const at::ScalarType wide = rstd.scalar_type();
  const at::Tensor rotated = rotated_columns(qkv, layout);
  const at::Tensor heads = rotated.to(wide).unflatten(1, {layout.rotated(), layout.head_dim});
  rstd.copy_(heads.square().mean(-1).add(eps).rsqrt());
  const at::Tensor unit = heads * rstd.unsqueeze(-1);
  if (normalized.defined()) {
    normalized.copy_(unit.flatten(1));
  }
  const at::Tensor scaled = unit * head_weights(layout, q_weight, k_weight, wide);
  rotated.copy_(
      rotate(scaled, table_rows(cos, positions), table_rows(sin, positions), /*backward=*/false)
          .flatten(1));
}

void qk_norm_rope_backward(const at::Tensor& dqkv, const at::Tensor& qkv,
                           const at::Tensor& normalized, const HeadLayout& layout,
                           const at::Tensor& q_weight, const at::Tensor& k_weight,
                           const at::Tensor& cos, const at::Tensor& sin,
                           const at::Tensor& positions, const at::Tensor& rstd,
                           const at::Tensor& dq_weight, const at::Tensor& dk_weight) {
  check(dqkv, layout, q_weight, k_weight, cos, sin, positions, rstd, normalized);
  if (!normalized.defined()) {
    check_rows(qkv, dqkv.sizes(), dqkv.scalar_type(), "qk_norm_rope qkv");
  }
  const at::Tensor turned = rotated_columns(dqkv, layout);
  log_traffic("qk norm, rope backward",
              {turned, normalized.defined() ? normalized : rotated_columns(qkv, layout), q_weight,
               k_weight, positions, rstd, dq_weight, dk_weight},
              {turned, dq_weight, dk_weight}, dq_weight.defined() || dk_weight.defined() ? 2 : 1);
  if (dqkv.is_meta() || backward_on_device(dqkv, qkv, normalized, layout, q_weight, k_weight, cos,
                                           sin, positions, rstd, dq_weight, dk_weight)) {
    return;
  }
  if (runs_on_cpu_loops(dqkv)) {
    detail::qk_norm_rope_backward_cpu(dqkv, qkv, normalized, layout, q_weight, k_weight, cos, sin,
                                      positions, rstd, dq_weight, dk_weight);
    return;
  }
  const at::ScalarType wide = rstd.scalar_type();
  const at::Tensor cos_rows = table_rows(cos, positions);
  const at::Tensor sin_rows = table_rows(sin, positions);
  const auto heads_of = [&](const at::Tensor& rows) {
    return rotated_columns(rows, layout).to(wide).unflatten(1, {layout.rotated(), layout.head_dim});
  };
  const at::Tensor weights = head_weights(layout, q_weight, k_weight, wide);
  // YaRN's tables hold a factor, so turning back is not yet undoing.
  const at::Tensor factor = (cos_rows.square() + sin_rows.square()).repeat({1, 1, 2});
  const at::Tensor unit =
      normalized.defined()
          ? heads_of(normalized)
          : rotate(heads_of(qkv), cos_rows, sin_rows, /*backward=*/true) / factor / weights;
  const at::Tensor dy = rotate(heads_of(dqkv), cos_rows, sin_rows, /*backward=*/true);
  const at::Tensor dyw = dy * weights;
  const at::Tensor mean = (dyw * unit).mean(-1, /*keepdim=*/true);
  turned.copy_(((dyw - unit * mean) * rstd.unsqueeze(-1)).flatten(1));
  const at::Tensor dweights = (dy * unit).sum(0);
  if (dq_weight.defined()) {
    dq_weight.add_(dweights.narrow(0, 0, layout.heads_q).sum(0));
  }
  if (dk_weight.defined()) {
    dk_weight.add_(dweights.narrow(0, layout.heads_q, layout.heads_k).sum(0));
  }
}

}  // namespace weft::kernels
