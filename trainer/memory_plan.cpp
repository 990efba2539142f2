#include "trainer/memory_plan.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/tensor_checks.h"
#include "trainer/device.h"
#include "trainer/trainable.h"

namespace weft::trainer {
namespace {

// Document bounds are int32, and no device holds the activations of so many tokens.
constexpr std::int64_t kMostTokens = std::int64_t{1} << 27;

model::PackedBatch longest_batch(std::int64_t documents, std::int64_t length,
                                 std::int64_t vocab_size) {
  const auto tokens = static_cast<std::size_t>(documents * length);
  std::vector<std::int32_t> bounds;
  for (std::int64_t i = 0; i <= documents; ++i) {
    bounds.push_back(static_cast<std::int32_t>(i * length));
  }
  return model::make_packed_batch(std::vector<std::int32_t>(tokens, 0),
                                  std::vector<std::uint8_t>(tokens, 1), bounds, vocab_size,
                                  at::kMeta);
}

// What ATen's attention for CPUs allocates itself, for one document: the output, or the gradients
// of q, k and v with the output's row sums.
std::int64_t attention_bytes(const model::Qwen3Config& config, std::int64_t length,
                             at::ScalarType dtype) {
  const std::int64_t heads = config.num_attention_heads + 2 * config.num_key_value_heads;
  const auto wide = static_cast<std::int64_t>(c10::elementSize(kernels::statistics_dtype(dtype)));
  return length * (heads * config.head_dim + config.num_attention_heads) * wide;
}

std::int64_t trained_bytes(Trainable& trainable, at::ScalarType dtype) {
  const at::Tensor& values = trainable.parameters().values();
  const auto master = static_cast<std::int64_t>(values.nbytes());
  // A full run's copies in the compute type are the weights.
  const bool copies = !trainable.trains_weights() && values.scalar_type() != dtype;
  return 4 * master +
         (copies ? values.numel() * static_cast<std::int64_t>(c10::elementSize(dtype)) : 0);
}

}  // namespace

MemoryPlan plan_memory(FileSystem& files, const RunConfig& config, at::ScalarType dtype,
                       c10::DeviceType device, const PlannedBatch& batch) {
  if (batch.documents > kMostTokens / config.max_length) {
    fail_config("a micro-batch of {} x {} tokens is more than the {} that weft packs together",
                batch.documents, config.max_length, kMostTokens);
  }
  const std::unique_ptr<Trainable> trainable = make_trainable(files, config, dtype, at::kMeta);
  model::Qwen3Model& model = trainable->model();
  model.plan_for(device);
  model.set_recompute(batch.gradient_checkpointing);
  const model::Qwen3Config& shape = model.config();

  MemoryPlan plan;
  const bool masters_are_weights = trainable->trains_weights() && dtype == at::kFloat;
  plan.weights = masters_are_weights
                     ? 0
                     : shape.parameter_count() * static_cast<std::int64_t>(c10::elementSize(dtype));
  plan.trained = trained_bytes(*trainable, dtype);
  const model::PackedBatch longest =
      longest_batch(batch.documents, config.max_length, shape.vocab_size);
  // The first pass finds out how much it needs, block by block; from the second on it is one block.
  for (int pass = 0; pass < 2; ++pass) {
    (void)model.forward_backward(longest, 1.0, {});
    plan.activations = std::max(plan.activations, model.saved_bytes());
    plan.workspace = std::max(plan.workspace, model.scratch_bytes());
  }
  plan.workspace += model.table_bytes();
  if (device == at::kCPU) {
    plan.workspace += attention_bytes(shape, config.max_length, dtype);
  }
  return plan;
}

void check_memory(FileSystem& files, const RunConfig& config, at::ScalarType dtype,
                  c10::Device device) {
  const auto available = static_cast<std::int64_t>(available_memory_bytes(device));
  if (available == 0) {
    return;
  }
  const MemoryPlan plan =
      plan_memory(files, config, dtype, device.type(),
                  {config.per_device_train_batch_size, config.gradient_checkpointing});
  if (plan.total() <= available) {
    return;
  }
  const auto text = [](std::int64_t bytes) {
    return human_bytes(static_cast<std::uint64_t>(bytes));
  };
  if (plan.weights + plan.trained > available) {
    fail(ErrorKind::kOutOfMemory,
         "weights and optimizer alone take {}, and {} are free: use dtype: bf16, a smaller "
         "lora_rank or model, or a machine with more memory",
         text(plan.weights + plan.trained), text(available));
  }
  const auto fitting = [&](bool checkpointing) {
    return largest_batch(files, config, dtype, device.type(), available, checkpointing);
  };
  log_warning(
      "a full micro-batch of {} x {} tokens takes {}, and {} are free; "
      "per_device_train_batch_size {} fits, {} with gradient_checkpointing: true",
      config.per_device_train_batch_size, config.max_length, text(plan.total()), text(available),
      fitting(false), fitting(true));
}

std::int64_t largest_batch(FileSystem& files, const RunConfig& config, at::ScalarType dtype,
                           c10::DeviceType device, std::int64_t bytes,
                           bool gradient_checkpointing) {
  const auto fits = [&](std::int64_t documents) {
    return plan_memory(files, config, dtype, device, {documents, gradient_checkpointing}).total() <=
           bytes;
  };
  // Beyond this a micro-batch has long filled any device's cores.
  constexpr std::int64_t kMost = 1024;
  std::int64_t good = 0;
  std::int64_t bad = 1;
  while (bad <= kMost && bad * config.max_length <= kMostTokens && fits(bad)) {
    good = bad;
    bad *= 2;
  }
  while (good > 0 && bad - good > 1) {
    const std::int64_t middle = good + (bad - good) / 2;
    (fits(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace weft::trainer
