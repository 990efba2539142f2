#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/loader.h"
#include "distributed/session.h"
#include "model/qwen3_model.h"

namespace weft::trainer {

struct Evaluation {
  double loss_sum = 0;  ///< sum of -log p over all targets
  std::int64_t targets = 0;
  std::int64_t documents = 0;        ///< with at least one target
  std::int64_t exact_documents = 0;  ///< greedy decoding would have given every target of it

  [[nodiscard]] double loss() const {
    return targets == 0 ? 0.0 : loss_sum / static_cast<double>(targets);
  }
  [[nodiscard]] double exact_match() const {
    return documents == 0 ? 0.0
                          : static_cast<double>(exact_documents) / static_cast<double>(documents);
  }
  /// "eval_loss", "eval_perplexity", "eval_exact_match".
  [[nodiscard]] std::vector<std::pair<std::string, double>> values() const;
};

/// Runs every document of the sets once, without dropout. A document counts as an exact match when
/// each of its targets is the most probable next token: then, and only then, greedy generation from
/// its prompt gives exactly the reference. Several ranks share the documents, and each gets the
/// sums over all, which are those of one rank bit for bit.
[[nodiscard]] Evaluation evaluate(model::Qwen3Model& model,
                                  const std::vector<std::shared_ptr<const data::ShardSet>>& sets,
                                  const data::LoaderOptions& options,
                                  distributed::Session& session);

}  // namespace weft::trainer
