// What a run keeps, when it ends, and what it ends with.

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "tests/model/fixture.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"

namespace weft {
namespace {

using test::fixture_config;
using test::metrics_of;
using test::run;
using ::testing::ElementsAre;

// A run that is evaluated and saved at every step, on other rows than those it trains on: the
// training rows backwards, so what is learnt makes it worse at a high rate.
trainer::RunConfig evaluated(const fs::path& out, const test::TempFolder& temp,
                             std::vector<std::string> more) {
  const std::string rows =
      "{\"ids\": [24, 11, 7, 3, 96, 92, 88], \"labels\": [-100, 11, 7, 3, 96, 92, 88]}\n";
  publish_file(posix_file_system(), temp / "eval.jsonl", rows);
  more.insert(more.end(), {"eval_strategy=steps", "eval_steps=1", "save_steps=1",
                           fmt::format("eval_datasets=[{}]", (temp / "eval.jsonl").string())});
  return fixture_config("train_curve", out, std::move(more));
}

std::vector<double> eval_losses(const fs::path& out) {
  std::vector<double> losses;
  for (const Json& line : metrics_of(out)) {
    if (line.contains("eval_loss")) {
      losses.push_back(line.at("eval_loss").get<double>());
    }
  }
  return losses;
}

std::vector<std::string> checkpoints(const fs::path& out) {
  std::vector<std::string> names;
  for (const std::string& name : posix_file_system().list(out)) {
    if (name.starts_with("checkpoint-")) {
      names.push_back(name);
    }
  }
  return names;
}

std::string adapter_of(const fs::path& folder) {
  return read_file(posix_file_system(), folder / "adapter_model.safetensors");
}

TEST(TrainerLifecycle, StopsOnceTheMetricHasNotImprovedForAsLongAsItsPatience) {
  const test::TempFolder temp;
  const auto result =
      run(evaluated(temp / "out", temp, {"early_stopping_patience=2", "learning_rate=0.05"}));
  EXPECT_EQ(result.end, trainer::RunEnd::kStoppedEarly);
  const std::vector<double> losses = eval_losses(temp / "out");
  ASSERT_EQ(std::ssize(losses), result.step);
  ASSERT_LT(result.step, 32);
  const auto best = std::min_element(losses.begin(), losses.end());
  EXPECT_EQ(losses.end() - best - 1, 2) << "evaluations after the best";
  // Started again, it has nothing left to do.
  EXPECT_EQ(
      run(evaluated(temp / "out", temp, {"early_stopping_patience=2", "learning_rate=0.05"})).end,
      trainer::RunEnd::kStoppedEarly);
  EXPECT_EQ(eval_losses(temp / "out"), losses);
}

TEST(TrainerLifecycle, EndsWithTheBestCheckpointWhereThatIsAskedFor) {
  const test::TempFolder temp;
  const std::vector<std::string> settings{"learning_rate=0.05", "max_steps=8",
                                          "load_best_model_at_end=true"};
  (void)run(evaluated(temp / "out", temp, settings));
  const std::vector<double> losses = eval_losses(temp / "out");
  const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin() + 1;
  ASSERT_LT(best, 8) << "the last step is the best: the test shows nothing";
  EXPECT_EQ(adapter_of(temp / "out/final"),
            adapter_of(temp / fmt::format("out/checkpoint-{:06d}", best)));
  EXPECT_NE(adapter_of(temp / "out/final"), adapter_of(temp / "out/checkpoint-000008"));
}

TEST(TrainerLifecycle, KeepsTheNewestCheckpointAndTheBestOne) {
  const test::TempFolder temp;
  (void)run(evaluated(
      temp / "out", temp,
      {"learning_rate=0.05", "max_steps=8", "load_best_model_at_end=true", "save_total_limit=1"}));
  const std::vector<double> losses = eval_losses(temp / "out");
  const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin() + 1;
  ASSERT_LT(best, 8);
  EXPECT_THAT(checkpoints(temp / "out"),
              ElementsAre(fmt::format("checkpoint-{:06d}", best), "checkpoint-000008"));
}

TEST(TrainerLifecycle, SavesNothingButTheEndWhereSavingIsOff) {
  const test::TempFolder temp;
  (void)run(fixture_config("train_curve", temp / "out", {"max_steps=2", "save_strategy=no"}));
  EXPECT_THAT(checkpoints(temp / "out"), ElementsAre());
  EXPECT_TRUE(posix_file_system().exists(temp / "out/final/adapter_model.safetensors"));
}

TEST(TrainerLifecycle, PackingChangesNoLossOnlyTheShapeOfTheBatches) {
  const test::TempFolder temp;
  // One step over all rows, packed into a few micro-batches or one row at a time.
  const std::vector<std::string> one_step{"max_steps=1", "warmup_steps=0", "num_train_epochs=1"};
  auto packed = one_step;
  packed.insert(packed.end(), {"packing=true", "max_length=64", "per_device_train_batch_size=4",
                               "gradient_accumulation_steps=1000"});
  auto single = one_step;
  single.insert(single.end(), {"packing=false", "per_device_train_batch_size=1",
                               "gradient_accumulation_steps=1000"});
  (void)run(fixture_config("train_curve", temp / "packed", packed));
  (void)run(fixture_config("train_curve", temp / "single", single));
  const Json a = metrics_of(temp / "packed").at(0);
  const Json b = metrics_of(temp / "single").at(0);
  EXPECT_EQ(a.at("tokens"), b.at("tokens"));
  EXPECT_EQ(a.at("trained_tokens"), b.at("trained_tokens"));
  EXPECT_NEAR(a.at("loss").get<double>(), b.at("loss").get<double>(), 1e-5);
  EXPECT_NEAR(a.at("grad_norm").get<double>(), b.at("grad_norm").get<double>(), 1e-4);
}

TEST(TrainerLifecycle, TwoEqualRunsGiveEqualBits) {
  at::set_num_threads(2);
  const test::TempFolder temp;
  for (const char* name : {"a", "b"}) {
    (void)run(fixture_config("train_curve", temp / name, {"max_steps=3", "lora_dropout=0.1"}));
  }
  EXPECT_EQ(adapter_of(temp / "a/final"), adapter_of(temp / "b/final"));
}

}  // namespace
}  // namespace weft
