#include "cli/train_command.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/text.h"
#include "base/trace.h"
#include "cli/common.h"
#include "cli/rank_session.h"
#include "trainer/restarts.h"
#include "trainer/run_config.h"
#include "trainer/run_lock.h"
#include "trainer/signals.h"
#include "trainer/trainer.h"

namespace weft::cli {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  std::string profile;
};

void print_result(const trainer::RunConfig& config, const trainer::RunResult& result) {
  switch (result.end) {
    case trainer::RunEnd::kStoppedBySignal:
      log_info("stopped by a signal after step {}; saved. The same command goes on from there",
               result.step);
      return;
    case trainer::RunEnd::kStoppedEarly:
      log_info("stopped early after step {}: {} no longer improves", result.step,
               config.metric_for_best_model);
      break;
    case trainer::RunEnd::kFinished:
      log_info("finished after step {}, loss {:.4f}", result.step, result.loss);
      break;
  }
  log_info("{} is in {}", config.finetuning_type == "full" ? "the model" : "the adapter",
           result.final_folder.string());
  if (config.finetuning_type != "full") {
    log_info("merge it: weft merge --model {} --adapter {} --out {}/merged",
             config.model_name_or_path, result.final_folder.string(), config.output_dir);
  }
}

// What rank 0 does before anything is loaded, and may refuse.
void take_folder(FileSystem& files, const Options& options, const trainer::RunConfig& config,
                 int restart_count, std::optional<trainer::RunLock>& lock) {
  if (!options.profile.empty()) {
    // A place that cannot be written is found now, not after the run.
    publish_file(files, options.profile, std::string_view("{\"traceEvents\": []}\n"));
  }
  lock.emplace(files, config.output_dir, trainer::this_process(), restart_count > 0);
  remove_stale_temporaries(files, config.output_dir);
  trainer::count_restart(files, config.output_dir, restart_count,
                         config.max_restarts_without_progress);
}

void train(const Options& options) {
  FileSystem& files = posix_file_system();
  trainer::LoadedConfig loaded = trainer::load_run_config(files, options.config, options.overrides);
  const trainer::RunConfig config = loaded.config;
  const auto session = open_session(config);
  for (const std::string& note : loaded.notes) {
    log_info("{}", note);
  }
  const trainer::StopSignals signals;
  std::optional<trainer::RunLock> lock;
  session->together("setup", [&] {
    if (session->is_main()) {
      take_folder(files, options, config, session->launch().restart_count, lock);
    }
  });
  trainer::Trainer trainer(files, config, session.get());
  if (session->is_main()) {
    // After the checks: a run that is refused must not replace the config of the one that is there.
    publish_file(files, fs::path(config.output_dir) / "config.yaml", config.to_yaml());
    log_info("{}", trainer.summary());
  }
  const bool profiled = session->is_main() && !options.profile.empty();
  std::optional<Trace> trace;
  if (profiled) {
    trace.emplace();
  }
  const trainer::RunResult result = trainer.run();
  print_result(config, result);
  if (session->is_main()) {
    trainer::forget_restarts(files, config.output_dir);
  }
  if (profiled) {
    trace->write(files, options.profile);
    std::fputs(trace->summary().c_str(), stdout);
    flush_output();
    log_info("the trace is in {}: open it in chrome://tracing or ui.perfetto.dev", options.profile);
  }
}

}  // namespace

void add_train_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("train", "Train an adapter, or all weights; resumes by itself");
  command->add_option("config", options->config, "The run's YAML file")->required();
  command->add_option("overrides", options->overrides, "key=value, winning over the file");
  command->add_option(
      "--profile", options->profile,
      "Write a Chrome trace of the run to this file, and print what takes the time");
  command->callback([options] { train(*options); });
}

}  // namespace weft::cli
