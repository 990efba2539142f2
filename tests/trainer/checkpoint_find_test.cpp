#include "trainer/checkpoint_find.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/sha256.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/checkpoint_testing.h"

namespace weft::trainer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointFindTest : public ::testing::Test {
 protected:
  FileSystem& files_ = posix_file_system();
  test::TempFolder temp_;
  const fs::path& out_ = temp_.path();

  Error refusal(std::string_view resume) {
    return test::caught([&] { static_cast<void>(find_resume_point(files_, out_, resume)); });
  }

  /// Writes the manifest anew as a weft of a later format version would.
  void make_newer(const fs::path& folder) {
    Json json = read_json(files_, folder / kManifestName);
    json.erase("digest");
    json["version"] = 7;
    json["digest"] = sha256_hex(dump_json(json));
    overwrite(folder / kManifestName, dump_json_pretty(json) + "\n");
  }
};

TEST_F(CheckpointFindTest, NothingThereIsANewRun) {
  EXPECT_FALSE(find_resume_point(files_, out_, "auto").has_value());
  EXPECT_FALSE(find_resume_point(files_, out_ / "absent", "auto").has_value());
  EXPECT_FALSE(find_resume_point(files_, out_, "none").has_value());
}

TEST_F(CheckpointFindTest, AutoTakesTheHighestStepNotTheLastName) {
  save_example(files_, out_, 999'999);
  save_example(files_, out_, 1'000'000);
  save_example(files_, out_, 20);
  EXPECT_EQ(find_resume_point(files_, out_, "auto")->state.step, 1'000'000);
}

TEST_F(CheckpointFindTest, OtherNamesAreNotCheckpoints) {
  save_example(files_, out_, 2);
  for (const char* name :
       {"checkpoint-", "checkpoint-9x", "checkpoint--9", "checkpoint-99999999999999999999",
        ".tmp-checkpoint-000009-1", "checkpoint-000009.removed", "checkpoint-000009.superseded"}) {
    files_.make_folders(out_ / name);
  }
  publish_file(files_, out_ / "checkpoint-000010", std::string_view("a file"));
  ASSERT_EQ(list_checkpoints(files_, out_).size(), 1U);
  EXPECT_EQ(find_resume_point(files_, out_, "auto")->state.step, 2);
}

TEST_F(CheckpointFindTest, NewestWithoutManifestIsPassedOverWithAWarning) {
  save_example(files_, out_, 1);
  files_.remove(save_example(files_, out_, 2) / kManifestName);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(find_resume_point(files_, out_, "auto")->state.step, 1);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("checkpoint-000002"));
}

TEST_F(CheckpointFindTest, AllBadIsAnErrorThatListsEachWithItsReason) {
  files_.remove(save_example(files_, out_, 1) / kManifestName);
  overwrite(save_example(files_, out_, 2) / "adapter_model.safetensors", "damaged bytes");
  const Error error = refusal("auto");
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("checkpoint-000001: no MANIFEST.json"),
                    HasSubstr("checkpoint-000002: adapter_model.safetensors is damaged"),
                    HasSubstr("remove them to start again")));
}

TEST_F(CheckpointFindTest, ExplicitPathIsTakenThoughOlder) {
  const fs::path first = save_example(files_, out_, 1);
  save_example(files_, out_, 2);
  const auto point = find_resume_point(files_, out_, first.string());
  EXPECT_EQ(point->state.step, 1);
  set_newer_aside(files_, out_, first.string(), *point);
  // Else a later "auto" would go on from the abandoned branch.
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000001", "checkpoint-000002.superseded"));
  EXPECT_EQ(find_resume_point(files_, out_, "auto")->state.step, 1);
}

TEST_F(CheckpointFindTest, AutoLeavesDamagedNewerOnesWhereTheyAre) {
  save_example(files_, out_, 1);
  files_.remove(save_example(files_, out_, 2) / kManifestName);
  set_newer_aside(files_, out_, "auto", *find_resume_point(files_, out_, "auto"));
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000001", "checkpoint-000002"));
}

TEST_F(CheckpointFindTest, ExplicitPathOfAnotherRunLeavesItAlone) {
  const fs::path other = save_example(files_, out_ / "other", 1);
  save_example(files_, out_ / "other", 2);
  const auto point = find_resume_point(files_, out_ / "mine", other.string());
  EXPECT_EQ(point->state.step, 1);
  set_newer_aside(files_, out_ / "mine", other.string(), *point);
  EXPECT_THAT(files_.list(out_ / "other"), ElementsAre("checkpoint-000001", "checkpoint-000002"));
}

TEST_F(CheckpointFindTest, ExplicitPathThatIsDamagedIsAnErrorWithoutFallback) {
  save_example(files_, out_, 1);
  const fs::path second = save_example(files_, out_, 2);
  overwrite(second / "adapter_model.safetensors", "damaged bytes");
  const Error error = refusal(second.string());
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("adapter_model.safetensors is damaged"));
}

TEST_F(CheckpointFindTest, ExplicitPathThatIsNotThere) {
  EXPECT_THAT(refusal((out_ / "checkpoint-000009").string()).what(),
              AllOf(HasSubstr("resume_from_checkpoint"), HasSubstr("is not a folder")));
}

TEST_F(CheckpointFindTest, NoneIsRefusedWhereCheckpointsAre) {
  save_example(files_, out_, 3);
  const Error error = refusal("none");
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("already holds checkpoint-000003"), HasSubstr("another output_dir")));
}

TEST_F(CheckpointFindTest, NewerFormatIsRefusedWithBothVersionsNotPassedOver) {
  save_example(files_, out_, 1);
  make_newer(save_example(files_, out_, 2));
  const Error error = refusal("auto");
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("checkpoint-000002"), HasSubstr("format version 7"),
                                  HasSubstr("reads versions up to 1")));
}

TEST_F(CheckpointFindTest, KilledReplacementLeavesTheOldOneReadable) {
  const fs::path folder = save_example(files_, out_, 4);
  fs::rename(folder, folder.string() + ".replaced");
  EXPECT_EQ(find_resume_point(files_, out_, "auto")->folder.filename(),
            "checkpoint-000004.replaced");
  save_example(files_, out_, 4);
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000004"));
}

}  // namespace
}  // namespace weft::trainer
