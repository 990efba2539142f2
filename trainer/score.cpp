#include "trainer/score.h"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/topk.h>

#include <algorithm>
#include <tuple>

namespace weft::trainer {
namespace {

std::vector<Alternatives> top_alternatives(model::Qwen3Model& model,
                                           const model::PackedBatch& batch, std::int64_t top_k) {
  std::vector<Alternatives> result;
  result.reserve(static_cast<std::size_t>(batch.target_count()));
  const std::int64_t k = std::min(top_k, model.config().vocab_size);
  model.logits(batch, batch.rows, [&](std::int64_t, const at::Tensor& logits) {
    const auto [values, ids] = at::topk(at::log_softmax(logits, -1), k, -1);
    const at::Tensor value_rows = values.to(at::kCPU).to(at::kFloat).contiguous();
    const at::Tensor id_rows = ids.to(at::kCPU).contiguous();
    const auto* value = value_rows.const_data_ptr<float>();
    const auto* id = id_rows.const_data_ptr<std::int64_t>();
    for (std::int64_t row = 0; row < logits.size(0); ++row) {
      Alternatives& alternatives = result.emplace_back();
      for (std::int64_t i = row * k; i < (row + 1) * k; ++i) {
        alternatives.emplace_back(static_cast<std::int32_t>(id[i]), value[i]);
      }
    }
  });
  return result;
}

}  // namespace

std::vector<SequenceScore> score_sequences(model::Qwen3Model& model,
                                           std::span<const std::vector<std::int32_t>> sequences,
                                           std::int64_t top_k) {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> cu_seqlens{0};
  for (const auto& sequence : sequences) {
    tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    cu_seqlens.push_back(static_cast<std::int32_t>(tokens.size()));
  }
  std::vector<SequenceScore> scores(sequences.size());
  if (tokens.empty()) {
    return scores;
  }
  const std::vector<std::uint8_t> mask(tokens.size(), 1);
  const model::PackedBatch batch =
      model::make_packed_batch(tokens, mask, cu_seqlens, model.config().vocab_size, model.device());
  const at::Tensor log_probs =
      model.target_log_probs(batch).to(at::kCPU).to(at::kDouble).contiguous();
  const auto* next = log_probs.const_data_ptr<double>();
  std::vector<Alternatives> alternatives;
  if (top_k > 0) {
    alternatives = top_alternatives(model, batch, top_k);
  }
  std::size_t row = 0;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    for (std::size_t t = 1; t < sequences[i].size(); ++t, ++row) {
      scores[i].log_probs.push_back(next[row]);
      if (top_k > 0) {
        scores[i].alternatives.push_back(std::move(alternatives[row]));
      }
    }
  }
  return scores;
}

}  // namespace weft::trainer
