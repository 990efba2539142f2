#include "trainer/memory_plan.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/attention_device.h"
#include "kernels/tensor_checks.h"
#include "model/layer_shares.h"
#include "trainer/device.h"
#include "trainer/trainable.h"

namespace weft::trainer {
namespace {

// Document bounds are int32, and no device holds the activations of so many tokens.
constexpr std::int64_t kMostTokens = std::int64_t{1} << 27;

// As the first of `ranks` ranks has it.
model::PackedBatch longest_batch(std::int64_t documents, std::int64_t length,
                                 std::int64_t vocab_size, std::int64_t ranks) {
  const auto tokens = static_cast<std::size_t>(documents * length);
  std::vector<std::int32_t> bounds;
  for (std::int64_t i = 0; i <= documents; ++i) {
    bounds.push_back(static_cast<std::int32_t>(i * length));
  }
  const std::vector<std::int32_t> ids(tokens, 0);
  const std::vector<std::uint8_t> mask(tokens, 1);
  return ranks == 1 ? model::make_packed_batch(ids, mask, bounds, vocab_size, at::kMeta)
                    : model::make_context_batch(ids, mask, bounds, vocab_size, at::kMeta,
                                                /*rank=*/0, ranks);
}

// Keys that come from nowhere.
class NoExchange final : public model::ContextExchange {
 public:
  explicit NoExchange(std::int64_t ranks) : ranks_(ranks) {}
  std::int64_t size() const override { return ranks_; }
  void all_gather(const at::Tensor&, const at::Tensor&, std::int64_t) override {}
  void all_to_all(const at::Tensor&, const at::Tensor&, std::int64_t) override {}
  void abort() override {}
  double waited_seconds() const override { return 0; }

 private:
  std::int64_t ranks_;
};

// What ATen's attention for CPUs allocates itself, for one document: the output, or the gradients
// of q, k and v with the output's row sums. Of a split document it is those of a piece, whose
// queries' gradients are there twice, and of all keys before it.
std::int64_t attention_bytes(const model::Qwen3Config& config, const model::PackedBatch& batch,
                             at::ScalarType dtype) {
  const auto wide = static_cast<std::int64_t>(c10::elementSize(kernels::statistics_dtype(dtype)));
  const auto bytes = [&](std::int64_t queries, std::int64_t keys, std::int64_t copies) {
    return (queries * config.num_attention_heads * (copies * config.head_dim + 1) +
            keys * 2 * config.num_key_value_heads * config.head_dim) *
           wide;
  };
  std::int64_t most = 0;
  for (const model::SplitRows::Piece& piece : batch.split.pieces) {
    most = std::max(most, bytes(piece.rows, std::max(piece.keys - piece.rows, piece.rows), 2));
  }
  for (std::size_t d = 0; d + 1 < batch.cu_seqlens.size(); ++d) {
    const std::int64_t length = batch.cu_seqlens[d + 1] - batch.cu_seqlens[d];
    most = std::max(most, bytes(length, length, 1));
  }
  return most;
}

kernels::HeadLayout heads_of(const model::Qwen3Config& config) {
  return {config.num_attention_heads, config.num_key_value_heads, config.head_dim};
}

// What FlashAttention-2 allocates itself for the gradients of a call: a sum of those of the queries
// in fp32 (where equal runs give equal bits, one for each processor that works on a head) over
// documents that are padded by a block, and those of keys and values once for each query head.
std::int64_t flash_bytes(const model::Qwen3Config& config, std::int64_t rows, std::int64_t keys,
                         std::int64_t documents, bool deterministic) {
  constexpr std::int64_t kProcessors = 148;  // a B200's, which has the most
  constexpr std::int64_t kBlock = 128;
  constexpr std::int64_t kNarrow = 2;  // bf16
  const std::int64_t together = documents * config.num_attention_heads;
  const std::int64_t sums = deterministic ? (kProcessors + together - 1) / together : 1;
  const std::int64_t heads = config.num_attention_heads + config.num_key_value_heads;
  return config.head_dim *
         ((rows + kBlock * documents) * config.num_attention_heads * 4 * sums +
          rows * config.num_attention_heads * kNarrow + keys * 2 * heads * kNarrow);
}

// What attention takes on a GPU beside the arena. Pieces of split documents go to FlashAttention-2
// always; composed of plain operators it has five matrices of scores of the longest document.
std::int64_t gpu_attention_bytes(const model::Qwen3Config& config, const model::PackedBatch& batch,
                                 at::ScalarType dtype, const RunConfig& run) {
  std::int64_t most = 0;
  for (const model::SplitRows::Piece& piece : batch.split.pieces) {
    most = std::max(most, flash_bytes(config, piece.rows, piece.keys, 1, run.deterministic));
  }
  const std::string backend = kernels::attention_backend(
      heads_of(config), dtype, at::kMeta, {run.attn_implementation, run.deterministic});
  const std::int64_t rows = batch.cu_seqlens.back();
  if (backend == "flash") {
    // Packed documents may be shorter than max_length, and then there are more of them.
    const std::int64_t whole = static_cast<std::int64_t>(batch.cu_seqlens.size()) - 1;
    for (const std::int64_t documents : {whole, run.packing ? rows / 256 : whole}) {
      most = std::max(most, flash_bytes(config, rows, rows, documents, run.deterministic));
    }
  }
  if (backend == "composed") {
    const auto wide = static_cast<std::int64_t>(c10::elementSize(kernels::statistics_dtype(dtype)));
    most =
        std::max(most, 5 * config.num_attention_heads * batch.max_length * batch.max_length * wide);
  }
  return most;
}

std::int64_t trained_bytes(Trainable& trainable, const RunConfig& config, at::ScalarType dtype,
                           c10::DeviceType device) {
  const at::Tensor& values = trainable.parameters().values();
  const auto master = static_cast<std::int64_t>(values.nbytes());
  // A full run's copies in the compute type are the weights; in the extended form they are in them.
  const bool copies =
      !trainable.trains_weights() && !config.extended_lora() && values.scalar_type() != dtype;
  // What a checkpoint is written from meanwhile is on the host.
  const bool staged = device == at::kCPU && config.async_save && config.save_strategy != "no" &&
                      !trainable.trains_weights();
  return (staged ? 7 : 4) * master +
         (copies ? values.numel() * static_cast<std::int64_t>(c10::elementSize(dtype)) : 0);
}

std::int64_t base_bytes(Trainable& trainable, const RunConfig& config, at::ScalarType dtype,
                        std::int64_t base_shares) {
  if (trainable.trains_weights() && dtype == at::kFloat) {
    return 0;  // they are the masters
  }
  return base_shares > 1 ? model::shared_base_bytes(trainable.model().config(), dtype, base_shares,
                                                    config.fp8_base())
                         : model::weight_bytes(trainable.model().weights());
}

}  // namespace

RunConfig with_attention_of(RunConfig config, const model::Qwen3Config& shape, at::ScalarType dtype,
                            c10::Device device) {
  if (device.is_cuda() && device_count() > 0) {
    config.attn_implementation = kernels::attention_backend(
        heads_of(shape), dtype, device, {config.attn_implementation, config.deterministic});
  }
  return config;
}

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
  model.set_attention({config.attn_implementation, config.deterministic});
  const model::Qwen3Config& shape = model.config();

  MemoryPlan plan;
  plan.weights = base_bytes(*trainable, config, dtype, batch.base_shares);
  plan.trained = trained_bytes(*trainable, config, dtype, device);
  const std::int64_t ranks = config.context_parallel_size;
  model.set_context(std::make_shared<NoExchange>(ranks));
  const model::PackedBatch longest =
      longest_batch(batch.documents, config.max_length, shape.vocab_size, ranks);
  // The first pass finds out how much it needs, block by block; from the second on it is one block,
  // which on a GPU is made before the first.
  for (int pass = 0; pass < 2; ++pass) {
    (void)model.forward_backward(longest, 1.0, {});
    const bool counts = pass == 1 || device == at::kCPU;
    plan.activations = std::max(plan.activations, counts ? model.saved_bytes() : 0);
    plan.scratch = std::max(plan.scratch, counts ? model.scratch_bytes() : 0);
  }
  plan.workspace = plan.scratch + model.table_bytes();
  plan.workspace += device == at::kCPU ? attention_bytes(shape, longest, dtype)
                                       : gpu_attention_bytes(shape, longest, dtype, config);
  return plan;
}

namespace {

std::string text_of(std::int64_t bytes) { return human_bytes(static_cast<std::uint64_t>(bytes)); }

// Evaluation has whole documents on each rank, which is more than training has where ranks share
// them.
void warn_of_evaluation(FileSystem& files, const RunConfig& config, at::ScalarType dtype,
                        c10::DeviceType device, std::int64_t available, std::int64_t base_shares) {
  if (config.context_parallel_size == 1 || !config.has_evaluation_data() ||
      config.eval_strategy == "no") {
    return;
  }
  const std::unique_ptr<Trainable> trainable = make_trainable(files, config, dtype, at::kMeta);
  model::Qwen3Model& model = trainable->model();
  model.plan_for(device);
  model.set_attention({config.attn_implementation, config.deterministic});
  const std::int64_t documents =
      config.per_device_eval_batch_size.value_or(config.per_device_train_batch_size);
  (void)model.target_log_probs(
      longest_batch(documents, config.max_length, model.config().vocab_size, /*ranks=*/1));
  const std::int64_t bytes = base_bytes(*trainable, config, dtype, base_shares) +
                             trained_bytes(*trainable, config, dtype, device) +
                             model.scratch_bytes() + model.table_bytes();
  if (bytes > available) {
    log_warning(
        "evaluation has whole documents on each rank: {} x {} tokens may take {}, and {} are free; "
        "lower per_device_eval_batch_size, or set eval_strategy: no",
        documents, config.max_length, text_of(bytes), text_of(available));
  }
}

// The whole micro-batch, or the largest part of it that fits.
MemoryChoice smaller_passes(FileSystem& files, const RunConfig& config, at::ScalarType dtype,
                            c10::DeviceType device, std::int64_t available, bool checkpointing,
                            std::int64_t base_shares) {
  const std::int64_t documents =
      largest_batch(files, config, dtype, device, available, checkpointing, base_shares);
  if (documents == 0) {
    log_warning(
        "one document of max_length {} may take more than the {} that are free; shorten "
        "max_length, "
        "lower lora_rank{}, use dtype: bf16, or share it among more ranks (context_parallel_size)",
        config.max_length, text_of(available),
        checkpointing ? "" : ", set gradient_checkpointing: true");
  }
  // What is known not to fit is not made room for: the documents may be shorter.
  const MemoryPlan plan = documents == 0 ? MemoryPlan{}
                                         : plan_memory(files, config, dtype, device,
                                                       {documents, checkpointing, base_shares});
  return {checkpointing, std::max<std::int64_t>(documents, 1) * config.max_length, 0, plan};
}

}  // namespace

std::int64_t memory_limit(const RunConfig& config, c10::Device device) {
  constexpr double kGib = 1 << 30;
  return config.max_memory ? static_cast<std::int64_t>(*config.max_memory * kGib)
                           : static_cast<std::int64_t>(available_memory_bytes(device));
}

MemoryChoice choose_memory(FileSystem& files, const RunConfig& config, at::ScalarType dtype,
                           c10::DeviceType device, std::int64_t available,
                           std::int64_t base_shares) {
  const bool wanted = config.gradient_checkpointing == "true";
  if (available == 0) {
    return {wanted, 0};
  }
  warn_of_evaluation(files, config, dtype, device, available, base_shares);
  const std::int64_t documents = config.per_device_train_batch_size;
  const MemoryPlan plan =
      plan_memory(files, config, dtype, device, {documents, wanted, base_shares});
  if (plan.weights + plan.trained > available) {
    fail(ErrorKind::kOutOfMemory,
         "weights and optimizer alone take {}, and {} are free: use dtype: bf16, a smaller "
         "lora_rank or model, or a machine with more memory",
         text_of(plan.weights + plan.trained), text_of(available));
  }
  if (plan.total() <= available) {
    return {wanted, 0, available - plan.total(), plan};
  }
  const bool may_recompute = wanted || config.gradient_checkpointing == "auto";
  if (may_recompute && !wanted) {
    const MemoryPlan recomputed =
        plan_memory(files, config, dtype, device, {documents, true, base_shares});
    if (recomputed.total() <= available) {
      log_info(
          "a micro-batch takes {} and {} are free: layers are computed again in the backward pass "
          "(gradient_checkpointing), which takes {}",
          text_of(plan.total()), text_of(available), text_of(recomputed.total()));
      return {true, 0, available - recomputed.total(), recomputed};
    }
  }
  const MemoryChoice choice =
      smaller_passes(files, config, dtype, device, available, may_recompute, base_shares);
  log_info(
      "a micro-batch of {} x {} tokens takes {} and {} are free: it is run in passes of {} "
      "tokens{}",
      documents, config.max_length, text_of(plan.total()), text_of(available),
      choice.tokens_per_pass, may_recompute ? " with gradient_checkpointing" : "");
  return choice;
}

std::int64_t largest_batch(FileSystem& files, const RunConfig& config, at::ScalarType dtype,
                           c10::DeviceType device, std::int64_t bytes, bool gradient_checkpointing,
                           std::int64_t base_shares) {
  const auto fits = [&](std::int64_t documents) {
    const PlannedBatch batch{documents, gradient_checkpointing, base_shares};
    return plan_memory(files, config, dtype, device, batch).total() <= bytes;
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
