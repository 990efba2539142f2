#include "model/qwen3_rope_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "base/error.h"
#include "base/text.h"

namespace weft::model {
namespace {

/// One of the two spellings, after reading.
struct Spelling {
  std::optional<double> theta;
  std::optional<YarnScaling> yarn;
  bool has_scaling = false;  // it says which scaling there is, be it none
};

double read_theta(const Json& json, std::string_view name) {
  const double theta = json_number(json, "rope_theta", name);
  if (!(theta > 1.0 && theta <= 1e15)) {
    fail_data("{}: 'rope_theta' is {}; it must be above 1 and at most 1e15", name, theta);
  }
  return theta;
}

double read_at_least(const Json& json, std::string_view key, std::string_view name, double min) {
  const double value = json_number(json, key, name);
  if (!(value >= min && value <= 1e6)) {
    fail_data("{}: '{}' is {}; it must lie between {} and 1e6", name, key, value, min);
  }
  return value;
}

std::string read_rope_type(const Json& scaling, std::string_view name) {
  const Json* type = json_find(scaling, "rope_type");
  const Json* legacy = json_find(scaling, "type");
  if (type == nullptr && legacy == nullptr) return "default";
  const std::string value = json_string(scaling, type != nullptr ? "rope_type" : "type", name);
  if (type != nullptr && legacy != nullptr && json_string(scaling, "type", name) != value) {
    fail_data("{}: 'rope_type' is '{}' but 'type' is '{}': they are two names of one thing", name,
              printable(value), printable(json_string(scaling, "type", name)));
  }
  return value;
}

/// An option that weft does not know would change the model's results without a word.
void check_yarn_keys(const Json& scaling, std::string_view name) {
  static constexpr std::array<std::string_view, 9> kKnown = {
      "rope_type", "type",      "rope_theta",       "factor",  "original_max_position_embeddings",
      "beta_fast", "beta_slow", "attention_factor", "truncate"};
  for (const auto& [key, value] : scaling.items()) {
    if (value.is_null() || std::find(kKnown.begin(), kKnown.end(), key) != kKnown.end()) continue;
    fail_data("{}: the option '{}' of YaRN is not supported", name, printable(key));
  }
  if (json_find(scaling, "truncate") != nullptr && !json_bool(scaling, "truncate", name)) {
    fail_data("{}: 'truncate' is false; only true is supported for YaRN", name);
  }
}

YarnScaling read_yarn(const Json& scaling, std::string_view name, std::int64_t max_positions) {
  check_yarn_keys(scaling, name);
  YarnScaling yarn;
  yarn.factor = read_at_least(scaling, "factor", name, 1.0);
  yarn.original_max_position_embeddings = max_positions;
  if (json_find(scaling, "original_max_position_embeddings") != nullptr) {
    yarn.original_max_position_embeddings =
        json_int(scaling, "original_max_position_embeddings", name);
    if (yarn.original_max_position_embeddings < 1) {
      fail_data("{}: 'original_max_position_embeddings' is {}; it must be at least 1", name,
                yarn.original_max_position_embeddings);
    }
  }
  if (json_find(scaling, "beta_fast") != nullptr) {
    yarn.beta_fast = read_at_least(scaling, "beta_fast", name, 1e-6);
  }
  if (json_find(scaling, "beta_slow") != nullptr) {
    yarn.beta_slow = read_at_least(scaling, "beta_slow", name, 1e-6);
  }
  if (yarn.beta_fast < yarn.beta_slow) {
    fail_data("{}: 'beta_fast' {} is below 'beta_slow' {}", name, yarn.beta_fast, yarn.beta_slow);
  }
  if (json_find(scaling, "attention_factor") != nullptr) {
    yarn.attention_factor = read_at_least(scaling, "attention_factor", name, 1e-6);
  }
  return yarn;
}

std::optional<YarnScaling> read_scaling(const Json& scaling, std::string_view name,
                                        std::int64_t max_positions) {
  const std::string type = read_rope_type(scaling, name);
  if (type == "yarn") return read_yarn(scaling, name, max_positions);
  if (type == "default") return std::nullopt;
  fail_data("{}: the RoPE type '{}' is not supported; supported are 'default' and 'yarn'", name,
            printable(type));
}

Spelling read_spelling(const Json& json, std::string_view key, std::string_view name,
                       std::int64_t max_positions) {
  Spelling spelling;
  const Json* scaling = json_find(json, key);
  if (scaling == nullptr) return spelling;
  const std::string inner = fmt::format("{}: {}", name, key);
  if (!scaling->is_object()) fail_data("{} must be an object or null", inner);
  if (json_find(*scaling, "full_attention") != nullptr) {
    fail_data("{} differs by layer type, which is not supported", inner);
  }
  spelling.yarn = read_scaling(*scaling, inner, max_positions);
  spelling.has_scaling = true;
  if (json_find(*scaling, "rope_theta") != nullptr) spelling.theta = read_theta(*scaling, inner);
  return spelling;
}

}  // namespace

double YarnScaling::cos_sin_scale() const {
  if (attention_factor) return *attention_factor;
  return factor <= 1.0 ? 1.0 : 0.1 * std::log(factor) + 1.0;
}

RopeConfig parse_rope_config(const Json& json, std::string_view name,
                             std::int64_t max_position_embeddings) {
  Spelling classic = read_spelling(json, "rope_scaling", name, max_position_embeddings);
  if (json_find(json, "rope_theta") != nullptr) classic.theta = read_theta(json, name);
  const Spelling modern = read_spelling(json, "rope_parameters", name, max_position_embeddings);
  if (classic.theta && modern.theta && *classic.theta != *modern.theta) {
    fail_data("{}: 'rope_theta' is {} but 'rope_parameters' says {}", name, *classic.theta,
              *modern.theta);
  }
  if (classic.has_scaling && modern.has_scaling && classic.yarn != modern.yarn) {
    fail_data("{}: 'rope_scaling' and 'rope_parameters' describe different scalings", name);
  }
  if (!classic.theta && !modern.theta) {
    fail_data("{}: has neither 'rope_theta' nor a 'rope_parameters' that holds it", name);
  }
  return {classic.theta ? *classic.theta : *modern.theta,
          classic.has_scaling ? classic.yarn : modern.yarn};
}

Json yarn_to_json(const std::optional<YarnScaling>& yarn) {
  if (!yarn) return nullptr;
  Json json = {{"rope_type", "yarn"},
               {"factor", yarn->factor},
               {"original_max_position_embeddings", yarn->original_max_position_embeddings},
               {"beta_fast", yarn->beta_fast},
               {"beta_slow", yarn->beta_slow}};
  if (yarn->attention_factor) json["attention_factor"] = *yarn->attention_factor;
  return json;
}

}  // namespace weft::model
