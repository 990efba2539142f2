#include "trainer/lora_trial.h"

#include <ATen/TensorOperators.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "adapters/lora.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "kernels/device_properties.h"
#include "model/qwen3_model.h"
#include "trainer/remembered_choices.h"
#include "trainer/trainable.h"

namespace weft::trainer {
namespace {

// Of bf16's rounding there are a few thousandths; another sum would be off by about 1.
constexpr double kRounding = 0.05;
constexpr double kWorthIt = 0.99;
constexpr int kWarmUps = 2;  // plans are made, buffers find their size
constexpr int kRounds = 5;

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

class Candidate {
 public:
  Candidate(const model::Qwen3Config& shape, const RunConfig& config, bool extended,
            at::ScalarType dtype, c10::Device device)
      : adapters_(shape, peft_config(config), dtype, device),
        model_(shape, model::allocate_weights(
                          shape, dtype, device, /*fp8=*/false,
                          extended ? adapters_.spare() : std::vector<model::LayerSpare>())) {
    if (extended) {
      adapters_.place_in(model_.weights());
    }
    model_.set_adapters(adapters_.layers());
    model_.set_attention({config.attn_implementation, config.deterministic});
  }

  void fill() {
    constexpr double kSpread = 0.02;
    for (const model::NamedWeight& named :
         model::named_weights(model_.weights(), model_.config())) {
      named.is_norm ? named.view.fill_(1.0) : named.view.normal_(0.0, kSpread);
    }
    adapters_.parameters().values().normal_(0.0, kSpread);
    adapters_.refresh();
  }

  void fill_as(const Candidate& other) {
    const auto from = model::named_weights(other.model_.weights(), model_.config());
    const auto to = model::named_weights(model_.weights(), model_.config());
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i].view.copy_(from[i].view);
    }
    adapters_.parameters().values().copy_(other.adapters_.parameters().values());
    adapters_.refresh();
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
  adapters::LoraAdapters adapters_;
  model::Qwen3Model model_;
};

LoraTrial try_both(const model::Qwen3Config& shape, const RunConfig& config, at::ScalarType dtype,
                   c10::Device device) {
  Candidate plain(shape, config, /*extended=*/false, dtype, device);
  Candidate extended(shape, config, /*extended=*/true, dtype, device);
  plain.fill();
  extended.fill_as(plain);
  const model::PackedBatch batch = random_batch(lora_trial_batch(config), shape.vocab_size, device);
  constexpr double kLong = std::numeric_limits<double>::max();
  LoraTrial trial{kLong, kLong, 0};
  for (int round = 0; round < kWarmUps + kRounds; ++round) {
    const double a = plain.pass(batch);
    const double b = extended.pass(batch);
    if (round >= kWarmUps) {
      trial.plain_seconds = std::min(trial.plain_seconds, a);
      trial.extended_seconds = std::min(trial.extended_seconds, b);
    }
  }
  const at::Tensor difference = (extended.gradients() - plain.gradients()).norm();
  trial.difference = (difference / plain.gradients().norm()).item<double>();
  return trial;
}

}  // namespace

LoraTrialBatch lora_trial_batch(const RunConfig& config) {
  constexpr std::int64_t kLongest = 4096;
  constexpr std::int64_t kTokens = 16384;
  const std::int64_t length = std::min(config.max_length, kLongest);
  const std::int64_t tokens = std::min(
      config.max_length * config.per_device_train_batch_size / config.context_parallel_size,
      kTokens);
  return {std::max<std::int64_t>(tokens / length, 1), length};
}

LoraTrial try_lora_forms(const model::Qwen3Config& shape, const RunConfig& config,
                         at::ScalarType dtype, c10::Device device) {
  const LoraTrial trial = try_both(two_layers(shape), config, dtype, device);
  kernels::give_back_unused(device);
  return trial;
}

// All that the times depend on.
std::string choice_key(const model::Qwen3Config& shape, const RunConfig& config,
                       at::ScalarType dtype, c10::Device device) {
  const LoraTrialBatch batch = lora_trial_batch(config);
  return fmt::format(
      "lora_gemm of weft {} on {}: hidden {}, ffn {}, heads {}/{} of {}, rank {} on {}, {}, {} x "
      "{} "
      "tokens, attention {}{}",
      WEFT_VERSION, kernels::device_name(device), shape.hidden_size, shape.intermediate_size,
      shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim, config.lora_rank,
      join(config.lora_target, " "), c10::toString(dtype), batch.documents, batch.length,
      config.attn_implementation, config.deterministic ? ", deterministic" : "");
}

std::string measured_lora_form(FileSystem& files, const model::Qwen3Config& shape,
                               const RunConfig& config, at::ScalarType dtype, c10::Device device) {
  RememberedChoices choices(files, RememberedChoices::default_file());
  const std::string key = choice_key(shape, config, dtype, device);
  if (const auto known = choices.find(key); known == "plain" || known == "extended") {
    log_debug("lora_gemm: auto is {}, as the last time", *known);
    return *known;
  }
  try {
    const std::string form = better_lora_form(try_lora_forms(shape, config, dtype, device));
    choices.remember(key, form);
    return form;
  } catch (const c10::Error& error) {
    kernels::give_back_unused(device);
    log_warning("lora_gemm: auto is plain, because its trial failed: {}",
                error.what_without_backtrace());
    return "plain";
  }
}

std::string better_lora_form(const LoraTrial& trial) {
  if (!(trial.difference <= kRounding)) {  // nor where it is not a number
    log_warning(
        "lora_gemm: auto is plain: in a trial the adapters' gradients of the extended form "
        "differed "
        "by {:.2g} of their size, which is more than rounding; please report it with the GPU's "
        "name and the versions that `weft env` prints",
        trial.difference);
    return "plain";
  }
  const bool faster = trial.extended_seconds < kWorthIt * trial.plain_seconds;
  const char* const form = faster ? "extended" : "plain";
  log_info("lora_gemm: auto is {}: two layers took {:.3g} ms extended and {:.3g} ms plain", form,
           1e3 * trial.extended_seconds, 1e3 * trial.plain_seconds);
  return form;
}

}  // namespace weft::trainer
