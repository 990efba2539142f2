#include "tests/trainer/checkpoint_testing.h"

#include <fmt/format.h>

#include <fstream>

namespace weft::trainer {

TrainerState example_state(std::int64_t step) {
  TrainerState s;
  s.step = step;
  s.max_steps = 1000;
  s.epoch = static_cast<double>(step) / 7.0;
  s.loader_epoch = step / 7;
  s.loader_batch = step % 7;
  s.tokens = 1000 * step;
  s.trained_tokens = 333 * step;
  s.model_flops = 1e15 * static_cast<double>(step);
  s.skipped_updates = 3;
  s.skipped_in_a_row = 1;
  s.unlogged_loss_sum = 0.1 + 0.2;
  s.unlogged_trained_tokens = 17;
  s.best = {
      .value = 1.0 / static_cast<double>(step + 2), .step = step - 1, .checks_without_progress = 2};
  s.counters = {{"dropout", step * 11}};
  s.identity = {{"lora_rank", "32"}, {"base", "sha256:abc"}};
  s.settings = {{"learning_rate", "auto"}};
  Json entry;
  entry["step"] = step;
  entry["loss"] = 1.0 / 3.0;
  s.log_history = {entry};
  return s;
}

std::vector<float> example_values(std::int64_t step) {
  std::vector<float> values(37);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(step) + 0.125F * static_cast<float>(i);
  }
  return values;
}

fs::path save_example(FileSystem& files, const fs::path& output_dir, std::int64_t step,
                      int variant) {
  const std::vector<float> values = example_values(step);
  const model::TensorSpec master{.name = "master",
                                 .dtype = model::DType::kFloat32,
                                 .shape = {static_cast<std::int64_t>(values.size())}};
  CheckpointWriter writer(files, output_dir, step);
  writer.add_text("adapter_config.json", fmt::format("{{\"r\": 32, \"variant\": {}}}\n", variant));
  publish_file(writer.files(), writer.folder() / "adapter_model.safetensors",
               std::string_view("adapter bytes"));
  writer.add_tensors("optimizer.safetensors", {master},
                     [&](const std::string&) { return std::as_bytes(std::span(values)); });
  return writer.commit(example_state(step));
}

const std::vector<std::string>& example_files() {
  static const std::vector<std::string> names = {"MANIFEST.json", "adapter_config.json",
                                                 "adapter_model.safetensors",
                                                 "optimizer.safetensors", "trainer_state.json"};
  return names;
}

void overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace weft::trainer
