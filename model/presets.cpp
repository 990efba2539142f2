#include "model/presets.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"

namespace weft::model {
namespace {

constexpr std::int64_t kQwen3Vocabulary = 151936;
constexpr std::int64_t kEndOfText = 151643;
constexpr std::int64_t kEndOfTurn = 151645;

struct Preset {
  std::string_view name;
  std::int64_t layers;
  std::int64_t hidden;
  std::int64_t heads;
  std::int64_t kv_heads;
  std::int64_t head_dim;
  std::int64_t intermediate;
  bool tied;
};

constexpr std::array<Preset, 7> kPresets = {{
    {"tiny", 4, 128, 4, 2, 32, 384, true},
    {"0.6b", 28, 1024, 16, 8, 128, 3072, true},
    {"1.7b", 28, 2048, 16, 8, 128, 6144, true},
    {"4b", 36, 2560, 32, 8, 128, 9728, true},
    {"8b", 36, 4096, 32, 8, 128, 12288, false},
    {"14b", 40, 5120, 40, 8, 128, 17408, false},
    {"32b", 64, 5120, 64, 8, 128, 25600, false},
}};

const Preset& find_preset(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return preset;
  }
  if (name == "30b-a3b" || name == "235b-a22b") {
    fail_config(
        "preset '{}' is a mixture-of-experts model; those are not supported yet by this version "
        "of weft",
        name);
  }
  fail_config("there is no preset '{}'; presets are {}", printable(name),
              join(preset_names(), ", "));
}

Json parse_value(std::string_view text, std::string_view assignment) {
  const bool is_json =
      !text.empty() && std::string_view("{[\"-0123456789").find(text[0]) != std::string_view::npos;
  if (is_json || text == "true" || text == "false" || text == "null") {
    try {
      return parse_json(text, assignment);
    } catch (const Error& error) {
      fail_config("{}", error.what());
    }
  }
  return std::string(text);
}

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

Qwen3Config preset_config(std::string_view name, std::optional<std::int64_t> vocab_size) {
  const Preset& preset = find_preset(name);
  Qwen3Config config;
  config.num_hidden_layers = preset.layers;
  config.hidden_size = preset.hidden;
  config.num_attention_heads = preset.heads;
  config.num_key_value_heads = preset.kv_heads;
  config.head_dim = preset.head_dim;
  config.intermediate_size = preset.intermediate;
  config.tie_word_embeddings = preset.tied;
  config.max_position_embeddings = 40960;
  config.vocab_size = vocab_size.value_or(kQwen3Vocabulary);
  if (config.vocab_size < 1 || config.vocab_size > (std::int64_t{1} << 24)) {
    fail_config("the vocabulary size {} is not between 1 and {}", config.vocab_size,
                std::int64_t{1} << 24);
  }
  if (kEndOfTurn < config.vocab_size) {
    config.bos_token_id = kEndOfText;
    config.eos_token_ids = {kEndOfTurn};
    config.pad_token_id = kEndOfText;
  }
  return config;
}

Qwen3Config override_config(const Qwen3Config& config,
                            const std::vector<std::string>& assignments) {
  Json json = qwen3_config_to_json(config);
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      fail_config("'{}' is not of the form key=value", printable(assignment));
    }
    const std::string key = assignment.substr(0, equals);
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      const std::string nearest = nearest_name(key, keys);
      fail_config("there is no config key '{}'{}", printable(key),
                  nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest));
    }
    json[key] = parse_value(std::string_view(assignment).substr(equals + 1), assignment);
  }
  try {
    return parse_qwen3_config(json, "the overridden config");
  } catch (const Error& error) {
    fail_config("{}", error.what());
  }
}

}  // namespace weft::model
