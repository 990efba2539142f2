#include "base/file_system.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using test::caught;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FileSystemTest : public ::testing::Test {
 protected:
  FileSystem& files_ = posix_file_system();
  test::TempFolder folder_;
};

TEST_F(FileSystemTest, ReadFileGivesTheBytes) {
  const std::string text("a\0b\xFF\n", 5);
  write_synced(files_, folder_ / "x", text);
  EXPECT_EQ(read_file(files_, folder_ / "x"), text);
  write_synced(files_, folder_ / "empty", "");
  EXPECT_EQ(read_file(files_, folder_ / "empty"), "");
}

TEST_F(FileSystemTest, ReadFileRefusesMoreThanTheLimit) {
  write_synced(files_, folder_ / "x", "12345");
  EXPECT_EQ(read_file(files_, folder_ / "x", 5), "12345");
  const Error error = caught([&] { (void)read_file(files_, folder_ / "x", 4); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_EQ(error.what(), (folder_ / "x").string() +
                              ": the file has 5 B, more than the 4 B that are allowed here");
}

TEST_F(FileSystemTest, WriteSyncedRefusesAnExistingFile) {
  write_synced(files_, folder_ / "x", "old");
  EXPECT_THAT(caught([&] { write_synced(files_, folder_ / "x", "new"); }).what(),
              HasSubstr("cannot create: File exists"));
  EXPECT_EQ(read_file(files_, folder_ / "x"), "old");
}

TEST_F(FileSystemTest, PublishFileReplacesAndLeavesNothingElse) {
  publish_file(files_, folder_ / "x", "old");
  publish_file(files_, folder_ / "x", "new");
  EXPECT_EQ(read_file(files_, folder_ / "x"), "new");
  EXPECT_THAT(files_.list(folder_.path()), ElementsAre("x"));
}

TEST_F(FileSystemTest, PublishFileWorksForARelativeName) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  publish_file(files_, "bare-name", "text");
  fs::current_path(before);
  EXPECT_EQ(read_file(files_, folder_ / "bare-name"), "text");
}

TEST_F(FileSystemTest, PublishedFileInPieces) {
  PublishedFile file(files_, folder_ / "x");
  file.append("one ");
  file.append("two");
  EXPECT_FALSE(files_.exists(folder_ / "x"));
  file.commit();
  EXPECT_EQ(read_file(files_, folder_ / "x"), "one two");
  EXPECT_EQ(caught([&] { file.append("three"); }).kind(), ErrorKind::kInternal);
  EXPECT_EQ(caught([&] { file.commit(); }).kind(), ErrorKind::kInternal);
}

TEST_F(FileSystemTest, PublishedFileWithoutCommitVanishes) {
  publish_file(files_, folder_ / "x", "old");
  {
    PublishedFile file(files_, folder_ / "x");
    file.append("new");
    const std::vector<std::string> names = files_.list(folder_.path());
    ASSERT_EQ(names.size(), 2U);
    EXPECT_THAT(names[0], ::testing::StartsWith(".x.tmp-"));
  }
  EXPECT_EQ(read_file(files_, folder_ / "x"), "old");
  EXPECT_THAT(files_.list(folder_.path()), ElementsAre("x"));
}

TEST_F(FileSystemTest, PublishingAVeryLongNameWorks) {
  const std::string name(250, 'n');
  publish_file(files_, folder_ / name, "text");
  EXPECT_THAT(files_.list(folder_.path()), ElementsAre(name));
}

TEST_F(FileSystemTest, PublishingIntoAMissingFolderNamesThePath) {
  const Error error = caught([&] { publish_file(files_, folder_ / "no" / "x", "text"); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr((folder_ / "no").string()));
  EXPECT_THAT(error.what(), HasSubstr("No such file or directory"));
}

TEST_F(FileSystemTest, PublishingOverAFolderFailsCleanly) {
  files_.make_folders(folder_ / "x" / "y");
  EXPECT_EQ(caught([&] { publish_file(files_, folder_ / "x", "text"); }).kind(), ErrorKind::kData);
  EXPECT_THAT(files_.list(folder_.path()), ElementsAre("x"));
  EXPECT_THAT(files_.list(folder_ / "x"), ElementsAre("y"));
}

TEST_F(FileSystemTest, PublishedFolderAppearsWhole) {
  PublishedFolder folder(files_, folder_ / "checkpoint-1");
  EXPECT_THAT(folder.path().filename().string(), ::testing::StartsWith(".tmp-checkpoint-1-"));
  write_synced(files_, folder.path() / "a", "1");
  EXPECT_FALSE(files_.exists(folder_ / "checkpoint-1"));
  folder.commit();
  EXPECT_THAT(files_.list(folder_.path()), ElementsAre("checkpoint-1"));
  EXPECT_EQ(read_file(files_, folder_ / "checkpoint-1" / "a"), "1");
  EXPECT_EQ(caught([&] { folder.commit(); }).kind(), ErrorKind::kInternal);
}

TEST_F(FileSystemTest, PublishedFolderTakesATrailingSlash) {
  PublishedFolder folder(files_, (folder_ / "out").string() + "/");
  folder.commit();
  EXPECT_THAT(files_.list(folder_.path()), ElementsAre("out"));
}

TEST_F(FileSystemTest, PublishedFolderWithoutCommitVanishes) {
  {
    PublishedFolder folder(files_, folder_ / "x");
    write_synced(files_, folder.path() / "a", "1");
  }
  EXPECT_THAT(files_.list(folder_.path()), IsEmpty());
}

TEST_F(FileSystemTest, PublishedFolderRefusesAnExistingName) {
  files_.make_folders(folder_ / "x");  // empty: rename alone would replace it
  {
    PublishedFolder folder(files_, folder_ / "x");
    EXPECT_THAT(caught([&] { folder.commit(); }).what(), HasSubstr("x: exists already"));
  }
  EXPECT_THAT(files_.list(folder_.path()), ElementsAre("x"));
}

}  // namespace
}  // namespace weft
