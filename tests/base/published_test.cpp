// What PublishedFile and PublishedFolder leave behind when any of their calls fails, the process
// dies or the power goes.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "base/error.h"
#include "base/file_system.h"
#include "base/published_name.h"
#include "tests/support/caught.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using test::FailingFileSystem;
using test::PowerLoss;
using test::TempFolder;
using Then = FailingFileSystem::Then;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void publish_in_pieces(FileSystem& files, const fs::path& path) {
  PublishedFile file(files, path);
  file.append("new ");
  file.append("state");
  file.commit();
}

void publish_checkpoint(FileSystem& files, const fs::path& path) {
  PublishedFolder folder(files, path);
  write_synced(files, folder.path() / "weights", "wwww");
  publish_file(files, folder.path() / "state", "ssss");
  folder.commit();
}

/// One attempt with its own folder, which holds the file "x" with "old state".
struct Attempt {
  Attempt() {
    publish_file(files, folder / "x", "old state");
    files.heal();
  }

  std::vector<std::string> names() { return files.list(folder.path()); }
  std::string text() { return read_file(files, folder / "x"); }

  TempFolder folder;
  FailingFileSystem files{posix_file_system(), folder.path()};
};

/// Runs `action` with its n-th call failing, for n = 1, 2, … until nothing fails, and `check` after
/// each failure. Gives back the number of failures.
std::size_t sweep(Then then, const std::function<void(Attempt&)>& action,
                  const std::function<void(Attempt&, const FailingFileSystem::Call&)>& check) {
  for (std::size_t n = 1;; ++n) {
    Attempt attempt;
    attempt.files.fail_call(n, ENOSPC, then);
    const Error error = test::caught([&] { action(attempt); });
    if (!attempt.files.failed()) {
      EXPECT_STREQ(error.what(), "(no error was thrown)");
      return n - 1;
    }
    EXPECT_EQ(error.kind(), ErrorKind::kData) << "call " << n;
    EXPECT_THAT(error.what(), HasSubstr("No space left on device (injected)")) << "call " << n;
    const FailingFileSystem::Call failed = attempt.files.calls()[n - 1];
    SCOPED_TRACE("call " + std::to_string(n) + ": " + failed.name);
    check(attempt, failed);
  }
}

void publish_x(Attempt& attempt) { publish_in_pieces(attempt.files, attempt.folder / "x"); }

void publish_checkpoint_c(Attempt& attempt) {
  publish_checkpoint(attempt.files, attempt.folder / "c");
}

void expect_whole_checkpoint(Attempt& attempt) {
  EXPECT_THAT(attempt.files.list(attempt.folder / "c"), ElementsAre("state", "weights"));
  EXPECT_EQ(read_file(attempt.files, attempt.folder / "c" / "weights"), "wwww");
  EXPECT_EQ(read_file(attempt.files, attempt.folder / "c" / "state"), "ssss");
}

TEST(PublishedFile, AFailureAnywhereKeepsTheOldFileAndLeavesNothing) {
  const std::size_t failures =
      sweep(Then::kGoOn, publish_x, [](Attempt& attempt, const FailingFileSystem::Call& failed) {
        // When the last call, the folder's sync, fails, the new file is already in place.
        EXPECT_EQ(attempt.text(), failed.name == "sync_folder" ? "new state" : "old state");
        EXPECT_THAT(attempt.names(), ElementsAre("x"));
      });
  EXPECT_EQ(failures, 7U);  // create, append, append, sync, close, rename, sync_folder
}

TEST(PublishedFile, DeathAnywhereLeavesOldOrNewAndATemporaryAtMost) {
  sweep(Then::kDie, publish_x, [](Attempt& attempt, const FailingFileSystem::Call&) {
    EXPECT_THAT(attempt.text(), AnyOf("old state", "new state"));
    for (const std::string& name : attempt.names()) {
      EXPECT_TRUE(name == "x" || name.starts_with(".x.tmp-")) << name;
    }
  });
}

TEST(PublishedFile, PowerLossAnywhereLeavesOldOrNew) {
  for (const PowerLoss loss : {PowerLoss::kDropEntries, PowerLoss::kKeepEntries}) {
    sweep(Then::kDie, publish_x, [&](Attempt& attempt, const FailingFileSystem::Call&) {
      attempt.files.lose_power(loss);
      EXPECT_THAT(attempt.text(), AnyOf("old state", "new state"));
    });
  }
}

TEST(PublishedFile, PowerLossAfterCommitKeepsTheNewFile) {
  Attempt attempt;
  publish_x(attempt);
  attempt.files.lose_power();
  EXPECT_EQ(attempt.text(), "new state");
  EXPECT_THAT(attempt.names(), ElementsAre("x"));
}

TEST(PublishedFolder, AFailureAnywhereLeavesNothing) {
  const std::size_t failures = sweep(
      Then::kGoOn, publish_checkpoint_c,
      [](Attempt& attempt, const FailingFileSystem::Call& failed) {
        if (failed.name == "sync_folder" && failed.path == attempt.folder.path()) {
          expect_whole_checkpoint(attempt);  // renamed already; only its durability is in doubt
        } else {
          EXPECT_THAT(attempt.names(), ElementsAre("x"));
        }
      });
  // make_folders; create, append, sync, close; the same with rename, sync_folder; sync_folder,
  // rename, sync_folder.
  EXPECT_EQ(failures, 14U);
}

TEST(PublishedFolder, PowerLossAnywhereLeavesAllOrNothing) {
  for (const PowerLoss loss : {PowerLoss::kDropEntries, PowerLoss::kKeepEntries}) {
    sweep(Then::kDie, publish_checkpoint_c, [&](Attempt& attempt, const FailingFileSystem::Call&) {
      attempt.files.lose_power(loss);
      if (attempt.files.exists(attempt.folder / "c")) {
        expect_whole_checkpoint(attempt);
      }
    });
  }
}

TEST(PublishedFolder, PowerLossAfterCommitKeepsTheWholeFolder) {
  Attempt attempt;
  publish_checkpoint_c(attempt);
  attempt.files.lose_power();
  expect_whole_checkpoint(attempt);
  EXPECT_THAT(attempt.names(), ElementsAre("c", "x"));
}

/// Runs `action` in a child process, which ends without cleaning up.
void run_and_die(const std::function<void()>& action) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    action();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(RemoveStaleTemporaries, RemovesOnlyWhatDeadProcessesLeft) {
  const TempFolder folder;
  FileSystem& files = posix_file_system();
  run_and_die([&] {
    static PublishedFile file(files, folder / "model.json");
    static PublishedFolder checkpoint(files, folder / "checkpoint-1");
    file.append("half");
    write_synced(files, checkpoint.path() / "weights", "half");
  });
  ASSERT_EQ(files.list(folder.path()).size(), 2U);
  publish_file(files, folder / "mine.json", "{}");
  publish_file(files, folder / ".tmp-notes", "a person's file");
  PublishedFile in_work(files, folder / "y");

  remove_stale_temporaries(files, folder.path());

  const std::vector<std::string> names = files.list(folder.path());
  ASSERT_EQ(names.size(), 3U);
  EXPECT_EQ(names[0], ".tmp-notes");
  EXPECT_THAT(names[1], ::testing::StartsWith(".y.tmp-"));
  EXPECT_EQ(names[2], "mine.json");
}

TEST(RemoveStaleTemporaries, AMissingFolderIsFine) {
  EXPECT_NO_THROW(remove_stale_temporaries(posix_file_system(), "/nowhere/at/all"));
}

TEST(RemoveStaleTemporaries, OneThatCannotBeRemovedDoesNotStopTheWork) {
  const TempFolder folder;
  run_and_die([&] { static PublishedFile file(posix_file_system(), folder / "x"); });
  FailingFileSystem files(posix_file_system(), folder.path());
  files.fail_call(1, EACCES);
  ::testing::internal::CaptureStderr();
  remove_stale_temporaries(files, folder.path());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("warning: " + (folder / ".x.tmp-").string()));
  remove_stale_temporaries(files, folder.path());
  EXPECT_THAT(files.list(folder.path()), IsEmpty());
}

/// The name with its part number `index` from the back (3 host, 2 process, 1 run, 0 count)
/// replaced.
std::string with_part(const std::string& name, int index, const std::string& part) {
  std::size_t end = name.size();
  for (int i = 0; i < index; ++i) {
    end = name.rfind('-', end - 1);
  }
  const std::size_t begin = name.rfind('-', end - 1) + 1;
  return name.substr(0, begin) + part + name.substr(end);
}

TEST(TemporaryNames, AreStaleByTheirParts) {
  for (const std::string& mine : {temporary_file_name("a-b.json"), temporary_folder_name("a-b")}) {
    EXPECT_FALSE(is_stale_temporary(mine)) << mine;  // this process runs
    // A container restarts with the same process number: the run tells.
    EXPECT_TRUE(is_stale_temporary(with_part(mine, 1, "00000000"))) << mine;
    const std::string dead = with_part(mine, 2, "999999999");  // above every pid limit
    EXPECT_TRUE(is_stale_temporary(dead));
    EXPECT_FALSE(is_stale_temporary(with_part(mine, 2, "1")));
    EXPECT_FALSE(is_stale_temporary(with_part(dead, 3, "00000000")));  // another host's
    EXPECT_FALSE(is_stale_temporary(with_part(dead, 2, "12x")));
    EXPECT_FALSE(is_stale_temporary(with_part(dead, 1, "xyz")));
    EXPECT_FALSE(is_stale_temporary(with_part(dead, 0, "")));
    EXPECT_FALSE(is_stale_temporary(dead.substr(1)));  // not hidden
  }
  EXPECT_FALSE(is_stale_temporary(""));
  EXPECT_FALSE(is_stale_temporary("checkpoint-1-2-3-4"));
}

TEST(TemporaryNames, AreDistinctAndShortEnough) {
  EXPECT_NE(temporary_file_name("x"), temporary_file_name("x"));
  EXPECT_LE(temporary_file_name(std::string(255, 'n')).size(), 255U);
  EXPECT_LE(temporary_folder_name(std::string(255, 'n')).size(), 255U);
}

}  // namespace
}  // namespace weft
