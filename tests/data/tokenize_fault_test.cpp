// Tokenising when the disk fails, at every call in turn: afterwards the folder of shards is whole
// or not there.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cerrno>

#include "data/shard_set.h"
#include "data/tokenize.h"
#include "shard_test_support.h"
#include "tests/support/failing_file_system.h"
#include "tokenize_test_support.h"

namespace weft::data {
namespace {

using test::FailingFileSystem;
using test::PowerLoss;

class TokenizeFaultTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    put("in/a.txt", "one\ntwo\nthree\nfour\n");
    options_.shards.shard_tokens = 10;  // several shards
    input_.path = folder_ / "in" / "a.txt";
    work_ = memory_folder(folder_) / fmt::format("weft-{}-fault", ::getpid());
    start_over();
  }
  void TearDown() override {
    fs::remove_all(work_);
    FolderTest::TearDown();
  }

  /// A folder in memory where there is one: thousands of syncs need no disk to be counted.
  static fs::path memory_folder(const fs::path& otherwise) {
    return ::access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm") : otherwise;
  }

  void tokenize(FileSystem& files) {
    (void)tokenize_to_shards(files, std::span(&input_, 1), ByteTokenizer(), options_,
                             work_ / "shards");
  }

  /// The folder is not there, or opens and holds everything.
  bool whole_or_absent() {
    if (!fs::exists(work_ / "shards")) {
      return false;
    }
    const ShardSet set(files_, work_ / "shards");
    EXPECT_EQ(set.documents(), 4);
    return true;
  }

  void start_over() {
    fs::remove_all(work_);
    fs::create_directories(work_);
  }

  TokenizeInput input_;
  TokenizeOptions options_;
  fs::path work_;
};

TEST_F(TokenizeFaultTest, AFailureAtAnyCallLeavesNothingOrAllAndTheNextRunSucceeds) {
  for (const int error : {ENOSPC, EIO}) {
    std::size_t n = 1;
    for (;; ++n) {
      start_over();
      FailingFileSystem failing(files_, work_);
      failing.fail_call(n, error);
      try {
        tokenize(failing);
        if (!failing.failed()) {
          EXPECT_TRUE(whole_or_absent());
          break;
        }
        ADD_FAILURE() << "call " << n << " failed unnoticed";
      } catch (const Error& caught) {
        EXPECT_EQ(caught.kind(), ErrorKind::kData) << caught.what();
      }
      (void)whole_or_absent();
      failing.heal();
      tokenize(failing);
      EXPECT_TRUE(whole_or_absent()) << "call " << n;
      // No temporary is left by either run.
      EXPECT_EQ(std::distance(fs::directory_iterator(work_), fs::directory_iterator()), 1);
    }
    EXPECT_GT(n, 15u);
  }
}

TEST_F(TokenizeFaultTest, AKillAtAnyCallThenALossOfPowerLeavesNothingOrAll) {
  for (const PowerLoss loss : {PowerLoss::kDropEntries, PowerLoss::kKeepEntries}) {
    bool ever_whole = false;
    for (std::size_t n = 1;; ++n) {
      start_over();
      FailingFileSystem failing(files_, work_);
      failing.fail_call(n, EIO, FailingFileSystem::Then::kDie);
      bool died = false;
      try {
        tokenize(failing);
      } catch (const Error&) {
        died = true;
      }
      failing.lose_power(loss);
      const bool whole = whole_or_absent();
      ever_whole |= whole;
      if (!died) {
        EXPECT_TRUE(whole) << "success was reported, then lost";
        break;
      }
      tokenize(files_);
      EXPECT_TRUE(whole_or_absent()) << "call " << n;
    }
    EXPECT_TRUE(ever_whole);
  }
}

TEST_F(TokenizeFaultTest, AFullDiskIsNamed) {
  FailingFileSystem failing(files_, work_);
  failing.fail_where(
      [](const auto& call) { return call.name == "append" && call.path.extension() == ".h5"; },
      ENOSPC);
  const std::string message = error_of([&] { tokenize(failing); });
  EXPECT_THAT(message, testing::HasSubstr("shard-00000.h5"));
  EXPECT_THAT(message, testing::HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace weft::data
