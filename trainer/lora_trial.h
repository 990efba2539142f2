#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "adapters/peft_config.h"
#include "base/file_system.h"
#include "kernels/attention_device.h"
#include "model/qwen3_config.h"
#include "trainer/run_config.h"

namespace weft::trainer {

/// What two layers are trained on: as much as a run's passes have, and as fits.
struct LoraTrialBatch {
  std::int64_t documents = 0;  ///< 0: there is no room for any
  std::int64_t length = 0;     ///< of each
};

/// Documents as long as the run's, but for 4,096 tokens at most, and as many tokens as a
/// micro-batch of it, but for 8,192 at most; fewer where a trial would take more than half of
/// `available` bytes (0: not known).
[[nodiscard]] LoraTrialBatch lora_trial_batch(const model::Qwen3Config& shape,
                                              const RunConfig& config, std::int64_t available);

/// Two layers of a model under an adapter, without dropout.
struct LoraTrialLayers {
  model::Qwen3Config shape;
  adapters::PeftConfig peft;
  at::ScalarType dtype = at::kFloat;
  c10::Device device = at::kCPU;
  kernels::AttentionOptions attention;
  bool graphs = false;  ///< launched from recordings
};

/// What both forms of LoRA (kernels/lora_linear.h) did in a trial.
struct LoraTrial {
  double plain_seconds = 0;  ///< of one pass, forward and backward: the least of several
  double extended_seconds = 0;
  /// Between the adapters' gradients of the two: norm of the difference / norm of the plain ones.
  double difference = 0;

  /// Whether they differ by no more than rounding.
  [[nodiscard]] bool agrees() const;
};

/// Trains such layers with random weights in both forms in turn. The memory is given back. Errors
/// of LibTorch and of the operators pass through.
[[nodiscard]] LoraTrial try_lora_forms(const LoraTrialLayers& layers, const LoraTrialBatch& batch);

/// "extended" where it was faster by more than a hundredth and agrees with the plain form; else
/// "plain". A warning where they do not agree.
[[nodiscard]] std::string better_lora_form(const LoraTrial& trial);

/// What a run has for lora_gemm: auto on a GPU, where the extended form is possible
/// (why_plain_lora): the form that a trial found to be the better one, or found the last time
/// (RememberedChoices), so that the next run on the machine gives equal bits. "plain" with a
/// warning, and nothing remembered, where the trial failed or the forms do not agree.
[[nodiscard]] std::string measured_lora_form(FileSystem& files, const model::Qwen3Config& shape,
                                             const RunConfig& config, at::ScalarType dtype,
                                             c10::Device device);

}  // namespace weft::trainer
