#include "cli/load_model.h"

#include "adapters/peft_files.h"
#include "model/qwen3_model.h"
#include "trainer/base_model.h"
#include "trainer/device.h"

namespace weft::cli {

LoadedModel::LoadedModel() = default;
LoadedModel::LoadedModel(LoadedModel&&) noexcept = default;
LoadedModel::~LoadedModel() = default;

void ModelOptions::add_to(CLI::App& command) {
  command.add_option("--model", model, "A Qwen3 model's folder")->required();
  command.add_option("--adapter", adapter, "An adapter's folder, or a run's");
  command.add_option("--dtype", dtype, "fp32 | bf16 | auto (bf16 on a GPU, fp32 on a CPU)")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}));
  command.add_option("--device", device, "cpu | cuda | auto")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}));
}

LoadedModel load_model(FileSystem& files, const ModelOptions& options,
                       const trainer::BaseSharing& sharing) {
  const c10::Device device = trainer::resolve_device(options.device);
  const at::ScalarType dtype = trainer::resolve_dtype(options.dtype, device);
  LoadedModel loaded;
  loaded.tokenizer = trainer::load_model_tokenizer(files, options.model);
  loaded.chat.format = data::find_chat_template(files, options.model);
  trainer::BaseModel base = trainer::load_base_model(files, options.model, dtype, device, sharing);
  if (!options.adapter.empty()) {
    loaded.adapters = std::make_unique<adapters::LoraAdapters>(adapters::read_peft_adapter(
        files, trainer::find_adapter_folder(files, options.adapter), base.config, dtype, device));
  }
  loaded.model = std::make_unique<model::Qwen3Model>(base.config, std::move(base.weights),
                                                     std::move(base.layers));
  if (loaded.adapters != nullptr) {
    loaded.model->set_adapters(loaded.adapters->layers());
  }
  return loaded;
}

}  // namespace weft::cli
