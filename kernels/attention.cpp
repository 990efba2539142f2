#include "kernels/attention.h"

#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "kernels/attention_composed.h"
#include "kernels/attention_cpu.h"
#include "kernels/heads.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// Views of one document's rows as [1, heads, length, head_dim].
struct Heads {
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
};

at::Tensor as_heads(const at::Tensor& rows, std::int64_t first, std::int64_t heads,
                    std::int64_t head_dim) {
  return heads_of(rows, first, heads, head_dim).transpose(0, 1).unsqueeze(0);
}

Heads split(const at::Tensor& rows, const HeadLayout& layout) {
  const std::int64_t d = layout.head_dim;
  return {as_heads(rows, 0, layout.heads_q, d), as_heads(rows, layout.heads_q, layout.heads_k, d),
          as_heads(rows, layout.rotated(), layout.heads_k, d)};
}

double scale_of(const HeadLayout& layout) {
  return 1.0 / std::sqrt(static_cast<double>(layout.head_dim));
}

// `fused`: by ATen's own attention for CPUs; else by a composition, for devices without one.
std::tuple<at::Tensor, at::Tensor> forward_document(const Heads& heads, double scale, bool fused) {
  if (fused) {
    return detail::attend_cpu(heads.q, heads.k, heads.v, scale, /*causal=*/true);
  }
  return detail::attend_composed(heads.q, heads.k, heads.v, scale);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> backward_document(const at::Tensor& dout,
                                                                 const Heads& heads,
                                                                 const at::Tensor& out,
                                                                 const at::Tensor& lse,
                                                                 double scale, bool fused) {
  if (fused) {
    return detail::attend_backward_cpu(dout, heads.q, heads.k, heads.v, out, lse, scale,
                                       /*causal=*/true);
  }
  return detail::attend_backward_composed(dout, heads.q, heads.k, heads.v, out, lse, scale);
}

void check(const at::Tensor& qkv, const HeadLayout& layout,
           std::span<const std::int32_t> cu_seqlens, const at::Tensor& out, const at::Tensor& lse) {
  const std::int64_t tokens = qkv.size(0);
  check_tensor(qkv, {tokens, layout.row()}, qkv.scalar_type(), "attention qkv");
  check_rows(out, {tokens, layout.heads_q * layout.head_dim}, qkv.scalar_type(), "attention out");
  check_tensor(lse, {layout.heads_q * tokens}, statistics_dtype(qkv.scalar_type()),
               "attention lse");
  if (cu_seqlens.empty() || cu_seqlens.front() != 0 || cu_seqlens.back() != tokens ||
      !std::is_sorted(cu_seqlens.begin(), cu_seqlens.end())) {
    fail_internal("attention: cu_seqlens do not span the {} rows", tokens);
  }
}

// FLOPs of one of the products of scores and heads: a causal mask leaves half of a square. The
// forward pass has two, the backward pass five, which include computing the scores again.
double attention_flops(const HeadLayout& layout, const AttentionDocuments& documents) {
  double squares = 0;
  for (std::size_t i = 0; i + 1 < documents.cu_seqlens.size(); ++i) {
    const double length = documents.cu_seqlens[i + 1] - documents.cu_seqlens[i];
    squares += length * length;
  }
  return squares * static_cast<double>(layout.heads_q * layout.head_dim);
}

// Calls body(first row, length) for each document that is not empty.
template <typename Body>
void for_each_document(std::span<const std::int32_t> cu_seqlens, Body&& body) {
  for (std::size_t i = 0; i + 1 < cu_seqlens.size(); ++i) {
    if (cu_seqlens[i + 1] > cu_seqlens[i]) {
      body(std::int64_t{cu_seqlens[i]}, std::int64_t{cu_seqlens[i + 1]} - cu_seqlens[i]);
    }
  }
}

int launches(const AttentionDocuments& documents, bool backward) {
  return documents.device == nullptr ? 1 : documents.device->launches(backward);
}

}  // namespace

void attention_forward(const at::Tensor& qkv, const HeadLayout& layout,
                       const AttentionDocuments& documents, const at::Tensor& out,
                       const at::Tensor& lse, Arena& scratch) {
  check(qkv, layout, documents.cu_seqlens, out, lse);
  log_work("attention", WorkKind::kAttention, 2 * attention_flops(layout, documents), {qkv},
           {out, lse}, launches(documents, /*backward=*/false));
  const Arena::Scope scope(scratch);
  if (documents.device != nullptr) {
    documents.device->forward(qkv, out, lse, scratch);
    return;
  }
  const at::Tensor rows = working_copy(qkv, lse.scalar_type(), scratch);
  if (qkv.is_meta()) {
    return;  // planned: the temporaries above are what counts
  }
  const std::int64_t heads = layout.heads_q;
  for_each_document(documents.cu_seqlens, [&](std::int64_t first, std::int64_t length) {
    const auto [o, l] = forward_document(split(rows.narrow(0, first, length), layout),
                                         scale_of(layout), runs_on_cpu_loops(qkv));
    out.narrow(0, first, length)
        .unflatten(1, {heads, layout.head_dim})
        .copy_(o.squeeze(0).transpose(0, 1));
    lse.narrow(0, heads * first, heads * length).view({heads, length}).copy_(l.squeeze(0));
  });
}

void attention_backward(const at::Tensor& dout, const at::Tensor& qkv, const HeadLayout& layout,
                        const AttentionDocuments& documents, const at::Tensor& out,
                        const at::Tensor& lse, const at::Tensor& dqkv, Arena& scratch) {
  check(qkv, layout, documents.cu_seqlens, out, lse);
  check_tensor(dout, out.sizes(), qkv.scalar_type(), "attention dout");
  check_rows(dqkv, qkv.sizes(), qkv.scalar_type(), "attention dqkv");
  log_work("attention backward", WorkKind::kAttention, 5 * attention_flops(layout, documents),
           {qkv, out, dout, lse}, {dqkv}, launches(documents, /*backward=*/true));
  const Arena::Scope scope(scratch);
  if (documents.device != nullptr) {
    documents.device->backward(dout, qkv, out, lse, dqkv, scratch);
    return;
  }
  const at::Tensor rows = working_copy(qkv, lse.scalar_type(), scratch);
  const at::Tensor out_rows = working_copy(out, lse.scalar_type(), scratch);
  const at::Tensor dout_rows = working_copy(dout, lse.scalar_type(), scratch);
  if (qkv.is_meta()) {
    return;  // planned: the temporaries above are what counts
  }
  const std::int64_t heads = layout.heads_q;
  for_each_document(documents.cu_seqlens, [&](std::int64_t first, std::int64_t length) {
    const auto document = [&](const at::Tensor& all) {
      return as_heads(all.narrow(0, first, length), 0, heads, layout.head_dim);
    };
    const auto [dq, dk, dv] = backward_document(
        document(dout_rows), split(rows.narrow(0, first, length), layout), document(out_rows),
        lse.narrow(0, heads * first, heads * length).view({1, heads, length}), scale_of(layout),
        runs_on_cpu_loops(qkv));
    const Heads gradient = split(dqkv.narrow(0, first, length), layout);
    gradient.q.copy_(dq);
    gradient.k.copy_(dk);
    gradient.v.copy_(dv);
  });
}

void attention_cached(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                      const at::Tensor& out) {
  const at::ScalarType dtype = q.scalar_type();
  const at::ScalarType wide = q.is_cpu() ? statistics_dtype(dtype) : dtype;
  const Heads heads{q.transpose(0, 1).unsqueeze(0).to(wide),
                    keys.transpose(0, 1).unsqueeze(0).to(wide),
                    values.transpose(0, 1).unsqueeze(0).to(wide)};
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(2)));
  at::Tensor result;
  if (q.size(0) == keys.size(0)) {
    result = std::get<0>(forward_document(heads, scale, runs_on_cpu_loops(q)));
  } else {
    const at::Tensor p = at::softmax(detail::masked_scores(heads.q, heads.k, scale), -1);
    result = at::matmul(p, detail::repeat_groups(heads.v, heads.q.size(1)));
  }
  out.unflatten(1, {q.size(1), q.size(2)}).copy_(result.squeeze(0).transpose(0, 1));
}

}  // namespace weft::kernels
