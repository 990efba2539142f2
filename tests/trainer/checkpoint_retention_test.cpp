#include "trainer/checkpoint_retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/checkpoint_testing.h"

namespace weft::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointRetentionTest : public ::testing::Test {
 protected:
  FileSystem& files_ = posix_file_system();
  test::TempFolder temp_;
  const fs::path& out_ = temp_.path();

  void SetUp() override {
    for (std::int64_t step = 1; step <= 4; ++step) {
      save_example(files_, out_, step);
    }
  }
};

TEST_F(CheckpointRetentionTest, KeepsTheNewest) {
  keep_checkpoints(files_, out_, 2, std::nullopt);
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000003", "checkpoint-000004"));
}

TEST_F(CheckpointRetentionTest, BestTakesOneOfThePlaces) {
  keep_checkpoints(files_, out_, 2, 1);
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000001", "checkpoint-000004"));
}

TEST_F(CheckpointRetentionTest, LimitOfOneKeepsTheBestAndTheNewest) {
  keep_checkpoints(files_, out_, 1, 2);
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000002", "checkpoint-000004"));
}

TEST_F(CheckpointRetentionTest, BestThatIsTheNewestTakesOnePlace) {
  keep_checkpoints(files_, out_, 2, 4);
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000003", "checkpoint-000004"));
}

TEST_F(CheckpointRetentionTest, BestThatIsGoneTakesNone) {
  keep_checkpoints(files_, out_, 2, 77);
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000003", "checkpoint-000004"));
}

TEST_F(CheckpointRetentionTest, FoldersThatAreNotCommittedDoNotCountAndStay) {
  files_.remove(out_ / "checkpoint-000004" / kManifestName);
  overwrite(out_ / "checkpoint-000003" / "adapter_model.safetensors", "short");
  keep_checkpoints(files_, out_, 1, std::nullopt);
  EXPECT_THAT(files_.list(out_),
              ElementsAre("checkpoint-000002", "checkpoint-000003", "checkpoint-000004"));
  EXPECT_EQ(find_resume_point(files_, out_, "auto")->state.step, 2);
}

TEST_F(CheckpointRetentionTest, GoesOnPastAFolderThatCannotBeRemoved) {
  test::FailingFileSystem failing(files_, out_);
  failing.fail_where(
      [](const auto& call) { return call.path.string().find("000001") != std::string::npos; },
      EPERM);
  ::testing::internal::CaptureStderr();
  keep_checkpoints(failing, out_, 2, std::nullopt);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("an old checkpoint stays"));
  EXPECT_THAT(files_.list(out_),
              ElementsAre("checkpoint-000001", "checkpoint-000003", "checkpoint-000004"));
}

TEST_F(CheckpointRetentionTest, RemovalThatWasKilledIsFinishedLater) {
  test::FailingFileSystem failing(files_, out_);
  std::size_t n = 1;
  for (;; ++n) {
    failing.fail_call(n, EIO, test::FailingFileSystem::Then::kDie);
    ::testing::internal::CaptureStderr();
    keep_checkpoints(failing, out_, 2, std::nullopt);
    ::testing::internal::GetCapturedStderr();
    const bool finished = !failing.failed();
    failing.heal();
    EXPECT_EQ(find_resume_point(files_, out_, "auto")->state.step, 4) << n;
    if (finished) break;
  }
  EXPECT_GE(n, 2U);
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000003", "checkpoint-000004"));
}

TEST_F(CheckpointRetentionTest, FolderThatCannotBeListedIsLoggedOnly) {
  ::testing::internal::CaptureStderr();
  keep_checkpoints(files_, out_ / "absent", 2, std::nullopt);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("old checkpoints were not looked through"));
}

}  // namespace
}  // namespace weft::trainer
