#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "data/tokenize.h"
#include "data/tokenize_config.h"
#include "trainer/early_stopping.h"
#include "trainer/schedule.h"

namespace weft::trainer {

/// q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.
[[nodiscard]] const std::vector<std::string>& lora_target_names();

/// Every setting of a run: one flat YAML file with Hugging Face's names. docs/config.md, which is
/// made from the same table, says what each means; here are the defaults and how "not set" is
/// spelled.
struct RunConfig {
  // Model and output. Paths are relative to the working folder.
  std::string model_name_or_path;
  std::string adapter_name_or_path;  ///< "": a new adapter
  std::string output_dir;

  // Data.
  std::vector<data::TokenizeInput> datasets;
  std::vector<data::TokenizeInput> eval_datasets;
  std::int64_t max_length = 2048;
  bool packing = true;
  data::TokenizeSettings tokenize;
  std::optional<double> val_size;  ///< set aside of `datasets`: a share below 1, else a number
  bool shuffle = true;
  std::int64_t seed = 42;
  std::optional<std::int64_t> data_seed;  ///< not set: seed

  // Batches and length.
  std::int64_t per_device_train_batch_size = 1;
  std::optional<std::int64_t> per_device_eval_batch_size;  ///< not set: that of training
  std::int64_t gradient_accumulation_steps = 1;
  std::string gradient_checkpointing = "auto";  ///< auto, true or false
  std::string attn_implementation = "auto";     ///< auto, cudnn, flash or composed; on a GPU
  bool deterministic = true;
  bool cuda_graphs = false;
  std::optional<double> max_memory;  ///< GiB; not set: what is free
  double num_train_epochs = 1;
  std::int64_t max_steps = -1;  ///< -1: by num_train_epochs

  // Optimizer (AdamW) and schedule.
  std::optional<double> learning_rate;  ///< not set: auto
  double weight_decay = 0;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1;  ///< 0: no clipping
  std::int64_t warmup_steps = 0;
  double warmup_ratio = 0;
  /// Type and parameters; its warmup_steps, total_steps and peak are filled in by
  /// schedule_options().
  ScheduleOptions schedule;

  // What is trained.
  std::string finetuning_type = "lora";  ///< lora | full
  std::int64_t lora_rank = 32;
  double lora_alpha = 32;
  double lora_dropout = 0;
  std::vector<std::string> lora_target = lora_target_names();  ///< in that order
  bool use_rslora = false;
  std::string lora_gemm = "auto";  ///< auto | plain | extended

  // Device.
  std::string dtype = "auto";       ///< auto | bf16 | fp32
  std::string base_dtype = "auto";  ///< auto: as dtype | fp8
  std::string device = "auto";      ///< auto | cpu | cuda
  std::optional<std::int64_t> num_threads;

  // Several ranks.
  std::string ddp_backend = "auto";        ///< auto | gloo | nccl
  std::string shard_base = "none";         ///< none | node | world
  std::int64_t context_parallel_size = 1;  ///< ranks that share out each micro-batch
  double ddp_timeout = 1800;               ///< seconds that a rank waits for another
  std::optional<double> stop_timeout;      ///< seconds; not set: as long as it takes
  std::int64_t max_restarts_without_progress = 3;

  // Logging, evaluation, saving.
  std::int64_t logging_steps = 1;
  std::string report_to = "tensorboard";   ///< tensorboard | none
  std::string eval_strategy = "auto";      ///< auto | no | steps | epoch; resolved never holds auto
  std::optional<std::int64_t> eval_steps;  ///< not set: save_steps
  std::string save_strategy = "steps";     ///< no | steps | epoch
  std::int64_t save_steps = 500;
  bool async_save = true;
  std::optional<std::int64_t> save_total_limit;
  std::string metric_for_best_model = "eval_loss";  ///< eval_loss | eval_exact_match
  bool load_best_model_at_end = false;
  std::optional<std::int64_t> early_stopping_patience;
  double early_stopping_threshold = 0;
  std::string resume_from_checkpoint = "auto";  ///< auto | none | a path

  // Values that are not finite.
  std::string nonfinite = "stop";  ///< stop | skip
  std::int64_t nonfinite_skip_limit = 10;

  /// The optimizer steps of the run, given those of one epoch: max_steps, else num_train_epochs
  /// rounded up.
  [[nodiscard]] std::int64_t total_steps(std::int64_t steps_per_epoch) const;
  /// The learning rate, with `auto` resolved for the model's hidden size.
  [[nodiscard]] double peak_learning_rate(std::int64_t hidden_size) const;
  [[nodiscard]] ScheduleOptions schedule_options(std::int64_t total_steps,
                                                 double peak_learning_rate) const;
  [[nodiscard]] EarlyStoppingOptions early_stopping() const;

  /// Values that must not change when a run is resumed, for TrainerState::identity: those that the
  /// adapter's shape, the order of the data and the meaning of the saved numbers depend on.
  /// Fingerprints of base, tokenizer and data are to be added by who computes them.
  [[nodiscard]] std::map<std::string, std::string> identity() const;
  /// All other values that shape the result, for TrainerState::settings.
  [[nodiscard]] std::map<std::string, std::string> settings() const;
  /// The whole config as a YAML file that load_run_config reads back to an equal one.
  [[nodiscard]] std::string to_yaml() const;

  [[nodiscard]] bool fp8_base() const { return base_dtype == "fp8"; }
  [[nodiscard]] bool extended_lora() const { return lora_gemm == "extended"; }
  [[nodiscard]] bool has_evaluation_data() const { return !eval_datasets.empty() || val_size; }
};

/// Why the run's passes can't be recorded, each as what follows on "cuda_graphs: true"; empty where
/// they can.
[[nodiscard]] std::vector<std::string> why_no_graphs(const RunConfig& config);

/// Why the run's adapters can't be multiplied in the extended form, each as what follows on
/// "lora_gemm: extended"; empty where they can.
[[nodiscard]] std::vector<std::string> why_plain_lora(const RunConfig& config);

struct LoadedConfig {
  RunConfig config;
  /// For people, one line each: names of other tools that were translated, settings that have no
  /// effect.
  std::vector<std::string> notes;
};

/// Reads a run's YAML file, then `key=value` overrides, which win. One config Error lists
/// everything that is wrong: unknown keys with the nearest known one, wrong types and ranges; or
/// else missing keys and settings that contradict each other.
[[nodiscard]] LoadedConfig load_run_config(FileSystem& files, const fs::path& path,
                                           const std::vector<std::string>& overrides = {});
/// The same from text; `name` stands for the file in messages.
[[nodiscard]] LoadedConfig parse_run_config(std::string_view text, std::string_view name,
                                            const std::vector<std::string>& overrides = {});

/// docs/config.md.
[[nodiscard]] std::string config_markdown();

}  // namespace weft::trainer
