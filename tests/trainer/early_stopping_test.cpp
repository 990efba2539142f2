#include "trainer/early_stopping.h"

#include <gtest/gtest.h>

#include <limits>

namespace weft::trainer {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(EarlyStopping, FirstValueIsBest) {
  BestMetric best;
  const MetricVerdict verdict = judge_metric({.patience = 1}, 2.5, 10, best);
  EXPECT_TRUE(verdict.is_best);
  EXPECT_FALSE(verdict.stop);
  EXPECT_EQ(best.value, 2.5);
  EXPECT_EQ(best.step, 10);
}

TEST(EarlyStopping, StopsAfterPatienceWithoutProgress) {
  const EarlyStoppingOptions options{.patience = 2};
  BestMetric best;
  EXPECT_FALSE(judge_metric(options, 2.0, 1, best).stop);
  EXPECT_FALSE(judge_metric(options, 2.1, 2, best).stop);
  EXPECT_TRUE(judge_metric(options, 2.0, 3, best).stop);
  EXPECT_EQ(best.step, 1);
}

TEST(EarlyStopping, ProgressBeginsThePatienceAnew) {
  const EarlyStoppingOptions options{.patience = 2};
  BestMetric best;
  judge_metric(options, 2.0, 1, best);
  judge_metric(options, 2.1, 2, best);
  EXPECT_TRUE(judge_metric(options, 1.9, 3, best).is_best);
  EXPECT_EQ(best.checks_without_progress, 0);
  EXPECT_FALSE(judge_metric(options, 2.0, 4, best).stop);
}

TEST(EarlyStopping, GainBelowTheThresholdIsBestButNotProgress) {
  const EarlyStoppingOptions options{.patience = 1, .threshold = 0.1};
  BestMetric best;
  judge_metric(options, 2.0, 1, best);
  const MetricVerdict verdict = judge_metric(options, 1.95, 2, best);
  EXPECT_TRUE(verdict.is_best);
  EXPECT_TRUE(verdict.stop);
  EXPECT_EQ(best.value, 1.95);
}

TEST(EarlyStopping, GreaterCanBeBetter) {
  const EarlyStoppingOptions options{.greater_is_better = true};
  BestMetric best;
  judge_metric(options, 0.2, 1, best);
  EXPECT_TRUE(judge_metric(options, 0.3, 2, best).is_best);
  EXPECT_FALSE(judge_metric(options, 0.1, 3, best).is_best);
  EXPECT_EQ(best.step, 2);
}

TEST(EarlyStopping, NotFiniteIsNeverBestAndCountsAsNoProgress) {
  const EarlyStoppingOptions options{.greater_is_better = true, .patience = 2};
  BestMetric best;
  EXPECT_FALSE(judge_metric(options, kNan, 1, best).is_best);
  EXPECT_FALSE(best.value.has_value());
  EXPECT_TRUE(judge_metric(options, std::numeric_limits<double>::infinity(), 2, best).stop);
  EXPECT_FALSE(best.value.has_value());
}

TEST(EarlyStopping, WithoutPatienceNeverStops) {
  BestMetric best;
  for (std::int64_t step = 1; step < 50; ++step) {
    EXPECT_FALSE(judge_metric({}, static_cast<double>(step), step, best).stop);
  }
}

}  // namespace
}  // namespace weft::trainer
