#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/qwen3_config.h"
#include "model/safetensors_header.h"

namespace weft::model {

/// "model.layers.LAYER.NAME.weight": NAME is "self_attn.q_proj", "mlp.down_proj",
/// "input_layernorm", ….
[[nodiscard]] std::string layer_tensor_name(std::int64_t layer, std::string_view name);

inline constexpr std::string_view kEmbeddingTensor = "model.embed_tokens.weight";
inline constexpr std::string_view kFinalNormTensor = "model.norm.weight";
inline constexpr std::string_view kHeadTensor = "lm_head.weight";

/// All tensors of the model in the order of transformers' state dict; a tied head is not listed.
[[nodiscard]] std::vector<TensorSpec> qwen3_tensors(const Qwen3Config& config, DType dtype);

/// Whether the tensor of that name is an RMSNorm weight.
[[nodiscard]] bool is_norm_tensor(std::string_view name);

/// How many tensors go into which file.
struct ShardPlan {
  std::vector<std::vector<TensorSpec>> shards;
  std::uint64_t total_bytes = 0;
  std::uint64_t total_elements = 0;
};

/// Splits tensors, in the order given, into files of at most `max_shard_bytes` bytes of tensors as
/// Hugging Face does: a larger tensor gets a file of its own.
[[nodiscard]] ShardPlan plan_shards(const std::vector<TensorSpec>& tensors,
                                    std::uint64_t max_shard_bytes);

/// "model.safetensors" for one shard of one, else "model-00001-of-00003.safetensors"; `shard`
/// counts from 0.
[[nodiscard]] std::string shard_name(std::size_t shard, std::size_t shards);

}  // namespace weft::model
