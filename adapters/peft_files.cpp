#include "adapters/peft_files.h"

#include <ATen/ops/empty.h>

#include <map>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "model/safetensors.h"

namespace weft::adapters {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr const char* kWeights = "adapter_model.safetensors";

// A tensor name taken apart; nothing when it is not a LoRA matrix of a projection of ours.
struct MatrixName {
  std::int64_t layer;
  LoraTarget target;
  bool is_a;
};

std::optional<MatrixName> parse_matrix_name(std::string_view name,
                                            const model::Qwen3Config& config) {
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const std::string in_layer = fmt::format("{}model.layers.{}.", kPrefix, layer);
    if (!name.starts_with(in_layer)) {
      continue;
    }
    for (const LoraTarget target : kAllTargets) {
      const std::string module = std::string(kPrefix) + module_name(layer, target);
      if (name == module + ".lora_A.weight" || name == module + ".lora_B.weight") {
        return MatrixName{layer, target, name.ends_with("A.weight")};
      }
    }
  }
  return std::nullopt;
}

struct Pair {
  const model::TensorInfo* a = nullptr;
  const model::TensorInfo* b = nullptr;
};
using Pairs = std::map<std::pair<std::int64_t, LoraTarget>, Pair>;

Pairs collect_pairs(const model::SafetensorsFile& file, const model::Qwen3Config& config) {
  Pairs pairs;
  std::vector<std::string> unknown;
  for (const auto& [name, info] : file.tensors()) {
    const auto parsed = parse_matrix_name(name, config);
    if (!parsed) {
      unknown.push_back(printable(name));
      continue;
    }
    Pair& pair = pairs[{parsed->layer, parsed->target}];
    (parsed->is_a ? pair.a : pair.b) = &info;
  }
  if (!unknown.empty()) {
    const std::size_t total = unknown.size();
    unknown.resize(std::min<std::size_t>(total, 10));
    fail_data(
        "{}: {} tensors are not LoRA matrices of this {}-layer model's projections: {}; is it an "
        "adapter for another base?",
        file.path(), total, config.num_hidden_layers, join(unknown, ", "));
  }
  if (pairs.empty()) {
    fail_data("{}: holds no LoRA matrices", file.path());
  }
  return pairs;
}

void check_shape(const model::SafetensorsFile& file, const std::string& module, const char* half,
                 const model::TensorInfo* info, std::vector<std::int64_t> expected) {
  if (info == nullptr) {
    fail_data("{}: {} has no {}, only the other half of the pair", file.path(), module, half);
  }
  if (info->shape != expected) {
    fail_data("{}: {}.{} is {}, expected {} for this base and the rank in adapter_config.json",
              file.path(), module, half, model::shape_text(info->shape),
              model::shape_text(expected));
  }
  if (!model::is_weight_dtype(info->dtype)) {
    fail_data("{}: {}.{} is stored as {}, expected F32, BF16, F16 or F64", file.path(), module,
              half, model::dtype_name(info->dtype));
  }
}

std::vector<LoraModule> check_modules(const model::SafetensorsFile& file, const Pairs& pairs,
                                      const PeftConfig& peft, const model::Qwen3Config& config) {
  std::vector<LoraModule> modules;
  for (const auto& [key, pair] : pairs) {
    const auto& [layer, target] = key;
    const std::string name = module_name(layer, target);
    const MatrixShape shape = target_shape(config, target);
    const std::int64_t rank = peft.rank_of(name);
    check_shape(file, name, "lora_A", pair.a, {rank, shape.in});
    check_shape(file, name, "lora_B", pair.b, {shape.out, rank});
    modules.push_back({layer, target, rank, peft.scale_of(name)});
  }
  return modules;
}

void read_matrix(const model::SafetensorsFile& file, const NamedMatrix& matrix) {
  const model::TensorInfo& info = file.info(matrix.name);
  std::vector<std::byte> raw(info.bytes());
  file.read(info, raw);
  if (const auto bad = model::first_non_finite(info.dtype, raw)) {
    fail_data("{}: {} has a value that is not finite at element {}", file.path(), matrix.name,
              *bad);
  }
  const at::Tensor host = at::empty(matrix.view.sizes(), at::TensorOptions(at::kFloat));
  model::convert_elements(info.dtype, raw, model::DType::kFloat32,
                          {static_cast<std::byte*>(host.data_ptr()), host.nbytes()});
  matrix.view.copy_(host);
}

}  // namespace

LoraAdapters read_peft_adapter(FileSystem& files, const fs::path& folder,
                               const model::Qwen3Config& config, at::ScalarType compute_dtype,
                               c10::Device device) {
  PeftConfig peft = read_peft_config(files, folder);
  if (!files.exists(folder / kWeights) && files.exists(folder / "adapter_model.bin")) {
    fail_data(
        "{} has adapter_model.bin only, a pickle that can run code; save it as {} with PEFT first",
        folder.string(), kWeights);
  }
  const auto file = model::SafetensorsFile::open(files, folder / kWeights);
  const Pairs pairs = collect_pairs(file, config);
  std::vector<LoraModule> modules = check_modules(file, pairs, peft, config);
  LoraAdapters adapters(config, std::move(peft), std::move(modules), compute_dtype, device);
  for (const NamedMatrix& matrix : adapters.matrices()) {
    read_matrix(file, matrix);
  }
  adapters.refresh();
  return adapters;
}

void write_peft_adapter(FileSystem& files, const fs::path& folder, const LoraAdapters& adapters) {
  write_peft_adapter(files, folder, adapters, adapters.parameters().values());
}

void write_peft_adapter(FileSystem& files, const fs::path& folder, const LoraAdapters& adapters,
                        const at::Tensor& values) {
  std::map<std::string, at::Tensor> host;
  std::vector<model::TensorSpec> specs;
  for (const NamedMatrix& matrix : adapters.matrices(values)) {
    host[matrix.name] = matrix.view.to(at::kCPU).to(at::kFloat).contiguous();
    specs.push_back({matrix.name,
                     model::DType::kFloat32,
                     {matrix.view.sizes().begin(), matrix.view.sizes().end()}});
  }
  model::SafetensorsWriter writer(files, folder / kWeights, specs);
  for (const model::TensorSpec& spec : writer.tensors()) {
    const at::Tensor& tensor = host.at(spec.name);
    writer.append(spec.name,
                  {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
  writer.finish();
  PeftConfig peft = adapters.peft();
  if (peft.target_modules.empty() || peft.target_modules.front() == "all") {
    peft.target_modules.clear();
    for (const LoraTarget target : kAllTargets) {
      const auto carries = [&](const LoraModule& module) { return module.target == target; };
      if (std::any_of(adapters.modules().begin(), adapters.modules().end(), carries)) {
        peft.target_modules.emplace_back(target_name(target));
      }
    }
  }
  write_synced(files, folder / "adapter_config.json",
               dump_json_pretty(peft_config_to_json(peft), /*sort_keys=*/true));
}

}  // namespace weft::adapters
