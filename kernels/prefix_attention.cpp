#include "kernels/prefix_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/logaddexp.h>

#include <cmath>
#include <tuple>

#include "kernels/attention_composed.h"
#include "kernels/attention_cpu.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

at::ScalarType wide(const at::Tensor& q) { return statistics_dtype(q.scalar_type()); }

void check(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
           const at::Tensor& out, const at::Tensor& lse) {
  const bool fits = q.dim() == 3 && keys.dim() == 3 && keys.sizes() == values.sizes() &&
                    out.sizes() == q.sizes() && keys.size(2) == q.size(2) &&
                    keys.size(0) >= q.size(0) && q.size(0) > 0 && q.size(1) % keys.size(1) == 0;
  if (!fits) {
    fail_internal("prefix attention: q is {}, keys are {}, values {}, out is {}", describe(q),
                  describe(keys), describe(values), describe(out));
  }
  check_tensor(lse, {q.size(1) * q.size(0)}, wide(q), "prefix attention lse");
}

double scale_of(const at::Tensor& q) { return 1.0 / std::sqrt(static_cast<double>(q.size(2))); }

// [1, heads, rows, head_dim], as all backends but FlashAttention take it.
at::Tensor as_heads(const at::Tensor& rows) { return rows.transpose(0, 1).unsqueeze(0); }

at::Tensor as_rows(const at::Tensor& heads) { return heads.squeeze(0).transpose(0, 1); }

bool by_flash(const at::Tensor& q, const at::Tensor& keys, const AttentionOptions& options,
              const Arena& scratch) {
  const bool gpu = q.is_cuda() || (q.is_meta() && scratch.planned_for() == at::kCUDA);
  return gpu && q.scalar_type() == at::kBFloat16 && options.backend != "composed" &&
         (q.is_meta() ||
          detail::why_no_flash({q.size(1), keys.size(1), q.size(2)}, q.device()).empty());
}

// As in attention.cpp, where a causal mask leaves half of a square, less what the rows before these
// see.
double prefix_flops(const at::Tensor& q, const at::Tensor& keys) {
  const auto all = static_cast<double>(keys.size(0));
  const auto earlier = static_cast<double>(keys.size(0) - q.size(0));
  return (all * all - earlier * earlier) * static_cast<double>(q.size(1) * q.size(2));
}

// The keys before the first query are seen by all of them, so that no mask is needed, and none as
// large as queries x keys: those keys and the square at the end are taken apart, and their outputs
// weighed by what each has of the softmax's sum.
std::tuple<at::Tensor, at::Tensor> forward_cpu(const at::Tensor& q, const at::Tensor& k,
                                               const at::Tensor& v, double scale) {
  const std::int64_t count = q.size(2);
  const std::int64_t earlier = k.size(2) - count;
  const auto [out, lse] = detail::attend_cpu(q, k.narrow(2, earlier, count),
                                             v.narrow(2, earlier, count), scale, /*causal=*/true);
  if (earlier == 0) {
    return {out, lse};
  }
  const auto [first, first_lse] = detail::attend_cpu(
      q, k.narrow(2, 0, earlier), v.narrow(2, 0, earlier), scale, /*causal=*/false);
  const at::Tensor total = at::logaddexp(lse, first_lse);
  out.mul_((lse - total).exp_().unsqueeze(-1));
  first.mul_((first_lse - total).exp_().unsqueeze(-1));
  return {out.add_(first), total};
}

// With the output and the log-sum-exp of the whole each part gives its own gradients.
void backward_cpu(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                  const at::Tensor& v, const at::Tensor& out, const at::Tensor& lse,
                  const at::Tensor& dq, const at::Tensor& dkeys, const at::Tensor& dvalues) {
  const std::int64_t count = q.size(2);
  const std::int64_t earlier = k.size(2) - count;
  const auto part = [&](std::int64_t first, std::int64_t length, bool causal) {
    const auto [part_q, part_k, part_v] =
        detail::attend_backward_cpu(dout, q, k.narrow(2, first, length), v.narrow(2, first, length),
                                    out, lse, scale_of(dq), causal);
    dkeys.narrow(0, first, length).add_(as_rows(part_k));
    dvalues.narrow(0, first, length).add_(as_rows(part_v));
    return part_q;
  };
  const at::Tensor sum = part(earlier, count, /*causal=*/true);
  if (earlier > 0) {
    sum.add_(part(0, earlier, /*causal=*/false));
  }
  dq.copy_(as_rows(sum));
}

}  // namespace

void prefix_attention_forward(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                              const at::Tensor& out, const at::Tensor& lse,
                              const AttentionOptions& options, Arena& scratch) {
  check(q, keys, values, out, lse);
  log_work("prefix attention", WorkKind::kAttention, 2 * prefix_flops(q, keys), {q, keys, values},
           {out, lse});
  const at::Tensor by_head = lse.view({q.size(1), q.size(0)});
  if (by_flash(q, keys, options, scratch)) {
    detail::flash_prefix_forward(q, keys, values, scale_of(q), out, by_head);
    return;
  }
  const Arena::Scope scope(scratch);
  const at::Tensor wide_q = as_heads(working_copy(q, wide(q), scratch));
  const at::Tensor wide_k = as_heads(working_copy(keys, wide(q), scratch));
  const at::Tensor wide_v = as_heads(working_copy(values, wide(q), scratch));
  if (q.is_meta()) {
    return;  // planned: the temporaries above are what counts
  }
  const auto [o, l] = runs_on_cpu_loops(q)
                          ? forward_cpu(wide_q, wide_k, wide_v, scale_of(q))
                          : detail::attend_composed(wide_q, wide_k, wide_v, scale_of(q));
  out.copy_(as_rows(o));
  by_head.copy_(l.squeeze(0));
}

void prefix_attention_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& keys,
                               const at::Tensor& values, const at::Tensor& out,
                               const at::Tensor& lse, const at::Tensor& dq, const at::Tensor& dkeys,
                               const at::Tensor& dvalues, const AttentionOptions& options,
                               Arena& scratch) {
  check(q, keys, values, out, lse);
  log_work("prefix attention backward", WorkKind::kAttention, 5 * prefix_flops(q, keys),
           {q, keys, values, out, dout, lse, dkeys, dvalues}, {dq, dkeys, dvalues}, 2);
  const at::Tensor by_head = lse.view({q.size(1), q.size(0)});
  if (by_flash(q, keys, options, scratch)) {
    detail::flash_prefix_backward(dout, q, keys, values, scale_of(q), out, by_head, dq, dkeys,
                                  dvalues, options.deterministic);
    return;
  }
  const Arena::Scope scope(scratch);
  const auto copy = [&](const at::Tensor& rows) {
    return as_heads(working_copy(rows, wide(q), scratch));
  };
  const at::Tensor wide_q = copy(q);
  const at::Tensor wide_k = copy(keys);
  const at::Tensor wide_v = copy(values);
  const at::Tensor wide_out = copy(out);
  const at::Tensor wide_dout = copy(dout);
  if (q.is_meta()) {
    return;  // planned: the temporaries above are what counts
  }
  if (runs_on_cpu_loops(q)) {
    backward_cpu(wide_dout, wide_q, wide_k, wide_v, wide_out, by_head.unsqueeze(0), dq, dkeys,
                 dvalues);
    return;
  }
  const auto [gradient_q, gradient_k, gradient_v] = detail::attend_backward_composed(
      wide_dout, wide_q, wide_k, wide_v, wide_out, by_head.unsqueeze(0), scale_of(q));
  dq.copy_(as_rows(gradient_q));
  dkeys.add_(as_rows(gradient_k));
  dvalues.add_(as_rows(gradient_v));
}

}  // namespace weft::kernels
