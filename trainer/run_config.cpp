#include "trainer/run_config.h"

#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "data/tokenize_config.h"
#include "trainer/run_config_keys.h"

namespace weft::trainer {

namespace {

/// Values by key, as the resolved file spells them.
std::map<std::string, std::string> values_of(const RunConfig& config) {
  std::map<std::string, std::string> values;
  const std::string yaml = config.to_yaml();
  for (const std::string_view line : split(yaml, '\n')) {
    if (const std::size_t colon = line.find(": ");
        !line.starts_with('#') && colon != std::string_view::npos) {
      values[std::string(line.substr(0, colon))] = line.substr(colon + 2);
    }
  }
  return values;
}

// What the order of the data (beside the data itself), the adapter's shape and the meaning of the
// saved numbers depend on.
constexpr const char* kIdentityKeys[] = {"max_length",
                                         "packing",
                                         "overlong",
                                         "shuffle",
                                         "seed",
                                         "data_seed",
                                         "per_device_train_batch_size",
                                         "finetuning_type",
                                         "lora_rank",
                                         "lora_alpha",
                                         "lora_target",
                                         "use_rslora",
                                         "metric_for_best_model"};

// Where things are and what is watched, not what is computed.
constexpr const char* kNeitherKeys[] = {"model_name_or_path",
                                        "adapter_name_or_path",
                                        "output_dir",
                                        "resume_from_checkpoint",
                                        "logging_steps",
                                        "report_to",
                                        "num_threads",
                                        "ddp_backend",
                                        "shard_base",
                                        "ddp_timeout",
                                        "max_restarts_without_progress",
                                        "stop_timeout",
                                        "async_save"};

void add_missing(const RunConfig& c, std::vector<std::string>& problems) {
  if (c.model_name_or_path.empty()) {
    problems.emplace_back("model_name_or_path: is missing; it is the folder of the base model");
  }
  if (c.output_dir.empty()) {
    problems.emplace_back("output_dir: is missing; it is the folder that the run writes into");
  }
  if (c.datasets.empty()) {
    problems.emplace_back("datasets: is missing; for example [{path: data/chats.jsonl}]");
  }
}

void resolve(RunConfig& c) {
  if (c.eval_strategy == "auto") {
    c.eval_strategy = !c.has_evaluation_data() ? "no" : c.eval_steps ? "steps" : "epoch";
  }
}

LoadedConfig load(YamlNode map, std::string_view name, const std::vector<std::string>& overrides) {
  LoadedConfig loaded;
  std::vector<std::string> problems;
  translate_foreign_keys(map, name, loaded.notes, problems);
  Schema schema = run_config_schema(loaded.config);
  const auto attempt = [&problems](const auto& step) {
    try {
      step();
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  };
  attempt([&] { schema.read(map, name); });
  attempt([&] { schema.override_with(overrides); });
  if (problems.empty()) {
    add_missing(loaded.config, problems);
    check_run_config(loaded.config, problems, loaded.notes);
    for (std::string& problem : problems) {
      problem.insert(0, fmt::format("{}: ", name));
    }
  }
  if (!problems.empty()) {
    fail_config("{}", join(problems, "\n"));
  }
  loaded.notes.insert(loaded.notes.begin(), schema.notes().begin(), schema.notes().end());
  resolve(loaded.config);
  return loaded;
}

}  // namespace

std::int64_t RunConfig::total_steps(std::int64_t steps_per_epoch) const {
  if (max_steps > 0) {
    return max_steps;
  }
  return static_cast<std::int64_t>(
      std::ceil(num_train_epochs * static_cast<double>(steps_per_epoch)));
}

double RunConfig::peak_learning_rate(std::int64_t hidden_size) const {
  return learning_rate ? *learning_rate
                       : auto_learning_rate(hidden_size, finetuning_type == "lora");
}

ScheduleOptions RunConfig::schedule_options(std::int64_t total_steps,
                                            double peak_learning_rate) const {
  ScheduleOptions options = schedule;
  options.total_steps = total_steps;
  options.warmup_steps =
      warmup_steps > 0 ? warmup_steps : warmup_steps_from_ratio(warmup_ratio, total_steps);
  options.peak_learning_rate = peak_learning_rate;
  return options;
}

EarlyStoppingOptions RunConfig::early_stopping() const {
  return {.greater_is_better = metric_for_best_model == "eval_exact_match",
          .patience = early_stopping_patience,
          .threshold = early_stopping_threshold};
}

std::map<std::string, std::string> RunConfig::identity() const {
  const std::map<std::string, std::string> values = values_of(*this);
  std::map<std::string, std::string> result;
  for (const char* key : kIdentityKeys) {
    result[key] = values.at(key);
  }
  return result;
}

std::map<std::string, std::string> RunConfig::settings() const {
  std::map<std::string, std::string> values = values_of(*this);
  for (const char* key : kIdentityKeys) {
    values.erase(key);
  }
  for (const char* key : kNeitherKeys) {
    values.erase(key);
  }
  return values;
}

std::string RunConfig::to_yaml() const {
  RunConfig copy = *this;
  return run_config_schema(copy).to_yaml();
}

LoadedConfig load_run_config(FileSystem& files, const fs::path& path,
                             const std::vector<std::string>& overrides) {
  return load(read_yaml(files, path), path.string(), overrides);
}

LoadedConfig parse_run_config(std::string_view text, std::string_view name,
                              const std::vector<std::string>& overrides) {
  return load(parse_yaml(text, name), name, overrides);
}

std::string config_markdown() {
  RunConfig config;
  return "# The run config\n\n"
         "A run is one flat YAML file. The keys have Hugging Face's names where it has one; other "
         "tools' names for the "
         "same thing are taken too, with a note. `key=value` words after the file win over it: "
         "`weft train run.yaml max_steps=20 'lora_target=[q_proj, v_proj]'`. Unknown keys, wrong "
         "types, values out of "
         "range and settings that contradict each other are errors, reported together before "
         "anything is loaded. The "
         "config that results is written into `output_dir` as `config.yaml`.\n\n"
         "This page is made from the program's own table.\n\n" +
         run_config_schema(config).to_markdown() +
         "\n## An entry of `datasets` and `eval_datasets`\n\n"
         "A map with these keys, or just the path.\n\n" +
         data::dataset_keys_markdown() +
         "\n## What other tools say differently\n\n"
         "- `lr_scheduler_kwargs: {num_cycles: 2}`: its entries are read as keys of their own.\n"
         "- `bf16: true` is `dtype: bf16`; `fp16: true` is refused.\n"
         "- `lora_target_linear: true` is `lora_target: all`.\n"
         "- `optim` may say AdamW, which is what weft uses.\n\n"
         "## Going on after a stop\n\n"
         "A run goes on from its newest whole checkpoint by itself. These keys must then be as "
         "they were: " +
         [] {
           std::string keys;
           for (const char* key : kIdentityKeys) {
             keys += fmt::format("{}`{}`", keys.empty() ? "" : ", ", key);
           }
           return keys;
         }() +
         "; so must the base model, the tokenizer and the data themselves. All others may "
         "change.\n";
}

}  // namespace weft::trainer
