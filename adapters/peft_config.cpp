#include "adapters/peft_config.h"

#include <cmath>
#include <regex>

#include "base/error.h"
#include "base/text.h"

namespace weft::adapters {
namespace {

constexpr std::int64_t kMaxRank = 65536;

template <typename T>
const T* find_pattern(const std::vector<std::pair<std::string, T>>& patterns,
                      std::string_view module) {
  const std::string name(module);
  for (const auto& [pattern, value] : patterns) {
    if (std::regex_match(name, std::regex("(.*\\.)?(" + pattern + ")"))) {
      return &value;
    }
  }
  return nullptr;
}

void check_pattern(const std::string& pattern, std::string_view name) {
  if (pattern.size() > 512) {
    fail_data("{}: a rank or alpha pattern is {} characters long, at most 512 are taken", name,
              pattern.size());
  }
  try {
    const std::regex compiled(pattern);
  } catch (const std::regex_error& error) {
    fail_data("{}: '{}' in rank_pattern or alpha_pattern is not a regular expression: {}", name,
              printable(pattern), error.what());
  }
}

std::int64_t checked_rank(std::int64_t rank, std::string_view name) {
  if (rank < 1 || rank > kMaxRank) {
    fail_data("{}: rank is {}, expected 1 to {}", name, rank, kMaxRank);
  }
  return rank;
}

double checked_alpha(const Json& value, std::string_view key, std::string_view name) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    fail_data("{}: '{}' is {}, expected a finite number", name, key, dump_json(value));
  }
  return value.get<double>();
}

// Options that change what the adapter means and that are not built in.
void refuse_unsupported(const Json& json, std::string_view name) {
  const auto is_on = [&](std::string_view key) {
    const Json* value = json_find(json, key);
    return value != nullptr && !(value->is_boolean() && !value->get<bool>()) &&
           !((value->is_array() || value->is_object()) && value->empty());
  };
  for (const char* key :
       {"use_dora", "lora_bias", "modules_to_save", "fan_in_fan_out", "layer_replication",
        "target_parameters", "trainable_token_indices", "use_qalora"}) {
    if (is_on(key)) {
      fail_data(
          "{}: '{}' is set, which weft does not support; convert the adapter to plain LoRA first",
          name, key);
    }
  }
  const Json* bias = json_find(json, "bias");
  if (bias != nullptr && *bias != "none") {
    fail_data("{}: 'bias' is {}, only \"none\" is supported", name, dump_json(*bias));
  }
  const Json* init = json_find(json, "init_lora_weights");
  if (init != nullptr && init->is_string() &&
      (init->get<std::string>().starts_with("pissa") || *init == "olora" || *init == "corda" ||
       *init == "eva" || *init == "loftq")) {
    fail_data(
        "{}: init_lora_weights is {}, which changed the base weights; export a converted adapter "
        "first",
        name, dump_json(*init));
  }
}

void read_targets(const Json& json, std::string_view name, PeftConfig& config) {
  const Json* targets = json_find(json, "target_modules");
  if (targets == nullptr || targets->is_string()) {
    return;  // a pattern: the tensors in the file say which modules it met
  }
  if (!targets->is_array()) {
    fail_data("{}: 'target_modules' is {}, expected a list of names or a pattern", name,
              dump_json(*targets));
  }
  for (const Json& target : *targets) {
    if (!target.is_string()) {
      fail_data("{}: 'target_modules' holds {}, expected names", name, dump_json(target));
    }
    config.target_modules.push_back(target.get<std::string>());
  }
}

}  // namespace

std::int64_t PeftConfig::rank_of(std::string_view module) const {
  const std::int64_t* found = find_pattern(rank_pattern, module);
  return found == nullptr ? rank : *found;
}

double PeftConfig::alpha_of(std::string_view module) const {
  const double* found = find_pattern(alpha_pattern, module);
  return found == nullptr ? alpha : *found;
}

double PeftConfig::scale_of(std::string_view module) const {
  const auto r = static_cast<double>(rank_of(module));
  return alpha_of(module) / (use_rslora ? std::sqrt(r) : r);
}

PeftConfig parse_peft_config(const Json& json, std::string_view name) {
  const std::string& type = json_string(json, "peft_type", name);
  if (type != "LORA") {
    fail_data("{}: peft_type is '{}', expected 'LORA'", name, printable(type));
  }
  refuse_unsupported(json, name);
  PeftConfig config;
  config.rank = checked_rank(json_int(json, "r", name), name);
  config.alpha = checked_alpha(json_member(json, "lora_alpha", name), "lora_alpha", name);
  if (json_find(json, "lora_dropout") != nullptr) {
    config.dropout = json_number(json, "lora_dropout", name);
  }
  if (json_find(json, "use_rslora") != nullptr) {
    config.use_rslora = json_bool(json, "use_rslora", name);
  }
  read_targets(json, name, config);
  if (const Json* patterns = json_find(json, "rank_pattern")) {
    for (const auto& [pattern, value] : patterns->items()) {
      check_pattern(pattern, name);
      config.rank_pattern.emplace_back(pattern,
                                       checked_rank(json_int(*patterns, pattern, name), name));
    }
  }
  if (const Json* patterns = json_find(json, "alpha_pattern")) {
    for (const auto& [pattern, value] : patterns->items()) {
      check_pattern(pattern, name);
      config.alpha_pattern.emplace_back(pattern, checked_alpha(value, "alpha_pattern", name));
    }
  }
  if (json_find(json, "base_model_name_or_path") != nullptr) {
    config.base_model_name_or_path = json_string(json, "base_model_name_or_path", name);
  }
  return config;
}

PeftConfig read_peft_config(FileSystem& files, const fs::path& adapter_folder) {
  const fs::path path = adapter_folder / "adapter_config.json";
  if (!files.exists(path)) {
    fail_data("{} is not an adapter: it has no adapter_config.json", adapter_folder.string());
  }
  return parse_peft_config(read_json(files, path), path.string());
}

Json peft_config_to_json(const PeftConfig& config) {
  Json ranks = Json::object();
  for (const auto& [pattern, rank] : config.rank_pattern) {
    ranks[pattern] = rank;
  }
  Json alphas = Json::object();
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    alphas[pattern] = alpha;
  }
  // An integral alpha is written as one: other readers declare it an int.
  const Json alpha = config.alpha == std::floor(config.alpha) && std::abs(config.alpha) < 1e15
                         ? Json(static_cast<std::int64_t>(config.alpha))
                         : Json(config.alpha);
  return Json{{"alpha_pattern", alphas},
              {"auto_mapping", nullptr},
              {"base_model_name_or_path", config.base_model_name_or_path},
              {"bias", "none"},
              {"ensure_weight_tying", false},
              {"exclude_modules", nullptr},
              {"fan_in_fan_out", false},
              {"inference_mode", true},
              {"init_lora_weights", true},
              {"layer_replication", nullptr},
              {"layers_pattern", nullptr},
              {"layers_to_transform", nullptr},
              {"lora_alpha", alpha},
              {"lora_bias", false},
              {"lora_dropout", config.dropout},
              {"modules_to_save", nullptr},
              {"peft_type", "LORA"},
              {"peft_version", "0.21.0"},
              {"r", config.rank},
              {"rank_pattern", ranks},
              {"revision", nullptr},
              {"target_modules", config.target_modules},
              {"target_parameters", nullptr},
              {"task_type", "CAUSAL_LM"},
              {"trainable_token_indices", nullptr},
              {"use_dora", false},
              {"use_rslora", config.use_rslora}};
}

}  // namespace weft::adapters
