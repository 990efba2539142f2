#include "model/lm_head.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>

#include "base/trace.h"
#include "kernels/cross_entropy.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/rms_norm.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::model {
namespace {

using kernels::Arena;

// Logits of a chunk stay near this many elements: 320 MiB of fp32. Half of it costs a CPU a tenth
// of the speed of the head's products, whose weight is read once a chunk. A GPU's product works on
// tiles of 128 rows, and one that is not full takes as long: a seventh of the head's time at 552
// rows, which is all that a vocabulary of 151,936 leaves.
constexpr std::int64_t kChunkElements = std::int64_t{80} << 20;
constexpr std::int64_t kTileRows = 128;

std::int64_t chunk_rows(std::int64_t vocabulary) {
  const std::int64_t rows = kChunkElements / vocabulary;
  return rows < kTileRows ? std::max<std::int64_t>(rows, 32) : rows / kTileRows * kTileRows;
}

// Rows of the residual stream picked and normalised.
struct NormedRows {
  at::Tensor normed;  // [n, H]
  at::Tensor rstd;    // [n]
  at::Tensor unit;    // [n, H] or undefined
};

NormedRows normalise_rows(const LmHead& head, const at::Tensor& hidden, const at::Tensor& rows,
                          Arena& scratch) {
  const std::array<std::int64_t, 2> sizes{rows.size(0), hidden.size(1)};
  NormedRows result{scratch.take(sizes, hidden.scalar_type()),
                    scratch.take({rows.size(0)}, kernels::statistics_dtype(hidden.scalar_type())),
                    head.keep_norm ? scratch.take(sizes, hidden.scalar_type()) : at::Tensor()};
  at::Tensor picked = scratch.take(sizes, hidden.scalar_type());
  kernels::embedding_forward(hidden, rows, picked);
  kernels::add_rms_norm_forward(picked, {}, head.norm, head.eps, result.normed, result.rstd,
                                result.unit);
  return result;
}

// Calls body(first, normed rows of the chunk, their logits).
template <typename Body>
void for_each_chunk(const LmHead& head, const at::Tensor& normed, Arena& scratch, Body&& body) {
  const at::ScalarType wide = kernels::statistics_dtype(normed.scalar_type());
  const std::int64_t step = chunk_rows(head.weight.size(0));
  for (std::int64_t first = 0; first < normed.size(0); first += step) {
    const Arena::Scope scope(scratch);
    const std::int64_t count = std::min(step, normed.size(0) - first);
    const at::Tensor rows = normed.narrow(0, first, count);
    const at::Tensor logits = scratch.take({count, head.weight.size(0)}, wide);
    const TracePhase phase("head");
    kernels::gemm(logits, rows, head.weight.t(), scratch);
    body(first, rows, logits);
  }
}

// For the gradient of the logits: in the dtype that the weights have, so that both products take
// it. On a CPU they take it as it is, in place of the logits.
at::Tensor take_gradient(const at::Tensor& logits, const LmHead& head, Arena& scratch) {
  const at::ScalarType dtype = head.weight.scalar_type();
  return dtype == at::kBFloat16 && scratch.planned_for() != at::kCPU
             ? scratch.take(logits.sizes(), dtype)
             : logits;
}

}  // namespace

at::Tensor head_log_probs(const LmHead& head, const at::Tensor& hidden, const PackedBatch& batch,
                          Arena& scratch) {
  const Arena::Scope scope(scratch);
  const NormedRows rows = normalise_rows(head, hidden, batch.rows, scratch);
  const at::Tensor log_probs = at::empty({batch.target_count()}, rows.rstd.options());
  for_each_chunk(head, rows.normed, scratch,
                 [&](std::int64_t first, const at::Tensor&, const at::Tensor& logits) {
                   kernels::target_log_probs(logits, batch.targets.narrow(0, first, logits.size(0)),
                                             log_probs.narrow(0, first, logits.size(0)));
                 });
  return log_probs;
}

TargetScores head_target_scores(const LmHead& head, const at::Tensor& hidden,
                                const PackedBatch& batch, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const NormedRows rows = normalise_rows(head, hidden, batch.rows, scratch);
  const TargetScores scores{
      at::empty({batch.target_count()}, rows.rstd.options()),
      at::empty({batch.target_count()}, rows.rstd.options().dtype(at::kBool))};
  for_each_chunk(
      head, rows.normed, scratch,
      [&](std::int64_t first, const at::Tensor&, const at::Tensor& logits) {
        const at::Tensor targets = batch.targets.narrow(0, first, logits.size(0));
        kernels::target_log_probs(logits, targets,
                                  scores.log_probs.narrow(0, first, logits.size(0)));
        scores.correct.narrow(0, first, logits.size(0)).copy_(at::argmax(logits, 1).eq(targets));
      });
  return scores;
}

at::Tensor head_forward_backward(const LmHead& head, const at::Tensor& hidden,
                                 const PackedBatch& batch, double scale, const at::Tensor& dx,
                                 Arena& scratch) {
  if (batch.target_count() == 0) {  // of a part of a batch whose targets other ranks have
    dx.zero_();
    return at::empty({0}, hidden.options().dtype(kernels::statistics_dtype(hidden.scalar_type())));
  }
  const Arena::Scope scope(scratch);
  const NormedRows rows = normalise_rows(head, hidden, batch.rows, scratch);
  const at::Tensor log_probs = at::empty({batch.target_count()}, rows.rstd.options());
  const at::Tensor d_normed = scratch.take(rows.normed.sizes(), hidden.scalar_type());
  for_each_chunk(
      head, rows.normed, scratch,
      [&](std::int64_t first, const at::Tensor& normed, const at::Tensor& logits) {
        const std::int64_t count = logits.size(0);
        TracePhase phase("loss");
        const at::Tensor d_logits = take_gradient(logits, head, scratch);
        kernels::cross_entropy_forward_backward(logits, batch.targets.narrow(0, first, count),
                                                scale, log_probs.narrow(0, first, count), d_logits);
        phase.next("head backward");
        kernels::gemm(d_normed.narrow(0, first, count), d_logits, head.weight, scratch);
        if (head.weight_gradient.defined()) {
          kernels::gemm(head.weight_gradient, d_logits.t(), normed, scratch, /*accumulate=*/true);
        }
      });
  const at::Tensor d_rows = scratch.take(rows.normed.sizes(), hidden.scalar_type());
  kernels::log_traffic("zeros", {}, {d_rows, dx}, 2);
  d_rows.zero_();
  kernels::rms_norm_backward(d_normed, rows.normed, rows.unit, head.norm, rows.rstd, d_rows,
                             head.norm_gradient);
  dx.zero_();
  kernels::log_traffic("gradient of rows", {d_rows, batch.rows}, {d_rows});
  dx.index_copy_(0, batch.rows, d_rows);
  return log_probs;
}

void head_logits(const LmHead& head, const at::Tensor& hidden, const at::Tensor& rows,
                 Arena& scratch, const std::function<void(std::int64_t, const at::Tensor&)>& body) {
  const Arena::Scope scope(scratch);
  const NormedRows picked = normalise_rows(head, hidden, rows, scratch);
  for_each_chunk(head, picked.normed, scratch,
                 [&](std::int64_t first, const at::Tensor&, const at::Tensor& logits) {
                   body(first, logits);
                 });
}

}  // namespace weft::model
