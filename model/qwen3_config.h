#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "model/dtype.h"

namespace weft::model {

/// YaRN, the only RoPE scaling that Qwen3 is published with. Numbers are as in the paper and in
/// transformers.
struct YarnScaling {
  double factor = 1.0;
  std::int64_t original_max_position_embeddings = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  std::optional<double> attention_factor;

  /// What cos and sin are multiplied by: attention_factor, or 0.1 ln(factor) + 1 when it is not
  /// given.
  [[nodiscard]] double cos_sin_scale() const;
  bool operator==(const YarnScaling&) const = default;
};

/// A dense Qwen3 model, as its config.json states it.
struct Qwen3Config {
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 128;  ///< never hidden_size / num_attention_heads
  std::int64_t vocab_size = 0;  ///< rows of the embedding, at least the tokenizer's ids
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 1e6;
  std::optional<YarnScaling> yarn;
  bool tie_word_embeddings = false;
  std::optional<std::int64_t> bos_token_id;
  std::vector<std::int64_t> eos_token_ids;
  std::optional<std::int64_t> pad_token_id;
  DType dtype = DType::kBFloat16;  ///< the type the weights are said to be stored in
  double initializer_range = 0.02;

  /// Parameters, a tied head counted once.
  [[nodiscard]] std::int64_t parameter_count() const;
  bool operator==(const Qwen3Config&) const = default;
};

/// Reads a parsed config.json in either of its spellings (torch_dtype, rope_theta and rope_scaling;
/// or dtype and rope_parameters), which must agree where both are there. A data Error starts with
/// `name` and says which architecture or option is not supported, or which size is out of range.
[[nodiscard]] Qwen3Config parse_qwen3_config(const Json& json, std::string_view name);
/// The config.json of a model folder.
[[nodiscard]] Qwen3Config read_qwen3_config(FileSystem& files, const fs::path& model_folder);

/// The config as the config.json that transformers reads, keys sorted.
[[nodiscard]] Json qwen3_config_to_json(const Qwen3Config& config);

}  // namespace weft::model
