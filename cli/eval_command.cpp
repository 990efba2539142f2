#include "cli/eval_command.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/common.h"
#include "cli/load_model.h"
#include "cli/rank_session.h"
#include "trainer/datasets.h"
#include "trainer/evaluate.h"
#include "trainer/run_config.h"

namespace weft::cli {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  std::string adapter;
};

void eval(const Options& options) {
  FileSystem& files = posix_file_system();
  const trainer::RunConfig config =
      trainer::load_run_config(files, options.config, options.overrides).config;
  if (!config.has_evaluation_data()) {
    fail_config("{}: eval_datasets is empty and val_size is not set; name what to evaluate on",
                options.config);
  }
  const auto session = open_session(config);
  ModelOptions model;
  model.model = config.model_name_or_path;
  model.adapter = options.adapter;
  model.dtype = config.dtype;
  model.device = config.device;
  std::optional<LoadedModel> loaded;
  const trainer::BaseSharing sharing = trainer::open_base_sharing(config, *session);
  session->together("loading", [&] { loaded.emplace(load_model(files, model, sharing)); });
  std::vector<std::shared_ptr<const data::ShardSet>> sets;
  session->main_first("data", [&] {
    sets = trainer::open_datasets(files, config, trainer::DataPart::kEvaluation, *loaded->tokenizer,
                                  fs::path(config.output_dir) / "data",
                                  [&] { session->watchdog().tick(); });
  });
  session->compare({{"data", trainer::data_fingerprint(sets)}});
  session->watchdog().enter("evaluation");
  const trainer::Evaluation result =
      trainer::evaluate(*loaded->model, sets, trainer::eval_loader_options(config), *session);
  if (!session->is_main()) {
    return;
  }
  Json json = Json::object();
  for (const auto& [name, value] : result.values()) {
    json[name] = value;
  }
  json["documents"] = result.documents;
  json["targets"] = result.targets;
  print_json_line(json);
  flush_output();
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("eval", "Loss, perplexity and exact match on the config's eval_datasets");
  command->add_option("config", options->config, "The run's YAML file")->required();
  command->add_option("overrides", options->overrides, "key=value, winning over the file");
  command->add_option("--adapter", options->adapter,
                      "An adapter's folder, or a run's; without it the base is measured");
  command->callback([options] { eval(*options); });
}

}  // namespace weft::cli
