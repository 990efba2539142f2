#include "kernels/attention_composed.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>

#include <limits>

namespace weft::kernels::detail {

at::Tensor repeat_groups(const at::Tensor& heads, std::int64_t heads_q) {
  return heads.repeat_interleave(heads_q / heads.size(1), 1);
}

at::Tensor masked_scores(const at::Tensor& q, const at::Tensor& k, double scale) {
  const std::int64_t length = k.size(2);
  const at::Tensor scores = at::matmul(q, repeat_groups(k, q.size(1)).transpose(-1, -2)) * scale;
  const at::Tensor future =
      at::ones({q.size(2), length}, q.options().dtype(at::kBool)).triu(length - q.size(2) + 1);
  return scores.masked_fill(future, -std::numeric_limits<double>::infinity());
}

std::tuple<at::Tensor, at::Tensor> attend_composed(const at::Tensor& q, const at::Tensor& k,
                                                   const at::Tensor& v, double scale) {
  const at::Tensor scores = masked_scores(q, k, scale);
  const at::Tensor lse = scores.logsumexp(-1);
  return {at::matmul((scores - lse.unsqueeze(-1)).exp(), repeat_groups(v, q.size(1))), lse};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_composed(
    const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, double scale) {
  const std::int64_t groups = q.size(1) / k.size(1);
  const auto sum_groups = [&](const at::Tensor& x) {
    return x.unflatten(1, {k.size(1), groups}).sum(2);
  };
  const at::Tensor p = (masked_scores(q, k, scale) - lse.unsqueeze(-1)).exp();
  const at::Tensor dp = at::matmul(dout, repeat_groups(v, q.size(1)).transpose(-1, -2));
  const at::Tensor ds = p * (dp - (dout * out).sum(-1, /*keepdim=*/true)) * scale;
  return {at::matmul(ds, repeat_groups(k, q.size(1))),
          sum_groups(at::matmul(ds.transpose(-1, -2), q)),
          sum_groups(at::matmul(p.transpose(-1, -2), dout))};
}

}  // namespace weft::kernels::detail
