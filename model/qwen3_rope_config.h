#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/json.h"
#include "model/qwen3_config.h"

namespace weft::model {

/// The part of config.json about positions.
struct RopeConfig {
  double theta = 1e6;
  std::optional<YarnScaling> yarn;
};

/// Reads rope_theta and rope_scaling (transformers 4) or rope_parameters (transformers 5); where
/// both are there they must agree. RoPE types other than default and yarn, and options of yarn that
/// weft does not compute, are data Errors.
[[nodiscard]] RopeConfig parse_rope_config(const Json& json, std::string_view name,
                                           std::int64_t max_position_embeddings);

/// The value of rope_scaling: an object, or null without scaling.
[[nodiscard]] Json yarn_to_json(const std::optional<YarnScaling>& yarn);

}  // namespace weft::model
