#include "data/file_patterns.h"

#include <gmock/gmock.h>

#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FilePatternsTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (const char* name : {"b.jsonl", "a.jsonl", "c.txt", ".hidden.jsonl", "x/d.jsonl",
                             "x/y/e.jsonl", ".git/f.jsonl", "[1].txt"}) {
      put(name, "x");
    }
  }
  std::vector<std::string> found(const std::string& pattern) {
    std::vector<std::string> names;
    for (const fs::path& path : find_input_files(files_, folder_ / pattern)) {
      names.push_back(path.lexically_relative(folder_).string());
    }
    return names;
  }
};

TEST_F(FilePatternsTest, AFileIsItselfWhateverItsName) {
  EXPECT_THAT(found("c.txt"), ElementsAre("c.txt"));
  EXPECT_THAT(found("[1].txt"), ElementsAre("[1].txt"));
  EXPECT_THAT(found(".hidden.jsonl"), ElementsAre(".hidden.jsonl"));
}

TEST_F(FilePatternsTest, AFolderIsAllItsFilesButHiddenOnes) {
  EXPECT_THAT(found(""),
              ElementsAre("[1].txt", "a.jsonl", "b.jsonl", "c.txt", "x/d.jsonl", "x/y/e.jsonl"));
}

TEST_F(FilePatternsTest, PatternsMatchNamesAndFolders) {
  EXPECT_THAT(found("*.jsonl"), ElementsAre("a.jsonl", "b.jsonl"));
  EXPECT_THAT(found("?.[jt]*"), ElementsAre("a.jsonl", "b.jsonl", "c.txt"));
  EXPECT_THAT(found("*/*.jsonl"), ElementsAre("x/d.jsonl"));
  EXPECT_THAT(found("**/*.jsonl"), ElementsAre("a.jsonl", "b.jsonl", "x/d.jsonl", "x/y/e.jsonl"));
  EXPECT_THAT(found("x/**"), ElementsAre("x/d.jsonl", "x/y/e.jsonl"));
  EXPECT_THAT(found("**/y/*"), ElementsAre("x/y/e.jsonl"));
  EXPECT_THAT(found(".*.jsonl"), ElementsAre(".hidden.jsonl"));
}

TEST_F(FilePatternsTest, NothingFoundIsNamed) {
  EXPECT_THAT(error_of([&] { (void)found("*.csv"); }), HasSubstr("*.csv: no file has such a name"));
  EXPECT_THAT(error_of([&] { (void)found("none"); }), HasSubstr("none: no such file or folder"));
  fs::create_directories(folder_ / "empty/er");
  EXPECT_THAT(error_of([&] { (void)found("empty"); }), HasSubstr("hold no files"));
}

TEST_F(FilePatternsTest, ACircleOfLinksIsRefused) {
  fs::create_directory_symlink(folder_ / "x", folder_ / "x/loop");
  EXPECT_THAT(error_of([&] { (void)found("x"); }), HasSubstr("more than 32 folders deep"));
  EXPECT_THAT(error_of([&] { (void)found("**/*.jsonl"); }), HasSubstr("more than 32 folders deep"));
}

}  // namespace
}  // namespace weft::data
