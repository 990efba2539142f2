#pragma once

#include <cstdint>
#include <span>

#include "model/qwen3_config.h"

namespace weft::model {

/// What a training micro-batch costs in matrix products, by the formulas that peers report: two
/// operations per multiply-add, a causal attention counted as half a square.
struct StepShape {
  std::int64_t tokens = 0;
  std::int64_t targets = 0;                  ///< rows that reach the LM head
  std::span<const std::int32_t> cu_seqlens;  ///< documents
  std::int64_t adapter_parameters = 0;       ///< 0: none
  bool weights_trained = false;              ///< full fine-tuning: weight gradients too
};

/// FLOPs of forward and backward: 4 per weight and token with a frozen base (6 when trained), the
/// head for rows with a target only, 6 per adapter parameter and token, attention 2·Hq·D·s forward
/// and 5·Hq·D·s backward per token of a document of length s (the backward recomputes the scores).
[[nodiscard]] double training_flops(const Qwen3Config& config, const StepShape& shape);

}  // namespace weft::model
