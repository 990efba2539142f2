#include "trainer/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "tests/support/caught.h"

namespace weft::trainer {
namespace {

using ::testing::HasSubstr;

Json fixture() {
  return read_json(posix_file_system(), WEFT_SOURCE_DIR "/tests/trainer/fixtures/schedules.json");
}

ScheduleOptions options_of(const Json& one, double peak) {
  ScheduleOptions o;
  o.type = one["type"];
  o.warmup_steps = one["warmup"];
  o.total_steps = one["total"];
  o.peak_learning_rate = peak;
  for (const auto& [name, value] : one["kwargs"].items()) {
    if (name == "num_cycles") o.num_cycles = value;
    if (name == "min_lr") o.min_lr = value;
    if (name == "min_lr_rate" || name == "min_lr_ratio") o.min_lr_rate = value;
    if (name == "lr_end") o.lr_end = value;
    if (name == "power") o.power = value;
    if (name == "num_decay_steps") o.decay_steps = value.get<std::int64_t>();
    if (name == "decay_type") o.decay_type = value.get<std::string>();
    if (name == "timescale") o.timescale = value.get<std::int64_t>();
  }
  return o;
}

TEST(Schedule, EqualsTransformersAtEveryStep) {
  const Json all = fixture();
  std::set<std::string> seen;
  for (const Json& one : all["cases"]) {
    const ScheduleOptions options = options_of(one, all["peak"]);
    seen.insert(options.type);
    std::int64_t step = 0;
    for (const Json& expected : one["factors"]) {
      ASSERT_NEAR(schedule_factor(options, step), expected.get<double>(), 1e-12)
          << one["type"] << " " << one["kwargs"] << " warm-up " << one["warmup"] << " of "
          << one["total"] << " step " << step;
      ++step;
    }
    ASSERT_EQ(step, options.total_steps + 3);
  }
  EXPECT_EQ(seen.size(), schedule_types().size());
}

TEST(Schedule, PolynomialWithoutDecayStepsIsFinite) {
  const ScheduleOptions o{
      .type = "polynomial", .warmup_steps = 4, .total_steps = 4, .peak_learning_rate = 1e-3};
  EXPECT_DOUBLE_EQ(schedule_factor(o, 4), 1e-4);
}

TEST(Schedule, UnknownTypeIsADefect) {
  const Error error =
      test::caught([] { static_cast<void>(schedule_factor({.type = "cosinus"}, 0)); });
  EXPECT_EQ(error.kind(), ErrorKind::kInternal);
  EXPECT_THAT(error.what(), HasSubstr("cosinus"));
}

TEST(Schedule, WarmupRatioIsRoundedUp) {
  EXPECT_EQ(warmup_steps_from_ratio(0.03, 100), 3);
  EXPECT_EQ(warmup_steps_from_ratio(0.03, 101), 4);
  EXPECT_EQ(warmup_steps_from_ratio(0.1, 1), 1);
  EXPECT_EQ(warmup_steps_from_ratio(0, 50), 0);
}

TEST(Schedule, AutoLearningRateFollowsTheFit) {
  EXPECT_DOUBLE_EQ(auto_learning_rate(2000, true), 5e-4);
  EXPECT_DOUBLE_EQ(auto_learning_rate(2000, false), 5e-5);
  EXPECT_NEAR(auto_learning_rate(1024, true), 5.2662e-4, 1e-8);
  EXPECT_GT(auto_learning_rate(1024, true), auto_learning_rate(4096, true));
}

}  // namespace
}  // namespace weft::trainer
