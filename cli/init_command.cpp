#include "cli/init_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "base/text.h"
#include "data/tokenizer.h"
#include "model/checkpoint_files.h"
#include "model/checkpoint_reader.h"
#include "model/init.h"
#include "model/presets.h"

namespace weft::cli {
namespace {

struct InitFlags {
  std::string preset;
  std::string out;
  std::string tokenizer;
  std::string dtype = "bf16";
  std::optional<std::int64_t> vocab_size;
  std::uint64_t seed = 42;
  std::vector<std::string> assignments;
};

/// The tokenizer's end-of-turn and end-of-text tokens, under the names that Qwen3 gives them.
void set_special_tokens(const data::Tokenizer& tokenizer, model::Qwen3Config& config) {
  const auto end_of_text = tokenizer.token_id("<|endoftext|>");
  const auto end_of_turn = tokenizer.token_id("<|im_end|>");
  config.bos_token_id = end_of_text;
  config.pad_token_id = end_of_text;
  config.eos_token_ids.clear();
  if (end_of_turn || end_of_text) {
    config.eos_token_ids = {end_of_turn ? *end_of_turn : *end_of_text};
  }
}

model::Qwen3Config make_config(FileSystem& files, const InitFlags& flags) {
  if (flags.tokenizer.empty()) return model::preset_config(flags.preset, flags.vocab_size);
  const auto tokenizer = data::load_tokenizer(files, flags.tokenizer);
  std::optional<std::int64_t> vocab_size = flags.vocab_size;
  // The published sizes keep their 151936 rows; the tiny one has just what its tokenizer needs.
  if (!vocab_size && flags.preset == "tiny") vocab_size = tokenizer->vocab_size();
  model::Qwen3Config config = model::preset_config(flags.preset, vocab_size);
  if (config.vocab_size < tokenizer->vocab_size()) {
    fail_config("the vocabulary size {} is smaller than the {} ids of the tokenizer in {}",
                config.vocab_size, tokenizer->vocab_size(), flags.tokenizer);
  }
  set_special_tokens(*tokenizer, config);
  return config;
}

void run_init(const InitFlags& flags) {
  FileSystem& files = posix_file_system();
  const fs::path out = flags.out;
  if (files.exists(out)) {
    fail_config("{}: exists already; remove it or choose another name", out.string());
  }
  model::Qwen3Config config = make_config(files, flags);
  config.dtype = flags.dtype == "fp32" ? model::DType::kFloat32 : model::DType::kBFloat16;
  if (!flags.assignments.empty()) config = model::override_config(config, flags.assignments);

  PublishedFolder folder(files, out);
  model::write_random_checkpoint(files, folder.path(), config, {.seed = flags.seed});
  if (!flags.tokenizer.empty()) {
    model::copy_tokenizer_files(files, flags.tokenizer, folder.path());
  }
  folder.commit();
  const auto parameters = static_cast<double>(config.parameter_count());
  fmt::print("{}: {} parameters in {}, {}\n", out.string(), human_count(parameters),
             model::torch_dtype_name(config.dtype),
             human_bytes(model::CheckpointReader::open(files, out).total_bytes()));
}

}  // namespace

void add_init_command(CLI::App& app) {
  auto flags = std::make_shared<InitFlags>();
  CLI::App* command = app.add_subcommand("init", "Write a randomly initialised Qwen3 checkpoint");
  const std::vector<std::string> presets = model::preset_names();
  command->add_option("--preset", flags->preset, "Size: " + join(presets, ", "))->required();
  command->add_option("--out", flags->out, "Folder to write; must not exist")->required();
  command->add_option("--seed", flags->seed, "Equal seeds give equal weights")
      ->capture_default_str();
  command->add_option("--dtype", flags->dtype, "Type the weights are stored in")
      ->check(CLI::IsMember({"bf16", "fp32"}))
      ->capture_default_str();
  command->add_option("--vocab-size", flags->vocab_size,
                      "Rows of the embedding (default: the preset's; tiny: the tokenizer's)");
  command->add_option("--tokenizer", flags->tokenizer, "Folder whose tokenizer files are copied");
  command
      ->add_option("--set", flags->assignments,
                   "config.json members to replace, as key=value (num_hidden_layers=2)")
      ->take_all();
  command->callback([flags] { run_init(*flags); });
}

}  // namespace weft::cli
