#include "model/flops.h"

namespace weft::model {

double training_flops(const Qwen3Config& config, const StepShape& shape) {
  const auto hidden = static_cast<double>(config.hidden_size);
  const auto head_dim = static_cast<double>(config.head_dim);
  const auto heads_q = static_cast<double>(config.num_attention_heads);
  const auto heads_k = static_cast<double>(config.num_key_value_heads);
  const auto layers = static_cast<double>(config.num_hidden_layers);
  const auto tokens = static_cast<double>(shape.tokens);
  const double attention_weights =
      hidden * (heads_q + 2 * heads_k) * head_dim + heads_q * head_dim * hidden;
  const double mlp_weights = 3 * hidden * static_cast<double>(config.intermediate_size);
  const double per_weight = shape.weights_trained ? 6 : 4;
  double flops = per_weight * layers * (attention_weights + mlp_weights) * tokens;
  flops += per_weight * hidden * static_cast<double>(config.vocab_size) *
           static_cast<double>(shape.targets);
  flops += 6 * static_cast<double>(shape.adapter_parameters) * tokens;
  for (std::size_t i = 0; i + 1 < shape.cu_seqlens.size(); ++i) {
    const double length = shape.cu_seqlens[i + 1] - shape.cu_seqlens[i];
    flops += 7 * heads_q * head_dim * length * length * layers;
  }
  return flops;
}

}  // namespace weft::model
