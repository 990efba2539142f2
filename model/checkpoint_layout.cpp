#include "model/checkpoint_layout.h"

#include <fmt/format.h>

#include <utility>

#include "base/checked.h"

namespace weft::model {
namespace {

void add_layer(std::vector<TensorSpec>& tensors, const Qwen3Config& config, std::int64_t layer,
               DType dtype) {
  const auto add = [&](std::string_view name, std::vector<std::int64_t> shape) {
    tensors.push_back({layer_tensor_name(layer, name), dtype, std::move(shape)});
  };
  const std::int64_t q_rows = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_rows = config.num_key_value_heads * config.head_dim;
  add("self_attn.q_proj", {q_rows, config.hidden_size});
  add("self_attn.k_proj", {kv_rows, config.hidden_size});
  add("self_attn.v_proj", {kv_rows, config.hidden_size});
  add("self_attn.o_proj", {config.hidden_size, q_rows});
  add("self_attn.q_norm", {config.head_dim});
  add("self_attn.k_norm", {config.head_dim});
  add("mlp.gate_proj", {config.intermediate_size, config.hidden_size});
  add("mlp.up_proj", {config.intermediate_size, config.hidden_size});
  add("mlp.down_proj", {config.hidden_size, config.intermediate_size});
  add("input_layernorm", {config.hidden_size});
  add("post_attention_layernorm", {config.hidden_size});
}

}  // namespace

std::string layer_tensor_name(std::int64_t layer, std::string_view name) {
  return fmt::format("model.layers.{}.{}.weight", layer, name);
}

std::vector<TensorSpec> qwen3_tensors(const Qwen3Config& config, DType dtype) {
  std::vector<TensorSpec> tensors;
  tensors.push_back(
      {std::string(kEmbeddingTensor), dtype, {config.vocab_size, config.hidden_size}});
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    add_layer(tensors, config, layer, dtype);
  }
  tensors.push_back({std::string(kFinalNormTensor), dtype, {config.hidden_size}});
  if (!config.tie_word_embeddings) {
    tensors.push_back({std::string(kHeadTensor), dtype, {config.vocab_size, config.hidden_size}});
  }
  return tensors;
}

bool is_norm_tensor(std::string_view name) { return name.ends_with("norm.weight"); }

ShardPlan plan_shards(const std::vector<TensorSpec>& tensors, std::uint64_t max_shard_bytes) {
  ShardPlan plan;
  std::vector<TensorSpec> current;
  std::uint64_t current_bytes = 0;
  const auto close_current = [&] {
    if (!current.empty()) plan.shards.push_back(std::exchange(current, {}));
    current_bytes = 0;
  };
  for (const TensorSpec& tensor : tensors) {
    const std::uint64_t bytes = tensor_bytes(tensor.dtype, tensor.shape, tensor.name);
    plan.total_bytes = checked_add(plan.total_bytes, bytes, "the checkpoint");
    plan.total_elements += element_count(tensor.shape, tensor.name);
    if (bytes > max_shard_bytes) {
      plan.shards.push_back({tensor});
      continue;
    }
    if (current_bytes + bytes > max_shard_bytes) close_current();
    current.push_back(tensor);
    current_bytes += bytes;
  }
  close_current();
  if (plan.shards.empty()) plan.shards.emplace_back();
  return plan;
}

std::string shard_name(std::size_t shard, std::size_t shards) {
  if (shards == 1) return "model.safetensors";
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards);
}

}  // namespace weft::model
