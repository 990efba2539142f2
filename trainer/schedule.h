#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::trainer {

/// A learning-rate schedule by the names and parameters of Hugging Face's get_scheduler. Parameters
/// that are not set take its defaults; those that `type` does not use are ignored here (the run
/// config refuses them).
struct ScheduleOptions {
  std::string type = "linear";
  std::int64_t warmup_steps = 0;
  std::int64_t total_steps = 0;
  double peak_learning_rate =
      0;  ///< what the factor multiplies; min_lr and lr_end are relative to it
  std::optional<double> num_cycles = {};  ///< waves (0.5: down once), or whole restarts
  std::optional<double> min_lr = {};      ///< cosine_with_min_lr: the lowest learning rate
  std::optional<double> min_lr_rate =
      {};  ///< the lowest rate as a share of the peak; warmup_stable_decay too
  std::optional<double> lr_end = {};             ///< polynomial: the last learning rate, 1e-7
  std::optional<double> power = {};              ///< polynomial: 1
  std::optional<std::int64_t> decay_steps = {};  ///< warmup_stable_decay: length of the last phase
  std::optional<std::string> decay_type = {};    ///< warmup_stable_decay: linear | cosine | 1-sqrt
  std::optional<std::int64_t> timescale =
      {};  ///< inverse_sqrt: the warm-up's length, or 10,000 without one
};

/// The names that ScheduleOptions::type takes.
[[nodiscard]] const std::vector<std::string>& schedule_types();

/// The factor on the peak learning rate for the update that follows `step` finished updates (0 for
/// the first), equal to transformers' get_scheduler. An internal Error for a type that is not in
/// schedule_types().
[[nodiscard]] double schedule_factor(const ScheduleOptions& options, std::int64_t step);

/// `ratio` of `total_steps`, rounded up as transformers does.
[[nodiscard]] std::int64_t warmup_steps_from_ratio(double ratio, std::int64_t total_steps);

/// What `learning_rate: auto` stands for. LoRA: 5e-5 * 10 * (2000 / hidden_size)^0.0775, the fit
/// for Qwen models of Thinking Machines' "LoRA Without Regret". Full fine-tuning: the same without
/// the factor 10, which is the ratio between the best rates of LoRA and full fine-tuning that they
/// report.
[[nodiscard]] double auto_learning_rate(std::int64_t hidden_size, bool lora);

}  // namespace weft::trainer
