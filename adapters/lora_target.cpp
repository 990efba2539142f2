#include "adapters/lora_target.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace weft::adapters {
namespace {

constexpr std::array<std::string_view, 7> kNames = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                    "gate_proj", "up_proj", "down_proj"};

bool is_attention(LoraTarget target) { return target <= LoraTarget::kO; }

}  // namespace

std::string_view target_name(LoraTarget target) {
  return kNames.at(static_cast<std::size_t>(target));
}

std::optional<LoraTarget> target_from_name(std::string_view name) {
  const auto* found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) {
    return std::nullopt;
  }
  return static_cast<LoraTarget>(found - kNames.begin());
}

std::vector<LoraTarget> parse_targets(const std::vector<std::string>& names) {
  std::vector<LoraTarget> targets;
  for (const std::string& name : names) {
    if (name == "all" || name == "all-linear" || name == "linear") {
      return {kAllTargets.begin(), kAllTargets.end()};
    }
    const auto target = target_from_name(name);
    if (!target) {
      const std::vector<std::string> known(kNames.begin(), kNames.end());
      const std::string nearest = nearest_name(name, known);
      fail_config(
          "lora_target: '{}' is not a projection of Qwen3{}; known are all, {}", printable(name),
          nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest), join(known, ", "));
    }
    if (std::find(targets.begin(), targets.end(), *target) == targets.end()) {
      targets.push_back(*target);
    }
  }
  if (targets.empty()) {
    fail_config("lora_target names no projection; use all, or a list such as [q_proj, v_proj]");
  }
  std::sort(targets.begin(), targets.end());
  return targets;
}

std::string module_name(std::int64_t layer, LoraTarget target) {
  return fmt::format("model.layers.{}.{}.{}", layer, is_attention(target) ? "self_attn" : "mlp",
                     target_name(target));
}

const std::array<std::vector<LoraTarget>, kMatrices>& packed_targets() {
  static const std::array<std::vector<LoraTarget>, kMatrices> targets{
      {{LoraTarget::kQ, LoraTarget::kK, LoraTarget::kV},
       {LoraTarget::kO},
       {LoraTarget::kGate, LoraTarget::kUp},
       {LoraTarget::kDown}}};
  return targets;
}

std::int64_t packed_row(const model::Qwen3Config& config, LoraTarget target) {
  const std::int64_t q = config.num_attention_heads * config.head_dim;
  const std::int64_t kv = config.num_key_value_heads * config.head_dim;
  switch (target) {
    case LoraTarget::kK:
      return q;
    case LoraTarget::kV:
      return q + kv;
    case LoraTarget::kUp:
      return config.intermediate_size;
    default:
      return 0;
  }
}

MatrixShape target_shape(const model::Qwen3Config& config, LoraTarget target) {
  const std::int64_t q = config.num_attention_heads * config.head_dim;
  const std::int64_t kv = config.num_key_value_heads * config.head_dim;
  switch (target) {
    case LoraTarget::kQ:
      return {q, config.hidden_size};
    case LoraTarget::kK:
    case LoraTarget::kV:
      return {kv, config.hidden_size};
    case LoraTarget::kO:
      return {config.hidden_size, q};
    case LoraTarget::kGate:
    case LoraTarget::kUp:
      return {config.intermediate_size, config.hidden_size};
    case LoraTarget::kDown:
      return {config.hidden_size, config.intermediate_size};
  }
  fail_internal("no such LoRA target: {}", static_cast<int>(target));
}

}  // namespace weft::adapters
