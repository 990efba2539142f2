#include "cli/tokenize_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "data/shard_set.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft::cli {
namespace {

using ::testing::HasSubstr;

class TokenizeCommandTest : public ::testing::Test {
 protected:
  TokenizeCommandTest() {
    put("rows.jsonl",
        "{\"ids\": [5, 6, 7], \"labels\": [-100, 6, 7]}\n"
        "{\"ids\": [5, 6], \"labels\": [-100, -100]}\n"
        "{\"ids\": [1, 2, 3, 4], \"labels\": [1, 2, 3, 4]}\n");
    config_ = "model_name_or_path: " WEFT_SOURCE_DIR
              "/tests/fixtures/model/one_layer\n"
              "datasets: [{path: " +
              (folder_ / "rows.jsonl").string() +
              "}]\n"
              "output_dir: " +
              (folder_ / "shards").string() + "\n";
  }

  void put(const std::string& name, const std::string& text) {
    publish_file(posix_file_system(), folder_ / name, text);
  }

  /// Runs the verb on config_; what it prints on standard output.
  std::string tokenize(std::vector<std::string> overrides = {}) {
    put("config.yaml", config_);
    CLI::App app;
    add_tokenize_command(app);
    std::reverse(overrides.begin(), overrides.end());  // as CLI11 takes a vector
    overrides.push_back((folder_ / "config.yaml").string());
    overrides.emplace_back("tokenize");
    testing::internal::CaptureStdout();
    try {
      app.parse(overrides);
    } catch (...) {
      (void)testing::internal::GetCapturedStdout();
      throw;
    }
    return testing::internal::GetCapturedStdout();
  }

  Error refusal(std::vector<std::string> overrides = {}) {
    return test::caught([&] { (void)tokenize(std::move(overrides)); });
  }

  test::TempFolder folder_;
  std::string config_;
};

TEST_F(TokenizeCommandTest, WritesShardsAndSaysWhatBecameOfTheRows) {
  const std::string said = tokenize();
  EXPECT_THAT(said, HasSubstr("rows  documents  tokens  targets  no target\n"));
  EXPECT_THAT(said, HasSubstr("     3          2       7        5          1\n"));
  EXPECT_THAT(said, HasSubstr("report: " + (folder_ / "shards/report.html").string() + "\n"));
  EXPECT_THAT(said, HasSubstr("shards: 2 documents, 7 tokens, 5 of them targets, in 1 shard\n"));
  EXPECT_EQ(data::ShardSet(posix_file_system(), folder_ / "shards").documents(), 2);
}

TEST_F(TokenizeCommandTest, ASplitMakesTwoFoldersOfShards) {
  std::string rows;
  for (int i = 0; i < 40; ++i) {
    rows += fmt::format("{{\"ids\": [1, 2, {}], \"labels\": [-100, 2, {}]}}\n", i, i);
  }
  put("rows.jsonl", rows + rows);
  const std::string said = tokenize({"val_size=10", "deduplicate=true"});
  EXPECT_THAT(said, HasSubstr("train: 30 documents"));
  EXPECT_THAT(said, HasSubstr("validation: 10 documents"));
  EXPECT_EQ(data::ShardSet(posix_file_system(), folder_ / "shards/train").documents(), 30);
  EXPECT_EQ(data::ShardSet(posix_file_system(), folder_ / "shards/validation").documents(), 10);
  EXPECT_THAT(refusal({"val_size=1.5"}).what(), HasSubstr("val_size: is 1.5; expected a share"));
}

TEST_F(TokenizeCommandTest, ASecondRunFindsTheShards) {
  (void)tokenize();
  EXPECT_THAT(tokenize(), HasSubstr("(there already, and nothing changed)"));
}

TEST_F(TokenizeCommandTest, OverridesWinOverTheFile) {
  config_ += "max_length: 100\n";
  EXPECT_THAT(tokenize({"max_length=3", "overlong=truncate"}), HasSubstr("2 documents, 6 tokens"));
}

TEST_F(TokenizeCommandTest, LosingMoreThanIsAllowedIsAnErrorThatKeepsTheShards) {
  const Error error = refusal({"max_dropped_fraction=0.3"});
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("rows.jsonl: 33.3% of its 3 rows were dropped (1 without a "
                                      "target), the first at "));
  EXPECT_THAT(error.what(), HasSubstr("rows.jsonl:2: no token of it is a target, over "
                                      "max_dropped_fraction 0.3"));
  // Asked again with another limit, nothing is tokenised again; with the same, it is refused again.
  EXPECT_THAT(tokenize({"max_dropped_fraction=0.4"}), HasSubstr("there already"));
  EXPECT_EQ(refusal({"max_dropped_fraction=0.3"}).kind(), ErrorKind::kData);
}

TEST_F(TokenizeCommandTest, ADatasetOfWhichNothingIsKeptIsAnError) {
  put("masked.jsonl", "{\"ids\": [5, 6], \"labels\": [-100, -100]}\n");
  const std::string both = "datasets=[{path: " + (folder_ / "rows.jsonl").string() +
                           "}, {path: " + (folder_ / "masked.jsonl").string() + "}]";
  EXPECT_THAT(refusal({both}).what(), HasSubstr("masked.jsonl: 100.0% of its 1 rows were dropped"));
  EXPECT_NO_THROW((void)tokenize({both, "max_dropped_fraction=1"}));
}

TEST_F(TokenizeCommandTest, CuttingMoreThanIsAllowedIsAnError) {
  EXPECT_THAT(refusal({"max_length=3", "overlong=truncate", "max_truncated_fraction=0.2"}).what(),
              HasSubstr("33.3% of its 3 rows were cut or split at max_length, over"));
}

TEST_F(TokenizeCommandTest, MissingAndUnknownKeysAreConfigErrors) {
  const std::string whole = config_;
  config_ += "max_lenght: 3\n";
  EXPECT_EQ(refusal().kind(), ErrorKind::kConfig);
  EXPECT_THAT(refusal().what(), HasSubstr("max_length"));
  config_ = whole.substr(whole.find("datasets"));
  EXPECT_THAT(refusal().what(), HasSubstr("model_name_or_path is missing"));
}

TEST_F(TokenizeCommandTest, EveryProblemOfADatasetIsNamed) {
  const Error error = refusal({"datasets=[{path: a.txt, fromat: text}, {format: chat}, 7]"});
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  EXPECT_THAT(error.what(), HasSubstr("format"));
  EXPECT_THAT(error.what(), HasSubstr("datasets[1]: path is missing"));
}

TEST_F(TokenizeCommandTest, ABadRowIsADataErrorAndLeavesNoShards) {
  put("rows.jsonl", "{\"ids\": [5], \"labels\": [6]}\n");
  const Error error = refusal();
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("rows.jsonl:1: labels[0] is 6"));
  EXPECT_FALSE(posix_file_system().exists(folder_ / "shards"));
}

}  // namespace
}  // namespace weft::cli
