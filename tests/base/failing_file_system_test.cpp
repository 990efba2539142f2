#include "tests/support/failing_file_system.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "base/error.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FailingFileSystemTest : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view text, bool sync) {
    const auto file = files_.create(folder_ / name);
    file->append(text);
    if (sync) {
      file->sync();
    }
    file->close();
  }

  std::string text(const std::string& name) { return read_file(files_, folder_ / name); }
  std::vector<std::string> names() { return files_.list(folder_.path()); }

  TempFolder folder_;
  FailingFileSystem files_{posix_file_system(), folder_.path()};
};

TEST_F(FailingFileSystemTest, CountsAndFailsTheChosenCall) {
  write("a", "1234", true);
  std::vector<std::string> calls;
  for (const auto& call : files_.calls()) {
    calls.push_back(call.name);
  }
  EXPECT_THAT(calls, ElementsAre("create", "append", "sync", "close"));

  files_.fail_call(3, EIO);
  EXPECT_THAT(caught([&] { write("b", "1234", true); }).what(),
              HasSubstr("b: cannot sync: Input/output error (injected)"));
  EXPECT_TRUE(files_.failed());
  EXPECT_NO_THROW(write("c", "", true));  // one call only
}

TEST_F(FailingFileSystemTest, AFailedAppendWritesHalf) {
  files_.fail_call(2, ENOSPC);
  EXPECT_THAT(caught([&] { write("a", "123456", true); }).what(), HasSubstr("No space left"));
  EXPECT_EQ(text("a"), "123");
}

TEST_F(FailingFileSystemTest, AfterDeathNothingChanges) {
  files_.fail_call(2, EIO, FailingFileSystem::Then::kDie);
  EXPECT_EQ(caught([&] { write("a", "123456", true); }).kind(), ErrorKind::kData);
  EXPECT_EQ(caught([&] { files_.remove(folder_ / "a"); }).kind(), ErrorKind::kData);
  EXPECT_EQ(caught([&] { write("b", "", false); }).kind(), ErrorKind::kData);
  EXPECT_THAT(names(), ElementsAre("a"));
  files_.heal();
  files_.remove(folder_ / "a");
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(FailingFileSystemTest, FailsWhereTold) {
  files_.fail_where(
      [](const FailingFileSystem::Call& call) {
        return call.name == "create" && call.path.filename() == "b";
      },
      EACCES);
  EXPECT_NO_THROW(write("a", "", false));
  EXPECT_THAT(caught([&] { write("b", "", false); }).what(), HasSubstr("Permission denied"));
}

TEST_F(FailingFileSystemTest, PowerLossDropsUnsyncedEntries) {
  write("a", "old", true);
  files_.sync_folder(folder_.path());
  write("b", "synced bytes, unsynced entry", true);
  files_.rename(folder_ / "a", folder_ / "c");
  files_.lose_power();
  EXPECT_THAT(names(), ElementsAre("a"));
  EXPECT_EQ(text("a"), "old");
}

TEST_F(FailingFileSystemTest, PowerLossDropsUnsyncedBytes) {
  const auto file = files_.create(folder_ / "a");
  file->append("synced");
  file->sync();
  file->append(" and not");
  file->close();
  files_.sync_folder(folder_.path());
  files_.lose_power();
  EXPECT_EQ(text("a"), "synced");
}

TEST_F(FailingFileSystemTest, PowerLossMayKeepEntriesWithoutBytes) {
  write("a", "never synced", false);
  files_.rename(folder_ / "a", folder_ / "b");
  files_.lose_power(PowerLoss::kKeepEntries);
  EXPECT_THAT(names(), ElementsAre("b"));
  EXPECT_EQ(text("b"), "");
}

TEST_F(FailingFileSystemTest, PowerLossUndoesUnsyncedRemovals) {
  files_.make_folders(folder_ / "sub");
  write("sub/a", "kept", true);
  files_.sync_folder(folder_ / "sub");
  files_.remove_all(folder_ / "sub");
  files_.lose_power();
  EXPECT_EQ(text("sub/a"), "kept");
  files_.remove_all(folder_ / "sub");
  files_.sync_folder(folder_.path());
  files_.lose_power();
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(FailingFileSystemTest, BytesWrittenBehindItsBackAreUnsyncedUntilSynced) {
  write_synced(posix_file_system(), folder_ / "a", "from elsewhere");
  write_synced(posix_file_system(), folder_ / "b", "from elsewhere");
  files_.open_append(folder_ / "b")->sync();
  files_.sync_folder(folder_.path());
  files_.lose_power();
  EXPECT_EQ(text("a"), "");
  EXPECT_EQ(text("b"), "from elsewhere");
}

}  // namespace
}  // namespace weft::test
