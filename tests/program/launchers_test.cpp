// The launchers that people use: torchrun of the torch wheel, mpirun, and srun of a Slurm cluster
// of one host. Each is skipped where it is not installed.

#include <csignal>
#include <cstdlib>
#include <thread>

#include "tests/program/rank_program.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

fs::path torchrun() {
  const char* python = std::getenv("WEFT_ORACLE_PYTHON");
  const fs::path folder = python == nullptr ? fs::path(WEFT_DEPS_FOLDER) / "oracle/bin"
                                            : fs::path(python).parent_path();
  return folder / "torchrun";
}

std::vector<std::string> training(const fs::path& out, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments =
      train_arguments(out, {"max_steps=6", "save_steps=1", "lora_dropout=0.1", "report_to=none"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<std::string> with_torchrun(const std::vector<std::string>& flags, const char* program,
                                       const std::vector<std::string>& arguments,
                                       const std::vector<std::string>& variables = {}) {
  std::vector<std::string> command{"env"};
  command.insert(command.end(), variables.begin(), variables.end());
  command.push_back(torchrun().string());
  for (const char* flag : {"--no-python", "--nproc-per-node=2", "--master-addr=127.0.0.1"}) {
    command.emplace_back(flag);
  }
  command.push_back(fmt::format("--master-port={}", free_port()));
  command.insert(command.end(), flags.begin(), flags.end());
  command.emplace_back(program);
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

// No process has `text` in its command line.
bool is_gone(const std::string& text) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (run_process({"pgrep", "-f", "--", "weft.* train .*output_dir=" + text}).exit_code == 1) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// What two ranks give when they are started by hand.
std::string adapter_of_two_ranks(const fs::path& out) {
  run_ranks(2, training(out));
  return content(out / "final/adapter_model.safetensors");
}

class Torchrun : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(torchrun())) {
      GTEST_SKIP() << "needs torchrun: run scripts/oracle.sh";
    }
  }
  TempFolder temp_;
};

TEST_F(Torchrun, TrainsAsRanksStartedByHandDo) {
  const ProcessResult result =
      run_process(with_torchrun({}, WEFT_PROGRAM, training(temp_ / "out")));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("2 ranks by torchrun, gloo"));
  EXPECT_EQ(content(temp_ / "out/final/adapter_model.safetensors"),
            adapter_of_two_ranks(temp_ / "by-hand"));
}

TEST_F(Torchrun, TheScriptForItStartsTheRanksOfThisNode) {
  const std::string path =
      fmt::format("PATH={}:{}", torchrun().parent_path().string(), std::getenv("PATH"));
  std::vector<std::string> command{"env", path, "NPROC=2", "WEFT=" WEFT_PROGRAM,
                                   WEFT_SOURCE_DIR "/scripts/cluster/torchrun.sh"};
  const auto arguments = training(temp_ / "out", {"max_steps=2"});
  command.insert(command.end(), arguments.begin() + 1, arguments.end());  // it says train itself
  const ProcessResult result = run_process(command);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("2 ranks by torchrun, gloo"));
  EXPECT_TRUE(fs::exists(temp_ / "out/final/adapter_model.safetensors"));
}

TEST_F(Torchrun, StartsAKilledRunAgainWhichGoesOnByItself) {
  const ProcessResult result = run_process(
      with_torchrun({"--max-restarts=2", "--monitor-interval=0.1"}, WEFT_FAULTY_PROGRAM,
                    training(temp_ / "out"), {"WEFT_FAULT=1:4:step:kill", "WEFT_FAULT_START=0"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("fault: kill"));
  EXPECT_THAT(result.err, HasSubstr("resuming from"));
  EXPECT_THAT(result.err, HasSubstr("checkpoint-000003 (step 3)"));
  EXPECT_EQ(content(temp_ / "out/final/adapter_model.safetensors"),
            adapter_of_two_ranks(temp_ / "by-hand"));
  EXPECT_FALSE(fs::exists(temp_ / "out/restarts.json"));
}

TEST_F(Torchrun, WhatFailsAtEachStartEndsWithTheRestartLimit) {
  const ProcessResult result = run_process(with_torchrun(
      {"--max-restarts=3", "--monitor-interval=0.1"}, WEFT_FAULTY_PROGRAM,
      training(temp_ / "out", {"max_restarts_without_progress=1"}), {"WEFT_FAULT=1:1:step:kill"}));
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("was started again 2 times without a new checkpoint"));
  EXPECT_TRUE(is_gone((temp_ / "out").string()));
}

TEST_F(Torchrun, ToldToStopItsRanksSaveAndNoProcessIsLeft) {
  const auto arguments = training(temp_ / "out", {"max_steps=5000", "save_steps=10000"});
  Process launcher(with_torchrun({}, WEFT_PROGRAM, arguments));
  ASSERT_TRUE(wait_for_steps(launcher, temp_ / "out", 3));
  launcher.send(SIGTERM);
  const ProcessResult result = launcher.wait();  // torchrun's own code says that it was told to
  EXPECT_THAT(result.err, HasSubstr("stopped by a signal after step"));
  EXPECT_TRUE(is_gone((temp_ / "out").string()));
  EXPECT_FALSE(fs::exists(temp_ / "out/.lock"));
  EXPECT_FALSE(fs::exists(temp_ / "out/final"));
  EXPECT_THAT(leftovers(temp_ / "out"), ::testing::IsEmpty());
}

// Rank 1 is in a loop that no signal ends; torchrun would kill it after half a minute.
TEST_F(Torchrun, ToldToStopARankThatHangsLeavesBeforeItIsKilled) {
  const auto arguments = training(temp_ / "out", {"max_steps=5000", "stop_timeout=1"});
  Process launcher(with_torchrun({}, WEFT_FAULTY_PROGRAM, arguments, {"WEFT_FAULT=1:4:step:loop"}));
  ASSERT_TRUE(wait_for_steps(launcher, temp_ / "out", 3));
  launcher.send(SIGTERM);
  const ProcessResult result = launcher.wait();
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("told to stop 1.0 s ago (stop_timeout)"));
  EXPECT_TRUE(is_gone((temp_ / "out").string()));
  EXPECT_TRUE(fs::exists(temp_ / "out/checkpoint-000003/MANIFEST.json"));
}

TEST(Mpirun, TrainsAsRanksStartedByHandDo) {
  if (run_process({"sh", "-c", "command -v mpirun"}).exit_code != 0) {
    GTEST_SKIP() << "needs mpirun: Debian's openmpi-bin";
  }
  const TempFolder temp;
  std::vector<std::string> command{"mpirun", "--allow-run-as-root", "--oversubscribe", "-n",
                                   "2",      WEFT_PROGRAM};
  const auto arguments = training(temp / "out");
  command.insert(command.end(), arguments.begin(), arguments.end());
  const ProcessResult result = run_process(command);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("2 ranks by mpirun, gloo"));
  EXPECT_EQ(content(temp / "out/final/adapter_model.safetensors"),
            adapter_of_two_ranks(temp / "by-hand"));
}

TEST(Mpirun, EndsAllWhenOneRankIsKilled) {
  if (run_process({"sh", "-c", "command -v mpirun"}).exit_code != 0) {
    GTEST_SKIP() << "needs mpirun: Debian's openmpi-bin";
  }
  const TempFolder temp;
  std::vector<std::string> command{"mpirun",
                                   "--allow-run-as-root",
                                   "--oversubscribe",
                                   "-n",
                                   "2",
                                   "sh",
                                   "-c",
                                   "RANK= WEFT_FAULT=*:3:step:kill exec \"$@\"",
                                   "sh",
                                   WEFT_FAULTY_PROGRAM};
  const auto arguments = training(temp / "out");
  command.insert(command.end(), arguments.begin(), arguments.end());
  const ProcessResult result = run_process(command);
  EXPECT_NE(result.exit_code, 0);
  EXPECT_TRUE(is_gone((temp / "out").string()));
}

TEST(Slurm, SrunTrainsAsRanksStartedByHandDo) {
  const TempFolder temp;
  std::vector<std::string> command{WEFT_SOURCE_DIR "/tests/program/one_node_slurm.sh",
                                   (temp / "slurm").string(), "srun", "-n2", WEFT_PROGRAM};
  const auto arguments = training(temp / "out");
  command.insert(command.end(), arguments.begin(), arguments.end());
  const ProcessResult result = run_process(command);
  if (result.exit_code == 77) {
    GTEST_SKIP() << result.err;
  }
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("2 ranks by slurm, gloo"));
  EXPECT_EQ(content(temp / "out/final/adapter_model.safetensors"),
            adapter_of_two_ranks(temp / "by-hand"));
}

TEST(Slurm, TheBatchScriptTrainsOnTheNodesOfItsJob) {
  const TempFolder temp;
  std::vector<std::string> command{"env",
                                   "WEFT=" WEFT_PROGRAM,
                                   WEFT_SOURCE_DIR "/tests/program/one_node_slurm.sh",
                                   (temp / "slurm").string(),
                                   "sbatch",
                                   "--wait",
                                   "--nodes=1",
                                   "--ntasks-per-node=2",
                                   "--gpus-per-node=0",
                                   "--cpus-per-task=1",
                                   "--time=5",
                                   "--signal=TERM@60",
                                   "--output=" + (temp / "log").string(),
                                   WEFT_SOURCE_DIR "/scripts/cluster/slurm.sbatch"};
  const auto arguments = training(temp / "out", {"max_steps=2"});
  command.insert(command.end(), arguments.begin() + 1, arguments.end());
  const ProcessResult result = run_process(command);
  if (result.exit_code == 77) {
    GTEST_SKIP() << result.err;
  }
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(content(temp / "log"), HasSubstr("2 ranks by slurm, gloo"));
  EXPECT_TRUE(fs::exists(temp / "out/final/adapter_model.safetensors"));
}

}  // namespace
}  // namespace weft::test
