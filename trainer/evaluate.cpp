#include "trainer/evaluate.h"

#include <ATen/ops/empty.h>

#include <cmath>

#include "base/progress.h"

namespace weft::trainer {
namespace {

// Counts the batch's documents whose targets are all correct. Targets come in the order of the
// rows.
void count_documents(const model::PackedBatch& batch, const at::Tensor& correct,
                     Evaluation& result) {
  const at::Tensor rows = batch.rows.to(at::kCPU);
  const at::Tensor hits = correct.to(at::kCPU);
  const auto* row = rows.const_data_ptr<std::int64_t>();
  const auto* hit = hits.const_data_ptr<bool>();
  std::int64_t next = 0;
  for (std::size_t d = 0; d + 1 < batch.cu_seqlens.size(); ++d) {
    bool any = false;
    bool all = true;
    for (; next < rows.numel() && row[next] < batch.cu_seqlens[d + 1]; ++next) {
      any = true;
      all = all && hit[next];
    }
    result.documents += any ? 1 : 0;
    result.exact_documents += any && all ? 1 : 0;
  }
}

}  // namespace

std::vector<std::pair<std::string, double>> Evaluation::values() const {
  return {{"eval_loss", loss()},
          {"eval_perplexity", std::exp(loss())},
          {"eval_exact_match", exact_match()}};
}

Evaluation evaluate(model::Qwen3Model& model,
                    const std::vector<std::shared_ptr<const data::ShardSet>>& sets,
                    const data::LoaderOptions& options) {
  data::Loader loader(sets, options);
  const std::int64_t batches = loader.batches_in_epoch(0);
  ProgressLine progress("evaluating", static_cast<std::uint64_t>(batches), "batches");
  Evaluation result;
  for (std::int64_t i = 0; i < batches; ++i) {
    const data::MicroBatch micro = loader.next();
    const model::PackedBatch batch = model::make_packed_batch(
        micro.tokens, micro.mask, micro.cu_seqlens, model.config().vocab_size, model.device());
    const model::TargetScores scores = model.target_scores(batch);
    result.loss_sum -= scores.log_probs.sum(at::kDouble).item<double>();
    result.targets += batch.target_count();
    count_documents(batch, scores.correct, result);
    progress.update(static_cast<std::uint64_t>(i + 1));
  }
  progress.finish();
  return result;
}

}  // namespace weft::trainer
