#include "cli/merge_command.h"

#include <memory>
#include <string>

#include "adapters/merge.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/common.h"
#include "trainer/base_model.h"

namespace weft::cli {
namespace {

struct Options {
  std::string model;
  std::string adapter;
  std::string out;
  double max_shard_gb = 5;
};

void merge(const Options& options) {
  FileSystem& files = posix_file_system();
  adapters::MergeOptions merge_options;
  merge_options.max_shard_bytes = static_cast<std::uint64_t>(options.max_shard_gb * 1e9);
  const adapters::MergeResult result = adapters::merge_adapter(
      files, options.model, trainer::find_adapter_folder(files, options.adapter), options.out,
      merge_options);
  log_info("merged {} of {} tensors ({}) into {}", result.merged_matrices, result.tensors,
           human_bytes(result.bytes), options.out);
}

}  // namespace

void add_merge_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("merge", "Write base + adapter as a plain Hugging Face checkpoint");
  command->add_option("--model", options->model, "The base model's folder")->required();
  command->add_option("--adapter", options->adapter, "An adapter's folder, or a run's")->required();
  command->add_option("--out", options->out, "A folder that does not exist yet")->required();
  command->add_option("--max-shard-gb", options->max_shard_gb, "Largest weight file, in GB")
      ->check(CLI::Range(0.000001, 1e6));
  command->callback([options] { merge(*options); });
}

}  // namespace weft::cli
