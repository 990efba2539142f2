#include "trainer/run_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "tests/support/caught.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"

namespace weft::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class RunLockTest : public ::testing::Test {
 protected:
  FileSystem& files_ = posix_file_system();
  test::TempFolder temp_;
  fs::path out_ = temp_ / "run";
  fs::path lock_ = out_ / ".lock";

  void write_lock(const RunOwner& owner) {
    files_.make_folders(out_);
    Json json;
    json["pid"] = owner.pid;
    json["process_start"] = owner.process_start;
    json["boot_id"] = owner.boot_id;
    json["host"] = owner.host;
    json["run_id"] = owner.run_id;
    publish_file(files_, lock_, dump_json(json));
  }

  /// A process that has lived and is gone.
  static RunOwner dead_process() {
    RunOwner owner = this_process();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
    owner.pid = child;
    return owner;
  }

  std::string refusal() {
    const Error error = test::caught([this] { const RunLock lock(files_, out_); });
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }
};

TEST_F(RunLockTest, IsThereWhileHeldAndGoneAfter) {
  {
    const RunLock lock(files_, out_);
    const Json json = read_json(files_, lock_);
    EXPECT_EQ(json["pid"], ::getpid());
    EXPECT_EQ(json["run_id"], lock.run_id());
  }
  EXPECT_FALSE(files_.exists(lock_));
}

TEST_F(RunLockTest, SecondRunIsRefusedWithTheOwner) {
  const RunLock first(files_, out_);
  EXPECT_THAT(refusal(), AllOf(HasSubstr(out_.string()),
                               HasSubstr("in use by process " + std::to_string(::getpid())),
                               HasSubstr(first.run_id()), HasSubstr("choose another output_dir")));
  EXPECT_TRUE(files_.exists(lock_));
}

TEST_F(RunLockTest, StaleLockOfADeadProcessIsTakenOver) {
  write_lock(dead_process());
  ::testing::internal::CaptureStderr();
  const RunLock lock(files_, out_);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              AllOf(HasSubstr("is gone"), HasSubstr(lock_.string())));
  EXPECT_EQ(read_json(files_, lock_)["run_id"], lock.run_id());
  EXPECT_EQ(files_.list(out_), std::vector<std::string>{".lock"});
}

TEST_F(RunLockTest, ReusedPidIsNotTheOwner) {
  RunOwner owner = this_process();
  owner.process_start -= 1;
  write_lock(owner);
  const RunLock lock(files_, out_);
  EXPECT_EQ(read_json(files_, lock_)["run_id"], lock.run_id());
}

TEST_F(RunLockTest, LockFromBeforeARebootIsTakenOver) {
  RunOwner owner = this_process();
  owner.boot_id = "00000000-0000-0000-0000-000000000000";
  write_lock(owner);
  const RunLock lock(files_, out_);
  EXPECT_EQ(read_json(files_, lock_)["run_id"], lock.run_id());
}

TEST_F(RunLockTest, LockOfAnotherHostIsNeverTakenOver) {
  RunOwner owner = dead_process();
  owner.host = "node-17";
  write_lock(owner);
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("node-17"), HasSubstr("if it is gone, remove " + lock_.string())));
}

TEST_F(RunLockTest, WhoKnowsThatEarlierProcessesAreGoneTakesItOverFromAnyHost) {
  RunOwner owner = this_process();
  owner.host = "node-17";
  write_lock(owner);
  RunOwner me = this_process();
  const RunLock lock(files_, out_, me, /*others_are_gone=*/true);
  EXPECT_EQ(read_json(files_, lock_)["run_id"], me.run_id);
}

TEST_F(RunLockTest, TornLockIsTakenOver) {
  files_.make_folders(out_);
  publish_file(files_, lock_, std::string_view("{\"pid\": 1"));
  ::testing::internal::CaptureStderr();
  const RunLock lock(files_, out_);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("cannot be read"));
}

TEST_F(RunLockTest, LockThatAnotherRunTookIsNotRemoved) {
  auto lock = std::make_unique<RunLock>(files_, out_);
  RunOwner other = this_process();
  write_lock(other);
  lock.reset();
  EXPECT_EQ(read_json(files_, lock_)["run_id"], other.run_id);
}

TEST_F(RunLockTest, FolderThatCannotBeMadeIsAConfigError) {
  publish_file(files_, temp_ / "file", std::string_view("x"));
  out_ = temp_ / "file" / "run";
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("output_dir " + out_.string()), HasSubstr("cannot be made")));
}

TEST_F(RunLockTest, FolderThatCannotBeWrittenIsAConfigError) {
  test::FailingFileSystem failing(files_, temp_.path());
  failing.fail_where([](const auto& call) { return call.name == "create"; }, EROFS);
  const Error error = test::caught([&] { const RunLock lock(failing, out_); });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("cannot be written"), HasSubstr("Read-only file system")));
}

}  // namespace
}  // namespace weft::trainer
