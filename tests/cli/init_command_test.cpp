#include "cli/init_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "model/checkpoint_reader.h"
#include "model/qwen3_config.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft::cli {
namespace {

using ::testing::HasSubstr;

class InitCommandTest : public ::testing::Test {
 protected:
  void init(std::vector<std::string> arguments) {
    CLI::App app;
    add_init_command(app);
    arguments.insert(arguments.begin(), "init");
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes a vector
    app.parse(arguments);
  }

  FileSystem& files_ = posix_file_system();
  test::TempFolder folder_;
  fs::path out_ = folder_ / "model";
};

TEST_F(InitCommandTest, WritesAModel) {
  init({"--preset", "tiny", "--out", out_.string(), "--vocab-size", "300", "--dtype", "fp32",
        "--set", "num_hidden_layers=2", "--set", "eos_token_id=1"});
  const model::Qwen3Config config = model::read_qwen3_config(files_, out_);
  EXPECT_EQ(config.vocab_size, 300);
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.dtype, model::DType::kFloat32);
  EXPECT_EQ(config.eos_token_ids, std::vector<std::int64_t>{1});
  const auto reader = model::CheckpointReader::open(files_, out_);
  EXPECT_EQ(reader.total_bytes(), 4 * static_cast<std::uint64_t>(config.parameter_count()));
}

TEST_F(InitCommandTest, RefusesAFolderThatExists) {
  files_.make_folders(out_);
  const Error error = test::caught([&] { init({"--preset", "tiny", "--out", out_.string()}); });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  EXPECT_THAT(error.what(), HasSubstr("exists already"));
}

TEST_F(InitCommandTest, RefusesUnknownSizesAndKeys) {
  const auto message = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--out", out_.string()});
    return std::string(test::caught([&] { init(arguments); }).what());
  };
  EXPECT_THAT(message({"--preset", "9b"}), HasSubstr("no preset '9b'"));
  EXPECT_THAT(message({"--preset", "30b-a3b"}), HasSubstr("mixture-of-experts"));
  EXPECT_THAT(message({"--preset", "tiny", "--set", "hiden_size=8"}),
              HasSubstr("did you mean 'hidden_size'?"));
  EXPECT_THROW(init({"--preset", "tiny", "--out", out_.string(), "--dtype", "int8"}),
               CLI::ValidationError);
  EXPECT_FALSE(files_.exists(out_));
}

TEST_F(InitCommandTest, AMissingTokenizerLeavesNothingBehind) {
  files_.make_folders(folder_ / "empty");
  const Error error = test::caught([&] {
    init({"--preset", "tiny", "--out", out_.string(), "--tokenizer", (folder_ / "empty").string()});
  });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("empty"));
  EXPECT_EQ(files_.list(folder_.path()), std::vector<std::string>{"empty"});
}

}  // namespace
}  // namespace weft::cli
