#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "model/qwen3_model.h"

namespace weft::trainer {

/// One token's most probable alternatives: (id, log-probability), best first.
using Alternatives = std::vector<std::pair<std::int32_t, float>>;

struct SequenceScore {
  std::vector<double> log_probs;           ///< of tokens 1, 2, …; one fewer than the sequence has
  std::vector<Alternatives> alternatives;  ///< for the same positions; empty when not asked for
};

/// Log-probabilities of every token but the first of each sequence, under the model. The sequences
/// run as one packed micro-batch; the caller keeps their total length within what memory allows.
/// `top_k` > 0 also gives the best k tokens for each position.
[[nodiscard]] std::vector<SequenceScore> score_sequences(
    model::Qwen3Model& model, std::span<const std::vector<std::int32_t>> sequences,
    std::int64_t top_k = 0);

}  // namespace weft::trainer
