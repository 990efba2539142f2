#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"

namespace weft::adapters {

/// What weft uses of PEFT's adapter_config.json.
struct PeftConfig {
  std::int64_t rank = 8;
  double alpha = 8;
  double dropout = 0;
  bool use_rslora = false;
  std::vector<std::string>
      target_modules;  ///< names such as q_proj; empty when the file has a pattern
  std::vector<std::pair<std::string, std::int64_t>>
      rank_pattern;  ///< regular expressions on module names
  std::vector<std::pair<std::string, double>> alpha_pattern;
  std::string base_model_name_or_path;

  /// Rank and alpha of one module ("model.layers.0.self_attn.q_proj"), patterns considered as PEFT
  /// does: a pattern matches the whole name or its end behind a dot.
  [[nodiscard]] std::int64_t rank_of(std::string_view module) const;
  [[nodiscard]] double alpha_of(std::string_view module) const;
  /// What B·A is multiplied by: alpha / rank, or alpha / sqrt(rank) with use_rslora.
  [[nodiscard]] double scale_of(std::string_view module) const;
};

/// Reads a parsed adapter_config.json; a data Error that starts with `name` for what weft can't
/// apply exactly (another PEFT type, DoRA, biases, modules_to_save, fan_in_fan_out, layer
/// replication, an alpha that is not a number).
[[nodiscard]] PeftConfig parse_peft_config(const Json& json, std::string_view name);
[[nodiscard]] PeftConfig read_peft_config(FileSystem& files, const fs::path& adapter_folder);

/// The file as PEFT writes it: every key that its versions ask for, sorted.
[[nodiscard]] Json peft_config_to_json(const PeftConfig& config);

}  // namespace weft::adapters
