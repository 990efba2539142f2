// Faults while a checkpoint is written, and damage to one that was: a load gives the old or the new
// one, never a mix, and never fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "tests/support/caught.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/checkpoint_testing.h"

namespace weft::trainer {
namespace {

using test::FailingFileSystem;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// Thousands of saves: syncing each to a real disk would take most of a minute and prove nothing
/// more.
struct TempInMemory {
  TempInMemory() {
    if (fs::is_directory("/dev/shm")) ::setenv("TMPDIR", "/dev/shm", 1);
  }
};

class CheckpointFaultTest : private TempInMemory, public ::testing::Test {
 protected:
  FileSystem& files_ = posix_file_system();
  test::TempFolder temp_;
  const fs::path& out_ = temp_.path();

  /// The step that a run would go on from, 0 for the start. Everything in that checkpoint belongs
  /// together.
  std::int64_t resumed_step() {
    const auto point = find_resume_point(files_, out_, "auto");
    if (!point) return 0;
    const auto tensors =
        model::SafetensorsFile::open(files_, point->folder / "optimizer.safetensors");
    std::vector<float> values(37);
    tensors.read("master", std::as_writable_bytes(std::span(values)));
    EXPECT_EQ(values, example_values(point->state.step));
    return point->state.step;
  }

  void start_again() {
    files_.remove_all(out_);
    files_.make_folders(out_);
  }

  struct Step {
    std::int64_t before;  ///< saved without a fault; 0: nothing
    std::int64_t saved;   ///< saved under the fault
  };

  /// Saves under a fault at every call in turn; the number of calls that a save makes.
  template <typename Fault, typename Check>
  std::size_t sweep(Step step, Fault&& fault, Check&& check) {
    for (std::size_t n = 1;; ++n) {
      start_again();
      FailingFileSystem failing(files_, out_);
      if (step.before > 0) save_example(failing, out_, step.before);
      failing.heal();
      fault(failing, n);
      const Error error = test::caught([&] { save_example(failing, out_, step.saved, 1); });
      if (!failing.failed()) {
        EXPECT_EQ(resumed_step(), step.saved);
        return n - 1;
      }
      check(failing, n, error);
    }
  }
};

TEST_F(CheckpointFaultTest, AnyCallThatFailsLeavesOldOrNewAndNoRubbish) {
  for (const int number : {ENOSPC, EIO}) {
    const std::size_t calls = sweep(
        {.before = 1, .saved = 2},
        [number](FailingFileSystem& failing, std::size_t n) { failing.fail_call(n, number); },
        [this](FailingFileSystem&, std::size_t n, const Error& error) {
          EXPECT_THAT(resumed_step(), AnyOf(1, 2)) << n;
          // Only removing what is left over may fail without failing the save.
          if (resumed_step() == 1) {
            EXPECT_EQ(error.kind(), ErrorKind::kData) << n;
            EXPECT_THAT(error.what(), HasSubstr(out_.string())) << n;
          }
          EXPECT_THAT(files_.list(out_), Not(Contains(StartsWith(".")))) << n;
        });
    EXPECT_GT(calls, 20U);
  }
}

TEST_F(CheckpointFaultTest, DeathAtAnyCallLeavesOldOrNew) {
  for (const Step step : {Step{.before = 1, .saved = 2}, Step{.before = 0, .saved = 2},
                          Step{.before = 2, .saved = 2}}) {
    const std::size_t calls = sweep(
        step,
        [](FailingFileSystem& failing, std::size_t n) {
          failing.fail_call(n, EIO, FailingFileSystem::Then::kDie);
        },
        [&](FailingFileSystem&, std::size_t n, const Error&) {
          EXPECT_THAT(resumed_step(), AnyOf(step.before, step.saved)) << n;
          save_example(files_, out_, step.saved + 1);
          EXPECT_EQ(resumed_step(), step.saved + 1) << n;
        });
    EXPECT_GT(calls, 20U);
  }
}

TEST_F(CheckpointFaultTest, PowerLossAtAnyCallLeavesOldOrNew) {
  for (const auto loss : {test::PowerLoss::kDropEntries, test::PowerLoss::kKeepEntries}) {
    for (const Step step : {Step{.before = 1, .saved = 2}, Step{.before = 0, .saved = 2},
                            Step{.before = 2, .saved = 2}}) {
      sweep(
          step,
          [](FailingFileSystem& failing, std::size_t n) {
            failing.fail_call(n, EIO, FailingFileSystem::Then::kDie);
          },
          [&](FailingFileSystem& failing, std::size_t n, const Error&) {
            failing.lose_power(loss);
            EXPECT_THAT(resumed_step(), AnyOf(step.before, step.saved)) << n;
          });
    }
  }
}

TEST_F(CheckpointFaultTest, PowerLossAfterASaveLosesNothing) {
  for (const auto loss : {test::PowerLoss::kDropEntries, test::PowerLoss::kKeepEntries}) {
    start_again();
    FailingFileSystem failing(files_, out_);
    save_example(failing, out_, 2);
    failing.lose_power(loss);
    EXPECT_EQ(resumed_step(), 2);
  }
}

TEST_F(CheckpointFaultTest, FailedSyncIsNotTriedAgain) {
  FailingFileSystem failing(files_, out_);
  failing.fail_where([](const auto& call) { return call.name == "sync"; }, EIO);
  static_cast<void>(test::caught([&] { save_example(failing, out_, 2); }));
  std::size_t syncs = 0;
  for (const auto& call : failing.calls()) {
    syncs += call.name == "sync" ? 1 : 0;
  }
  EXPECT_EQ(syncs, 1U);
}

TEST_F(CheckpointFaultTest, FlippedByteInAnyFileIsFoundAndTheOlderOneUsed) {
  save_example(files_, out_, 1);
  const fs::path folder = save_example(files_, out_, 2);
  for (const std::string& name : example_files()) {
    const std::string whole = read_file(files_, folder / name);
    // Every byte of the manifest; elsewhere SHA-256 sees all bytes alike.
    const std::size_t stride = name == kManifestName ? 1 : 1 + whole.size() / 7;
    for (std::size_t i = 0; i < whole.size(); i += stride) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
      overwrite(folder / name, damaged);
      const Error error = test::caught([&] { static_cast<void>(read_checkpoint(files_, folder)); });
      ASSERT_EQ(error.kind(), ErrorKind::kData) << name << " byte " << i;
      ASSERT_THAT(error.what(), HasSubstr(name)) << i;
    }
    EXPECT_EQ(resumed_step(), 1);
    overwrite(folder / name, whole);
    EXPECT_EQ(resumed_step(), 2);
  }
}

TEST_F(CheckpointFaultTest, CutFileIsFoundAndTheOlderOneUsed) {
  save_example(files_, out_, 1);
  const fs::path folder = save_example(files_, out_, 2);
  for (const std::string& name : example_files()) {
    const std::string whole = read_file(files_, folder / name);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{8},
                                   whole.size() / 2, whole.size() - 1}) {
      overwrite(folder / name, whole.substr(0, size));
      const Error error = test::caught([&] { static_cast<void>(read_checkpoint(files_, folder)); });
      EXPECT_EQ(error.kind(), ErrorKind::kData) << name << " cut to " << size;
      EXPECT_THAT(error.what(), HasSubstr(name)) << size;
      EXPECT_EQ(resumed_step(), 1);
    }
    overwrite(folder / name, whole);
  }
}

}  // namespace
}  // namespace weft::trainer
