#include "trainer/lora_trial.h"

#include <ATen/TensorOperators.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "adapters/lora.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "kernels/device_properties.h"
#include "kernels/recorded_work.h"
#include "model/qwen3_model.h"
#include "trainer/base_model.h"
#include "trainer/memory_plan.h"
#include "trainer/remembered_choices.h"
#include "trainer/trainable.h"

namespace weft::trainer {
namespace {

// Of bf16's rounding there are a few thousandths; another sum would be off by about 1.
constexpr double kRounding = 0.05;
constexpr double kWorthIt = 0.99;
constexpr int kRounds = 5;
constexpr double kSpread = 0.02;  // of random weights

// In which plans are made and buffers find their size; then passes are recorded, seen twice.
int warm_ups(bool graphs) { return graphs ? 5 : 2; }

// Two layers, because the first has no gradient of its input, and a head that costs nothing.
model::Qwen3Config two_layers(model::Qwen3Config shape) {
  shape.num_hidden_layers = 2;
  shape.vocab_size = 512;
  return shape;
}

model::PackedBatch random_batch(const LoraTrialBatch& batch, std::int64_t vocab_size,
                                c10::Device device) {
  Random random(1);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(batch.documents * batch.length));
  for (std::int32_t& token : tokens) {
    token = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab_size)));
  }
  std::vector<std::int32_t> bounds;
  for (std::int64_t d = 0; d <= batch.documents; ++d) {
    bounds.push_back(static_cast<std::int32_t>(d * batch.length));
  }
  const std::vector<std::uint8_t> mask(tokens.size(), 1);
  return model::make_packed_batch(tokens, mask, bounds, vocab_size, device);
}

// Those of `other`, or random ones. A model looks at its norms when it is made.
model::Weights filled_weights(const model::Qwen3Config& shape, const LoraTrialLayers& layers,
                              const std::vector<model::LayerSpare>& spare,
                              const model::Weights* other) {
  model::Weights weights =
      model::allocate_weights(shape, layers.dtype, layers.device, /*fp8=*/false, spare);
  const auto to = model::named_weights(weights, shape);
  const auto from =
      other == nullptr ? std::vector<model::NamedWeight>() : model::named_weights(*other, shape);
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (other != nullptr) {
      to[i].view.copy_(from[i].view);
    } else {
      to[i].is_norm ? to[i].view.fill_(1.0) : to[i].view.normal_(0.0, kSpread);
    }
  }
  return weights;
}

class Candidate {
 public:
  /// In the plain form, with random numbers.
  Candidate(const model::Qwen3Config& shape, const LoraTrialLayers& layers)
      : adapters_(shape, layers.peft, layers.dtype, layers.device),
        model_(shape, filled_weights(shape, layers, {}, nullptr)) {
    adapters_.parameters().values().normal_(0.0, kSpread);
    begin(layers);
  }
  /// In the extended form, with the numbers of the other.
  Candidate(const model::Qwen3Config& shape, const LoraTrialLayers& layers, const Candidate& plain)
      : adapters_(shape, layers.peft, layers.dtype, layers.device),
        model_(shape, filled_weights(shape, layers, adapters_.spare(), &plain.model_.weights())) {
    adapters_.parameters().values().copy_(plain.adapters_.parameters().values());
    adapters_.place_in(model_.weights());
    begin(layers);
  }

  // Seconds of one pass; its gradients take the place of the last one's.
  double pass(const model::PackedBatch& batch) {
    adapters_.parameters().gradients().zero_();
    kernels::wait_for_device(model_.device());
    const auto began = std::chrono::steady_clock::now();
    (void)model_.forward_backward(batch, 1.0 / static_cast<double>(batch.size()), {});
    kernels::wait_for_device(model_.device());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }

  [[nodiscard]] const at::Tensor& gradients() const { return adapters_.parameters().gradients(); }

 private:
  void begin(const LoraTrialLayers& layers) {
    adapters_.refresh();
    model_.set_adapters(adapters_.layers());
    model_.set_attention(layers.attention);
    if (layers.graphs) {
      model_.set_recorder(kernels::make_work_recorder(layers.device));
    }
  }

  adapters::LoraAdapters adapters_;
  model::Qwen3Model model_;
};

LoraTrial try_both(const LoraTrialLayers& layers, const LoraTrialBatch& size) {
  const model::Qwen3Config shape = two_layers(layers.shape);
  Candidate plain(shape, layers);
  Candidate extended(shape, layers, plain);
  const model::PackedBatch batch = random_batch(size, shape.vocab_size, layers.device);
  constexpr double kLong = std::numeric_limits<double>::max();
  LoraTrial trial{kLong, kLong, 0};
  const int untimed = warm_ups(layers.graphs);
  for (int round = 0; round < untimed + kRounds; ++round) {
    const double a = plain.pass(batch);
    const double b = extended.pass(batch);
    if (round >= untimed) {
      trial.plain_seconds = std::min(trial.plain_seconds, a);
      trial.extended_seconds = std::min(trial.extended_seconds, b);
    }
  }
  const at::Tensor difference = (extended.gradients() - plain.gradients()).norm();
  trial.difference = (difference / plain.gradients().norm()).item<double>();
  return trial;
}

// Of both candidates: layers, what their passes keep and work in, and what attention works in.
std::int64_t trial_bytes(const model::Qwen3Config& c, const LoraTrialBatch& batch) {
  constexpr std::int64_t kLayers = 4;
  constexpr std::int64_t kElement = 2;
  const std::int64_t q = c.num_attention_heads * c.head_dim;
  const std::int64_t qkv = q + 2 * c.num_key_value_heads * c.head_dim;
  const std::int64_t h = c.hidden_size;
  const std::int64_t f = c.intermediate_size;
  const std::int64_t kept = kLayers * (2 * h + qkv + q + 2 * f);
  const std::int64_t worked = 2 * (8 * h + 2 * qkv + 4 * q + 2 * f);
  const std::int64_t scores =
      2 * batch.documents * c.num_attention_heads * batch.length * batch.length;
  return kElement * (kLayers * h * (qkv + q + 3 * f) +
                     batch.documents * batch.length * (kept + worked) + scores);
}

// All that the times depend on and that may change from one run to the next on a machine.
std::string choice_key(const LoraTrialLayers& layers, const LoraTrialBatch& batch) {
  const model::Qwen3Config& shape = layers.shape;
  std::string ranks = fmt::format("{}", layers.peft.rank);
  for (const auto& [pattern, rank] : layers.peft.rank_pattern) {
    ranks += fmt::format(" {}: {}", pattern, rank);
  }
  return fmt::format(
      "lora_gemm of weft {} with LibTorch {} on {}, driver for CUDA {}: hidden {}, ffn {}, heads "
      "{}/{} of {}, rank {} on {}, {}, {} x {} tokens, attention {}{}{}",
      WEFT_VERSION, TORCH_VERSION, kernels::device_name(layers.device), kernels::driver_version(),
      shape.hidden_size, shape.intermediate_size, shape.num_attention_heads,
      shape.num_key_value_heads, shape.head_dim, ranks, join(layers.peft.target_modules, " "),
      c10::toString(layers.dtype), batch.documents, batch.length, layers.attention.backend,
      layers.attention.deterministic ? ", deterministic" : "", layers.graphs ? ", graphs" : "");
}

// The run's own, which may be one to go on with.
adapters::PeftConfig adapter_of(FileSystem& files, const RunConfig& config) {
  adapters::PeftConfig peft = peft_config(config);
  if (!config.adapter_name_or_path.empty()) {
    peft =
        adapters::read_peft_config(files, find_adapter_folder(files, config.adapter_name_or_path));
    peft.dropout = 0;
    if (peft.target_modules.empty()) {  // a pattern; its modules are in the file
      peft.target_modules = config.lora_target;
    }
  }
  return peft;
}

}  // namespace

bool LoraTrial::agrees() const { return difference <= kRounding; }  // not so a NaN

LoraTrialBatch lora_trial_batch(const model::Qwen3Config& shape, const RunConfig& config,
                                std::int64_t available) {
  constexpr std::int64_t kLongest = 4096;
  constexpr std::int64_t kTokens = 8192;
  const std::int64_t tokens = std::min(
      config.max_length * config.per_device_train_batch_size / config.context_parallel_size,
      kTokens);
  LoraTrialBatch batch;
  batch.length = std::min(config.max_length, kLongest);
  batch.documents = std::max<std::int64_t>(tokens / batch.length, 1);
  while (available > 0 && batch.documents > 0 && trial_bytes(shape, batch) > available / 2) {
    --batch.documents;
  }
  return batch;
}

LoraTrial try_lora_forms(const LoraTrialLayers& layers, const LoraTrialBatch& batch) {
  const LoraTrial trial = try_both(layers, batch);
  kernels::give_back_unused(layers.device);
  return trial;
}

std::string better_lora_form(const LoraTrial& trial) {
  if (!trial.agrees()) {
    log_warning(
        "lora_gemm: auto is plain: in a trial the extended form's gradients differed by {:.2g} of "
        "their size, which is more than rounding; please report it with what `weft env` prints",
        trial.difference);
    return "plain";
  }
  const bool faster = trial.extended_seconds < kWorthIt * trial.plain_seconds;
  const char* const form = faster ? "extended" : "plain";
  log_info("lora_gemm: auto is {}: two layers took {:.3g} ms extended and {:.3g} ms plain", form,
           1e3 * trial.extended_seconds, 1e3 * trial.plain_seconds);
  return form;
}

std::string measured_lora_form(FileSystem& files, const model::Qwen3Config& shape,
                               const RunConfig& config, at::ScalarType dtype, c10::Device device) {
  const RunConfig resolved = with_attention_of(config, shape, dtype, device);
  const LoraTrialLayers layers{shape,
                               adapter_of(files, config),
                               dtype,
                               device,
                               {resolved.attn_implementation, config.deterministic},
                               config.cuda_graphs};
  const LoraTrialBatch batch = lora_trial_batch(shape, config, memory_limit(config, device));
  if (batch.documents == 0) {
    log_info("lora_gemm: auto is plain: there is no room to try both forms");
    return "plain";
  }
  RememberedChoices choices(files, RememberedChoices::default_folder());
  const std::string key = choice_key(layers, batch);
  if (const auto known = choices.find(key); known == "plain" || known == "extended") {
    log_info("lora_gemm: auto is {}, as a trial found earlier", *known);
    return *known;
  }
  std::string form = "plain";
  try {
    const LoraTrial trial = try_lora_forms(layers, batch);
    form = better_lora_form(trial);
    if (trial.agrees()) {
      // Of runs that try at one time all go by the first that is done.
      choices.remember(key, form);
      form = choices.find(key).value_or(form);
    }
  } catch (const std::exception& error) {
    const std::string text = error.what();
    log_warning("lora_gemm: auto is plain, because its trial failed: {}",
                text.substr(0, text.find('\n')));
    kernels::give_back_unused(device);
  }
  kernels::forget_peak(device);
  return form;
}

}  // namespace weft::trainer
