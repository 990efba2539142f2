// weft killed, or refused by the disk, at every call that changes the disk. strace counts the
// calls of a whole run, then the run is made once for each of them with the fault at that call. The
// next run must take up what is there and end with the same bytes as a run that nothing happened
// to.

#include <sstream>

#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A run that takes up the checkpoint of step 1, saves that of step 2, removes the first and
// replaces the final adapter: every kind of change that a run makes. It waits for its checkpoints:
// strace counts the calls of each thread for itself.
std::vector<std::string> run_of(const fs::path& out, const std::string& async = "false") {
  return train_arguments(out, {"save_total_limit=1", "async_save=" + async});
}

class FaultSweep : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!can_trace()) {
      GTEST_SKIP() << "strace cannot trace here";
    }
    ASSERT_EQ(weft(train_arguments(temp_ / "whole", {"save_total_limit=1"})).exit_code, 0);
    ASSERT_EQ(weft(train_arguments(temp_ / "begun", {"max_steps=1"})).exit_code, 0);
    expected_ = content(temp_ / "whole/final/adapter_model.safetensors");
  }

  fs::path fresh() {
    fs::remove_all(temp_ / "out");
    copy_folder(temp_ / "begun", temp_ / "out");
    return temp_ / "out";
  }

  // Runs a command under strace with `inject` for the call, or none.
  ProcessResult traced(const std::string& inject, const std::vector<std::string>& command) {
    return weft_traced(temp_ / "trace", GetParam(), inject, command);
  }

  // How often the call is made.
  int count() {
    EXPECT_EQ(traced("", run_of(fresh())).exit_code, 0);
    std::istringstream lines(content(temp_ / "trace"));
    int calls = 0;
    for (std::string line; std::getline(lines, line);) {
      calls += static_cast<int>(line.find(fmt::format(" {}(", GetParam())) != std::string::npos);
    }
    return calls;
  }

  void expect_recovery(const fs::path& out, const std::string& when) {
    const ProcessResult next = weft(run_of(out));
    EXPECT_EQ(next.exit_code, 0) << when << "\n" << next.err;
    EXPECT_EQ(content(out / "final/adapter_model.safetensors"), expected_) << when;
    EXPECT_THAT(leftovers(out), IsEmpty()) << when;
  }

  TempFolder temp_;
  std::string expected_;
};

TEST_P(FaultSweep, KilledAtAnyCallTheNextRunEndsTheSame) {
  const int calls = count();
  ASSERT_GT(calls, 0);
  for (int call = 1; call <= calls; ++call) {
    const fs::path out = fresh();
    const ProcessResult killed = traced(fmt::format("signal=KILL:when={}", call), run_of(out));
    ASSERT_NE(killed.exit_code, 0) << "not killed at call " << call;
    expect_recovery(out, fmt::format("killed at call {} of {}", call, calls));
  }
}

// The first thread that comes to its n-th call takes the whole process with it.
TEST_P(FaultSweep, KilledAtAnyCallOfAThreadThatWritesMeanwhile) {
  int killed = 0;
  for (int call = 1;; ++call) {
    const fs::path out = fresh();
    const ProcessResult result =
        traced(fmt::format("signal=KILL:when={}", call), run_of(out, "true"));
    if (result.exit_code == 0) {
      break;  // no thread makes so many
    }
    ++killed;
    expect_recovery(out, fmt::format("killed at a thread's call {}", call));
  }
  EXPECT_GT(killed, 2);
}

TEST_P(FaultSweep, RefusedAtAnyCallTheRunSaysSoAndTheNextEndsTheSame) {
  const int calls = count();
  ASSERT_GT(calls, 0);
  int refused = 0;
  for (int call = 1; call <= calls; ++call) {
    const fs::path out = fresh();
    const ProcessResult result = traced(fmt::format("error=ENOSPC:when={}", call), run_of(out));
    const std::string when = fmt::format("{} fails at call {} of {}", GetParam(), call, calls);
    ASSERT_EQ(result.signal, 0) << when;
    // A line for people that cannot be written is no reason to give up a run.
    if (result.exit_code != 0) {
      ++refused;
      EXPECT_TRUE(result.exit_code == 2 || result.exit_code == 3) << when << ": " << result.err;
      EXPECT_THAT(result.err, HasSubstr("No space left on device")) << when;
      EXPECT_THAT(result.err, HasSubstr(out.string())) << when;
      EXPECT_THAT(leftovers(out), IsEmpty()) << when;
    }
    expect_recovery(out, when);
  }
  EXPECT_GT(refused, 0);
}
INSTANTIATE_TEST_SUITE_P(Calls, FaultSweep, ::testing::Values("write", "fsync", "rename"),
                         [](const auto& call) { return std::string(call.param); });

TEST_P(FaultSweep, AMergeIsWholeOrNotThere) {
  const std::vector<std::string> merge{"merge",
                                       "--model",
                                       tiny_model().string(),
                                       "--adapter",
                                       tiny_adapter().string(),
                                       "--out",
                                       (temp_ / "merged").string()};
  ASSERT_EQ(weft(merge).exit_code, 0);
  const std::string whole = content(temp_ / "merged/model.safetensors");
  int refused = 0;
  for (int call = 1;; ++call) {
    fs::remove_all(temp_ / "merged");
    const ProcessResult result = traced(fmt::format("error=ENOSPC:when={}", call), merge);
    if (result.exit_code == 0) {
      EXPECT_EQ(content(temp_ / "merged/model.safetensors"), whole) << "call " << call;
      break;  // made fewer calls than that, or only a line for people was lost
    }
    ++refused;
    expect_refused(result, 3, {"No space left on device", temp_.path().string()});
    EXPECT_THAT(leftovers(temp_.path()), IsEmpty()) << "call " << call;
  }
  EXPECT_GT(refused, 0);
}

// No strace needed: a limit on the size of a file is a full disk to whoever writes.
TEST(DiskFault, AMergeThatDoesNotFitLeavesNothing) {
  const TempFolder temp;
  const std::string command = fmt::format(
      "ulimit -f 4; exec {} merge --model {} --adapter {} --out {}", weft_command({}).front(),
      tiny_model().string(), tiny_adapter().string(), (temp / "merged").string());
  const ProcessResult result = run_process({"bash", "-c", command});
  expect_refused(result, 3, {(temp / "").string(), "File too large"});
  EXPECT_FALSE(fs::exists(temp / "merged"));
  EXPECT_THAT(leftovers(temp.path()), IsEmpty());
}

TEST(DiskFault, AnOutputFolderThatCannotBeMadeIsNamed) {
  if (!fs::is_directory("/sys/kernel")) {
    GTEST_SKIP() << "no /sys, where nobody may make a folder";
  }
  expect_refused(weft(train_arguments("/sys/kernel/weft-run")), 2,
                 {"output_dir /sys/kernel/weft-run cannot be made"});
}

TEST(DiskFault, AnOutputFolderUnderAFileIsNamed) {
  const TempFolder temp;
  put(temp / "file", "");
  expect_refused(weft(train_arguments(temp / "file/run")), 2, {"cannot be made", "file"});
}

}  // namespace
}  // namespace weft::test
