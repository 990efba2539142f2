#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/progress.h"
#include "data/loader.h"
#include "data/tokenizer.h"
#include "distributed/session.h"
#include "trainer/background_task.h"
#include "trainer/checkpoint.h"
#include "trainer/checkpoint_find.h"
#include "trainer/context_group.h"
#include "trainer/evaluate.h"
#include "trainer/launch_watch.h"
#include "trainer/memory_plan.h"
#include "trainer/metrics.h"
#include "trainer/optimizer.h"
#include "trainer/run_config.h"
#include "trainer/trainable.h"

namespace weft::trainer {

enum class RunEnd { kFinished, kStoppedEarly, kStoppedBySignal };

struct RunResult {
  RunEnd end = RunEnd::kFinished;
  std::int64_t step = 0;
  double loss = 0;                       ///< of the last logged step
  std::optional<Evaluation> evaluation;  ///< the last one
  fs::path
      final_folder;  ///< what was trained, as other tools read it; empty when stopped by a signal
};

/// One training run: from its config to OUT/final, with checkpoints on the way. Resumes by itself.
/// Construction loads everything and checks it; run() trains.
///
/// Of several ranks each makes one of these and calls the same. They share each global batch, add
/// up their gradients, and update alike; rank 0 alone writes. OUT, the model and the data are
/// folders that all of them see. An error on one rank is thrown on all; in a pass that ranks share
/// (context_parallel_size) it is thrown on that rank alone, and peer Errors on the others.
class Trainer {
 public:
  /// `session` must outlive the trainer; none: one rank.
  Trainer(FileSystem& files, RunConfig config, distributed::Session* session = nullptr);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Trains to the end, or to a signal (StopSignals must be alive to be told). A numerics Error
  /// names the step of a loss or gradient that is not finite, after everything before it was kept.
  RunResult run();

  [[nodiscard]] const std::string& summary() const { return summary_; }

 private:
  struct GlobalBatch {
    std::vector<data::MicroBatch>
        micro;                ///< this lane's: number lane, lane + lanes, … of the batch
    std::int64_t count = 0;   ///< micro-batches of all ranks
    std::int64_t passes = 0;  ///< of the rank that makes the most
    std::int64_t tokens = 0;  ///< of all ranks, as are the next two
    std::int64_t trained_tokens = 0;
    double flops = 0;
  };
  struct StepNumbers {
    double loss_sum = 0;  ///< over the trained tokens of the batch
    double norm = 0;      ///< of the gradient, before clipping
    bool updated = false;
  };
  struct Interval;
  /// What a checkpoint is written from, by rank 0: a copy on the host, or the tensors themselves.
  struct StagedCheckpoint {
    TrainerState state;
    at::Tensor values;
    at::Tensor moment1;
    at::Tensor moment2;
  };

  void prepare();
  void open_data();
  void load();
  void choose_lora_form();
  [[nodiscard]] std::string lora_form();
  [[nodiscard]] const std::optional<ResumePoint>& resume_point();
  [[nodiscard]] MemoryChoice plan_passes();
  [[nodiscard]] std::map<std::string, std::string> fingerprints() const;
  [[nodiscard]] std::int64_t micro_batches_per_step() const;
  void restore();
  void take_up(const std::optional<ResumePoint>& point);
  [[nodiscard]] std::int64_t planned_steps() const;
  [[nodiscard]] std::int64_t steps_in_epoch(std::int64_t epoch) const;
  [[nodiscard]] GlobalBatch next_global_batch();
  /// A micro-batch as the passes take it: whole, or in pieces where memory asks for it.
  [[nodiscard]] std::vector<data::MicroBatch> passes_of(const data::MicroBatch& micro) const;
  [[nodiscard]] model::PackedBatch packed(const data::MicroBatch& pass) const;
  [[nodiscard]] std::vector<at::Tensor> accumulate(const GlobalBatch& batch);
  [[nodiscard]] StepNumbers step_alone(const GlobalBatch& batch, double learning_rate);
  [[nodiscard]] std::vector<double> wait_for_numbers(const std::vector<at::Tensor>& numbers,
                                                     std::int64_t passes,
                                                     std::chrono::steady_clock::time_point began);
  [[nodiscard]] StepNumbers step_together(const GlobalBatch& batch, double learning_rate,
                                          Interval& interval);
  [[nodiscard]] at::Tensor run_micro_batch(const data::MicroBatch& micro, std::uint64_t number,
                                           double scale);
  [[nodiscard]] double add_up(const GlobalBatch& batch, Interval& interval);
  void agree_on_batch(GlobalBatch& batch, std::exception_ptr failed);
  [[nodiscard]] double agree_on_losses(const GlobalBatch& batch, std::vector<double> losses,
                                       std::exception_ptr failed, double seconds,
                                       Interval& interval);
  void agree_on_memory();
  void reserve_memory();
  [[nodiscard]] double waited_for_others() const;
  void check_in_step();
  void warn_of_stragglers(const Interval& interval);
  void update(const GlobalBatch& batch, Interval& interval);
  void handle_non_finite(double loss, double norm);
  void log_step(Interval& interval);
  [[nodiscard]] bool due(const std::string& strategy, std::int64_t every) const;
  /// Whether to stop early.
  bool evaluate_now();
  void save_checkpoint();
  void stage_checkpoint();
  void write_checkpoint();
  void choose_saving();
  [[nodiscard]] fs::path write_final();
  [[nodiscard]] double epoch_now() const;
  [[nodiscard]] double model_flops(const std::vector<data::MicroBatch>& micro) const;
  void load_tensors(const fs::path& folder, bool moments);

  FileSystem& files_;
  RunConfig config_;
  std::unique_ptr<distributed::Session> own_session_;  ///< where none was given
  distributed::Session* session_;
  std::optional<c10::Device> device_;
  at::ScalarType dtype_ = at::kFloat;
  model::Qwen3Config model_config_;
  std::unique_ptr<data::Tokenizer> tokenizer_;
  std::vector<std::shared_ptr<const data::ShardSet>> train_sets_;
  std::vector<std::shared_ptr<const data::ShardSet>> eval_sets_;
  std::unique_ptr<data::Loader> loader_;
  ContextPlace place_;
  BaseSharing sharing_;
  std::shared_ptr<ContextGroup> context_;  ///< null: no group
  std::unique_ptr<Trainable> trainable_;
  std::unique_ptr<AdamWOptimizer> optimizer_;
  std::unique_ptr<MetricsLog> metrics_;
  /// Where the run is taken up; looked for once.
  std::optional<std::optional<ResumePoint>> resume_point_;
  MemoryChoice memory_;
  TrainerState state_;
  ScheduleOptions schedule_;
  std::optional<Evaluation> evaluation_;
  std::int64_t last_saved_ = -1;
  std::int64_t last_evaluated_ = -1;
  double last_loss_ = 0;
  LaunchWatch launches_;
  bool stop_ = false;  ///< all ranks have agreed to stop
  std::chrono::steady_clock::time_point last_straggler_warning_{};
  std::string datasets_signature_;
  std::string summary_;
  bool saves_meanwhile_ = false;  ///< checkpoints are written while training goes on
  StagedCheckpoint staged_;
  BackgroundTask saving_{"saving a checkpoint"};  ///< last: it uses the rest
};

}  // namespace weft::trainer
