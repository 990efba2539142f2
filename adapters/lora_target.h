#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/qwen3_config.h"

namespace weft::adapters {

/// The matrices of a decoder layer that can carry an adapter.
enum class LoraTarget { kQ, kK, kV, kO, kGate, kUp, kDown };

inline constexpr std::array<LoraTarget, 7> kAllTargets = {
    LoraTarget::kQ,    LoraTarget::kK,  LoraTarget::kV,   LoraTarget::kO,
    LoraTarget::kGate, LoraTarget::kUp, LoraTarget::kDown};

/// "q_proj", …
[[nodiscard]] std::string_view target_name(LoraTarget target);
[[nodiscard]] std::optional<LoraTarget> target_from_name(std::string_view name);
/// From config words: "all" (also "all-linear", "linear") or names; an unknown name is a config
/// Error with the nearest one.
[[nodiscard]] std::vector<LoraTarget> parse_targets(const std::vector<std::string>& names);

/// "model.layers.3.self_attn.q_proj": the module's name in Hugging Face's model.
[[nodiscard]] std::string module_name(std::int64_t layer, LoraTarget target);

/// The packed matrices of a layer, qkv, o, gate_up and down, by the modules that share each in the
/// order of its rows.
inline constexpr std::size_t kMatrices = 4;
[[nodiscard]] const std::array<std::vector<LoraTarget>, kMatrices>& packed_targets();
/// First row of a module's output in its packed matrix.
[[nodiscard]] std::int64_t packed_row(const model::Qwen3Config& config, LoraTarget target);

struct MatrixShape {
  std::int64_t out;
  std::int64_t in;
};
[[nodiscard]] MatrixShape target_shape(const model::Qwen3Config& config, LoraTarget target);

}  // namespace weft::adapters
