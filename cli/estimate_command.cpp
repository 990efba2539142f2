#include "cli/estimate_command.h"

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/text.h"
#include "cli/common.h"
#include "model/qwen3_config.h"
#include "trainer/device.h"
#include "trainer/memory_plan.h"

namespace weft::cli {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  std::string memory;
  std::int64_t ranks = 1;
  bool json = false;
};

// A column of the table: the same run with and without gradient checkpointing.
struct Variant {
  trainer::MemoryPlan plan;
  std::int64_t largest_batch = 0;
};

struct Estimate {
  trainer::RunConfig config;
  std::string device;
  std::string dtype;
  std::int64_t available = 0;    // 0: not known
  std::int64_t base_shares = 1;  // ranks that share the base
  Variant plain;
  Variant checkpointed;
};

// "24" or "24G": binary gigabytes.
std::int64_t parse_memory(const std::string& text) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = text.substr(used);
  if (used == 0 || !(value > 0) || value > 1e6 || (!unit.empty() && unit != "G" && unit != "GiB")) {
    fail_config("--memory {}: expected a number of GiB, such as 80", printable(text));
  }
  return static_cast<std::int64_t>(value * static_cast<double>(std::int64_t{1} << 30));
}

Estimate estimate(const Options& options) {
  FileSystem& files = posix_file_system();
  Estimate result;
  result.config = trainer::load_run_config(files, options.config, options.overrides).config;
  // A GPU's numbers may be asked for where there is none.
  const c10::Device device = result.config.device == "cuda"
                                 ? c10::Device(at::kCUDA, 0)
                                 : trainer::resolve_device(result.config.device);
  const at::ScalarType dtype = trainer::resolve_dtype(result.config.dtype, device);
  trainer::RunConfig planned = trainer::with_attention_of(
      result.config, model::read_qwen3_config(files, result.config.model_name_or_path), dtype,
      device);
  if (planned.lora_gemm == "auto" && device.is_cuda() && trainer::why_plain_lora(planned).empty()) {
    planned.lora_gemm = "extended";  // what takes the most of what a trial may choose
  }
  result.base_shares = result.config.shard_base == "none" ? 1 : options.ranks;
  result.device = device.is_cuda() ? "GPU" : "CPU";
  result.dtype = dtype == at::kBFloat16 ? "bf16" : "fp32";
  result.available = options.memory.empty() ? trainer::memory_limit(result.config, device)
                                            : parse_memory(options.memory);
  for (const bool checkpointing : {false, true}) {
    Variant& variant = checkpointing ? result.checkpointed : result.plain;
    variant.plan = trainer::plan_memory(
        files, planned, dtype, device.type(),
        {result.config.per_device_train_batch_size, checkpointing, result.base_shares});
    if (result.available > 0) {
      variant.largest_batch =
          trainer::largest_batch(files, planned, dtype, device.type(), result.available,
                                 checkpointing, result.base_shares);
    }
  }
  return result;
}

std::string row(const char* name, std::int64_t plain, std::int64_t checkpointed) {
  return fmt::format("{:<34}{:>14}{:>26}\n", name, human_bytes(static_cast<std::uint64_t>(plain)),
                     human_bytes(static_cast<std::uint64_t>(checkpointed)));
}

std::string table(const Estimate& e) {
  const trainer::MemoryPlan& a = e.plain.plan;
  const trainer::MemoryPlan& b = e.checkpointed.plan;
  std::string text = fmt::format(
      "{} on {} in {}{}, micro-batches of {} x {} tokens, every token a "
      "target\n\n{:<34}{:>14}{:>26}\n",
      e.config.finetuning_type == "full" ? "Full fine-tuning" : "LoRA", e.device, e.dtype,
      e.config.fp8_base() ? ", the base in fp8" : "", e.config.per_device_train_batch_size,
      e.config.max_length, "", "", "gradient_checkpointing");
  if (e.config.context_parallel_size > 1) {
    text.insert(0, fmt::format("On each of the {} ranks that share a micro-batch:\n",
                               e.config.context_parallel_size));
  }
  if (e.base_shares > 1) {
    text.insert(0, fmt::format("On each of the {} ranks that share the base:\n", e.base_shares));
  }
  text += row("weights", a.weights, b.weights);
  text += row("trained: masters, gradients, Adam", a.trained, b.trained);
  text += row("activations kept for backward", a.activations, b.activations);
  text += row("workspace", a.workspace, b.workspace);
  text += row("total", a.total(), b.total());
  if (e.available > 0) {
    text += row("available", e.available, e.available);
    text += fmt::format("{:<34}{:>14}{:>26}\n", "largest per_device_train_batch_size",
                        e.plain.largest_batch, e.checkpointed.largest_batch);
  }
  return text;
}

Json to_json(const Variant& variant) {
  const trainer::MemoryPlan& plan = variant.plan;
  return Json{{"weights", plan.weights},         {"trained", plan.trained},
              {"activations", plan.activations}, {"workspace", plan.workspace},
              {"total", plan.total()},           {"largest_batch", variant.largest_batch}};
}

void run(const Options& options) {
  const Estimate result = estimate(options);
  if (options.json) {
    print_json_line(Json{{"available", result.available},
                         {"plain", to_json(result.plain)},
                         {"gradient_checkpointing", to_json(result.checkpointed)}});
  } else {
    std::fputs(table(result).c_str(), stdout);
  }
  flush_output();
}

}  // namespace

void add_estimate_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("estimate", "The memory of a run, before anything is allocated");
  command->add_option("config", options->config, "The run's YAML file")->required();
  command->add_option("overrides", options->overrides, "key=value, winning over the file");
  command->add_option("--memory", options->memory,
                      "GiB to fit into (default: what this machine has free)");
  command
      ->add_option("--ranks", options->ranks,
                   "Ranks that shard_base spreads the base over: those of a host, or all")
      ->check(CLI::Range(1, 65536));
  command->add_flag("--json", options->json, "One JSON object, in bytes");
  command->callback([options] { run(*options); });
}

}  // namespace weft::cli
