#include "tests/trainer/run_testing.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/model/fixture.h"
#include "tests/support/temp_folder.h"

namespace weft::test {

trainer::RunConfig fixture_config(const std::string& curve, const fs::path& out,
                                  std::vector<std::string> overrides) {
  const fs::path folder = fixture_folder() / "lora" / curve;
  const Json json = read_json(posix_file_system(), folder / "curve.json");
  overrides.push_back("model_name_or_path=" +
                      (fixture_folder() / "model" / json_string(json, "model", "curve")).string());
  overrides.push_back(fmt::format("datasets=[{{path: {}}}]", (folder / "rows.jsonl").string()));
  overrides.push_back("output_dir=" + out.string());
  if (fs::exists(folder / "initial")) {
    overrides.push_back("adapter_name_or_path=" + (folder / "initial").string());
  }
  return trainer::load_run_config(posix_file_system(), folder / "run.yaml", overrides).config;
}

std::vector<Json> metrics_of(const fs::path& out) {
  std::vector<Json> lines;
  const std::string text = read_file(posix_file_system(), out / "metrics.jsonl");
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(parse_json(text.substr(begin, end - begin), "metrics"));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::pair<double, double>> curve_of(const fs::path& out) {
  std::vector<std::pair<double, double>> curve;
  for (const Json& line : metrics_of(out)) {
    if (line.contains("loss")) {
      curve.emplace_back(line.at("loss").get<double>(), line.at("grad_norm").get<double>());
    }
  }
  return curve;
}

trainer::RunResult run(const trainer::RunConfig& config) {
  trainer::Trainer trainer(posix_file_system(), config);
  return trainer.run();
}

void expect_resumed_equals_whole(std::vector<std::string> settings) {
  at::set_num_threads(1);
  settings.insert(settings.end(), {"max_steps=4", "save_steps=2"});
  const TempFolder temp;
  (void)run(fixture_config("train_curve", temp / "whole", settings));
  fs::create_directories(temp / "resumed");
  fs::copy(temp / "whole/checkpoint-000002", temp / "resumed/checkpoint-000002",
           fs::copy_options::recursive);
  (void)run(fixture_config("train_curve", temp / "resumed", settings));
  const auto result = [&](const char* out) {
    return read_file(posix_file_system(), temp / out / "final/adapter_model.safetensors");
  };
  EXPECT_EQ(result("resumed"), result("whole"));
}

}  // namespace weft::test
