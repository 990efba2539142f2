#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/file_system.h"
#include "trainer/run_config.h"

namespace weft::trainer {

/// The memory of a training run, in bytes, by what it is for.
struct MemoryPlan {
  std::int64_t weights = 0;      ///< as the passes read them; nothing extra where they are masters
  std::int64_t trained = 0;      ///< fp32 masters, gradients, both moments, copy for the passes
  std::int64_t activations = 0;  ///< kept from the forward pass for the backward pass
  std::int64_t workspace = 0;    ///< temporaries: logits, gradients, attention, RoPE tables

  [[nodiscard]] std::int64_t total() const { return weights + trained + activations + workspace; }
};

/// The largest micro-batch that a run may meet: `documents` of max_length tokens, every token a
/// target.
struct PlannedBatch {
  std::int64_t documents = 1;
  bool gradient_checkpointing = false;
};

/// What a run of `config` takes on that kind of device, before anything is allocated: the step's
/// own code runs on LibTorch's meta device, which has shapes and no memory. Of the model's folder
/// only config.json is read. Not in it: the program itself, and what a GPU's libraries keep.
[[nodiscard]] MemoryPlan plan_memory(FileSystem& files, const RunConfig& config,
                                     at::ScalarType dtype, c10::DeviceType device,
                                     const PlannedBatch& batch);

/// Holds a run's plan against what the device has free: a warning with what would fit when its
/// largest micro-batch would not, an out-of-memory Error when not even weights and optimizer do.
/// Does nothing where free memory can't be told.
void check_memory(FileSystem& files, const RunConfig& config, at::ScalarType dtype,
                  c10::Device device);

/// The most documents of max_length tokens that a micro-batch can have within `bytes`; 0 when not
/// even one fits.
[[nodiscard]] std::int64_t largest_batch(FileSystem& files, const RunConfig& config,
                                         at::ScalarType dtype, c10::DeviceType device,
                                         std::int64_t bytes, bool gradient_checkpointing);

}  // namespace weft::trainer
