#include "model/qwen3_config.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "model/qwen3_rope_config.h"

namespace weft::model {
namespace {

constexpr std::string_view kModelType = "qwen3";
constexpr std::string_view kArchitecture = "Qwen3ForCausalLM";

std::string architectures_text(const Json& json, std::string_view name) {
  const Json* list = json_find(json, "architectures");
  if (list == nullptr) return "";
  if (!list->is_array()) fail_data("{}: 'architectures' must be a list of names", name);
  std::vector<std::string> names;
  for (const Json& each : *list) {
    if (!each.is_string()) fail_data("{}: 'architectures' must be a list of names", name);
    names.push_back(each.get<std::string>());
  }
  return join(names, ", ");
}

/// Refuses every model that is not a dense Qwen3 language model, by the names it gives itself.
void check_architecture(const Json& json, std::string_view name) {
  const std::string type = json_string(json, "model_type", name);
  const std::string architectures = architectures_text(json, name);
  const std::string found = fmt::format(
      "model_type '{}'{}", printable(type),
      architectures.empty() ? ""
                            : fmt::format(" and architectures [{}]", printable(architectures)));
  if (type == "qwen3_moe") {
    fail_data("{}: {}: mixture-of-experts models are not supported yet by this version of weft",
              name, found);
  }
  if (type != kModelType || (!architectures.empty() && architectures != kArchitecture)) {
    fail_data("{}: {} is not supported; weft trains dense Qwen3 models: model_type '{}' with {}",
              name, found, kModelType, kArchitecture);
  }
}

std::int64_t read_size(const Json& json, std::string_view key, std::string_view name,
                       std::int64_t max) {
  const std::int64_t value = json_int(json, key, name);
  if (value < 1 || value > max) {
    fail_data("{}: '{}' is {}; it must lie between 1 and {}", name, key, value, max);
  }
  return value;
}

double read_positive(const Json& json, std::string_view key, std::string_view name, double max) {
  const double value = json_number(json, key, name);
  if (!(value > 0.0 && value <= max)) {
    fail_data("{}: '{}' is {}; it must be above 0 and at most {}", name, key, value, max);
  }
  return value;
}

bool flag(const Json& json, std::string_view key, std::string_view name) {
  return json_find(json, key) != nullptr && json_bool(json, key, name);
}

void read_sizes(const Json& json, std::string_view name, Qwen3Config& config) {
  constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
  config.hidden_size = read_size(json, "hidden_size", name, kMaxWidth);
  config.intermediate_size = read_size(json, "intermediate_size", name, kMaxWidth);
  config.num_hidden_layers = read_size(json, "num_hidden_layers", name, 4096);
  config.num_attention_heads = read_size(json, "num_attention_heads", name, 4096);
  config.num_key_value_heads = read_size(json, "num_key_value_heads", name, 4096);
  if (json_find(json, "head_dim") != nullptr) {
    config.head_dim = read_size(json, "head_dim", name, 4096);
  }
  config.vocab_size = read_size(json, "vocab_size", name, std::int64_t{1} << 24);
  config.max_position_embeddings =
      read_size(json, "max_position_embeddings", name, std::int64_t{1} << 30);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    fail_data("{}: 'num_attention_heads' {} is not a multiple of 'num_key_value_heads' {}", name,
              config.num_attention_heads, config.num_key_value_heads);
  }
  if (config.head_dim % 2 != 0) {
    fail_data("{}: 'head_dim' is {}; it must be even, since RoPE turns pairs", name,
              config.head_dim);
  }
}

std::optional<std::int64_t> read_token(const Json& json, std::string_view key,
                                       std::string_view name) {
  if (json_find(json, key) == nullptr) return std::nullopt;
  return json_int(json, key, name);
}

void check_token(std::int64_t id, std::string_view key, std::string_view name,
                 const Qwen3Config& config) {
  if (id < 0 || id >= config.vocab_size) {
    fail_data("{}: '{}' holds {}, which is outside the vocabulary of {} ids", name, key, id,
              config.vocab_size);
  }
}

void read_tokens(const Json& json, std::string_view name, Qwen3Config& config) {
  config.bos_token_id = read_token(json, "bos_token_id", name);
  config.pad_token_id = read_token(json, "pad_token_id", name);
  if (const Json* eos = json_find(json, "eos_token_id"); eos != nullptr) {
    config.eos_token_ids = eos->is_array()
                               ? json_ints(json, "eos_token_id", name)
                               : std::vector<std::int64_t>{json_int(json, "eos_token_id", name)};
  }
  for (const std::int64_t id : config.eos_token_ids) check_token(id, "eos_token_id", name, config);
  if (config.bos_token_id) check_token(*config.bos_token_id, "bos_token_id", name, config);
}

std::optional<DType> read_dtype(const Json& json, std::string_view key, std::string_view name) {
  if (json_find(json, key) == nullptr) return std::nullopt;
  const std::string& text = json_string(json, key, name);
  const std::optional<DType> dtype = dtype_from_torch_name(text);
  if (!dtype) {
    fail_data("{}: '{}' is '{}'; supported are bfloat16, float16, float32 and float64", name, key,
              printable(text));
  }
  return dtype;
}

void read_dtypes(const Json& json, std::string_view name, Qwen3Config& config) {
  const std::optional<DType> classic = read_dtype(json, "torch_dtype", name);
  const std::optional<DType> modern = read_dtype(json, "dtype", name);
  if (classic && modern && *classic != *modern) {
    fail_data("{}: 'torch_dtype' is {} but 'dtype' is {}: they are two names of one thing", name,
              torch_dtype_name(*classic), torch_dtype_name(*modern));
  }
  if (classic || modern) config.dtype = classic ? *classic : *modern;
}

void check_layer_types(const Json& json, std::string_view name, const Qwen3Config& config) {
  const Json* types = json_find(json, "layer_types");
  if (types == nullptr) return;
  if (!types->is_array() || types->size() != static_cast<std::size_t>(config.num_hidden_layers)) {
    fail_data("{}: 'layer_types' must be a list of {} names, one for each layer", name,
              config.num_hidden_layers);
  }
  for (std::size_t layer = 0; layer < types->size(); ++layer) {
    const Json& type = (*types)[layer];
    if (!type.is_string() || type.get<std::string>() != "full_attention") {
      fail_data("{}: 'layer_types' has {} for layer {}; only \"full_attention\" is supported", name,
                printable(dump_json(type)), layer);
    }
  }
}

/// Options that change what the model computes and that weft does not compute.
void check_options(const Json& json, std::string_view name, const Qwen3Config& config) {
  if (json_find(json, "hidden_act") != nullptr) {
    const std::string& act = json_string(json, "hidden_act", name);
    if (act != "silu") {
      fail_data("{}: 'hidden_act' is '{}'; only 'silu' is supported", name, printable(act));
    }
  }
  if (flag(json, "attention_bias", name)) {
    fail_data("{}: 'attention_bias' is true; Qwen3 models with biases are not supported", name);
  }
  if (json_find(json, "attention_dropout") != nullptr &&
      json_number(json, "attention_dropout", name) != 0.0) {
    fail_data("{}: 'attention_dropout' is {}; only 0 is supported", name,
              json_number(json, "attention_dropout", name));
  }
  if (flag(json, "use_sliding_window", name) && json_find(json, "sliding_window") != nullptr) {
    fail_data("{}: 'use_sliding_window' is true; sliding-window attention is not supported", name);
  }
  if (const Json* quantization = json_find(json, "quantization_config"); quantization != nullptr) {
    const Json* method =
        quantization->is_object() ? json_find(*quantization, "quant_method") : nullptr;
    fail_data("{}: the weights are quantised ({}); use the model's 16-bit or 32-bit release", name,
              method != nullptr ? printable(dump_json(*method)) : "quantization_config");
  }
  check_layer_types(json, name, config);
}

Json optional_json(const std::optional<std::int64_t>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json eos_json(const std::vector<std::int64_t>& ids) {
  if (ids.empty()) return nullptr;
  if (ids.size() == 1) return ids[0];
  return ids;
}

}  // namespace

std::int64_t Qwen3Config::parameter_count() const {
  const std::int64_t embedding = vocab_size * hidden_size;
  const std::int64_t attention =
      2 * hidden_size * head_dim * (num_attention_heads + num_key_value_heads) + 2 * head_dim;
  const std::int64_t mlp = 3 * hidden_size * intermediate_size;
  return embedding * (tie_word_embeddings ? 1 : 2) +
         num_hidden_layers * (attention + mlp + 2 * hidden_size) + hidden_size;
}

Qwen3Config parse_qwen3_config(const Json& json, std::string_view name) {
  if (!json.is_object()) fail_data("{}: must hold a JSON object", name);
  check_architecture(json, name);
  Qwen3Config config;
  read_sizes(json, name, config);
  if (json_find(json, "rms_norm_eps") != nullptr) {
    config.rms_norm_eps = read_positive(json, "rms_norm_eps", name, 1.0);
  }
  if (json_find(json, "initializer_range") != nullptr) {
    config.initializer_range = read_positive(json, "initializer_range", name, 100.0);
  }
  config.tie_word_embeddings = flag(json, "tie_word_embeddings", name);
  const RopeConfig rope = parse_rope_config(json, name, config.max_position_embeddings);
  config.rope_theta = rope.theta;
  config.yarn = rope.yarn;
  read_tokens(json, name, config);
  read_dtypes(json, name, config);
  check_options(json, name, config);
  return config;
}

Qwen3Config read_qwen3_config(FileSystem& files, const fs::path& model_folder) {
  if (!files.is_folder(model_folder)) {
    fail_data(
        "{}: is not a folder; a model is a folder with config.json, *.safetensors and tokenizer "
        "files",
        model_folder.string());
  }
  const fs::path path = model_folder / "config.json";
  return parse_qwen3_config(read_json(files, path), path.string());
}

Json qwen3_config_to_json(const Qwen3Config& config) {
  return Json{
      {"architectures", Json::array({kArchitecture})},
      {"attention_bias", false},
      {"attention_dropout", 0.0},
      {"bos_token_id", optional_json(config.bos_token_id)},
      {"eos_token_id", eos_json(config.eos_token_ids)},
      {"head_dim", config.head_dim},
      {"hidden_act", "silu"},
      {"hidden_size", config.hidden_size},
      {"initializer_range", config.initializer_range},
      {"intermediate_size", config.intermediate_size},
      {"max_position_embeddings", config.max_position_embeddings},
      {"max_window_layers", config.num_hidden_layers},
      {"model_type", kModelType},
      {"num_attention_heads", config.num_attention_heads},
      {"num_hidden_layers", config.num_hidden_layers},
      {"num_key_value_heads", config.num_key_value_heads},
      {"pad_token_id", optional_json(config.pad_token_id)},
      {"rms_norm_eps", config.rms_norm_eps},
      {"rope_scaling", yarn_to_json(config.yarn)},
      {"rope_theta", config.rope_theta},
      {"sliding_window", nullptr},
      {"tie_word_embeddings", config.tie_word_embeddings},
      {"torch_dtype", torch_dtype_name(config.dtype)},
      {"transformers_version", "4.51.0"},
      {"use_cache", true},
      {"use_sliding_window", false},
      {"vocab_size", config.vocab_size},
  };
}

}  // namespace weft::model
