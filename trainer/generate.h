#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/random.h"
#include "model/qwen3_model.h"

namespace weft::trainer {

/// How the next token is chosen. The filters apply in Hugging Face's order: temperature, top-k,
/// top-p, min-p.
struct SamplingOptions {
  double temperature = 0;  ///< 0: greedy, the most probable token
  std::int64_t top_k = 0;  ///< keep the k most probable; 0: all
  double top_p = 1;        ///< keep the smallest set with at least this probability
  double min_p = 0;        ///< keep tokens with at least this share of the best one's probability
  std::int64_t max_new_tokens = 512;
  std::uint64_t seed = 0;
  std::vector<std::int32_t> stop_ids;  ///< generation ends with any of these
};

enum class GenerationEnd { kStopToken, kLength, kContext };

struct Generation {
  std::vector<std::int32_t> ids;  ///< new tokens, the stop token included
  GenerationEnd end = GenerationEnd::kLength;
  double prompt_seconds = 0;
  double seconds = 0;  ///< of the new tokens
};

/// Picks a token from logits [V].
[[nodiscard]] std::int32_t sample_token(const at::Tensor& logits, const SamplingOptions& options,
                                        Random& random);

/// Continues a prompt of at least one token, calling on_token (may be empty) for each new one. Ends
/// at a stop token, after max_new_tokens, or at the model's last position. Equal seeds give equal
/// tokens.
[[nodiscard]] Generation generate(model::Qwen3Model& model, const std::vector<std::int32_t>& prompt,
                                  const SamplingOptions& options,
                                  const std::function<void(std::int32_t)>& on_token = {});

}  // namespace weft::trainer
