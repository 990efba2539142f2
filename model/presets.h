#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/qwen3_config.h"

namespace weft::model {

/// The names that preset_config takes: "tiny", "0.6b", "1.7b", "4b", "8b", "14b", "32b".
[[nodiscard]] std::vector<std::string> preset_names();

/// The published configuration of that size, or "tiny" for tests and examples. `vocab_size`
/// replaces the preset's; special token ids that no longer fit are dropped. A config Error names
/// the presets; a mixture-of-experts size is refused.
[[nodiscard]] Qwen3Config preset_config(std::string_view name,
                                        std::optional<std::int64_t> vocab_size = std::nullopt);

/// A config with config.json members replaced by `key=value` words, the value in JSON (a bare word
/// is a string): "num_hidden_layers=2", "rope_scaling={…}". Only keys that weft writes may be set;
/// the result is checked as a file is.
[[nodiscard]] Qwen3Config override_config(const Qwen3Config& config,
                                          const std::vector<std::string>& assignments);

}  // namespace weft::model
