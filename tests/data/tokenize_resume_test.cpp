// A run of tokenising that was stopped goes on where it ended, and ends with the same bytes.
#include <gmock/gmock.h>

#include <chrono>
#include <map>

#include "base/folder_lock.h"
#include "data/shard_set.h"
#include "data/tokenize.h"
#include "data/tokenize_work.h"
#include "shard_test_support.h"
#include "tests/support/failing_file_system.h"
#include "tokenize_test_support.h"

namespace weft::data {
namespace {

using test::FailingFileSystem;
using testing::HasSubstr;

class TokenizeResumeTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    std::string rows = "\n";
    for (int i = 0; i < 18; ++i) {
      rows += fmt::format("row {} {}\n", i, std::string(static_cast<std::size_t>(i % 23), 'x'));
    }
    put("in/a.txt", rows);
    put("in/b.txt", "one\ntwo\n" + rows);
    put("in/c.txt", "the last of all\n");
    inputs_.resize(2);
    inputs_[0].path = folder_ / "in/a.txt";
    inputs_[1].path = folder_ / "in";
    options_.shards.shard_tokens = 60;
    options_.max_length = 16;
    options_.overlong = Overlong::kSplit;  // shards that end in the middle of a row
  }

  TokenizeResult tokenize(FileSystem& files, const fs::path& out) {
    return tokenize_to_shards(files, inputs_, ByteTokenizer(), options_, out);
  }

  /// Every file of a folder with its content.
  static std::map<std::string, std::string> contents(const fs::path& folder) {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::directory_iterator(folder)) {
      all[entry.path().filename().string()] = read_file(posix_file_system(), entry.path());
    }
    return all;
  }

  /// Stops a run as SIGKILL would, when the n-th shard is being written.
  void stop_at_shard(int n, const fs::path& out) {
    FailingFileSystem failing(files_, folder_);
    const std::string name = fmt::format("shard-{:05}.h5", n);
    bool dead = false;
    failing.fail_where(
        [&](const auto& call) { return dead = dead || call.path.filename() == name; }, EIO);
    EXPECT_THROW((void)tokenize(failing, out), Error);
  }

  [[nodiscard]] fs::path work() const { return folder_ / ".shards.partial"; }
  [[nodiscard]] fs::path out() const { return folder_ / "shards"; }

  std::vector<TokenizeInput> inputs_;
  TokenizeOptions options_;
};

TEST_F(TokenizeResumeTest, StoppedInAnyShardItEndsWithTheSameBytes) {
  (void)tokenize(files_, folder_ / "whole");
  const auto expected = contents(folder_ / "whole");
  const int shards = static_cast<int>(ShardSet(files_, folder_ / "whole").manifest().shards.size());
  ASSERT_GT(shards, 8);
  for (int n = 0; n < shards; ++n) {
    fs::remove_all(out());
    stop_at_shard(n, out());
    EXPECT_FALSE(fs::exists(out()));
    const TokenizeResult result = tokenize(files_, out());
    EXPECT_EQ(result.resumed_shards, n);
    EXPECT_FALSE(result.reused);
    EXPECT_EQ(contents(out()), expected) << "stopped in shard " << n;
    EXPECT_FALSE(fs::exists(work()));
  }
}

TEST_F(TokenizeResumeTest, StoppedAgainAndAgainItEndsWithTheSameBytes) {
  (void)tokenize(files_, folder_ / "whole");
  for (const int n : {2, 3, 3, 5, 7}) {
    stop_at_shard(n, out());
  }
  EXPECT_EQ(tokenize(files_, out()).resumed_shards, 7);
  EXPECT_EQ(contents(out()), contents(folder_ / "whole"));
}

// What was seen before the stop must be known again: which rows are duplicates, and which are set
// aside.
TEST_F(TokenizeResumeTest, DuplicatesAndRowsSetAsideStayWhatTheyAre) {
  options_.deduplicate = true;
  for (const double size : {0.3, 5.0}) {
    for (const bool validation : {false, true}) {
      options_.split = ValidationSplit{.size = size, .validation = validation};
      options_.shards.shard_tokens = validation ? 30 : 60;
      const fs::path whole = folder_ / fmt::format("whole-{}-{}", size, validation);
      const auto result = tokenize(files_, whole);
      EXPECT_GT(result.manifest.sources[1].duplicates, 0);
      const auto expected = contents(whole);
      const int shards = static_cast<int>(ShardSet(files_, whole).manifest().shards.size());
      ASSERT_GE(shards, 2);
      for (int n = 1; n < shards; ++n) {
        fs::remove_all(out());
        stop_at_shard(n, out());
        EXPECT_EQ(tokenize(files_, out()).resumed_shards, n);
        EXPECT_EQ(contents(out()), expected) << size << validation << " stopped in shard " << n;
      }
    }
  }
}

TEST_F(TokenizeResumeTest, PairsStayTogether) {
  std::string rows;
  for (int i = 0; i < 12; ++i) {
    rows += fmt::format(R"({{"prompt": "p{} ", "chosen": "good {}", "rejected": "bad {}"}})"
                        "\n",
                        i, i * i, i);
  }
  inputs_.resize(1);
  inputs_[0].path = put("pairs.jsonl", rows);
  options_.overlong = Overlong::kTruncate;
  (void)tokenize(files_, folder_ / "whole");
  const ShardSet set(files_, folder_ / "whole");
  ASSERT_GT(set.manifest().shards.size(), 4U);
  for (int n = 0; n < std::ssize(set.manifest().shards); ++n) {
    fs::remove_all(out());
    stop_at_shard(n, out());
    EXPECT_EQ(tokenize(files_, out()).resumed_shards, n);
    EXPECT_EQ(contents(out()), contents(folder_ / "whole"));
  }
  for (std::int64_t i = 0; i < set.documents(); ++i) {
    EXPECT_EQ(set.chosen(i), i - i % 2);
  }
}

TEST_F(TokenizeResumeTest, FinishedShardsAreNotWrittenAgain) {
  stop_at_shard(5, out());
  FailingFileSystem counting(files_, folder_);
  (void)tokenize(counting, out());
  for (const auto& call : counting.calls()) {
    EXPECT_NE(call.path.filename(), "shard-00004.h5") << call.name;
  }
}

TEST_F(TokenizeResumeTest, WhatIsDamagedAndWhatFollowsItIsMadeAgain) {
  (void)tokenize(files_, folder_ / "whole");
  const auto damage = [&](const fs::path& file) {
    fs::remove_all(out());
    stop_at_shard(5, out());
    put(file, "x");
    const auto resumed = tokenize(files_, out()).resumed_shards;
    EXPECT_EQ(contents(out()), contents(folder_ / "whole"));
    return resumed;
  };
  EXPECT_EQ(damage(".shards.partial/shards/shard-00003.h5"), 3);
  EXPECT_EQ(damage(".shards.partial/shard-00002.json"), 2);
  EXPECT_EQ(damage(".shards.partial/recipe.json"), 0);
  EXPECT_EQ(damage(".shards.partial/shards/shard-00009.h5"), 5);
}

TEST_F(TokenizeResumeTest, AHalfDoneFolderOfOtherOptionsIsRefusedWithWhatChanged) {
  stop_at_shard(3, out());
  options_.max_length = 17;
  const std::string message = error_of([&] { (void)tokenize(files_, out()); }, ErrorKind::kConfig);
  EXPECT_EQ(message, fmt::format("output_dir {}: {} holds what an unfinished run made of other "
                                 "inputs or options (max_length was 16 and is 17); go back to "
                                 "those to finish it, remove that folder to start over, or choose "
                                 "another output_dir",
                                 out().string(), work().string()));
  options_.max_length = 16;
  EXPECT_EQ(tokenize(files_, out()).resumed_shards, 3);
}

TEST_F(TokenizeResumeTest, WhereNoShardIsFinishedOtherOptionsAreTaken) {
  stop_at_shard(0, out());
  options_.max_length = 17;
  EXPECT_EQ(tokenize(files_, out()).resumed_shards, 0);
}

TEST_F(TokenizeResumeTest, ABadRowLeavesNothingToTakeUp) {
  // The row will be mended, and with it the inputs change.
  put("in/c.txt", "b\xFFz\n");
  EXPECT_THAT(error_of([&] { (void)tokenize(files_, out()); }), HasSubstr("c.txt:1"));
  EXPECT_FALSE(fs::exists(work()));
  put("in/c.txt", "mended\n");
  EXPECT_EQ(tokenize(files_, out()).resumed_shards, 0);
}

TEST_F(TokenizeResumeTest, AFullDiskLeavesWhatWasDone) {
  FailingFileSystem failing(files_, folder_);
  failing.fail_where(
      [](const auto& call) {
        return call.name == "append" && call.path.filename() == "shard-00004.h5";
      },
      ENOSPC);
  EXPECT_THAT(error_of([&] { (void)tokenize(failing, out()); }), HasSubstr("No space left"));
  EXPECT_EQ(tokenize(files_, out()).resumed_shards, 4);
}

TEST_F(TokenizeResumeTest, AnotherProcessAtWorkIsNamed) {
  fs::create_directories(work());
  const auto lock = FolderLock::try_lock(work());
  ASSERT_TRUE(lock);
  EXPECT_THAT(error_of([&] { (void)tokenize(files_, out()); }, ErrorKind::kConfig),
              HasSubstr("another process is tokenising into it now (it holds " + work().string()));
  EXPECT_TRUE(fs::exists(work()));
}

TEST_F(TokenizeResumeTest, ALeftoverBesideFinishedShardsIsRemovedUnlessAProcessHoldsIt) {
  (void)tokenize(files_, out());
  fs::create_directories(work() / "shards");
  {
    const auto lock = FolderLock::try_lock(work());
    EXPECT_TRUE(tokenize(files_, out()).reused);
    EXPECT_TRUE(fs::exists(work()));
  }
  EXPECT_TRUE(tokenize(files_, out()).reused);
  EXPECT_FALSE(fs::exists(work()));
}

TEST_F(TokenizeResumeTest, ACacheGoesOnToo) {
  const auto cache = [&](FileSystem& files) {
    return tokenize_to_cache(files, inputs_, ByteTokenizer(), options_, folder_ / "cache");
  };
  FailingFileSystem failing(files_, folder_);
  failing.fail_where([](const auto& call) { return call.path.filename() == "shard-00006.h5"; },
                     EIO);
  EXPECT_THROW((void)cache(failing), Error);
  EXPECT_EQ(cache(files_).resumed_shards, 6);
}

TEST_F(TokenizeResumeTest, OfACacheOnlyOldFoldersThatNobodyWorksInAreRemoved) {
  const fs::path cache = folder_ / "cache";
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(24 * 8);
  for (const char* name : {".young.partial", ".old.partial", ".held.partial", ".other", "seen"}) {
    fs::create_directories(cache / name);
    if (std::string_view(name) != ".young.partial") {
      fs::last_write_time(cache / name, old);
    }
  }
  const auto lock = FolderLock::try_lock(cache / ".held.partial");
  const auto result = tokenize_to_cache(files_, inputs_, ByteTokenizer(), options_, cache);
  EXPECT_THAT(files_.list(cache),
              testing::UnorderedElementsAre(".young.partial", ".held.partial", ".other", "seen",
                                            result.folder.filename().string()));
}

}  // namespace
}  // namespace weft::data
