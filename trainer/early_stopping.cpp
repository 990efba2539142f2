#include "trainer/early_stopping.h"

#include <cmath>

namespace weft::trainer {

MetricVerdict judge_metric(const EarlyStoppingOptions& options, double value, std::int64_t step,
                           BestMetric& best) {
  const double gain = !best.value                 ? 0.0
                      : options.greater_is_better ? value - *best.value
                                                  : *best.value - value;
  const bool finite = std::isfinite(value);
  const bool progressed = finite && (!best.value || gain > options.threshold);
  MetricVerdict verdict;
  verdict.is_best = finite && (!best.value || gain > 0);
  if (verdict.is_best) {
    best.value = value;
    best.step = step;
  }
  best.checks_without_progress = progressed ? 0 : best.checks_without_progress + 1;
  verdict.stop = options.patience && best.checks_without_progress >= *options.patience;
  return verdict;
}

}  // namespace weft::trainer
