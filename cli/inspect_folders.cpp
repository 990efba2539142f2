#include "cli/inspect_folders.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "adapters/lora.h"
#include "adapters/peft_config.h"
#include "adapters/peft_files.h"
#include "base/error.h"
#include "base/text.h"
#include "data/tokenizer.h"
#include "model/checkpoint_layout.h"
#include "model/checkpoint_reader.h"
#include "model/dtype.h"
#include "model/qwen3_config.h"
#include "model/safetensors.h"
#include "trainer/checkpoint_find.h"
#include "trainer/checkpoint_manifest.h"
#include "trainer/checkpoint_state.h"

namespace weft::cli {
namespace {

constexpr std::size_t kMostNames = 10;
constexpr std::size_t kBlock = std::size_t{1} << 20;  // elements read at a time

std::string bytes_text(std::uint64_t bytes) { return human_bytes(bytes); }

// "bf16 x 28, fp32 x 2".
std::string dtype_counts(const std::map<std::string, std::int64_t>& counts) {
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) {
    parts.push_back(fmt::format("{} x {}", name, count));
  }
  return join(parts, ", ");
}

// Up to ten names, and how many more there are.
std::string some(const std::vector<std::string>& names) {
  std::vector<std::string> shown(
      names.begin(),
      names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kMostNames)));
  for (std::string& name : shown) {
    name = printable(name);
  }
  return join(shown, ", ") +
         (names.size() > kMostNames ? fmt::format(" and {} more", names.size() - kMostNames) : "");
}

// Where the weights are not those that the configuration asks for.
Json weight_problems(const model::CheckpointReader& reader, const model::Qwen3Config& config) {
  Json problems = Json::array();
  std::vector<std::string> missing;
  std::set<std::string> known;
  for (const model::TensorSpec& spec : model::qwen3_tensors(config, config.dtype)) {
    known.insert(spec.name);
    if (!reader.contains(spec.name)) {
      missing.push_back(spec.name);
    } else if (reader.info(spec.name).shape != spec.shape) {
      problems.push_back(fmt::format("{} is {}, config.json makes it {}", spec.name,
                                     model::shape_text(reader.info(spec.name).shape),
                                     model::shape_text(spec.shape)));
    }
  }
  std::vector<std::string> unknown;
  for (const std::string& name : reader.names()) {
    if (!known.contains(name) && name != model::kHeadTensor) {
      unknown.push_back(name);
    }
  }
  if (!missing.empty()) {
    problems.push_back("missing: " + some(missing));
  }
  if (!unknown.empty()) {
    problems.push_back("not part of the model: " + some(unknown));
  }
  return problems;
}

// Reads every value; a NaN or infinity is a problem.
void verify_values(const model::CheckpointReader& reader, Json& problems) {
  std::vector<float> block;
  for (const std::string& name : reader.names()) {
    const model::TensorInfo& info = reader.info(name);
    if (!model::is_weight_dtype(info.dtype)) {
      continue;
    }
    const std::uint64_t count = model::element_count(info.shape, name);
    for (std::uint64_t first = 0; first < count; first += block.size()) {
      block.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, count - first)));
      reader.read_as(name, first, model::DType::kFloat32, std::as_writable_bytes(std::span(block)));
      if (!std::all_of(block.begin(), block.end(), [](float x) { return std::isfinite(x); })) {
        problems.push_back(fmt::format("{} holds a value that is not finite", name));
        break;
      }
    }
  }
}

Json tokenizer_json(FileSystem& files, const fs::path& folder) {
  if (data::tokenizer_files(files, folder).empty()) {
    return nullptr;
  }
  const auto tokenizer = data::load_tokenizer(files, folder);
  return {{"vocabulary", tokenizer->vocab_size()}, {"sha256", tokenizer->sha256()}};
}

Json architecture_json(const model::Qwen3Config& config) {
  return {{"layers", config.num_hidden_layers},
          {"hidden_size", config.hidden_size},
          {"attention_heads", config.num_attention_heads},
          {"key_value_heads", config.num_key_value_heads},
          {"head_dim", config.head_dim},
          {"intermediate_size", config.intermediate_size},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"rope_theta", config.rope_theta},
          {"tie_word_embeddings", config.tie_word_embeddings}};
}

// Rank, alpha and targets, as the file says them; patterns by their number.
Json peft_json(const adapters::PeftConfig& config) {
  Json json = {{"rank", config.rank},
               {"alpha", config.alpha},
               {"scale", config.scale_of("")},
               {"dropout", config.dropout},
               {"target_modules", config.target_modules},
               {"base_model", config.base_model_name_or_path}};
  if (config.use_rslora) {
    json["use_rslora"] = true;
  }
  if (!config.rank_pattern.empty() || !config.alpha_pattern.empty()) {
    json["patterns"] = config.rank_pattern.size() + config.alpha_pattern.size();
  }
  return json;
}

// Whether the adapter can be loaded onto the model, by doing it.
void check_against_model(FileSystem& files, const fs::path& folder, const fs::path& model_folder,
                         Json& found) {
  found["checked_against"] = model_folder.string();
  try {
    const model::Qwen3Config config = model::read_qwen3_config(files, model_folder);
    (void)adapters::read_peft_adapter(files, folder, config, at::kFloat, at::kCPU);
  } catch (const Error& error) {
    found["problems"].push_back(error.what());
  }
}

}  // namespace

Json inspect_model(FileSystem& files, const fs::path& folder, bool verify) {
  const model::Qwen3Config config = model::read_qwen3_config(files, folder);
  Json found = {{"kind", "model"}, {"path", folder.string()}, {"parameters", nullptr}};
  found["parameters"] = config.parameter_count();
  found["dtype"] = model::dtype_name(config.dtype);
  found["architecture"] = architecture_json(config);
  const auto reader = model::CheckpointReader::open(files, folder);
  std::map<std::string, std::int64_t> dtypes;
  for (const std::string& name : reader.names()) {
    ++dtypes[std::string(model::dtype_name(reader.info(name).dtype))];
  }
  found["tensors"] = reader.names().size();
  found["tensor_types"] = dtype_counts(dtypes);
  found["size"] = bytes_text(reader.total_bytes());
  found["tokenizer"] = tokenizer_json(files, folder);
  found["problems"] = weight_problems(reader, config);
  if (verify) {
    verify_values(reader, found["problems"]);
    found["verified"] = "every value is finite";
  }
  return found;
}

Json inspect_adapter(FileSystem& files, const fs::path& folder, const InspectOptions& options) {
  const adapters::PeftConfig config = adapters::read_peft_config(files, folder);
  Json found = {{"kind", "adapter"}, {"path", folder.string()}};
  found.update(peft_json(config));
  const auto file = model::SafetensorsFile::open(files, folder / "adapter_model.safetensors");
  std::map<std::string, std::int64_t> dtypes;
  std::uint64_t parameters = 0;
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    ++dtypes[std::string(model::dtype_name(tensor.dtype))];
    parameters += model::element_count(tensor.shape, name);
    bytes += tensor.bytes();
  }
  found["parameters"] = parameters;
  found["tensors"] = file.tensors().size();
  found["tensor_types"] = dtype_counts(dtypes);
  found["size"] = bytes_text(bytes);
  found["problems"] = Json::array();
  const fs::path base = options.model.empty() ? config.base_model_name_or_path : options.model;
  if (!options.model.empty() || (!base.empty() && files.exists(base / "config.json"))) {
    check_against_model(files, folder, base, found);
  }
  return found;
}

Json inspect_checkpoint(FileSystem& files, const fs::path& folder, const InspectOptions& options) {
  const trainer::Manifest manifest = trainer::verify_checkpoint(files, folder, options.verify);
  const fs::path state_path = folder / trainer::kTrainerStateName;
  const auto state =
      trainer::parse_trainer_state(read_file(files, state_path), state_path.string());
  Json found = {{"kind", "checkpoint"},
                {"path", folder.string()},
                {"step", state.step},
                {"max_steps", state.max_steps},
                {"epoch", state.epoch},
                {"tokens", state.tokens},
                {"trained_tokens", state.trained_tokens},
                {"verified", options.verify ? "every file's SHA-256"
                                            : "sizes alone; --verify reads "
                                              "the files"}};
  std::uint64_t bytes = 0;
  for (const auto& [name, record] : manifest.files) {
    bytes += record.bytes;
    found["files"][name] = bytes_text(record.bytes);
  }
  found["size"] = bytes_text(bytes);
  found["problems"] = Json::array();
  if (files.exists(folder / "adapter_config.json")) {
    found["adapter"] = inspect_adapter(files, folder, options);
    found["problems"] = found["adapter"]["problems"];
  } else if (files.exists(folder / "config.json")) {
    found["model"] = inspect_model(files, folder, false);
    found["problems"] = found["model"]["problems"];
  }
  return found;
}

Json inspect_run(FileSystem& files, const fs::path& folder, const InspectOptions& options) {
  Json found = {{"kind", "run"}, {"path", folder.string()}, {"checkpoints", Json::array()}};
  Json problems = Json::array();
  for (const trainer::CheckpointFolder& checkpoint : trainer::list_checkpoints(files, folder)) {
    found["checkpoints"].push_back(checkpoint.path.filename().string());
    try {
      (void)trainer::verify_checkpoint(files, checkpoint.path, options.verify);
    } catch (const Error& error) {
      problems.push_back(error.what());
    }
  }
  const fs::path final_folder = folder / "final";
  if (files.exists(final_folder / "adapter_config.json")) {
    found["final"] = inspect_adapter(files, final_folder, options);
  } else if (files.exists(final_folder / "config.json")) {
    found["final"] = inspect_model(files, final_folder, options.verify);
  }
  if (const Json* final_part = json_find(found, "final")) {
    for (const Json& problem : (*final_part)["problems"]) {
      problems.push_back(problem);
    }
  }
  found["problems"] = problems;
  return found;
}

}  // namespace weft::cli
