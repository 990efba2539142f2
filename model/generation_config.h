#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "model/qwen3_config.h"

namespace weft::model {

/// How the model's makers want it sampled. What the file does not say is not set.
struct GenerationConfig {
  std::vector<std::int64_t> eos_token_ids;  ///< generation stops at any of them
  std::optional<std::int64_t> pad_token_id;
  std::optional<bool> do_sample;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<std::int64_t> top_k;
};

/// Reads a parsed generation_config.json; a data Error starts with `name`. End tokens fall back to
/// the config's.
[[nodiscard]] GenerationConfig parse_generation_config(const Json& json, std::string_view name,
                                                       const Qwen3Config& config);
/// The generation_config.json of a model folder; without one, the config's end tokens and nothing
/// else.
[[nodiscard]] GenerationConfig read_generation_config(FileSystem& files,
                                                      const fs::path& model_folder,
                                                      const Qwen3Config& config);

}  // namespace weft::model
