#include "kernels/attention_cpu.h"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/tensor_checks.h"

namespace weft::kernels::detail {
namespace {

// ATen goes through the keys in blocks of 512 and leaves out a block only when all of it is masked,
// so that a document of up to that length costs the full square. Quarters of the queries, each with
// the keys it can see, cost 5/8 of it. Longer documents lose less than the quarters would.
constexpr std::int64_t kShortest = 192;
constexpr std::int64_t kLongest = 1024;
constexpr std::int64_t kParts = 4;

// Calls body(first query, number of queries, their last key, mask of them over the keys before
// that).
template <typename Body>
void for_each_part(const at::Tensor& q, const at::Tensor& k, bool causal, Body&& body) {
  const std::int64_t length = q.size(2);
  if (!causal || length < kShortest || length > kLongest) {
    body(std::int64_t{0}, length, k.size(2), std::optional<at::Tensor>());
    return;
  }
  const std::int64_t step = (length + kParts - 1) / kParts;
  for (std::int64_t first = 0; first < length; first += step) {
    const std::int64_t count = std::min(step, length - first);
    at::Tensor mask =
        at::full({count, first + count}, -std::numeric_limits<double>::infinity(), q.options());
    body(first, count, first + count, std::optional<at::Tensor>(mask.triu_(first + 1)));
  }
}

at::Tensor queries(const at::Tensor& x, std::int64_t first, std::int64_t count) {
  return x.narrow(2, first, count);
}

at::Tensor keys(const at::Tensor& x, std::int64_t end) { return x.narrow(2, 0, end); }

}  // namespace

std::tuple<at::Tensor, at::Tensor> attend_cpu(const at::Tensor& q, const at::Tensor& k,
                                              const at::Tensor& v, double scale, bool causal) {
  // In ATen's own layout, [s, H, D] in memory.
  at::Tensor out = at::empty_like(q.transpose(1, 2)).transpose(1, 2);
  at::Tensor lse = at::empty({q.size(0), q.size(2), q.size(1)},
                             q.options().dtype(statistics_dtype(q.scalar_type())))
                       .transpose(1, 2);
  for_each_part(q, k, causal,
                [&](std::int64_t first, std::int64_t count, std::int64_t end,
                    const std::optional<at::Tensor>& mask) {
                  const auto [part, part_lse] = at::_scaled_dot_product_flash_attention_for_cpu(
                      queries(q, first, count), keys(k, end), keys(v, end), /*dropout_p=*/0.0,
                      /*is_causal=*/causal && !mask.has_value(), mask, scale);
                  queries(out, first, count).copy_(part);
                  queries(lse, first, count).copy_(part_lse);
                });
  // Where no score is a number it returns zeros, and a finite lse: a NaN must not end here.
  const at::Tensor total = q.sum() + k.sum() + v.sum();
  if (!std::isfinite(*total.to(at::kDouble).const_data_ptr<double>())) {
    out.fill_(std::numeric_limits<double>::quiet_NaN());
    lse.fill_(std::numeric_limits<double>::quiet_NaN());
  }
  return {out, lse};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_cpu(
    const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, double scale, bool causal) {
  at::Tensor dq;
  at::Tensor dk;
  at::Tensor dv;
  for_each_part(
      q, k, causal,
      [&](std::int64_t first, std::int64_t count, std::int64_t end,
          const std::optional<at::Tensor>& mask) {
        auto [part_q, part_k, part_v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
            queries(dout, first, count), queries(q, first, count), keys(k, end), keys(v, end),
            queries(out, first, count), queries(lse, first, count), /*dropout_p=*/0.0,
            /*is_causal=*/causal && !mask.has_value(), mask, scale);
        if (count == q.size(2)) {
          dq = part_q;
          dk = part_k;
          dv = part_v;
          return;
        }
        if (first == 0) {
          dq = at::empty_like(q);
          dk = at::zeros_like(k);
          dv = at::zeros_like(v);
        }
        queries(dq, first, count).copy_(part_q);
        keys(dk, end).add_(part_k);
        keys(dv, end).add_(part_v);
      });
  return {dq, dk, dv};
}

}  // namespace weft::kernels::detail
