#include "model/init.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "model/checkpoint_reader.h"
#include "model/generation_config.h"
#include "model/presets.h"
#include "tests/model/files_test_support.h"

namespace weft::model {
namespace {

using test::TempFolder;
using ::testing::ElementsAre;
using testing::read_text;

Qwen3Config small_config() {
  return override_config(preset_config("tiny", 500),
                         {"hidden_size=64", "num_hidden_layers=2", "eos_token_id=2"});
}

TEST(Init, WritesAModelThatReadsBack) {
  TempFolder folder;
  FileSystem& files = posix_file_system();
  const Qwen3Config config = small_config();
  write_random_checkpoint(files, folder.path(), config, {});
  EXPECT_EQ(read_qwen3_config(files, folder.path()), config);
  EXPECT_THAT(read_generation_config(files, folder.path(), config).eos_token_ids, ElementsAre(2));
  const CheckpointReader reader = CheckpointReader::open(files, folder.path());
  std::int64_t parameters = 0;
  for (const TensorSpec& spec : qwen3_tensors(config, config.dtype)) {
    EXPECT_EQ(reader.expect(spec.name, spec.shape).dtype, DType::kBFloat16);
    parameters += static_cast<std::int64_t>(element_count(spec.shape, spec.name));
  }
  EXPECT_EQ(reader.names().size(), qwen3_tensors(config, config.dtype).size());
  EXPECT_EQ(parameters, config.parameter_count());
}

TEST(Init, WeightsHaveTheDeviationAndNormsAreOne) {
  TempFolder folder;
  FileSystem& files = posix_file_system();
  const Qwen3Config config =
      override_config(small_config(), {"torch_dtype=float32", "initializer_range=0.05"});
  write_random_checkpoint(files, folder.path(), config, {});
  const CheckpointReader reader = CheckpointReader::open(files, folder.path());
  for (const std::string& name : reader.names()) {
    std::vector<float> values(reader.info(name).bytes() / sizeof(float));
    reader.read(name, std::as_writable_bytes(std::span(values)));
    if (is_norm_tensor(name)) {
      EXPECT_EQ(values, std::vector<float>(values.size(), 1.0f)) << name;
      continue;
    }
    double sum = 0;
    double squares = 0;
    for (const float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    const auto n = static_cast<double>(values.size());
    EXPECT_NEAR(sum / n, 0.0, 5 * 0.05 / std::sqrt(n)) << name;
    EXPECT_NEAR(std::sqrt(squares / n), 0.05, 5 * 0.05 / std::sqrt(2 * n)) << name;
  }
}

TEST(Init, NormalNumbersFollowTheirDistribution) {
  std::vector<float> values(200000);
  fill_normal(values, 1, "w", 0, 1.0);
  double fourth = 0;
  std::size_t beyond_one = 0;
  std::size_t beyond_three = 0;
  for (const float value : values) {
    fourth += std::pow(value, 4);
    beyond_one += std::abs(value) > 1.0f;
    beyond_three += std::abs(value) > 3.0f;
  }
  EXPECT_NEAR(fourth / 200000, 3.0, 0.15);
  EXPECT_NEAR(static_cast<double>(beyond_one) / 200000, 0.3173, 0.006);
  EXPECT_NEAR(static_cast<double>(beyond_three) / 200000, 0.0027, 0.0006);
}

TEST(Init, BytesDependOnTheSeedAndNotOnThreadsOrShards) {
  FileSystem& files = posix_file_system();
  // Its embedding (2.5 million elements) is larger than what one thread fills at a time.
  const Qwen3Config config = override_config(preset_config("tiny", 20000), {"num_hidden_layers=1"});
  const auto weights = [&](const InitOptions& options) {
    TempFolder folder;
    write_random_checkpoint(files, folder.path(), config, options);
    const CheckpointReader reader = CheckpointReader::open(files, folder.path());
    std::string all;
    for (const std::string& name : reader.names()) {
      std::string bytes(reader.info(name).bytes(), '\0');
      reader.read(name, std::as_writable_bytes(std::span(bytes)));
      all += bytes;
    }
    return all;
  };
  const std::string one = weights({.seed = 1, .threads = 1});
  EXPECT_TRUE(one == weights({.seed = 1, .threads = 3}));
  EXPECT_TRUE(one == weights({.seed = 1, .max_shard_bytes = 1'000'000, .threads = 2}));
  EXPECT_FALSE(one == weights({.seed = 2, .threads = 1}));
}

TEST(Init, PiecesOfATensorFitTogether) {
  std::vector<float> whole(1000);
  fill_normal(whole, 9, "w", 0, 0.02);
  std::vector<float> part(500);
  fill_normal(part, 9, "w", 500, 0.02);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 500));
  std::vector<float> other(1000);
  fill_normal(other, 9, "v", 0, 0.02);
  EXPECT_NE(whole, other);
}

TEST(Init, ConfigIsWrittenAsHuggingFaceDoes) {
  TempFolder folder;
  write_random_checkpoint(posix_file_system(), folder.path(), small_config(), {});
  const std::string text = read_text(folder.path() / "config.json");
  EXPECT_TRUE(text.starts_with("{\n  \"architectures\": [\n    \"Qwen3ForCausalLM\"\n  ],\n"));
  EXPECT_NE(text.find("\n  \"rms_norm_eps\": 1e-06,\n"), std::string::npos);
  EXPECT_NE(text.find("\n  \"rope_theta\": 1000000"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\n}\n"));
}

}  // namespace
}  // namespace weft::model
