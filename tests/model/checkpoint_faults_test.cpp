// Every write, sync and rename of a model that is written fails in turn, and the power goes at
// each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "model/checkpoint_reader.h"
#include "model/init.h"
#include "model/presets.h"
#include "tests/model/files_test_support.h"
#include "tests/support/failing_file_system.h"

namespace weft::model {
namespace {

using test::FailingFileSystem;
using test::TempFolder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::read_text;

Qwen3Config small_config() {
  return override_config(preset_config("tiny", 50),
                         {"hidden_size=32", "intermediate_size=48", "num_hidden_layers=1",
                          "num_attention_heads=2", "head_dim=8", "eos_token_id=2"});
}

void publish_model(FileSystem& files, const fs::path& out) {
  PublishedFolder folder(files, out);
  write_random_checkpoint(files, folder.path(), small_config(),
                          {.max_shard_bytes = 6000, .threads = 1});
  folder.commit();
}

void expect_whole_model(const fs::path& out) {
  FileSystem& files = posix_file_system();
  EXPECT_EQ(read_qwen3_config(files, out), small_config());
  const CheckpointReader reader = CheckpointReader::open(files, out);
  for (const TensorSpec& spec : qwen3_tensors(small_config(), DType::kBFloat16)) {
    reader.expect(spec.name, spec.shape);
  }
}

TEST(CheckpointFaults, AFailedCallLeavesNothingBehind) {
  const TempFolder folder;
  FailingFileSystem files(posix_file_system(), folder.path());
  std::size_t failures = 0;
  for (std::size_t n = 1;; ++n) {
    const fs::path out = folder.path() / ("model-" + std::to_string(n));
    files.fail_call(n, ENOSPC);
    bool threw = false;
    try {
      publish_model(files, out);
    } catch (const Error& error) {
      threw = true;
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      EXPECT_THAT(error.what(), HasSubstr("No space left on device"));
    }
    if (!files.failed()) break;
    ++failures;
    ASSERT_TRUE(threw) << "call " << n << " failed unnoticed";
    files.heal();
    // The last call, the sync of the parent, fails after the model has its name.
    if (fs::exists(out)) {
      expect_whole_model(out);
      fs::remove_all(out);
    }
    EXPECT_THAT(files.list(folder.path()), IsEmpty()) << "after call " << n;
  }
  EXPECT_GT(failures, 20u);
}

TEST(CheckpointFaults, APowerCutLeavesTheWholeModelOrNone) {
  std::size_t whole = 0;
  for (std::size_t n = 1;; ++n) {
    const TempFolder folder;
    FailingFileSystem files(posix_file_system(), folder.path());
    files.fail_call(n, EIO, FailingFileSystem::Then::kDie);
    try {
      publish_model(files, folder.path() / "model");
    } catch (const Error&) {
      // What counts is the state on disk.
    }
    const bool died = files.failed();
    files.lose_power(n % 2 == 0 ? test::PowerLoss::kDropEntries : test::PowerLoss::kKeepEntries);
    if (fs::exists(folder.path() / "model")) {
      expect_whole_model(folder.path() / "model");
      ++whole;
    }
    if (!died) break;
  }
  EXPECT_GE(whole, 1u);
}

TEST(CheckpointFaults, APublishedFileIsOldOrNew) {
  const TempFolder folder;
  const fs::path path = folder.path() / "adapter.safetensors";
  FailingFileSystem files(posix_file_system(), folder.path());
  const std::vector<std::byte> bytes(100, std::byte{1});
  const TensorBytes before{{"before", DType::kUint8, {100}}, bytes};
  const TensorBytes after{{"after", DType::kUint8, {100}}, bytes};
  for (std::size_t n = 1;; ++n) {
    publish_safetensors(posix_file_system(), path, {&before, 1});
    const std::string old_text = read_text(path);
    files.fail_call(n, EIO);
    try {
      publish_safetensors(files, path, {&after, 1});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
    }
    const SafetensorsFile file = SafetensorsFile::open(posix_file_system(), path);
    if (!files.failed()) {
      EXPECT_TRUE(file.contains("after"));
      break;
    }
    EXPECT_TRUE(file.contains("after") || read_text(path) == old_text);
    EXPECT_EQ(files.list(folder.path()).size(), 1u) << "after call " << n;
  }
}

}  // namespace
}  // namespace weft::model
