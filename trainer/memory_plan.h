#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/file_system.h"
#include "model/qwen3_config.h"
#include "trainer/run_config.h"

namespace weft::trainer {

/// The memory of a training run, in bytes, by what it is for.
struct MemoryPlan {
  std::int64_t weights = 0;  ///< as the passes read them; nothing extra where they are masters
  std::int64_t trained =
      0;  ///< fp32 masters, gradients, both moments, copies for the passes and to save an adapter
          ///< from (a full run makes one only where room is left)
  std::int64_t activations = 0;  ///< kept from the forward pass for the backward pass
  std::int64_t workspace = 0;    ///< temporaries: logits, gradients, attention, RoPE tables
  std::int64_t scratch = 0;      ///< of these, what the model's own buffer has

  [[nodiscard]] std::int64_t total() const { return weights + trained + activations + workspace; }
};

/// The largest micro-batch that a run may meet: `documents` of max_length tokens, every token a
/// target. Ranks that share it (context_parallel_size) have a part each.
struct PlannedBatch {
  std::int64_t documents = 1;
  bool gradient_checkpointing = false;
  std::int64_t base_shares = 1;  ///< ranks that the frozen base is spread over
};

/// What a rank of a run of `config` takes on that kind of device, before anything is allocated: the
/// step's own code runs on LibTorch's meta device, which has shapes and no memory. Of the model's
/// folder only config.json is read. Not in it: the program itself, and what a GPU's libraries keep.
[[nodiscard]] MemoryPlan plan_memory(FileSystem& files, const RunConfig& config,
                                     at::ScalarType dtype, c10::DeviceType device,
                                     const PlannedBatch& batch);

/// `config` with the attention that this GPU has for such a model in the place of "auto": a plan is
/// else one for a GPU that has cuDNN's. As it is where the device is not there, or not a GPU.
[[nodiscard]] RunConfig with_attention_of(RunConfig config, const model::Qwen3Config& shape,
                                          at::ScalarType dtype, c10::Device device);

/// How the passes of a run keep within the memory that is free.
struct MemoryChoice {
  bool gradient_checkpointing = false;
  /// Micro-batches of more tokens are run in pieces of whole documents; the gradients are the same.
  /// Ranks that share micro-batches share pieces. 0: there is no need.
  std::int64_t tokens_per_pass = 0;
  /// Bytes that the run leaves of what it may take; 0: not known, or none.
  std::int64_t left = 0;
  /// Of the passes that were chosen; zeros where nothing is known of the memory, or they may not
  /// fit.
  MemoryPlan plan = {};
};

/// What a run may take of the device: max_memory of the config, else what is free; 0: not known.
[[nodiscard]] std::int64_t memory_limit(const RunConfig& config, c10::Device device);

/// Chooses for a run and says so in the log when it is not what would be fastest: first
/// gradient_checkpointing, unless the config has decided on it, then smaller passes. A warning when
/// not even one document of max_length fits, an out-of-memory Error when weights and optimizer do
/// not. `available` in bytes; 0: not known, and nothing is chosen.
[[nodiscard]] MemoryChoice choose_memory(FileSystem& files, const RunConfig& config,
                                         at::ScalarType dtype, c10::DeviceType device,
                                         std::int64_t available, std::int64_t base_shares = 1);

/// The most documents of max_length tokens that a micro-batch can have within `bytes`; 0 when not
/// even one fits.
[[nodiscard]] std::int64_t largest_batch(FileSystem& files, const RunConfig& config,
                                         at::ScalarType dtype, c10::DeviceType device,
                                         std::int64_t bytes, bool gradient_checkpointing,
                                         std::int64_t base_shares = 1);

}  // namespace weft::trainer
