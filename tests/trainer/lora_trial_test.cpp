// lora_gemm: auto.

#include "trainer/lora_trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/model/fixture.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"

namespace weft::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::Pair;

TEST(LoraTrial, TrainsBothFormsToTheSameGradients) {
  const test::TempFolder temp;
  for (const auto& [dtype, rounding] : {std::pair{at::kFloat, 1e-5}, {at::kBFloat16, 0.03}}) {
    const RunConfig config =
        test::fixture_config("train_curve", temp / "out", {"max_length=24", "lora_rank=5"});
    const LoraTrial trial =
        try_lora_forms(test::model_config("untied_gqa2"), config, dtype, at::Device(at::kCPU));
    EXPECT_GT(trial.plain_seconds, 0);
    EXPECT_LT(trial.plain_seconds, 10);
    EXPECT_GT(trial.extended_seconds, 0);
    EXPECT_LT(trial.extended_seconds, 10);
    EXPECT_GT(trial.difference, 0) << "the form was the same";
    EXPECT_LT(trial.difference, rounding);
  }
}

TEST(LoraTrial, IsOfAMicroBatchOfTheRun) {
  RunConfig config;
  const auto batch = [&](std::int64_t length, std::int64_t documents, std::int64_t ranks) {
    config.max_length = length;
    config.per_device_train_batch_size = documents;
    config.context_parallel_size = ranks;
    const LoraTrialBatch found = lora_trial_batch(config);
    return std::pair(found.documents, found.length);
  };
  EXPECT_THAT(batch(512, 3, 1), Pair(3, 512));
  EXPECT_THAT(batch(4096, 8, 1), Pair(4, 4096));
  EXPECT_THAT(batch(32768, 1, 1), Pair(4, 4096));
  EXPECT_THAT(batch(8192, 1, 1), Pair(2, 4096));
  EXPECT_THAT(batch(4096, 2, 2), Pair(1, 4096));
  EXPECT_THAT(batch(1000, 1, 4), Pair(1, 1000)) << "at least one document";
}

TEST(LoraTrial, TheFasterFormIsTaken) {
  EXPECT_EQ(better_lora_form({0.010, 0.009, 0.004}), "extended");
  EXPECT_EQ(better_lora_form({0.010, 0.010, 0.004}), "plain");
  EXPECT_EQ(better_lora_form({0.010, 0.00995, 0.004}), "plain") << "less than a hundredth";
  EXPECT_EQ(better_lora_form({0.009, 0.010, 0}), "plain");
}

TEST(LoraTrial, WrongGradientsAreNeverTaken) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const double difference : {0.06, 1.0, kNan, std::numeric_limits<double>::infinity()}) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(better_lora_form({0.010, 0.001, difference}), "plain");
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("lora_gemm: auto is plain"));
  }
}

TEST(LoraTrial, OnACpuAutoIsPlain) {
  const test::TempFolder temp;
  const auto form = [&](const char* name, std::vector<std::string> overrides) {
    overrides.insert(overrides.end(), {"max_steps=1", "save_steps=1"});
    (void)test::run(test::fixture_config("train_curve", temp / name, std::move(overrides)));
    const Json state =
        read_json(posix_file_system(), temp / name / "checkpoint-000001" / "trainer_state.json");
    return state.at("weft").at("settings").at("lora_gemm").get<std::string>();
  };
  EXPECT_EQ(form("default", {}), "plain");
  EXPECT_EQ(form("auto", {"lora_gemm=auto"}), "plain");
  EXPECT_EQ(form("extended", {"lora_gemm=extended"}), "extended");
}

}  // namespace
}  // namespace weft::trainer
