#include "trainer/trainable.h"

#include <ATen/ops/zeros.h>

#include <map>

#include "adapters/peft_files.h"
#include "base/error.h"
#include "kernels/tensor_checks.h"
#include "model/checkpoint_files.h"
#include "model/checkpoint_reader.h"
#include "model/checkpoint_writer.h"
#include "trainer/base_model.h"

namespace weft::trainer {
namespace {

class LoraTrainable final : public Trainable {
 public:
  LoraTrainable(BaseModel base, adapters::LoraAdapters adapters, bool extended)
      : adapters_(std::move(adapters)),
        model_(base.config, std::move(base.weights), std::move(base.layers)) {
    if (extended) {
      adapters_.place_in(model_.weights());
    }
    model_.set_adapters(adapters_.layers());
  }

  model::Qwen3Model& model() override { return model_; }
  model::FlatParameters& parameters() override { return adapters_.parameters(); }
  void refresh() override { adapters_.refresh(); }
  std::int64_t adapter_parameters() const override { return adapters_.parameters().count(); }
  bool trains_weights() const override { return false; }
  void save(FileSystem& files, const fs::path& folder, const at::Tensor& values) override {
    adapters::write_peft_adapter(files, folder, adapters_, values);
  }

 private:
  adapters::LoraAdapters adapters_;
  model::Qwen3Model model_;
};

class FullTrainable final : public Trainable {
 public:
  FullTrainable(FileSystem& files, const fs::path& folder, at::ScalarType dtype, c10::Device device)
      : base_folder_(folder), config_(model::read_qwen3_config(files, folder)) {
    lay_out(dtype, device);
    if (!device.is_meta()) {
      const auto reader = model::CheckpointReader::open(files, folder);
      model::load_weights(reader, config_, masters_);
      stored_dtype_ = reader.info("model.embed_tokens.weight").dtype;
    }
    model_ = std::make_unique<model::Qwen3Model>(config_, weights_);
    refresh();
    model_->set_weight_gradients(gradients_);
  }

  model::Qwen3Model& model() override { return *model_; }
  model::FlatParameters& parameters() override { return parameters_; }
  std::int64_t adapter_parameters() const override { return 0; }
  bool trains_weights() const override { return true; }

  void refresh() override {
    if (weights_.embed.is_same(masters_.embed)) {
      return;
    }
    const auto from = model::named_weights(masters_, config_);
    const auto to = model::named_weights(weights_, config_);
    for (std::size_t i = 0; i < from.size(); ++i) {
      to[i].view.copy_(from[i].view);
    }
  }

  void save(FileSystem& files, const fs::path& folder, const at::Tensor& values) override {
    std::map<std::string, at::Tensor> views;
    std::vector<model::TensorSpec> specs;
    for (const auto& named : model::named_weights(views_of(values), config_)) {
      views[named.name] = named.view;
      specs.push_back(
          {named.name, stored_dtype_, {named.view.sizes().begin(), named.view.sizes().end()}});
    }
    model::CheckpointWriter writer(files, folder, specs);
    for (const model::TensorSpec& spec : writer.order()) {
      const at::Tensor host = views.at(spec.name).to(at::kCPU).contiguous();
      std::vector<std::byte> bytes(static_cast<std::size_t>(host.numel()) *
                                   model::dtype_bytes(spec.dtype));
      model::convert_elements(model::DType::kFloat32,
                              {static_cast<const std::byte*>(host.const_data_ptr()), host.nbytes()},
                              spec.dtype, bytes);
      writer.append(spec.name, bytes);
    }
    writer.finish();
    model::copy_config(files, base_folder_, folder);
    model::copy_side_files(files, base_folder_, folder);
  }

 private:
  // Masters and gradients are views of the flat buffers; so are the weights when they are fp32
  // themselves.
  void lay_out(at::ScalarType dtype, c10::Device device) {
    (void)model::make_weights(config_, [&](const std::string& name,
                                           const std::vector<std::int64_t>& shape, bool is_norm) {
      parameters_.add(name, shape, /*decay=*/!is_norm);
      return at::Tensor();
    });
    parameters_.allocate(at::kFloat, device);
    masters_ = views_of(parameters_.values());
    gradients_ = views_of(parameters_.gradients());
    weights_ = dtype == at::kFloat ? masters_ : model::allocate_weights(config_, dtype, device);
  }

  [[nodiscard]] model::Weights views_of(const at::Tensor& flat) const {
    std::size_t next = 0;
    return model::make_weights(config_, [&](const std::string&, const std::vector<std::int64_t>&,
                                            bool) { return parameters_.view(flat, next++); });
  }

  fs::path base_folder_;
  model::Qwen3Config config_;
  model::FlatParameters parameters_;
  model::Weights masters_;
  model::Weights gradients_;
  model::Weights weights_;
  model::DType stored_dtype_ = model::DType::kFloat32;
  std::unique_ptr<model::Qwen3Model> model_;
};

// New ones with their start, or those of a folder.
adapters::LoraAdapters make_adapters(FileSystem& files, const RunConfig& config,
                                     at::ScalarType dtype, c10::Device device) {
  const model::Qwen3Config shape = model::read_qwen3_config(files, config.model_name_or_path);
  if (config.adapter_name_or_path.empty()) {
    adapters::LoraAdapters adapters(shape, peft_config(config), dtype, device);
    if (!device.is_meta()) {
      adapters.initialise(static_cast<std::uint64_t>(config.seed));
    }
    return adapters;
  }
  adapters::LoraAdapters adapters = adapters::read_peft_adapter(
      files, find_adapter_folder(files, config.adapter_name_or_path), shape, dtype, device);
  adapters.peft().dropout = config.lora_dropout;
  adapters.peft().base_model_name_or_path = config.model_name_or_path;
  return adapters;
}

}  // namespace

adapters::PeftConfig peft_config(const RunConfig& config) {
  adapters::PeftConfig peft;
  peft.rank = config.lora_rank;
  peft.alpha = config.lora_alpha;
  peft.dropout = config.lora_dropout;
  peft.use_rslora = config.use_rslora;
  peft.target_modules = config.lora_target;
  peft.base_model_name_or_path = config.model_name_or_path;
  return peft;
}

std::unique_ptr<Trainable> make_trainable(FileSystem& files, const RunConfig& config,
                                          at::ScalarType dtype, c10::Device device,
                                          const BaseSharing& sharing) {
  const fs::path folder = config.model_name_or_path;
  if (config.finetuning_type == "full") {
    return std::make_unique<FullTrainable>(files, folder, dtype, device);
  }
  adapters::LoraAdapters adapters = make_adapters(files, config, dtype, device);
  const bool extended = config.extended_lora();
  BaseModel base = load_base_model(
      files, folder, dtype, device, sharing,
      {config.fp8_base(), extended ? adapters.spare() : std::vector<model::LayerSpare>()});
  return std::make_unique<LoraTrainable>(std::move(base), std::move(adapters), extended);
}

}  // namespace weft::trainer
