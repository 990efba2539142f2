// Ranks that die, stop, hang, dawdle or disagree, in each phase of a run.

#include <unistd.h>

#include <csignal>
#include <thread>

#include "tests/program/rank_program.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

std::vector<std::string> ranked_run(const fs::path& out,
                                    const std::vector<std::string>& more = {}) {
  const fs::path folder = fixtures() / "lora/train_curve";
  std::vector<std::string> arguments = train_arguments(
      out, {"max_steps=6", "save_steps=2", "lora_dropout=0.1", "report_to=none", "eval_steps=2",
            "eval_strategy=steps",
            fmt::format("eval_datasets=[{{path: {}}}]", (folder / "rows.jsonl").string())});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

struct Death {
  const char* phase;
  int step;
  int rank;
};

class Killed : public ::testing::TestWithParam<Death> {};

TEST_P(Killed, TheOthersLeaveAtOnceAndTheSameCommandGoesOn) {
  const auto& [phase, step, rank] = GetParam();
  const TempFolder temp;
  const std::string fault = fmt::format("{}:{}:{}:kill", rank, step, phase);
  RankedProgram program(3, ranked_run(temp / "out"), {.fault = fault});
  const ProcessResult dead = program.rank(rank).wait();
  const auto since = Clock::now();
  EXPECT_EQ(dead.signal, SIGKILL) << dead.err;
  EXPECT_THAT(dead.err, HasSubstr("fault: kill"));
  for (int other = 0; other < 3; ++other) {
    if (other != rank) {
      const ProcessResult result = program.rank(other).wait();
      EXPECT_EQ(result.exit_code, 5) << "signal " << result.signal << "\n" << result.err;
      EXPECT_THAT(result.err, HasSubstr("lost rank "));
      EXPECT_THAT(result.err, HasSubstr("phase "));
    }
  }
  EXPECT_LT(Clock::now() - since, std::chrono::seconds(2));

  run_ranks(3, ranked_run(temp / "out"));
  run_ranks(3, ranked_run(temp / "whole"));
  EXPECT_EQ(content(temp / "out/final/adapter_model.safetensors"),
            content(temp / "whole/final/adapter_model.safetensors"));
}
INSTANTIATE_TEST_SUITE_P(
    Phases, Killed,
    ::testing::Values(Death{"loading", -1, 1}, Death{"data", 3, 1}, Death{"step", 3, 1},
                      Death{"gradients", 3, 2}, Death{"optimizer", 3, 1}, Death{"evaluation", 4, 1},
                      Death{"saving", 4, 1}, Death{"saving", 4, 0}, Death{"writing", 4, 0},
                      Death{"publishing", 4, 0}, Death{"step", 3, 0}, Death{"gradients", 3, 0}),
    [](const auto& info) { return fmt::format("{}Rank{}", info.param.phase, info.param.rank); });

TEST(RankFaults, AFailureToSaveOnOneRankIsOneErrorOnAllAndNothingIsCommitted) {
  const TempFolder temp;
  const ProcessResult result =
      run_ranks(2, ranked_run(temp / "out"), {.fault = "1:4:saving:throw"}, 3);
  EXPECT_THAT(result.err, HasSubstr("rank 1: injected: no space left on device"));
  EXPECT_TRUE(fs::exists(temp / "out/checkpoint-000002"));
  EXPECT_FALSE(fs::exists(temp / "out/final"));
  EXPECT_THAT(leftovers(temp / "out"), ::testing::IsEmpty());
}

TEST(RankFaults, AFailureToWriteWhileTrainingGoesOnIsOneErrorOnAll) {
  const TempFolder temp;
  const ProcessResult result =
      run_ranks(2, ranked_run(temp / "out"), {.fault = "0:4:publishing:throw"}, 3);
  EXPECT_THAT(result.err, HasSubstr("rank 0: injected: no space left on device"));
  EXPECT_TRUE(fs::exists(temp / "out/checkpoint-000002"));
  EXPECT_FALSE(fs::exists(temp / "out/checkpoint-000004"));
  EXPECT_FALSE(fs::exists(temp / "out/final"));
  EXPECT_THAT(leftovers(temp / "out"), ::testing::IsEmpty());
}

// Everything but the manifest of step 4 is on the disk.
TEST(RankFaults, OneKilledWhileItWritesACheckpointGoesOnFromTheOneBefore) {
  const TempFolder temp;
  RankedProgram program(1, ranked_run(temp / "out"), {.fault = "*:4:publishing:kill"});
  EXPECT_EQ(program.wait_all()[0].signal, SIGKILL);
  EXPECT_FALSE(leftovers(temp / "out").empty());
  const ProcessResult next = run_ranks(1, ranked_run(temp / "out"));
  EXPECT_THAT(next.err, HasSubstr("checkpoint-000002 (step 2)"));
  EXPECT_THAT(leftovers(temp / "out"), ::testing::IsEmpty());
  run_ranks(1, ranked_run(temp / "whole"));
  EXPECT_EQ(content(temp / "out/final/adapter_model.safetensors"),
            content(temp / "whole/final/adapter_model.safetensors"));
}

TEST(RankFaults, ToldToStopWhileACheckpointIsWrittenBothAreKept) {
  const TempFolder temp;
  RankedProgram program(1, ranked_run(temp / "out", {"max_steps=60"}),
                        {.fault = "*:2:publishing:sleep400"});
  ASSERT_TRUE(wait_for_steps(program.rank(0), temp / "out", 3));
  program.rank(0).send(SIGTERM);
  const ProcessResult result = program.wait_all()[0];
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::exists(temp / "out/checkpoint-000002/MANIFEST.json"));
  EXPECT_THAT(run_ranks(1, ranked_run(temp / "out", {"max_steps=60"})).err,
              HasSubstr("resuming from"));
  EXPECT_THAT(leftovers(temp / "out"), ::testing::IsEmpty());
}

// Rank 1 hangs where no signal gets it out; ddp_timeout is half an hour.
TEST(RankFaults, ARankThatHangsWhenAllAreToldToStopLeavesByItself) {
  const TempFolder temp;
  const auto arguments = ranked_run(temp / "out", {"stop_timeout=0.7"});
  RankedProgram program(2, arguments, {.fault = "1:3:step:loop"});
  ASSERT_TRUE(wait_for_steps(program.rank(0), temp / "out", 2));
  for (const int rank : {0, 1}) {
    program.rank(rank).send(SIGTERM);
  }
  const auto results = program.wait_all();
  EXPECT_EQ(results[0].exit_code, 5) << results[0].err;
  EXPECT_EQ(results[1].exit_code, 5) << results[1].err;
  EXPECT_THAT(results[1].err, HasSubstr("told to stop 0.7 s ago (stop_timeout) and still in step "
                                        "3, phase step"));
  EXPECT_THAT(run_ranks(2, arguments).err, HasSubstr("checkpoint-000002 (step 2)"));
}

// As a launcher does: SIGTERM to all, SIGKILL after a while to whoever is left. Rank 1 can't obey.
TEST(RankFaults, WhoIgnoresSigtermIsKilledAndTheOtherSaysWhom) {
  const TempFolder temp;
  RankedProgram program(2, ranked_run(temp / "out"), {.fault = "1:3:step:stop"});
  ASSERT_TRUE(wait_for_steps(program.rank(0), temp / "out", 2));
  for (const int rank : {0, 1}) {
    program.rank(rank).send(SIGTERM);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_TRUE(program.rank(0).running()) << "it waits for rank 1, to save with it";
  program.rank(1).send(SIGKILL);
  const auto results = program.wait_all();
  EXPECT_EQ(results[1].signal, SIGKILL);
  EXPECT_EQ(results[0].exit_code, 5) << results[0].err;
  EXPECT_THAT(results[0].err, HasSubstr("lost rank 1"));
  EXPECT_THAT(leftovers(temp / "out"), ::testing::IsEmpty());
  EXPECT_THAT(run_ranks(2, ranked_run(temp / "out")).err, HasSubstr("checkpoint-000002 (step 2)"));
}

TEST(RankFaults, AStoppedRankIsNamedAfterTheTimeoutAndLeavesCleanlyWhenItGoesOn) {
  const TempFolder temp;
  RankedProgram program(2, ranked_run(temp / "out", {"ddp_timeout=1"}), {.fault = "1:3:step:stop"});
  const ProcessResult survivor = program.rank(0).wait();
  EXPECT_EQ(survivor.exit_code, 5) << survivor.err;
  EXPECT_THAT(survivor.err, HasSubstr("rank 1 has been silent for 1.0 s (ddp_timeout) in step 3"));
  program.rank(1).send(SIGCONT);
  const ProcessResult stopped = program.rank(1).wait();
  EXPECT_EQ(stopped.exit_code, 5) << "signal " << stopped.signal << "\n" << stopped.err;
}

TEST(RankFaults, AnEndlessLoopIsEndedByTheWatchdogOfItsRank) {
  const TempFolder temp;
  RankedProgram program(2, ranked_run(temp / "out", {"ddp_timeout=0.8"}),
                        {.fault = "1:3:step:loop"});
  const auto results = program.wait_all();
  EXPECT_EQ(results[0].exit_code, 5) << results[0].err;
  EXPECT_EQ(results[1].exit_code, 5) << results[1].err;
  EXPECT_THAT(results[1].err, HasSubstr("step 3, phase step made no progress for"));
}

TEST(RankFaults, ASlowRankIsNamedAndNothingFails) {
  const TempFolder temp;
  const ProcessResult result =
      run_ranks(2, ranked_run(temp / "out", {"max_steps=4"}), {.fault = "1:*:step:sleep1"});
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("times as long")));
  const ProcessResult slow =
      run_ranks(2, ranked_run(temp / "slow", {"max_steps=3"}), {.fault = "1:2:step:sleep400"});
  EXPECT_THAT(slow.err, HasSubstr("step 2: rank 1"));
  EXPECT_THAT(slow.err, HasSubstr("times as long as the others"));
}

TEST(RankFaults, RanksWithDifferentConfigsAreRefusedBeforeAnythingIsLoaded) {
  const TempFolder temp;
  RankOptions options;
  options.only_rank_one = "learning_rate=0.25";
  const ProcessResult result = run_ranks(2, ranked_run(temp / "out"), options, 2);
  EXPECT_THAT(result.err, HasSubstr("rank 1: on "));
  EXPECT_THAT(result.err, HasSubstr("learning_rate: 0.25 here, 0.005 at rank 0"));
  EXPECT_FALSE(fs::exists(temp / "out/data"));
}

TEST(RankFaults, RanksWithDifferentBasesOrDataAreRefused) {
  const TempFolder temp;
  RankOptions options;
  options.only_rank_one = "model_name_or_path=" + (fixtures() / "model/untied_gqa2").string();
  const ProcessResult base = run_ranks(2, ranked_run(temp / "out"), options, 2);
  EXPECT_THAT(base.err, HasSubstr("base model: "));
  copy_folder(fixtures() / "lora/train_curve", temp / "data");
  put(temp / "data/rows.jsonl", content(temp / "data/rows.jsonl") + "{\"ids\": [1, 2, 3]}\n");
  options.only_rank_one =
      fmt::format("datasets=[{{path: {}}}]", (temp / "data/rows.jsonl").string());
  const ProcessResult data = run_ranks(2, ranked_run(temp / "out2"), options, 2);
  EXPECT_THAT(data.err, HasSubstr("files of the datasets: "));
}

// Rank 1 sees another folder under the same name, as where a file system is not shared.
TEST(RankFaults, RanksThatSeeDifferentCheckpointsAreRefused) {
  if (run_process({"unshare", "-m", "true"}).exit_code != 0) {
    GTEST_SKIP() << "needs root: a mount namespace of its own";
  }
  const TempFolder temp;
  run_ranks(2, ranked_run(temp / "out", {"max_steps=2"}));
  const std::string out = (temp / "out").string();
  const int port = free_port();
  const auto command = [&](int rank) {
    std::vector<std::string> words{"env", fmt::format("RANK={}", rank), "WORLD_SIZE=2",
                                   "MASTER_ADDR=127.0.0.1", fmt::format("MASTER_PORT={}", port)};
    if (rank == 1) {
      for (const char* word : {"unshare", "-m", "sh", "-c"}) {
        words.emplace_back(word);
      }
      words.push_back(fmt::format("mount -t tmpfs none {} && exec \"$@\"", out));
      words.emplace_back("sh");
    }
    words.emplace_back(WEFT_PROGRAM);
    const auto arguments = ranked_run(out);
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
  };
  Process first(command(0));
  Process second(command(1));
  for (const ProcessResult& result : {first.wait(), second.wait()}) {
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr("is that of step 2 for rank 0 and none for rank 1"));
    EXPECT_THAT(result.err, HasSubstr("one folder that all ranks share"));
  }
}

TEST(RankFaults, TheSecondRunIntoOneFolderIsRefusedOnAllRanks) {
  const TempFolder temp;
  RankedProgram first(2, ranked_run(temp / "out", {"max_steps=400"}));
  ASSERT_TRUE(wait_for_steps(first.rank(0), temp / "out", 1));
  const ProcessResult second = run_ranks(2, ranked_run(temp / "out"), {}, 2);
  EXPECT_THAT(second.err, HasSubstr("rank 0: output_dir"));
  EXPECT_THAT(second.err, HasSubstr("is in use by process"));
}

TEST(RankFaults, RestartsWithoutProgressEndWithTheirOwnCode) {
  const TempFolder temp;
  const auto arguments = ranked_run(temp / "out", {"max_restarts_without_progress=2"});
  for (int restart = 0; restart < 3; ++restart) {
    run_ranks(2, arguments, {.fault = "*:*:loading:throw", .restart_count = restart}, 3);
  }
  const ProcessResult limit = run_ranks(2, arguments, {.restart_count = 3}, 6);
  EXPECT_THAT(limit.err, HasSubstr("started again 3 times without a new checkpoint after step 0"));
  // A person who starts it again has mended something.
  run_ranks(2, arguments);
  EXPECT_FALSE(fs::exists(temp / "out/restarts.json"));
}

}  // namespace
}  // namespace weft::test
