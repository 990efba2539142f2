#include "model/generation_config.h"

#include "base/error.h"

namespace weft::model {
namespace {

std::optional<double> read_number(const Json& json, std::string_view key, std::string_view name,
                                  double min, double max) {
  if (json_find(json, key) == nullptr) return std::nullopt;
  const double value = json_number(json, key, name);
  if (!(value >= min && value <= max)) {
    fail_data("{}: '{}' is {}; it must lie between {} and {}", name, key, value, min, max);
  }
  return value;
}

std::optional<std::int64_t> read_int(const Json& json, std::string_view key, std::string_view name,
                                     std::int64_t min, std::int64_t max) {
  if (json_find(json, key) == nullptr) return std::nullopt;
  const std::int64_t value = json_int(json, key, name);
  if (value < min || value > max) {
    fail_data("{}: '{}' is {}; it must lie between {} and {}", name, key, value, min, max);
  }
  return value;
}

}  // namespace

GenerationConfig parse_generation_config(const Json& json, std::string_view name,
                                         const Qwen3Config& config) {
  if (!json.is_object()) fail_data("{}: must hold a JSON object", name);
  GenerationConfig result;
  result.eos_token_ids = config.eos_token_ids;
  if (const Json* eos = json_find(json, "eos_token_id"); eos != nullptr) {
    result.eos_token_ids = eos->is_array()
                               ? json_ints(json, "eos_token_id", name)
                               : std::vector<std::int64_t>{json_int(json, "eos_token_id", name)};
  }
  for (const std::int64_t id : result.eos_token_ids) {
    if (id < 0 || id >= config.vocab_size) {
      fail_data("{}: 'eos_token_id' holds {}, which is outside the vocabulary of {} ids", name, id,
                config.vocab_size);
    }
  }
  result.pad_token_id = read_int(json, "pad_token_id", name, -1, config.vocab_size - 1);
  if (json_find(json, "do_sample") != nullptr) {
    result.do_sample = json_bool(json, "do_sample", name);
  }
  result.temperature = read_number(json, "temperature", name, 0.0, 1000.0);
  result.top_p = read_number(json, "top_p", name, 0.0, 1.0);
  result.min_p = read_number(json, "min_p", name, 0.0, 1.0);
  result.top_k = read_int(json, "top_k", name, 0, std::int64_t{1} << 31);
  return result;
}

GenerationConfig read_generation_config(FileSystem& files, const fs::path& model_folder,
                                        const Qwen3Config& config) {
  const fs::path path = model_folder / "generation_config.json";
  if (!files.exists(path)) return parse_generation_config(Json::object(), path.string(), config);
  return parse_generation_config(read_json(files, path), path.string(), config);
}

}  // namespace weft::model
