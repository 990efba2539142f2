// What one LoRA training step of each Qwen3 size has to do, operator by operator, and the least
// time that it can take on a GPU. The step's own code runs on LibTorch's meta device, which has
// shapes and no memory; each operator logs its FLOPs, bytes and launches (kernels/work_log.h).

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>

#include "adapters/lora.h"
#include "base/json.h"
#include "kernels/work_log.h"
#include "model/flops.h"
#include "model/presets.h"
#include "model/qwen3_model.h"
#include "trainer/optimizer.h"

namespace {

using namespace weft;
using kernels::WorkKind;

// Rates in FLOP/s and bytes/s.
struct Rates {
  double product;
  double product_8_bits;
  double attention_forward;
  double attention_backward;
  double memory;
};

struct Gpu {
  const char* name;
  Rates limit;       ///< of the data sheet, dense
  Rates attainable;  ///< what others have measured on it, see benchmarks/results/roofline.md
};

constexpr Gpu kGpus[] = {
    {"H100 SXM",
     {989e12, 1979e12, 989e12, 989e12, 3.35e12},
     {750e12, 1280e12, 590e12, 470e12, 3.0e12}},
    {"H200", {989e12, 1979e12, 989e12, 989e12, 4.8e12}, {790e12, 1350e12, 591e12, 474e12, 4.3e12}},
};

// Tokens/s on one H200 that weft aims for.
const std::map<std::string, double> kTargets{{"0.6b", 100e3}, {"1.7b", 58e3}, {"4b", 26e3},
                                             {"8b", 16.5e3},  {"14b", 9.4e3}, {"32b", 4.0e3}};

const std::map<std::string, double> kFp8Targets{{"8b", 22e3}};

struct Options {
  std::int64_t documents = 4;
  std::int64_t length = 4096;
  std::int64_t rank = 16;
  bool recompute = false;
  bool fp8 = false;
  std::string lora_gemm = "plain";
  std::string out;
};

// One operator's calls of a step, added up.
struct Line {
  std::string name;
  WorkKind kind = WorkKind::kMemory;
  std::int64_t calls = 0;
  std::int64_t launches = 0;
  double flops = 0;
  double bytes = 0;
};

std::vector<kernels::Work> work_of_step(const model::Qwen3Config& config, const Options& options) {
  adapters::PeftConfig peft;
  peft.rank = options.rank;
  peft.alpha = static_cast<double>(options.rank);
  peft.target_modules = {"all"};
  adapters::LoraAdapters adapters(config, peft, at::kBFloat16, at::kMeta);
  const bool extended = options.lora_gemm == "extended";
  model::Qwen3Model model(
      config,
      model::allocate_weights(config, at::kBFloat16, at::kMeta, options.fp8,
                              extended ? adapters.spare() : std::vector<model::LayerSpare>()));
  if (extended) {
    adapters.place_in(model.weights());
  }
  model.set_adapters(adapters.layers());
  model.set_recompute(options.recompute);
  model.plan_for(at::kCUDA);
  trainer::AdamWOptimizer optimizer(adapters.parameters(), {});
  std::vector<std::int32_t> bounds;
  for (std::int64_t i = 0; i <= options.documents; ++i) {
    bounds.push_back(static_cast<std::int32_t>(i * options.length));
  }
  const auto tokens = static_cast<std::size_t>(options.documents * options.length);
  const model::PackedBatch batch = model::make_packed_batch(std::vector<std::int32_t>(tokens, 0),
                                                            std::vector<std::uint8_t>(tokens, 1),
                                                            bounds, config.vocab_size, at::kMeta);
  const kernels::WorkLog log;
  (void)model.forward_backward(batch, 1.0, {});
  (void)optimizer.gradient_norm();
  optimizer.step(1e-4, 1.0);
  adapters.refresh();
  return log.entries();
}

std::vector<Line> add_up(const std::vector<kernels::Work>& work) {
  std::vector<Line> lines;
  for (const kernels::Work& entry : work) {
    auto line = std::find_if(lines.begin(), lines.end(),
                             [&](const Line& other) { return other.name == entry.name; });
    if (line == lines.end()) {
      line = lines.insert(lines.end(), {entry.name, entry.kind, 0, 0, 0, 0});
    }
    ++line->calls;
    line->launches += entry.launches;
    line->flops += entry.flops;
    line->bytes += static_cast<double>(entry.bytes_read + entry.bytes_written);
  }
  return lines;
}

// The least time of one call. An operator is bound by arithmetic or by memory, whichever is slower.
double seconds_of(const kernels::Work& work, const Rates& rates) {
  double rate =
      std::string_view(work.name) == "product, 8 bits" ? rates.product_8_bits : rates.product;
  if (work.kind == WorkKind::kAttention) {
    rate = std::string_view(work.name).ends_with("backward") ? rates.attention_backward
                                                             : rates.attention_forward;
  }
  return std::max(work.flops / rate,
                  static_cast<double>(work.bytes_read + work.bytes_written) / rates.memory);
}

struct Times {
  double total = 0;
  std::map<std::string, double> by_name;
  std::map<WorkKind, double> by_kind;
};

Times times_of(const std::vector<kernels::Work>& work, const Rates& rates) {
  Times times;
  for (const kernels::Work& entry : work) {
    const double seconds = seconds_of(entry, rates);
    times.total += seconds;
    times.by_name[entry.name] += seconds;
    // A thin product moves memory, whatever it is called.
    const bool thin = std::string_view(entry.name).ends_with("thin");
    times.by_kind[thin ? WorkKind::kMemory : entry.kind] += seconds;
  }
  return times;
}

Json report_on(const std::string& name, const Options& options) {
  const std::vector<kernels::Work> work = work_of_step(model::preset_config(name), options);
  const double tokens = static_cast<double>(options.documents * options.length);
  Json operators = Json::array();
  for (const Line& line : add_up(work)) {
    Json entry = {{"name", line.name},
                  {"calls", line.calls},
                  {"launches", line.launches},
                  {"flops_per_token", line.flops / tokens},
                  {"bytes_per_token", line.bytes / tokens}};
    for (const Gpu& gpu : kGpus) {
      entry[std::string("microseconds_per_token ") + gpu.name] =
          times_of(work, gpu.attainable).by_name.at(line.name) / tokens * 1e6;
    }
    operators.push_back(entry);
  }
  Json report = {{"model", name}, {"operators", operators}};
  for (const Gpu& gpu : kGpus) {
    const Times limit = times_of(work, gpu.limit);
    const Times attainable = times_of(work, gpu.attainable);
    const auto share = [&](WorkKind kind) {
      const auto found = attainable.by_kind.find(kind);
      return found == attainable.by_kind.end() ? 0.0 : found->second / attainable.total;
    };
    report[gpu.name] = {{"tokens_per_second_limit", tokens / limit.total},
                        {"tokens_per_second_attainable", tokens / attainable.total},
                        {"share_product", share(WorkKind::kProduct)},
                        {"share_attention", share(WorkKind::kAttention)},
                        {"share_rest", share(WorkKind::kMemory)}};
  }
  const auto& targets = options.fp8 ? kFp8Targets : kTargets;
  const auto target = targets.find(name);
  report["target_tokens_per_second_h200"] = target == targets.end() ? Json() : Json(target->second);
  return report;
}

std::string summary_table(const Json& reports) {
  std::string text =
      "| model | launches | GPU | limit, tokens/s | attainable, tokens/s | products | attention | "
      "rest | aim |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const Json& report : reports) {
    std::int64_t launches = 0;
    for (const Json& entry : report["operators"]) {
      launches += entry["launches"].get<std::int64_t>();
    }
    for (const Gpu& gpu : kGpus) {
      const Json& on = report[gpu.name];
      const bool aimed = std::string_view(gpu.name) == "H200";
      const auto percent = [&](const char* key) { return 100 * on[key].get<double>(); };
      text += fmt::format(
          "| {} | {} | {} | {:.0f} | {:.0f} | {:.0f}% | {:.0f}% | {:.0f}% | {} |\n",
          report["model"].get<std::string>(), launches, gpu.name,
          on["tokens_per_second_limit"].get<double>(),
          on["tokens_per_second_attainable"].get<double>(), percent("share_product"),
          percent("share_attention"), percent("share_rest"),
          aimed && !report["target_tokens_per_second_h200"].is_null()
              ? fmt::format("{:.0f}", report["target_tokens_per_second_h200"].get<double>())
              : "");
    }
  }
  return text;
}

std::string operator_table(const Json& report) {
  std::string text = fmt::format(
      "\n## {}\n\n| operator | calls | launches | MFLOP/token | KB/token | µs/token H100 SXM | "
      "µs/token H200 |\n| --- | --- | --- | --- | --- | --- | --- |\n",
      report["model"].get<std::string>());
  for (const Json& entry : report["operators"]) {
    text += fmt::format(
        "| {} | {} | {} | {:.1f} | {:.1f} | {:.3f} | {:.3f} |\n", entry["name"].get<std::string>(),
        entry["calls"].get<std::int64_t>(), entry["launches"].get<std::int64_t>(),
        entry["flops_per_token"].get<double>() / 1e6, entry["bytes_per_token"].get<double>() / 1e3,
        entry["microseconds_per_token H100 SXM"].get<double>(),
        entry["microseconds_per_token H200"].get<double>());
  }
  return text;
}

// All sizes, the fastest first.
Json reports_on(const Options& options) {
  Json reports = Json::array();
  for (const auto& [name, target] : kTargets) {
    reports.push_back(report_on(name, options));
  }
  std::sort(reports.begin(), reports.end(), [](const Json& a, const Json& b) {
    return kTargets.at(a["model"].get<std::string>()) > kTargets.at(b["model"].get<std::string>());
  });
  return reports;
}

Json reports_on_all_forms(Options options) {
  Json all;
  for (const char* form : {"plain", "extended", "fp8"}) {
    options.fp8 = std::string_view(form) == "fp8";
    options.lora_gemm = std::string_view(form) == "extended" ? form : "plain";
    all[form] = reports_on(options);
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The roofline of a LoRA training step, from its own code");
  Options options;
  app.add_option("--documents", options.documents, "in a micro-batch")->check(CLI::PositiveNumber);
  app.add_option("--length", options.length, "tokens of each")->check(CLI::PositiveNumber);
  app.add_option("--rank", options.rank, "of the adapters, on all seven projections");
  app.add_flag("--recompute", options.recompute, "as with gradient_checkpointing: true");
  auto* const fp8 = app.add_flag("--fp8", options.fp8, "as with base_dtype: fp8");
  app.add_option("--lora-gemm", options.lora_gemm, "as in a run")
      ->check(CLI::IsMember({"plain", "extended"}))
      ->excludes(fp8);
  app.add_option("--out", options.out, "writes OUT.json as well, with both forms and fp8");
  CLI11_PARSE(app, argc, argv);
  const Json reports = reports_on(options);
  std::string text = summary_table(reports);
  for (const Json& report : reports) {
    text += operator_table(report);
  }
  std::fputs(text.c_str(), stdout);
  if (!options.out.empty()) {
    std::ofstream(options.out + ".json") << dump_json(reports_on_all_forms(options)) << '\n';
  }
  return 0;
}
