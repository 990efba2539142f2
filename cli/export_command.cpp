#include "cli/export_command.h"

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "adapters/peft_files.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/common.h"
#include "cli/export_shards.h"
#include "trainer/base_model.h"

namespace weft::cli {
namespace {

struct Options {
  std::string model;
  std::string adapter;
  std::string shards;
  std::string to = "peft";
  std::string out;
  CerebrasExport cerebras;
};

void export_adapter(const Options& options) {
  FileSystem& files = posix_file_system();
  if (files.exists(options.out)) {
    fail_config("--out {} exists; remove it or choose another folder", options.out);
  }
  const model::Qwen3Config config = model::read_qwen3_config(files, options.model);
  const adapters::LoraAdapters adapters = adapters::read_peft_adapter(
      files, trainer::find_adapter_folder(files, options.adapter), config, at::kFloat, at::kCPU);
  const fs::path out = options.out;
  if (out.has_parent_path()) {
    files.make_folders(out.parent_path());
  }
  PublishedFolder folder(files, out);
  adapters::write_peft_adapter(files, folder.path(), adapters);
  folder.commit();
  log_info("wrote {}: load it with PEFT, vLLM (--lora-modules) or SGLang (--lora-paths)",
           options.out);
}

void export_what(const Options& options) {
  const CerebrasExport& cerebras = options.cerebras;
  if (options.to != "cerebras" && (cerebras.packed || cerebras.max_length || cerebras.pad_id)) {
    fail_config("--packed, --max-length and --pad-id are for --to cerebras");
  }
  if (options.to != "peft") {
    if (options.shards.empty()) {
      fail_config("--to {} is for token shards: name their folder with --shards", options.to);
    }
    if (options.to == "megatron") {
      export_to_megatron(posix_file_system(), options.shards, options.out);
    } else {
      export_to_cerebras(posix_file_system(), options.shards, options.out, cerebras);
    }
    return;
  }
  if (options.model.empty() || options.adapter.empty()) {
    fail_config("--to {} is for adapters: name the base and the adapter with --model and --adapter",
                options.to);
  }
  export_adapter(options);
}

}  // namespace

void add_export_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "export", "Write an adapter, or token shards, in the form that other tools load");
  command->add_option("--model", options->model,
                      "The base model's folder: the adapter is checked against it");
  CLI::Option* adapter = command->add_option("--adapter", options->adapter,
                                             "An adapter's folder, a checkpoint's, or a run's");
  command->add_option("--shards", options->shards, "A folder of token shards")->excludes(adapter);
  command
      ->add_option("--to", options->to,
                   "peft (also what vLLM and SGLang load) for an adapter, megatron (NAME.bin and "
                   "NAME.idx) or cerebras (a folder of HDF5 samples) for shards")
      ->check(CLI::IsMember({"peft", "megatron", "cerebras"}));
  command
      ->add_option("--max-length", options->cerebras.max_length,
                   "cerebras: positions of a sample (as the longest document needs)")
      ->check(CLI::Range(1, 1 << 19));
  command->add_option("--pad-id", options->cerebras.pad_id,
                      "cerebras: what fills samples up (Qwen3's <|endoftext|>, or 0)");
  command->add_flag("--packed", options->cerebras.packed,
                    "cerebras: several documents a sample, with attention spans and positions "
                    "(use_vsl), in random order");
  command->add_option("--out", options->out, "A folder, or a NAME, that does not exist yet")
      ->required();
  command->callback([options] { export_what(*options); });
}

}  // namespace weft::cli
