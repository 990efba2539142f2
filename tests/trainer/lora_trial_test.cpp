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

LoraTrialLayers tiny_layers(at::ScalarType dtype) {
  LoraTrialLayers layers;
  layers.shape = test::model_config("untied_gqa2");
  layers.peft.rank = 5;
  layers.peft.target_modules = {"all"};
  layers.peft.rank_pattern = {{"layers.1.self_attn.o_proj", 9}, {"layers.0.self_attn.q_proj", 20}};
  layers.dtype = dtype;
  return layers;
}

// Also where the layers have different room behind the rows that attention writes.
TEST(LoraTrial, TrainsBothFormsToTheSameGradients) {
  for (const auto& [dtype, rounding] : {std::pair{at::kFloat, 1e-5}, {at::kBFloat16, 0.03}}) {
    const LoraTrial trial = try_lora_forms(tiny_layers(dtype), {2, 24});
    EXPECT_GT(trial.plain_seconds, 0);
    EXPECT_LT(trial.plain_seconds, 10);
    EXPECT_GT(trial.extended_seconds, 0);
    EXPECT_LT(trial.extended_seconds, 10);
    EXPECT_GT(trial.difference, 0) << "the form was the same";
    EXPECT_LT(trial.difference, rounding);
    EXPECT_TRUE(trial.agrees());
  }
}

TEST(LoraTrial, IsOfAMicroBatchOfTheRunAndOfWhatFits) {
  model::Qwen3Config shape;  // 8B
  shape.hidden_size = 4096;
  shape.intermediate_size = 12288;
  shape.num_attention_heads = 32;
  shape.num_key_value_heads = 8;
  RunConfig config;
  const auto batch = [&](std::int64_t length, std::int64_t documents, std::int64_t ranks,
                         std::int64_t gib) {
    config.max_length = length;
    config.per_device_train_batch_size = documents;
    config.context_parallel_size = ranks;
    const LoraTrialBatch found = lora_trial_batch(shape, config, gib << 30);
    return std::pair(found.documents, found.length);
  };
  EXPECT_THAT(batch(512, 3, 1, 0), Pair(3, 512));
  EXPECT_THAT(batch(4096, 8, 1, 0), Pair(2, 4096));
  EXPECT_THAT(batch(32768, 1, 1, 0), Pair(2, 4096));
  EXPECT_THAT(batch(4096, 2, 2, 0), Pair(1, 4096));
  EXPECT_THAT(batch(1000, 1, 4, 0), Pair(1, 1000)) << "at least one document";
  EXPECT_THAT(batch(4096, 8, 1, 100), Pair(2, 4096));
  EXPECT_THAT(batch(4096, 8, 1, 16), Pair(1, 4096));
  EXPECT_THAT(batch(4096, 8, 1, 4), Pair(0, 4096)) << "there is no room";
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
