// A run that is told to stop, that is started twice, or that finds its folder finished.

#include <csignal>
#include <thread>

#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

// Long enough to be caught in the middle.
std::vector<std::string> long_run(const fs::path& out) {
  return train_arguments(out, {"max_steps=400", "save_steps=1000", "lora_dropout=0.1"});
}

// Waits until the run has logged `lines` steps.
void wait_for_steps(Process& process, const fs::path& out, std::int64_t lines) {
  while (process.running()) {
    if (fs::exists(out / "metrics.jsonl")) {
      const std::string text = content(out / "metrics.jsonl");
      if (std::count(text.begin(), text.end(), '\n') >= lines) {
        return;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  FAIL() << "the run ended first:\n" << process.wait().err;
}

std::vector<fs::path> checkpoints(const fs::path& out) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(out)) {
    if (entry.path().filename().string().starts_with("checkpoint-")) {
      found.push_back(entry.path());
    }
  }
  return found;
}

class StopSignal : public ::testing::TestWithParam<int> {};

TEST_P(StopSignal, SavesAndLeavesAndTheSameCommandGoesOnToTheSameEnd) {
  const TempFolder temp;
  Process first(weft_command(long_run(temp / "out")));
  wait_for_steps(first, temp / "out", 3);
  first.send(GetParam());
  const ProcessResult stopped = first.wait();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("stopped by a signal"));
  EXPECT_EQ(checkpoints(temp / "out").size(), 1U);
  EXPECT_FALSE(fs::exists(temp / "out/final"));
  EXPECT_FALSE(fs::exists(temp / "out/.lock"));

  const ProcessResult second = weft(long_run(temp / "out"));
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr("resuming from"));
  ASSERT_EQ(weft(long_run(temp / "whole")).exit_code, 0);
  EXPECT_EQ(content(temp / "out/final/adapter_model.safetensors"),
            content(temp / "whole/final/adapter_model.safetensors"));
}
INSTANTIATE_TEST_SUITE_P(Signals, StopSignal, ::testing::Values(SIGTERM, SIGINT));

TEST(Program, ASecondRunIntoTheSameFolderIsRefusedAndTheFirstGoesOn) {
  const TempFolder temp;
  Process first(weft_command(long_run(temp / "out")));
  wait_for_steps(first, temp / "out", 1);
  expect_refused(weft(long_run(temp / "out")), 2,
                 {"is in use by process " + std::to_string(first.id()), "another output_dir"});
  EXPECT_TRUE(first.running());
  first.send(SIGTERM);
  EXPECT_EQ(first.wait().exit_code, 0);
}

TEST(Program, TheLockOfAKilledRunIsTakenOver) {
  const TempFolder temp;
  Process first(weft_command(long_run(temp / "out")));
  wait_for_steps(first, temp / "out", 1);
  first.send(SIGKILL);
  EXPECT_EQ(first.wait().signal, SIGKILL);
  EXPECT_TRUE(fs::exists(temp / "out/.lock"));
  const ProcessResult next = weft(train_arguments(temp / "out"));
  EXPECT_EQ(next.exit_code, 0) << next.err;
}

TEST(Program, AFinishedRunStartedAgainTrainsNothingAndSaysWhatItReached) {
  const TempFolder temp;
  ASSERT_EQ(weft(train_arguments(temp / "out")).exit_code, 0);
  const std::string adapter = content(temp / "out/final/adapter_model.safetensors");
  const std::string metrics = content(temp / "out/metrics.jsonl");
  const ProcessResult again = weft(train_arguments(temp / "out"));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("finished after step 2, loss "));
  EXPECT_THAT(again.err, ::testing::Not(HasSubstr("loss 0.0000")));
  EXPECT_EQ(content(temp / "out/final/adapter_model.safetensors"), adapter);
  EXPECT_EQ(content(temp / "out/metrics.jsonl"), metrics);
}

}  // namespace
}  // namespace weft::test
