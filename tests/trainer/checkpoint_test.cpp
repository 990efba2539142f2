#include "trainer/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "base/sha256.h"
#include "tests/support/caught.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/checkpoint_testing.h"

namespace weft::trainer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  FileSystem& files_ = posix_file_system();
  test::TempFolder temp_;
  const fs::path& out_ = temp_.path();

  std::string reason(const fs::path& folder) {
    const Error error = test::caught([&] { static_cast<void>(read_checkpoint(files_, folder)); });
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }
};

TEST_F(CheckpointTest, HoldsTheFilesAndNothingElseIsLeft) {
  const fs::path folder = save_example(files_, out_, 123);
  EXPECT_EQ(folder, out_ / "checkpoint-000123");
  EXPECT_EQ(files_.list(folder), example_files());
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000123"));
}

TEST_F(CheckpointTest, StateAndTensorsComeBack) {
  const ResumePoint point = read_checkpoint(files_, save_example(files_, out_, 41));
  EXPECT_EQ(trainer_state_text(point.state), trainer_state_text(example_state(41)));
  const auto tensors = model::SafetensorsFile::open(files_, point.folder / "optimizer.safetensors");
  std::vector<float> values(37);
  tensors.read("master", std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values, example_values(41));
}

TEST_F(CheckpointTest, SavedAgainItIsByteForByteTheSame) {
  const fs::path first = save_example(files_, out_ / "a", 41);
  const fs::path second = save_example(files_, out_ / "b", 41);
  for (const std::string& name : example_files()) {
    EXPECT_EQ(read_file(files_, first / name), read_file(files_, second / name)) << name;
  }
}

TEST_F(CheckpointTest, ManifestHasTheChecksumsOfTheFilesOnDisk) {
  const fs::path folder = save_example(files_, out_, 41);
  const Manifest manifest = parse_manifest(read_file(files_, folder / kManifestName), "manifest");
  EXPECT_EQ(manifest.step, 41);
  EXPECT_EQ(manifest.files.size(), example_files().size() - 1);
  for (const auto& [name, record] : manifest.files) {
    EXPECT_EQ(record.sha256, sha256_file(files_, folder / name)) << name;
    EXPECT_EQ(record.bytes, fs::file_size(folder / name)) << name;
  }
}

TEST_F(CheckpointTest, FileThatWasWrittenAroundTheWriterIsInTheManifestToo) {
  CheckpointWriter writer(files_, out_, 1);
  write_synced(files_, writer.folder() / "notes.txt", std::string_view("by another way"));
  const fs::path folder = writer.commit(example_state(1));
  EXPECT_EQ(verify_checkpoint(files_, folder, true).files.at("notes.txt").sha256,
            sha256_hex("by another way"));
}

TEST_F(CheckpointTest, AbandonedSaveLeavesNothing) {
  {
    CheckpointWriter writer(files_, out_, 5);
    writer.add_text("adapter_config.json", "{}");
  }
  EXPECT_THAT(files_.list(out_), ElementsAre());
}

TEST_F(CheckpointTest, SameStepIsReplaced) {
  save_example(files_, out_, 7, /*variant=*/1);
  const fs::path folder = save_example(files_, out_, 7, /*variant=*/2);
  EXPECT_THAT(read_file(files_, folder / "adapter_config.json"), HasSubstr("\"variant\": 2"));
  EXPECT_THAT(files_.list(out_), ElementsAre("checkpoint-000007"));
}

TEST_F(CheckpointTest, StateOfAnotherStepIsADefect) {
  CheckpointWriter writer(files_, out_, 5);
  const Error error = test::caught([&] { writer.commit(example_state(6)); });
  EXPECT_EQ(error.kind(), ErrorKind::kInternal);
}

TEST_F(CheckpointTest, MissingManifest) {
  const fs::path folder = save_example(files_, out_, 5);
  files_.remove(folder / kManifestName);
  EXPECT_THAT(reason(folder),
              AllOf(HasSubstr(folder.string()), HasSubstr("the save was not finished")));
}

TEST_F(CheckpointTest, MissingFileIsNamed) {
  const fs::path folder = save_example(files_, out_, 5);
  files_.remove(folder / "optimizer.safetensors");
  EXPECT_THAT(reason(folder), HasSubstr("optimizer.safetensors is missing"));
}

TEST_F(CheckpointTest, ExtraFileIsReportedAndIgnored) {
  const fs::path folder = save_example(files_, out_, 5);
  publish_file(files_, folder / "extra.bin", std::string_view("?"));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(read_checkpoint(files_, folder).state.step, 5);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("extra.bin is not in the manifest"));
}

TEST_F(CheckpointTest, FileThatIsALinkIsRefused) {
  const fs::path folder = save_example(files_, out_, 5);
  fs::rename(folder / "adapter_config.json", out_ / "elsewhere.json");
  fs::create_symlink(out_ / "elsewhere.json", folder / "adapter_config.json");
  EXPECT_THAT(reason(folder), HasSubstr("adapter_config.json"));
}

TEST_F(CheckpointTest, ManifestOfAnotherStepThanTheState) {
  CheckpointWriter writer(files_, out_, 5);
  const fs::path folder = writer.commit(example_state(5));
  overwrite(folder / kTrainerStateName, trainer_state_text(example_state(6)));
  Manifest manifest = parse_manifest(read_file(files_, folder / kManifestName), "manifest");
  manifest.files.at("trainer_state.json") = {
      .bytes = fs::file_size(folder / kTrainerStateName),
      .sha256 = sha256_file(files_, folder / kTrainerStateName)};
  overwrite(folder / kManifestName, manifest_text(manifest));
  EXPECT_THAT(reason(folder), HasSubstr("the manifest is of step 5, trainer_state.json of step 6"));
}

TEST_F(CheckpointTest, ManifestCannotNameFilesOutsideTheFolder) {
  for (const char* name : {"../x", "/etc/passwd", "..", "", "a/b"}) {
    Manifest manifest{.step = 1, .files = {{"trainer_state.json", {.bytes = 0, .sha256 = ""}}}};
    manifest.files[name] = {.bytes = 1, .sha256 = ""};
    const Error error = test::caught(
        [&] { static_cast<void>(parse_manifest(manifest_text(manifest), "manifest")); });
    EXPECT_THAT(error.what(), HasSubstr("is not the name of a file in this folder")) << name;
  }
}

TEST_F(CheckpointTest, ManifestWithoutTheStateIsRefused) {
  const Error error = test::caught(
      [] { static_cast<void>(parse_manifest(manifest_text({.step = 1, .files = {}}), "m")); });
  EXPECT_THAT(error.what(), HasSubstr("trainer_state.json is not listed"));
}

}  // namespace
}  // namespace weft::trainer
