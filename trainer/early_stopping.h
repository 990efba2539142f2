#pragma once

#include <cstdint>
#include <optional>

namespace weft::trainer {

/// The best value of a metric so far, and when to give up on a better one. It is plain state: a
/// checkpoint holds it.
struct BestMetric {
  std::optional<double> value = {};
  std::int64_t step = 0;                     ///< of the best value
  std::int64_t checks_without_progress = 0;  ///< evaluations since one that progressed

  bool operator==(const BestMetric&) const = default;
};

struct EarlyStoppingOptions {
  bool greater_is_better = false;
  /// Stop after this many evaluations in a row without progress; not set: never.
  std::optional<std::int64_t> patience = {};
  /// An evaluation progresses when it is better than the best by more than this.
  double threshold = 0;
};

struct MetricVerdict {
  bool is_best = false;
  bool stop = false;
};

/// Takes the value measured at `step` into `best`. A value that is not finite is never the best and
/// counts as no progress, so a run that has gone wrong is stopped rather than kept.
MetricVerdict judge_metric(const EarlyStoppingOptions& options, double value, std::int64_t step,
                           BestMetric& best);

}  // namespace weft::trainer
