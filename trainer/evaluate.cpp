#include "trainer/evaluate.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <exception>
#include <optional>
#include <span>

#include "base/progress.h"
#include "trainer/shared_base.h"

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

namespace {

struct BatchCounts {
  double loss = 0;
  std::int64_t targets = 0;
  std::int64_t documents = 0;
  std::int64_t exact_documents = 0;
};

BatchCounts count_batch(model::Qwen3Model& model, const data::MicroBatch& micro) {
  const model::PackedBatch batch = model::make_packed_batch(
      micro.tokens, micro.mask, micro.cu_seqlens, model.config().vocab_size, model.device());
  const model::TargetScores scores = model.target_scores(batch);
  Evaluation counted;
  count_documents(batch, scores.correct, counted);
  return {-scores.log_probs.sum(at::kDouble).item<double>(), batch.target_count(),
          counted.documents, counted.exact_documents};
}

// This rank's batches: number rank, rank + size, ….
void count_batches(model::Qwen3Model& model, data::Loader& loader, std::int64_t batches,
                   distributed::Session& session, std::vector<BatchCounts>& mine) {
  std::optional<ProgressLine> progress;
  if (session.is_main()) {
    progress.emplace("evaluating", static_cast<std::uint64_t>(batches), "batches");
  }
  for (std::int64_t i = session.rank(); i < batches; i += session.size()) {
    const data::MicroBatch micro = loader.next();
    session.watchdog().tick();
    mine[static_cast<std::size_t>(i / session.size())] = count_batch(model, micro);
    if (progress) {
      progress->update(static_cast<std::uint64_t>(i + 1));
    }
  }
  if (progress) {
    progress->finish();
  }
}

// Adds the batches' counts in the order of the batches, so that the sum does not depend on who had
// them.
Evaluation sum_over_ranks(const std::vector<BatchCounts>& mine, std::int64_t batches,
                          distributed::Session& session) {
  const auto size = static_cast<std::size_t>(session.size());
  std::vector<BatchCounts> all(mine.size() * size);
  session.group().all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)),
                             session.watchdog().where());
  Evaluation result;
  for (std::size_t i = 0; i < static_cast<std::size_t>(batches); ++i) {
    const BatchCounts& counts = all[i % size * mine.size() + i / size];
    result.loss_sum += counts.loss;
    result.targets += counts.targets;
    result.documents += counts.documents;
    result.exact_documents += counts.exact_documents;
  }
  return result;
}

}  // namespace

Evaluation evaluate(model::Qwen3Model& model,
                    const std::vector<std::shared_ptr<const data::ShardSet>>& sets,
                    const data::LoaderOptions& options, distributed::Session& session) {
  std::optional<data::Loader> loader;
  std::int64_t batches = 0;
  std::exception_ptr failed;
  try {
    data::LoaderOptions own = options;
    own.rank = session.rank();
    own.world_size = session.size();
    loader.emplace(sets, own);
    batches = loader->batches_in_epoch(0);
  } catch (...) {
    failed = std::current_exception();
  }
  session.settle(failed);
  std::vector<BatchCounts> mine(
      static_cast<std::size_t>((batches + session.size() - 1) / session.size()));
  try {
    make_passes(model.layers(), model::PassKind::kForward, std::ssize(mine),
                [&] { count_batches(model, *loader, batches, session, mine); });
  } catch (...) {
    failed = std::current_exception();
  }
  session.settle(failed);
  return sum_over_ranks(mine, batches, session);
}

}  // namespace weft::trainer
