#include "adapters/merge.h"

#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "model/checkpoint_reader.h"
#include "tests/model/fixture.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using ::testing::HasSubstr;

fs::path base_folder() { return test::fixture_folder() / "model" / "tied_gqa1"; }
fs::path adapter_folder() { return test::fixture_folder() / "lora" / "tied_gqa1"; }

TEST(Merge, EqualsPeftsMergeAndKeepsTheRest) {
  const test::TempFolder temp;
  const auto result =
      adapters::merge_adapter(posix_file_system(), base_folder(), adapter_folder(), temp / "out");
  EXPECT_EQ(result.merged_matrices, 14);
  const auto merged = test::read_tensors(temp / "out/model.safetensors");
  const auto base = test::read_tensors(base_folder() / "model.safetensors");
  const auto expected =
      test::read_tensors(test::fixture_folder() / "lora/tied_gqa1/expected.safetensors");
  int compared = 0;
  for (const auto& [name, tensor] : expected) {
    if (name.starts_with("merged.")) {
      EXPECT_LT(test::relative_error(merged.at(name.substr(7)), tensor), 1e-6) << name;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 7);
  EXPECT_EQ(merged.size(), base.size()) << "a tied head must not appear";
  EXPECT_TRUE(merged.at("model.embed_tokens.weight").equal(base.at("model.embed_tokens.weight")));
  EXPECT_EQ(read_file(posix_file_system(), temp / "out/config.json"),
            read_file(posix_file_system(), base_folder() / "config.json"));
}

TEST(Merge, ShardsHoldTheSameValuesAsOneFile) {
  const test::TempFolder temp;
  (void)adapters::merge_adapter(posix_file_system(), base_folder(), adapter_folder(), temp / "one");
  adapters::MergeOptions options;
  options.max_shard_bytes = 60'000;
  (void)adapters::merge_adapter(posix_file_system(), base_folder(), adapter_folder(), temp / "many",
                                options);
  EXPECT_TRUE(fs::exists(temp / "many/model.safetensors.index.json"));
  const auto one = model::CheckpointReader::open(posix_file_system(), temp / "one");
  const auto many = model::CheckpointReader::open(posix_file_system(), temp / "many");
  ASSERT_EQ(one.names(), many.names());
  for (const std::string& name : one.names()) {
    std::vector<std::byte> left(one.info(name).bytes());
    std::vector<std::byte> right(many.info(name).bytes());
    one.read(name, left);
    many.read(name, right);
    EXPECT_EQ(left, right) << name;
  }
}

TEST(Merge, NeverTouchesItsInputsOrWhatIsThere) {
  const test::TempFolder temp;
  const auto message = [&](const fs::path& out) -> std::string {
    try {
      (void)adapters::merge_adapter(posix_file_system(), base_folder(), adapter_folder(), out);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(message(base_folder()), HasSubstr("is one of the inputs"));
  fs::create_directories(temp / "there");
  EXPECT_THAT(message(temp / "there"), HasSubstr("exists; remove it or choose another folder"));
}

}  // namespace
}  // namespace weft
