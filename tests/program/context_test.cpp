// Ranks that share out each micro-batch (context_parallel_size): the numbers of a run without, what
// is refused, and what happens when one is lost.

#include <csignal>

#include "tests/program/rank_program.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

// Steps of two micro-batches of two documents for each lane.
std::vector<std::string> context_run(const fs::path& out, int context,
                                     const std::vector<std::string>& more) {
  std::vector<std::string> arguments =
      train_arguments(out, {"max_steps=9", "save_steps=100", "report_to=none",
                            fmt::format("context_parallel_size={}", context)});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

void expect_same_curve(const std::vector<LoggedStep>& actual,
                       const std::vector<LoggedStep>& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i].loss, expected[i].loss, tolerance) << "step " << i + 1;
    EXPECT_NEAR(actual[i].grad_norm, expected[i].grad_norm, tolerance * expected[i].grad_norm)
        << "step " << i + 1;
    EXPECT_EQ(actual[i].tokens, expected[i].tokens) << "step " << i + 1;
    EXPECT_EQ(actual[i].trained_tokens, expected[i].trained_tokens) << "step " << i + 1;
  }
}

struct Case {
  const char* name;
  int world;
  int context;
  std::vector<std::string> settings;
  double tolerance = 5e-6;
  std::vector<std::string> of_groups = {};
};

class ContextRun : public ::testing::TestWithParam<Case> {};

// As many ranks without groups as there are groups see the same data.
TEST_P(ContextRun, TrainsAsItsLanesDoWithout) {
  const TempFolder temp;
  const Case& c = GetParam();
  run_ranks(c.world / c.context, context_run(temp / "lanes", 1, c.settings));
  std::vector<std::string> settings = c.settings;
  settings.insert(settings.end(), c.of_groups.begin(), c.of_groups.end());
  run_ranks(c.world, context_run(temp / "groups", c.context, settings));
  expect_same_curve(logged_steps(temp / "groups"), logged_steps(temp / "lanes"), c.tolerance);
}
INSTANTIATE_TEST_SUITE_P(
    Settings, ContextRun,
    ::testing::Values(
        Case{"Two", 2, 2, {}}, Case{"Three", 3, 3, {}},
        Case{"Recomputed", 2, 2, {"gradient_checkpointing=true"}},
        Case{"Packed", 2, 2, {"packing=true", "per_device_train_batch_size=4"}},
        Case{"Full",
             2,
             2,
             {"finetuning_type=full", "adapter_name_or_path=''", "learning_rate=1e-4"}},
        Case{"TwoLanes", 4, 2, {}},
        Case{"Sharded", 4, 2, {}, 5e-6, {"shard_base=world", "gradient_checkpointing=true"}},
        Case{"Bf16", 2, 2, {"dtype=bf16"}, 2e-2}, Case{"Extended", 2, 2, {"lora_gemm=extended"}},
        Case{"Fp8", 2, 2, {"base_dtype=fp8"}, 1e-3},
        Case{"ShortDocuments", 4, 4, {"max_length=5", "per_device_train_batch_size=1"}}),
    [](const auto& info) { return info.param.name; });

class ContextResumed : public ::testing::TestWithParam<int> {};

TEST_P(ContextResumed, WithGroupsOfAnotherSizeARunGoesOn) {
  const TempFolder temp;
  const int world = GetParam();
  run_ranks(2, context_run(temp / "whole", 2, {"max_steps=6", "save_steps=3"}));
  const auto whole = logged_steps(temp / "whole");
  const fs::path out = temp / "other";
  copy_folder(temp / "whole/checkpoint-000003", out / "checkpoint-000003");
  const ProcessResult result = run_ranks(world, context_run(out, world, {"max_steps=6"}));
  EXPECT_THAT(result.err,
              HasSubstr(fmt::format("context_parallel_size: 2 in the checkpoint, {} now", world)));
  expect_same_curve(logged_steps(out), {whole.begin() + 3, whole.end()}, 5e-6);
}
INSTANTIATE_TEST_SUITE_P(Ranks, ContextResumed, ::testing::Values(1, 3));

TEST(ContextRuns, DropoutIsTheSameInEqualRuns) {
  const TempFolder temp;
  const std::vector<std::string> dropout{"lora_dropout=0.3", "max_steps=2"};
  for (const char* out : {"a", "b"}) {
    run_ranks(2, context_run(temp / out, 2, dropout));
  }
  const auto adapter = [&](const char* out) {
    return content(temp / out / "final/adapter_model.safetensors");
  };
  EXPECT_EQ(adapter("a"), adapter("b"));
  run_ranks(2, context_run(temp / "none", 2, {"max_steps=2"}));
  EXPECT_NE(adapter("a"), adapter("none"));
}

TEST(ContextRuns, EvaluatesAndSavesAsWithout) {
  const TempFolder temp;
  const std::vector<std::string> more{
      "max_steps=2", "save_steps=1", "eval_strategy=steps", "eval_steps=1",
      fmt::format("eval_datasets=[{{path: {}}}]",
                  (fixtures() / "lora/train_curve/rows.jsonl").string())};
  run_ranks(2, context_run(temp / "out", 2, more));
  EXPECT_TRUE(fs::exists(temp / "out/checkpoint-000001/MANIFEST.json"));
  EXPECT_THAT(content(temp / "out/metrics.jsonl"), HasSubstr("eval_loss"));
}

TEST(ContextRuns, GroupsThatDoNotComeOutEvenAreRefused) {
  const TempFolder temp;
  const ProcessResult result = run_ranks(2, context_run(temp / "out", 3, {}), {}, 2);
  EXPECT_THAT(result.err, HasSubstr("context_parallel_size: 3 does not divide the 2 ranks"));
  expect_refused(weft(context_run(temp / "out", 2, {})), 2,
                 {"context_parallel_size: 2 does not divide the 1 rank of this run"});
}

TEST(ContextRuns, RanksThatDisagreeAreNamed) {
  const TempFolder temp;
  RankOptions options;
  options.only_rank_one = "context_parallel_size=1";
  const ProcessResult result = run_ranks(2, context_run(temp / "out", 2, {}), options, 2);
  EXPECT_THAT(result.err, HasSubstr("context_parallel_size: 1 here, 2 at rank 0"));
}

// The others wait for its keys and say so.
TEST(ContextRuns, WhereARankIsKilledTheOtherLeavesAtOnceAndTheSameCommandGoesOn) {
  const TempFolder temp;
  const std::vector<std::string> more{"save_steps=1", "max_steps=3"};
  RankedProgram program(2, context_run(temp / "out", 2, more), {.fault = "1:3:step:kill"});
  EXPECT_EQ(program.rank(1).wait().signal, SIGKILL);
  const ProcessResult result = program.rank(0).wait();
  EXPECT_EQ(result.exit_code, 5) << "signal " << result.signal << "\n" << result.err;
  EXPECT_THAT(result.err, HasSubstr("lost rank 1 in step 3, phase step, keys of layer 0"));
  run_ranks(2, context_run(temp / "out", 2, more));
  run_ranks(2, context_run(temp / "whole", 2, more));
  const auto adapter = [&](const char* out) {
    return content(temp / out / "final/adapter_model.safetensors");
  };
  EXPECT_EQ(adapter("out"), adapter("whole"));
}

// One of them waits for its keys, and all for its layers.
TEST(ContextRuns, WhereARankIsKilledThatLendsLayersAllLeaveAtOnce) {
  const TempFolder temp;
  RankedProgram program(4, context_run(temp / "out", 2, {"shard_base=world"}),
                        {.fault = "1:3:step:kill"});
  EXPECT_EQ(program.rank(1).wait().signal, SIGKILL);
  for (const int other : {0, 2, 3}) {
    const ProcessResult result = program.rank(other).wait();
    EXPECT_EQ(result.exit_code, 5) << "signal " << result.signal << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr("lost rank "));
  }
}

TEST(ContextRuns, AStoppedRankIsNamedAfterTheTimeout) {
  const TempFolder temp;
  RankedProgram program(2, context_run(temp / "out", 2, {"ddp_timeout=1"}),
                        {.fault = "1:3:step:stop"});
  const ProcessResult survivor = program.rank(0).wait();
  EXPECT_EQ(survivor.exit_code, 5) << survivor.err;
  EXPECT_THAT(survivor.err, HasSubstr("rank 1 has been silent for 1.0 s (ddp_timeout) in step 3, "
                                      "phase step, keys of layer 0"));
}

}  // namespace
}  // namespace weft::test
