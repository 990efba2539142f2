// The ready-made configurations are read by the program as they stand, and differ only where the
// sizes of the models make them differ.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "base/file_system.h"
#include "trainer/run_config.h"

namespace weft::trainer {
namespace {

const fs::path kConfigs = fs::path(WEFT_SOURCE_DIR) / "configs";
const std::vector<std::string> kSizes = {"0.6b", "1.7b", "4b", "8b", "14b", "32b"};

RunConfig load(const fs::path& file) {
  const LoadedConfig loaded = load_run_config(posix_file_system(), file);
  EXPECT_THAT(loaded.notes, ::testing::IsEmpty()) << file;
  return loaded.config;
}

fs::path of_size(const std::string& size) { return kConfigs / ("qwen3-" + size + ".yaml"); }

// The resolved file, key by key.
std::map<std::string, std::string> keys(const RunConfig& config) {
  std::map<std::string, std::string> found;
  std::istringstream in(config.to_yaml());
  std::string line;
  while (std::getline(in, line)) {
    const auto colon = line.find(": ");
    if (colon != std::string::npos && line[0] != '#') {
      found[line.substr(0, colon)] = line.substr(colon + 2);
    }
  }
  return found;
}

TEST(Configs, EachSizeHasAFile) {
  for (const std::string& size : kSizes) {
    const RunConfig config = load(of_size(size));
    EXPECT_EQ(config.output_dir, "runs/qwen3-" + size + "-lora");
    EXPECT_EQ(config.per_device_train_batch_size * config.gradient_accumulation_steps, 8) << size;
  }
}

TEST(Configs, SizesDifferOnlyInWhatMustDiffer) {
  const std::set<std::string> may_differ = {"model_name_or_path", "output_dir",
                                            "per_device_train_batch_size",
                                            "gradient_accumulation_steps"};
  const auto smallest = keys(load(of_size("0.6b")));
  ASSERT_GT(smallest.size(), 20U);
  for (const std::string& size : kSizes) {
    for (const auto& [key, value] : keys(load(of_size(size)))) {
      if (!may_differ.contains(key)) {
        EXPECT_EQ(value, smallest.at(key)) << key << " of " << size;
      }
    }
  }
}

}  // namespace
}  // namespace weft::trainer
