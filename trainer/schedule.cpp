#include "trainer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace weft::trainer {

namespace {

double ratio(std::int64_t part, std::int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<std::int64_t>(1, whole));
}

/// How far the part after the warm-up has come: 0 at its first step, 1 at the last.
double progress(const ScheduleOptions& o, std::int64_t step) {
  return ratio(step - o.warmup_steps, o.total_steps - o.warmup_steps);
}

double cosine_wave(double cycles, double progress) {
  return 0.5 * (1.0 + std::cos(std::numbers::pi * cycles * 2.0 * progress));
}

double above(double factor, double lowest) { return factor * (1.0 - lowest) + lowest; }

double restarts(const ScheduleOptions& o, std::int64_t step) {
  const double done = progress(o, step);
  if (done >= 1.0) {
    return 0.0;
  }
  const double cycle = std::fmod(o.num_cycles.value_or(1.0) * done, 1.0);
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * cycle)));
}

double cosine_with_min_lr(const ScheduleOptions& o, std::int64_t step) {
  const double lowest = o.min_lr ? *o.min_lr / o.peak_learning_rate : o.min_lr_rate.value_or(0.0);
  return std::max(0.0, above(cosine_wave(o.num_cycles.value_or(0.5), progress(o, step)), lowest));
}

double polynomial(const ScheduleOptions& o, std::int64_t step) {
  const double end = o.lr_end.value_or(1e-7);
  const std::int64_t decay_steps = o.total_steps - o.warmup_steps;
  if (step > o.total_steps || decay_steps <= 0) {
    return end / o.peak_learning_rate;
  }
  const double left = 1.0 - ratio(step - o.warmup_steps, decay_steps);
  const double decay = (o.peak_learning_rate - end) * std::pow(left, o.power.value_or(1.0)) + end;
  return decay / o.peak_learning_rate;
}

double inverse_sqrt(const ScheduleOptions& o, std::int64_t step) {
  const std::int64_t scale = o.timescale.value_or(o.warmup_steps > 0 ? o.warmup_steps : 10'000);
  return 1.0 / std::sqrt(ratio(step + scale - o.warmup_steps, scale));
}

double stable_decay(const ScheduleOptions& o, std::int64_t step) {
  const double lowest = o.min_lr_rate.value_or(0.0);
  if (step < o.warmup_steps) {
    return std::max(0.0, above(ratio(step, o.warmup_steps), lowest));
  }
  const std::int64_t decay_steps = o.decay_steps.value_or(0);
  const std::int64_t stable_steps = o.total_steps - o.warmup_steps - decay_steps;
  const std::int64_t into_decay = step - o.warmup_steps - stable_steps;
  if (into_decay < 0) {
    return 1.0;
  }
  if (into_decay >= decay_steps) {
    return lowest;
  }
  const double done = ratio(into_decay, decay_steps);
  const std::string type = o.decay_type.value_or("cosine");
  const double factor = type == "linear"   ? 1.0 - done
                        : type == "1-sqrt" ? 1.0 - std::sqrt(done)
                                           : cosine_wave(o.num_cycles.value_or(0.5), done);
  return std::max(0.0, above(factor, lowest));
}

}  // namespace

const std::vector<std::string>& schedule_types() {
  static const std::vector<std::string> types = {"linear",
                                                 "cosine",
                                                 "cosine_with_restarts",
                                                 "cosine_with_min_lr",
                                                 "constant",
                                                 "constant_with_warmup",
                                                 "polynomial",
                                                 "inverse_sqrt",
                                                 "warmup_stable_decay"};
  return types;
}

double schedule_factor(const ScheduleOptions& o, std::int64_t step) {
  if (o.type == "constant") {
    return 1.0;
  }
  if (o.type == "warmup_stable_decay") {
    return stable_decay(o, step);
  }
  if (step < o.warmup_steps) {
    return ratio(step, o.warmup_steps);
  }
  if (o.type == "constant_with_warmup") {
    return 1.0;
  }
  if (o.type == "linear") {
    return std::max(0.0, ratio(o.total_steps - step, o.total_steps - o.warmup_steps));
  }
  if (o.type == "cosine") {
    return std::max(0.0, cosine_wave(o.num_cycles.value_or(0.5), progress(o, step)));
  }
  if (o.type == "cosine_with_restarts") {
    return restarts(o, step);
  }
  if (o.type == "cosine_with_min_lr") {
    return cosine_with_min_lr(o, step);
  }
  if (o.type == "polynomial") {
    return polynomial(o, step);
  }
  if (o.type == "inverse_sqrt") {
    return inverse_sqrt(o, step);
  }
  fail_internal("schedule_factor: no schedule is called {}", o.type);
}

std::int64_t warmup_steps_from_ratio(double ratio, std::int64_t total_steps) {
  return static_cast<std::int64_t>(std::ceil(static_cast<double>(total_steps) * ratio));
}

double auto_learning_rate(std::int64_t hidden_size, bool lora) {
  const double full = 5e-5 * std::pow(2000.0 / static_cast<double>(hidden_size), 0.0775);
  return lora ? 10.0 * full : full;
}

}  // namespace weft::trainer
