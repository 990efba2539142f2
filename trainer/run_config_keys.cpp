#include "trainer/run_config_keys.h"

#include <fmt/format.h>

#include <cmath>

#include "base/text.h"
#include "data/tokenize_config.h"
#include "trainer/run_config_key_types.h"

namespace weft::trainer {

namespace {

using Range = Schema::Range;

constexpr double kMany = 1e9;  // no count of steps or tokens in a batch is larger
constexpr Range kSeed{0, 9007199254740992.0};

void add_model_keys(Schema& schema, RunConfig& c) {
  schema
      .add_string("model_name_or_path", &c.model_name_or_path,
                  "Folder of the base model. Required.")
      .aliases = {"base_model", "model"};
  schema.add_string("adapter_name_or_path", &c.adapter_name_or_path,
                    "Folder of a PEFT adapter to go on from; empty: a new adapter.");
  schema.add_string("output_dir", &c.output_dir, "Folder that the run writes into. Required.");
}

void add_data_keys(Schema& schema, RunConfig& c) {
  schema.add_custom(data::datasets_key("datasets", &c.datasets, "What to train on. Required."));
  schema.add_custom(data::datasets_key("eval_datasets", &c.eval_datasets, "What to evaluate on."));
  schema
      .add_optional_number(
          "val_size", &c.val_size, {0, 1e12, true},
          "Instead of eval_datasets: set rows of `datasets` aside and evaluate on them. Below 1 a "
          "share, else a number of rows. A hash of what a row says decides, so that it stays on "
          "its "
          "side when others are added or reordered, and equal rows are on one side.")
      .aliases = {"val_set_size", "split_dataset_ratio"};
  schema.add_int("max_length", &c.max_length, {2, 1 << 24}, "Tokens of a sequence at most.")
      .aliases = {"cutoff_len", "sequence_len", "max_seq_length", "max_seq_len", "seq_length"};
  schema
      .add_bool("packing", &c.packing,
                "true: whole documents are packed into max_length x per_device_train_batch_size "
                "tokens. false: a "
                "micro-batch is per_device_train_batch_size documents. Neither pads, and no "
                "document sees another.")
      .aliases = {"sample_packing"};
  data::add_tokenize_keys(schema, &c.tokenize);
  schema.add_bool("shuffle", &c.shuffle,
                  "A new order in each epoch; false: the order of the data.");
  schema
      .add_int("seed", &c.seed, kSeed,
               "Of the adapter's start, of dropout, and of the order of the data.")
      .aliases = {"random_seed"};
  schema.add_optional_int("data_seed", &c.data_seed, kSeed,
                          "Of the order of the data, where it is not to be seed.");
}

void add_batch_keys(Schema& schema, RunConfig& c) {
  schema
      .add_int("per_device_train_batch_size", &c.per_device_train_batch_size, {1, 65536},
               "Sequences in a micro-batch.")
      .aliases = {"micro_batch_size", "batch_size", "local_batch_size"};
  schema
      .add_optional_int("per_device_eval_batch_size", &c.per_device_eval_batch_size, {1, 65536},
                        "The same for evaluation; not set: as in training.")
      .aliases = {"eval_batch_size"};
  schema.add_int(
      "gradient_accumulation_steps", &c.gradient_accumulation_steps, {1, 1e6},
      "Micro-batches of a rank in an optimizer step. The loss is the mean over all trained tokens "
      "of all ranks.");
  schema.add_choice(
      "gradient_checkpointing", &c.gradient_checkpointing, {"auto", "true", "false"},
      "Compute each layer again in the backward pass instead of keeping what it needs: about a "
      "third more time, a fraction of the memory, the same numbers. auto: where a micro-batch "
      "would not fit otherwise.");
  schema
      .add_number("num_train_epochs", &c.num_train_epochs, {0, 1e6, true},
                  "Passes over the data; may be a fraction.")
      .aliases = {"num_epochs", "epochs"};
  schema.add_int("max_steps", &c.max_steps, {-1, kMany},
                 "Optimizer steps; wins over num_train_epochs. -1: not set.");
}

void add_optimizer_keys(Schema& schema, RunConfig& c) {
  schema.add_custom(learning_rate_key(&c.learning_rate));
  schema.add_number("weight_decay", &c.weight_decay, {0, 1}, "AdamW's decoupled weight decay.");
  schema.add_number("adam_beta1", &c.adam_beta1, {0, 0.9999999}, "");
  schema.add_number("adam_beta2", &c.adam_beta2, {0, 0.9999999}, "");
  schema.add_number("adam_epsilon", &c.adam_epsilon, {0, 1, true}, "");
  schema
      .add_number("max_grad_norm", &c.max_grad_norm, {0, 1e6},
                  "Global norm that gradients are clipped to; 0: not.")
      .aliases = {"clip_grad_norm"};
  schema
      .add_choice("lr_scheduler_type", &c.schedule.type, schedule_types(),
                  "How the learning rate moves, by Hugging Face's names and definitions.")
      .aliases = {"lr_scheduler", "lr_decay_style"};
  schema.add_int("warmup_steps", &c.warmup_steps, {0, kMany}, "Steps of linear warm-up.")
      .aliases = {"num_warmup_steps", "lr_warmup_steps"};
  schema.add_number("warmup_ratio", &c.warmup_ratio, {0, 1},
                    "The same as a share of all steps, rounded up.");
}

void add_schedule_keys(Schema& schema, ScheduleOptions& s) {
  schema
      .add_optional_number(
          "lr_num_cycles", &s.num_cycles, {0, 1e6, true},
          "cosine, cosine_with_min_lr, warmup_stable_decay: waves (0.5). cosine_with_restarts: "
          "restarts (1).")
      .aliases = {"num_cycles"};
  schema.add_optional_number("min_lr", &s.min_lr, {0, 1},
                             "cosine_with_min_lr: the lowest learning rate.");
  schema
      .add_optional_number(
          "min_lr_rate", &s.min_lr_rate, {0, 1},
          "cosine_with_min_lr, warmup_stable_decay (0): the lowest as a share of the peak.")
      .aliases = {"min_lr_ratio"};
  schema.add_optional_number("lr_end", &s.lr_end, {0, 1},
                             "polynomial: the last learning rate (1e-7).");
  schema.add_optional_number("lr_power", &s.power, {0, 100, true}, "polynomial: the power (1).")
      .aliases = {"power"};
  schema
      .add_optional_int("lr_decay_steps", &s.decay_steps, {0, kMany},
                        "warmup_stable_decay: steps of the last phase.")
      .aliases = {"num_decay_steps"};
  schema.add_custom([&s] {
    Schema::Key key;
    key.name = "lr_decay_type";
    key.aliases = {"decay_type"};
    key.type = "linear | cosine | 1-sqrt";
    key.default_text = "null";
    key.description = "warmup_stable_decay: form of the last phase (cosine).";
    key.read = [&s](const YamlNode& node) -> std::string {
      if (node.kind == YamlNode::Kind::kNull) {
        s.decay_type.reset();
        return "";
      }
      if (node.text != "linear" && node.text != "cosine" && node.text != "1-sqrt") {
        return fmt::format("is '{}'; expected linear, cosine or 1-sqrt", printable(node.text));
      }
      s.decay_type = node.text;
      return "";
    };
    key.write = [&s] { return s.decay_type.value_or("null"); };
    return key;
  }());
  schema
      .add_optional_int("lr_timescale", &s.timescale, {1, kMany},
                        "inverse_sqrt: the time scale (the warm-up, or 10,000 without one).")
      .aliases = {"timescale"};
}

void add_adapter_keys(Schema& schema, RunConfig& c) {
  schema.add_choice("finetuning_type", &c.finetuning_type, {"lora", "full"},
                    "Train an adapter, or all weights.");
  schema.add_int("lora_rank", &c.lora_rank, {1, 4096}, "Rank of the adapter.").aliases = {"lora_r"};
  schema.add_number("lora_alpha", &c.lora_alpha, {0, 1e6, true},
                    "The adapter's output is scaled by lora_alpha / lora_rank.");
  schema.add_number("lora_dropout", &c.lora_dropout, {0, 0.9999},
                    "Dropout on the adapter's input.");
  schema.add_custom(lora_target_key(&c.lora_target));
  schema.add_bool("use_rslora", &c.use_rslora, "Scale by lora_alpha / sqrt(lora_rank) instead.");
  schema.add_choice("lora_gemm", &c.lora_gemm, {"auto", "plain", "extended"},
                    "plain: a matrix and its adapters are multiplied one after the other, and the "
                    "results added. extended: the adapters lie beside the frozen matrix, and both "
                    "are one product, which spares reading and writing its result once more. The "
                    "same numbers up to rounding. auto: on a GPU the faster of the two, found by a "
                    "short trial of both whose gradients must agree, and kept for the next run on "
                    "the machine (~/.cache/weft/choices); set one for equal bits on several. On a "
                    "CPU plain. extended is not with "
                    "lora_dropout, base_dtype: fp8, "
                    "shard_base or finetuning_type: full.");
}

void add_device_keys(Schema& schema, RunConfig& c) {
  schema
      .add_choice("dtype", &c.dtype, {"auto", "bf16", "fp32"},
                  "Of weights and activations. auto: bf16, or fp32 on a CPU. Adapters and sums are "
                  "always fp32.")
      .aliases = {"torch_dtype"};
  schema.add_choice("base_dtype", &c.base_dtype, {"auto", "fp8"},
                    "Of the frozen layers' matrices under an adapter. auto: dtype. fp8: 8-bit "
                    "floats (e4m3) with a scale for each row, half of bf16's memory; what is "
                    "multiplied by them is rounded to 8 bits as well. On a GPU of compute "
                    "capability 8.9 or newer with dtype: bf16; on a CPU it is slow. Only training "
                    "uses it: weft eval, merge and export take the model as it is.");
  schema.add_choice("device", &c.device, {"auto", "cpu", "cuda"},
                    "auto: a GPU where there is one.");
  schema.add_choice("attn_implementation", &c.attn_implementation,
                    {"auto", "cudnn", "flash", "composed"},
                    "Attention on a GPU. auto: cuDNN's on Hopper and Blackwell, else "
                    "FlashAttention-2. composed: of plain operators, slow.");
  schema.add_bool(
      "deterministic", &c.deterministic,
      "Equal runs give equal bits. false: cuDNN's attention takes less memory with long "
      "documents, and may be faster.");
  schema.add_bool("cuda_graphs", &c.cuda_graphs,
                  "On a GPU, launch the layers of micro-batches of one shape from a recording: for "
                  "small models and micro-batches, whose launches take longer than their work. "
                  "Micro-batches are filled up to a few sizes, and data with documents of few "
                  "lengths gains most.");
  schema.add_optional_number("max_memory", &c.max_memory, {0, 1e6, true},
                             "GiB that the run may take of the device; not set: what is free.");
  schema.add_optional_int("num_threads", &c.num_threads, {1, 4096},
                          "CPU threads; not set: one for each core.");
}

void add_rank_keys(Schema& schema, RunConfig& c) {
  schema.add_choice("ddp_backend", &c.ddp_backend, {"auto", "gloo", "nccl"},
                    "How several ranks add up gradients. auto: nccl where each has a GPU of its "
                    "own, else gloo.");
  schema.add_choice("shard_base", &c.shard_base, {"none", "node", "world"},
                    "Spread the layers of the frozen base over the ranks of a host, or over all: "
                    "each keeps a share of every layer and gathers the next one while it computes. "
                    "Less memory, more traffic, the same numbers (docs/cluster.md).");
  schema
      .add_int(
          "context_parallel_size", &c.context_parallel_size, {1, 1024},
          "Ranks, neighbours by their numbers, that share out each micro-batch: documents that "
          "are long for one are split among them, and each layer's keys and values gathered. "
          "max_length and per_device_train_batch_size are then those of a group. For documents "
          "that don't fit into one rank's memory (docs/cluster.md).")
      .aliases = {"sequence_parallel_size", "sequence_parallel_degree", "cp_size"};
  schema.add_number("ddp_timeout", &c.ddp_timeout, {0.1, 1e6},
                    "Seconds that a rank waits for another, when they meet and at each exchange, "
                    "before it leaves with exit code 5. It must be longer than the longest save.");
  schema.add_optional_number(
      "stop_timeout", &c.stop_timeout, {0.1, 1e6},
      "Seconds after SIGTERM in which a rank must have saved and left; it leaves with exit code 5 "
      "then, as where another rank hangs. A little less than what the launcher waits before it "
      "kills (torchrun: 30). Not set: as long as it takes.");
  schema.add_int("max_restarts_without_progress", &c.max_restarts_without_progress, {1, 1e6},
                 "After so many restarts by the launcher without a new checkpoint the run ends "
                 "with exit code 6.");
}

void add_logging_keys(Schema& schema, RunConfig& c) {
  schema
      .add_int("logging_steps", &c.logging_steps, {1, kMany}, "Steps between two lines of the log.")
      .aliases = {"log_every_n_steps"};
  schema.add_choice("report_to", &c.report_to, {"tensorboard", "none"},
                    "Beside metrics.jsonl: TensorBoard events in output_dir/tensorboard.");
  schema
      .add_choice(
          "eval_strategy", &c.eval_strategy, {"auto", "no", "steps", "epoch"},
          "When to evaluate. auto: no without eval_datasets, steps with eval_steps, else epoch.")
      .aliases = {"evaluation_strategy"};
  schema
      .add_optional_int("eval_steps", &c.eval_steps, {1, kMany},
                        "Steps between two evaluations; not set: as save_steps.")
      .aliases = {"val_every_steps"};
}

void add_saving_keys(Schema& schema, RunConfig& c) {
  schema.add_choice("save_strategy", &c.save_strategy, {"no", "steps", "epoch"},
                    "When to save a checkpoint.");
  schema.add_int("save_steps", &c.save_steps, {1, kMany}, "Steps between two checkpoints.")
      .aliases = {"ckpt_every_steps"};
  schema.add_bool(
      "async_save", &c.async_save,
      "Write a checkpoint while training goes on, from a copy of what is trained and its "
      "moments. Training waits for it with false, and with finetuning_type: full where "
      "there is no memory for that copy.");
  schema
      .add_optional_int("save_total_limit", &c.save_total_limit, {1, 1e6},
                        "Checkpoints to keep; the newest and the best always stay. Not set: all.")
      .aliases = {"max_recent_checkpoints"};
  schema.add_choice("metric_for_best_model", &c.metric_for_best_model,
                    {"eval_loss", "eval_exact_match"}, "What tells the best checkpoint.");
  schema.add_bool(
      "load_best_model_at_end", &c.load_best_model_at_end,
      "The adapter left in output_dir is that of the best checkpoint, not of the last step.");
  schema
      .add_optional_int("early_stopping_patience", &c.early_stopping_patience, {1, 1e6},
                        "Stop after this many evaluations in a row without a better metric.")
      .aliases = {"early_stopping_steps", "early_stop_interval"};
  schema.add_number("early_stopping_threshold", &c.early_stopping_threshold, {0, 1e6},
                    "Better means better by more than this.");
  schema.add_custom(resume_key(&c.resume_from_checkpoint));
  schema.add_choice(
      "nonfinite", &c.nonfinite, {"stop", "skip"},
      "A loss or gradient that is not finite: stop with exit code 4, or leave that update out.");
  schema.add_int("nonfinite_skip_limit", &c.nonfinite_skip_limit, {1, 1e6},
                 "nonfinite: skip: stop after this many left out in a row.");
}

}  // namespace

const std::vector<std::string>& lora_target_names() {
  static const std::vector<std::string> names = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                 "gate_proj", "up_proj", "down_proj"};
  return names;
}

Schema run_config_schema(RunConfig& config) {
  Schema schema;
  add_model_keys(schema, config);
  add_data_keys(schema, config);
  add_batch_keys(schema, config);
  add_optimizer_keys(schema, config);
  add_schedule_keys(schema, config.schedule);
  add_adapter_keys(schema, config);
  add_device_keys(schema, config);
  add_rank_keys(schema, config);
  add_logging_keys(schema, config);
  add_saving_keys(schema, config);
  return schema;
}

}  // namespace weft::trainer
