// Checkpoints that are written while training goes on.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "distributed/watchdog.h"
#include "tests/support/caught.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"
#include "trainer/background_task.h"
#include "trainer/memory_plan.h"

namespace weft {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

trainer::RunConfig config_of(const fs::path& out, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"max_steps=6", "save_steps=2", "report_to=none", "num_threads=1"});
  return test::fixture_config("train_curve", out, std::move(more));
}

// Which phases have begun, whichever thread begins them; waits for one with a limit.
class Phases {
 public:
  using Also = std::function<void(const std::string& phase, std::int64_t step)>;

  explicit Phases(Also also = {}) {
    distributed::set_phase_observer(
        [this, also = std::move(also)](const std::string& phase, std::int64_t step) {
          {
            const std::lock_guard lock(mutex_);
            begun_.insert({phase, step});
          }
          changed_.notify_all();
          if (also) {
            also(phase, step);
          }
        });
  }
  Phases(const Phases&) = delete;
  Phases& operator=(const Phases&) = delete;
  ~Phases() { distributed::set_phase_observer({}); }

  bool wait_for(const std::string& phase, std::int64_t step) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      return begun_.contains({phase, step});
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::pair<std::string, std::int64_t>> begun_;
};

std::string file_of(const fs::path& path) { return read_file(posix_file_system(), path); }

TEST(AsyncSave, TrainingGoesOnWhileACheckpointIsWritten) {
  const test::TempFolder temp;
  Phases* seen = nullptr;
  bool went_on = false;
  Phases phases([&](const std::string& phase, std::int64_t step) {
    if (phase == "publishing" && step == 2) {
      went_on = seen->wait_for("step", 4);
    }
  });
  seen = &phases;
  (void)test::run(config_of(temp / "out"));
  EXPECT_TRUE(went_on);
  EXPECT_TRUE(fs::exists(temp / "out/checkpoint-000002/MANIFEST.json"));
}

TEST(AsyncSave, GivesTheBytesOfWaitingForIt) {
  const test::TempFolder temp;
  (void)test::run(config_of(temp / "async"));
  (void)test::run(config_of(temp / "waiting", {"async_save=false"}));
  for (const char* step : {"checkpoint-000002", "checkpoint-000004", "checkpoint-000006"}) {
    for (const char* name :
         {"adapter_model.safetensors", "adapter_config.json", "optimizer.safetensors"}) {
      EXPECT_EQ(file_of(temp / "async" / step / name), file_of(temp / "waiting" / step / name))
          << step << "/" << name;
    }
  }
}

// The threads that change something of the checkpoint of step 2.
std::set<std::thread::id> writers_of(const fs::path& out, const trainer::RunConfig& config) {
  test::FailingFileSystem files(posix_file_system(), out.parent_path());
  std::mutex mutex;
  std::set<std::thread::id> threads;
  files.fail_where(
      [&](const test::FailingFileSystem::Call& call) {
        if (call.path.string().find("checkpoint-000002") != std::string::npos) {
          const std::lock_guard lock(mutex);
          threads.insert(std::this_thread::get_id());
        }
        return false;
      },
      ENOSPC);
  trainer::Trainer(files, config).run();
  return threads;
}

TEST(AsyncSave, TheStepsThreadWritesNothing) {
  const test::TempFolder temp;
  const auto async = writers_of(temp / "async", config_of(temp / "async"));
  EXPECT_EQ(async.size(), 1U);
  EXPECT_FALSE(async.contains(std::this_thread::get_id()));
  const auto waiting =
      writers_of(temp / "waiting", config_of(temp / "waiting", {"async_save=false"}));
  EXPECT_EQ(waiting, std::set<std::thread::id>{std::this_thread::get_id()});
}

// A full run makes the copy where there is room for it beside the run itself, and waits elsewhere.
TEST(AsyncSave, AFullRunsCheckpointIsWrittenMeanwhileWhereMemoryAllows) {
  const test::TempFolder temp;
  const auto full = [&](const char* out, double gibibytes) {
    return test::fixture_config("full_curve", temp / out,
                                {"max_steps=4", "save_steps=2", "report_to=none", "num_threads=1",
                                 fmt::format("max_memory={:.9f}", gibibytes)});
  };
  const trainer::MemoryPlan plan =
      trainer::plan_memory(posix_file_system(), full("plan", 1), at::kFloat, at::kCPU,
                           {.documents = full("plan", 1).per_device_train_batch_size});
  const double tight = static_cast<double>(plan.total() + 4096) / (1 << 30);
  const auto meanwhile = writers_of(temp / "meanwhile", full("meanwhile", 1));
  EXPECT_FALSE(meanwhile.contains(std::this_thread::get_id()));
  const auto waiting = writers_of(temp / "waiting", full("waiting", tight));
  EXPECT_EQ(waiting, std::set<std::thread::id>{std::this_thread::get_id()});
  for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_EQ(file_of(temp / "meanwhile/checkpoint-000002" / name),
              file_of(temp / "waiting/checkpoint-000002" / name));
  }
}

// What a run into a folder says where the checkpoint of step 4 can't be written.
Error refused(const fs::path& out, const trainer::RunConfig& config) {
  test::FailingFileSystem files(posix_file_system(), out.parent_path());
  files.fail_where(
      [](const test::FailingFileSystem::Call& call) {
        return call.path.string().find("checkpoint-000004") != std::string::npos &&
               call.path.filename() == "optimizer.safetensors" && call.name == "append";
      },
      ENOSPC);
  return test::caught([&] { trainer::Trainer(files, config).run(); });
}

TEST(AsyncSave, AFailureToWriteEndsTheRunWithTheSameWordsAsWaitingForIt) {
  const test::TempFolder temp;
  const Error async = refused(temp / "out", config_of(temp / "out", {"max_steps=32"}));
  EXPECT_EQ(async.kind(), ErrorKind::kData);
  EXPECT_THAT(async.what(), HasSubstr("No space left on device"));
  EXPECT_LE(test::curve_of(temp / "out").size(), 6U) << "the next save at the latest";
  EXPECT_TRUE(fs::exists(temp / "out/checkpoint-000002"));
  for (const std::string& name : posix_file_system().list(temp / "out")) {
    EXPECT_THAT(name, ::testing::Not(HasSubstr("000004")));
  }
  (void)test::run(config_of(temp / "out"));  // goes on from step 2

  const Error waiting =
      refused(temp / "waiting", config_of(temp / "waiting", {"max_steps=32", "async_save=false"}));
  const auto message = [](const Error& error) {
    const std::string text = error.what();
    return text.substr(text.rfind('/'));
  };
  EXPECT_EQ(message(async), message(waiting));
  (void)test::run(config_of(temp / "whole"));
  EXPECT_EQ(file_of(temp / "out/final/adapter_model.safetensors"),
            file_of(temp / "whole/final/adapter_model.safetensors"));
}

TEST(AsyncSave, AnErrorOfTheRunLeavesTheCheckpointThatWasBegunWhole) {
  const test::TempFolder temp;
  Phases* seen = nullptr;
  Phases phases([&](const std::string& phase, std::int64_t step) {
    if (phase == "publishing" && step == 2) {
      (void)seen->wait_for("step", 4);
    }
    if (phase == "step" && step == 4) {
      fail_data("injected: row 7 can't be read");
    }
  });
  seen = &phases;
  EXPECT_THAT(test::caught([&] { (void)test::run(config_of(temp / "out")); }).what(),
              HasSubstr("injected"));
  EXPECT_TRUE(fs::exists(temp / "out/checkpoint-000002/MANIFEST.json"));
}

TEST(AsyncSave, OneIsWrittenAtATime) {
  const test::TempFolder temp;
  std::mutex mutex;
  std::vector<std::string> order;
  {
    const Phases phases([&](const std::string& phase, std::int64_t step) {
      if (phase == "writing" || phase == "publishing") {
        const std::lock_guard lock(mutex);
        order.push_back(fmt::format("{} {}", phase, step));
      }
    });
    (void)test::run(config_of(temp / "out", {"save_steps=1", "max_steps=3"}));
  }
  EXPECT_THAT(order, ::testing::ElementsAre("writing 1", "publishing 1", "writing 2",
                                            "publishing 2", "writing 3", "publishing 3"));
}

TEST(BackgroundTask, ThrowsWhatTheWorkThrewOnceToWhoAsksNext) {
  trainer::BackgroundTask task("a test");
  EXPECT_NO_THROW(task.wait());
  EXPECT_NO_THROW(task.check());
  task.start([] { fail_data("no space"); });
  EXPECT_THAT(test::caught([&] { task.wait(); }).what(), HasSubstr("no space"));
  EXPECT_NO_THROW(task.wait());
  bool second = false;
  task.start([] { fail_data("no space"); });
  EXPECT_THROW(task.start([&] { second = true; }), Error);
  EXPECT_FALSE(second);
  task.start([&] { second = true; });
  task.wait();
  EXPECT_TRUE(second);
}

TEST(BackgroundTask, CheckDoesNotWait) {
  std::mutex gate;
  gate.lock();
  trainer::BackgroundTask task("a test");
  task.start([&] {
    const std::lock_guard lock(gate);
    fail_data("no space");
  });
  EXPECT_NO_THROW(task.check());
  gate.unlock();
  EXPECT_THROW(
      while (true) { task.check(); }, Error);
}

}  // namespace
}  // namespace weft
