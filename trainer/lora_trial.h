#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "base/file_system.h"
#include "model/qwen3_config.h"
#include "trainer/run_config.h"

namespace weft::trainer {

/// What both forms of LoRA (kernels/lora_linear.h) did in a trial.
struct LoraTrial {
  double plain_seconds = 0;  ///< of one pass, forward and backward: the least of several
  double extended_seconds = 0;
  /// Between the adapters' gradients of the two: norm of the difference / norm of the plain ones.
  double difference = 0;
};

/// The micro-batch of a trial: documents as long as the run's, but for 4,096 tokens at most, and as
/// many tokens as a micro-batch of it, but for 16,384 at most.
struct LoraTrialBatch {
  std::int64_t documents = 1;
  std::int64_t length = 1;
};
[[nodiscard]] LoraTrialBatch lora_trial_batch(const RunConfig& config);

/// Trains two layers of such a model on `device` in both forms in turn: with random weights, and
/// the adapters of `config`, which must be allowed in the extended form (why_plain_lora). Takes the
/// memory of four layers and gives it back. Errors of LibTorch pass through.
[[nodiscard]] LoraTrial try_lora_forms(const model::Qwen3Config& shape, const RunConfig& config,
                                       at::ScalarType dtype, c10::Device device);

/// What such a run has for lora_gemm: auto on a GPU: the form that a trial there found to be the
/// better one, or found the last time (RememberedChoices), so that equal runs give equal bits;
/// "plain" with a warning where the trial failed.
[[nodiscard]] std::string measured_lora_form(FileSystem& files, const model::Qwen3Config& shape,
                                             const RunConfig& config, at::ScalarType dtype,
                                             c10::Device device);

/// "extended" where it was faster by more than a hundredth, and its gradients were the plain ones
/// but for rounding; else "plain". A warning where they were not.
[[nodiscard]] std::string better_lora_form(const LoraTrial& trial);

}  // namespace weft::trainer
