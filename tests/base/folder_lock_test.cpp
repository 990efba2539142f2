#include "base/folder_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/error.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

TEST(FolderLock, IsHeldByOneAtATime) {
  const test::TempFolder temp;
  auto first = FolderLock::try_lock(temp.path());
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->holds(temp.path()));
  EXPECT_FALSE(FolderLock::try_lock(temp.path()));
  FolderLock moved = std::move(*first);
  EXPECT_FALSE(FolderLock::try_lock(temp.path()));
  first.reset();
  EXPECT_FALSE(FolderLock::try_lock(temp.path()));
  { const FolderLock gone = std::move(moved); }
  EXPECT_TRUE(FolderLock::try_lock(temp.path()));
}

TEST(FolderLock, GoesWithItsProcess) {
  const test::TempFolder temp;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = FolderLock::try_lock(temp.path());
    ::kill(::getpid(), held ? SIGKILL : SIGTERM);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_TRUE(FolderLock::try_lock(temp.path()));
}

TEST(FolderLock, KnowsAFolderThatTookItsPlace) {
  const test::TempFolder temp;
  const fs::path folder = temp / "a";
  fs::create_directory(folder);
  const auto lock = FolderLock::try_lock(folder);
  ASSERT_TRUE(lock);
  fs::rename(folder, temp / "b");
  EXPECT_FALSE(lock->holds(folder));
  fs::create_directory(folder);
  EXPECT_FALSE(lock->holds(folder));
  EXPECT_TRUE(lock->holds(temp / "b"));
}

TEST(FolderLock, AFolderThatIsNotThereIsNamed) {
  const Error error = test::caught([] { (void)FolderLock::try_lock("/nowhere/at/all"); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), testing::HasSubstr("/nowhere/at/all: cannot open the folder: No such"));
}

}  // namespace
}  // namespace weft
