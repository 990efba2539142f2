#include "trainer/checkpoint_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/caught.h"
#include "tests/trainer/checkpoint_testing.h"

namespace weft::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CheckpointState, TextAndBackIsTheSameText) {
  const std::string text = trainer_state_text(example_state(41));
  EXPECT_EQ(trainer_state_text(parse_trainer_state(text, "state")), text);
}

TEST(CheckpointState, EveryFieldComesBack) {
  const TrainerState out = example_state(41);
  const TrainerState in = parse_trainer_state(trainer_state_text(out), "state");
  EXPECT_EQ(in.step, out.step);
  EXPECT_EQ(in.max_steps, out.max_steps);
  EXPECT_EQ(in.epoch, out.epoch);
  EXPECT_EQ(in.loader_epoch, out.loader_epoch);
  EXPECT_EQ(in.loader_batch, out.loader_batch);
  EXPECT_EQ(in.tokens, out.tokens);
  EXPECT_EQ(in.trained_tokens, out.trained_tokens);
  EXPECT_EQ(in.model_flops, out.model_flops);
  EXPECT_EQ(in.skipped_updates, out.skipped_updates);
  EXPECT_EQ(in.skipped_in_a_row, out.skipped_in_a_row);
  EXPECT_EQ(in.unlogged_loss_sum, out.unlogged_loss_sum);
  EXPECT_EQ(in.unlogged_trained_tokens, out.unlogged_trained_tokens);
  EXPECT_EQ(in.best, out.best);
  EXPECT_EQ(in.counters, out.counters);
  EXPECT_EQ(in.identity, out.identity);
  EXPECT_EQ(in.settings, out.settings);
  EXPECT_EQ(in.log_history, out.log_history);
}

TEST(CheckpointState, WithoutABestMetricItIsNull) {
  TrainerState state = example_state(5);
  state.best = {};
  const std::string text = trainer_state_text(state);
  EXPECT_THAT(text, HasSubstr("\"best_metric\": null"));
  EXPECT_EQ(parse_trainer_state(text, "state").best, BestMetric{});
}

TEST(CheckpointState, HasTheKeysThatOtherToolsRead) {
  const Json json = parse_json(trainer_state_text(example_state(41)), "state");
  EXPECT_EQ(json["global_step"], 41);
  EXPECT_EQ(json["num_input_tokens_seen"], 41000);
  EXPECT_EQ(json["best_global_step"], 40);
  EXPECT_EQ(json["log_history"][0]["loss"], 1.0 / 3.0);
}

TEST(CheckpointState, MissingOrWrongKeysAreNamed) {
  const std::string text = trainer_state_text(example_state(41));
  for (const auto& [key, value] : std::map<std::string, std::string>{{"global_step", "\"41\""},
                                                                     {"max_steps", "-1"},
                                                                     {"log_history", "{}"},
                                                                     {"weft", "3"},
                                                                     {"epoch", "null"}}) {
    Json json = parse_json(text, "state");
    json[key] = parse_json(value, "value");
    const Error wrong =
        test::caught([&] { static_cast<void>(parse_trainer_state(json.dump(), "state")); });
    EXPECT_EQ(wrong.kind(), ErrorKind::kData) << key;
    EXPECT_THAT(wrong.what(), AllOf(HasSubstr("state"), Not(HasSubstr("no error")))) << key;
    json.erase(key);
    const Error missing =
        test::caught([&] { static_cast<void>(parse_trainer_state(json.dump(), "state")); });
    EXPECT_THAT(missing.what(), HasSubstr(key));
  }
}

TEST(CheckpointState, AnotherRunIsRefusedWithOldAndNewValues) {
  const TrainerState saved = example_state(3);
  const Error error = test::caught([&] {
    check_same_run(saved,
                   {{"lora_rank", "16"}, {"tokenizer_sha256", "ffff"}, {"base", "sha256:abc"}},
                   saved.settings, "checkpoint-000003");
  });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  EXPECT_THAT(
      error.what(),
      AllOf(HasSubstr("checkpoint-000003"), HasSubstr("lora_rank: 32 in the checkpoint, 16 now"),
            HasSubstr("tokenizer_sha256: not set in the checkpoint, ffff now"),
            Not(HasSubstr("sha256:abc"))));
}

TEST(CheckpointState, ChangedSettingIsNotedAndAllowed) {
  const TrainerState saved = example_state(3);
  ::testing::internal::CaptureStderr();
  check_same_run(saved, saved.identity, {{"learning_rate", "0.001"}}, "checkpoint-000003");
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("learning_rate: auto in the checkpoint, 0.001 now"));
}

}  // namespace
}  // namespace weft::trainer
