#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "trainer/tensorboard.h"

namespace weft::trainer {

/// What is known after an optimizer step that is logged. Counts are totals since the run began,
/// over resumes.
struct StepMetrics {
  std::int64_t step = 0;  ///< finished optimizer steps, 1 for the first
  double epoch = 0;       ///< epochs finished, with the part of the present one
  double loss = 0;        ///< mean over the trained tokens since the last logged step
  double learning_rate = 0;
  double grad_norm = 0;  ///< global, before clipping
  std::int64_t tokens = 0;
  std::int64_t trained_tokens = 0;   ///< tokens that are a target
  std::int64_t skipped_updates = 0;  ///< updates left out because of a value that is not finite
  double tokens_per_second = 0;
  double model_flops_per_second = 0;
  std::uint64_t memory_bytes = 0;  ///< peak: of the device, or resident on a CPU
  double seconds = 0;              ///< since this process began to train
};

/// Results of an evaluation after `step`: names as they are logged ("eval_loss"), and values.
struct EvalMetrics {
  std::int64_t step = 0;
  double epoch = 0;
  std::vector<std::pair<std::string, double>> values;
};

/// Removes from a metrics file the lines of steps after `step`, and lines that a killed process
/// left torn. Nothing happens where there is no file; the file is replaced as a whole otherwise.
void cut_metrics(FileSystem& files, const fs::path& path, std::int64_t step);

/// A run's log: OUT/metrics.jsonl (one object a line), TensorBoard scalars in OUT/tensorboard/ if
/// asked for, and the history that goes into a checkpoint's trainer_state.json. Values that are not
/// finite are null in JSON. A data Error when the disk refuses. Used from one thread.
class MetricsLog {
 public:
  /// Goes on after `resumed_step` (0: from the start) with the history of that checkpoint.
  MetricsLog(FileSystem& files, const fs::path& output_dir, std::int64_t resumed_step,
             std::vector<Json> history, bool tensorboard);

  void add(const StepMetrics& metrics);
  void add(const EvalMetrics& metrics);
  /// As Hugging Face's log_history, and like it free of timings: equal runs have equal histories.
  [[nodiscard]] const std::vector<Json>& history() const { return history_; }

 private:
  void scalar(std::string_view tag, std::int64_t step, double value, double wall_time);

  std::unique_ptr<WritableFile> file_;
  std::unique_ptr<TensorBoardWriter> tensorboard_;
  std::vector<Json> history_;
};

}  // namespace weft::trainer
