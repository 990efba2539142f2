#include "cli/tokenize_command.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/schema.h"
#include "base/text.h"
#include "data/manifest.h"
#include "data/report.h"
#include "data/tokenize.h"
#include "data/tokenize_config.h"
#include "data/tokenize_progress.h"
#include "trainer/base_model.h"

namespace weft::cli {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
};

struct TokenizeConfig {
  std::string model;
  std::string output_dir;
  std::vector<data::TokenizeInput> datasets;
  std::optional<std::int64_t> max_length;
  std::int64_t shard_tokens = data::ShardOptions{}.shard_tokens;
  bool compress = false;
  data::TokenizeSettings settings;
  std::optional<double> val_size;
  std::int64_t threads = 0;
};

TokenizeConfig read_config(FileSystem& files, const Options& options) {
  TokenizeConfig config;
  Schema schema;
  schema.add_string("model_name_or_path", &config.model, "folder with the tokenizer's files");
  schema.add_string("output_dir", &config.output_dir, "folder of shards to write");
  schema.add_custom(
      data::datasets_key("datasets", &config.datasets, "what to tokenise, in this order"));
  schema.add_optional_int("max_length", &config.max_length, {2, 1 << 24},
                          "longest document in tokens");
  data::add_tokenize_keys(schema, &config.settings);
  schema.add_optional_number(
      "val_size", &config.val_size, {0, 1e12, true},
      "set aside for validation: a share below 1, or a number of rows of all "
      "datasets; then output_dir holds two folders of shards, train and "
      "validation");
  schema.add_int("shard_tokens", &config.shard_tokens, {1, 1e9}, "tokens of one shard at most");
  schema.add_bool("compress", &config.compress, "shuffle and gzip the datasets");
  schema.add_int("threads", &config.threads, {0, 1024}, "0: one for each processor");
  schema.read(read_yaml(files, options.config), options.config);
  schema.override_with(options.overrides);
  if (config.val_size) {
    if (const std::string problem = data::val_size_problem(*config.val_size); !problem.empty()) {
      fail_config("{}: val_size: {}", options.config, problem);
    }
  }
  for (const char* key : {"model_name_or_path", "output_dir", "datasets"}) {
    if (!schema.was_set(key)) {
      fail_config("{}: {} is missing", options.config, key);
    }
  }
  for (const data::TokenizeInput& dataset : config.datasets) {
    if (dataset.weight) {
      fail_config(
          "{}: datasets: weight belongs to the run that mixes them: tokenise each dataset into a "
          "folder of its own and set the weight on that folder in the run's datasets",
          options.config);
    }
  }
  return config;
}

data::TokenizeOptions tokenize_options(FileSystem& files, const TokenizeConfig& config) {
  data::TokenizeOptions options;
  options.max_length = config.max_length;
  config.settings.apply(options, files, config.model);
  options.model = config.model;
  options.shards.shard_tokens = config.shard_tokens;
  options.shards.compress = config.compress;
  options.threads = static_cast<int>(config.threads);
  return options;
}

// A column of the table. All but the first few are shown only where there is something to say.
struct Column {
  const char* name;
  std::int64_t (*value)(const data::SourceCounts&);
  bool always = false;
};

constexpr std::array<Column, 11> kColumns{
    {{"rows", [](const data::SourceCounts& s) { return s.rows; }, true},
     {"documents", [](const data::SourceCounts& s) { return s.kept.documents; }, true},
     {"tokens", [](const data::SourceCounts& s) { return s.kept.tokens; }, true},
     {"targets", [](const data::SourceCounts& s) { return s.kept.trained_tokens; }, true},
     {"left out", [](const data::SourceCounts& s) { return s.left_out; }},
     {"duplicate", [](const data::SourceCounts& s) { return s.duplicates; }},
     {"empty", [](const data::SourceCounts& s) { return s.empty; }},
     {"no target", [](const data::SourceCounts& s) { return s.no_target; }},
     {"over-long", [](const data::SourceCounts& s) { return s.overlong_dropped; }},
     {"truncated", [](const data::SourceCounts& s) { return s.truncated; }},
     {"split", [](const data::SourceCounts& s) { return s.split; }}}};

// Sets a column's cells below each other: the first column to the left, numbers to the right.
std::vector<std::string> with_column(std::vector<std::string> lines,
                                     const std::vector<std::string>& cells) {
  std::size_t width = 0;
  for (const std::string& cell : cells) {
    width = std::max(width, cell.size());
  }
  for (std::size_t i = 0; i < cells.size(); ++i) {
    lines[i] += lines[i].empty() ? fmt::format("{:<{}}", cells[i], width)
                                 : fmt::format("  {:>{}}", cells[i], width);
  }
  return lines;
}

std::string format_table(const std::vector<data::SourceCounts>& sources) {
  std::vector<std::string> names{"dataset"};
  for (const data::SourceCounts& source : sources) {
    names.push_back(printable(source.path));
  }
  std::vector<std::string> lines = with_column(std::vector<std::string>(names.size()), names);
  for (const Column& column : kColumns) {
    std::vector<std::string> cells{column.name};
    bool shown = column.always;
    for (const data::SourceCounts& source : sources) {
      shown |= column.value(source) != 0;
      cells.push_back(std::to_string(column.value(source)));
    }
    if (shown) {
      lines = with_column(std::move(lines), cells);
    }
  }
  return join(lines, "\n") + "\n";
}

void report(const TokenizeConfig& config, const std::string& folder,
            const data::TokenizeResult& result) {
  const std::vector<data::SourceCounts>& sources = result.manifest.sources;
  const data::ShardCounts totals = result.manifest.totals();
  std::cout << format_table(sources)
            << fmt::format("{}: {} documents, {} tokens, {} of them targets, in {} shard{}{}\n",
                           folder, totals.documents, totals.tokens, totals.trained_tokens,
                           result.manifest.shards.size(),
                           result.manifest.shards.size() == 1 ? "" : "s",
                           result.reused ? " (there already, and nothing changed)" : "");
  if (posix_file_system().exists(result.folder / data::kReportPageName)) {
    std::cout << fmt::format("report: {}\n", (fs::path(folder) / data::kReportPageName).string());
  }
  std::cout.flush();
  for (const std::string& warning : data::report_warnings(sources, {})) {
    log_warning("{}", warning);
  }
  std::int64_t lost = 0;
  for (const data::SourceCounts& source : sources) {
    lost += source.tokens_lost;
  }
  if (lost > 0) {
    log_warning("{} tokens of documents that were cut or dropped are not in the shards", lost);
  }
  data::check_losses(sources, config.settings.limits);
}

// Tokenises all datasets, or one side of their split, into `folder`.
void tokenize_into(FileSystem& files, const TokenizeConfig& config,
                   const data::Tokenizer& tokenizer, const std::string& folder,
                   std::optional<data::ValidationSplit> split) {
  data::TokenizeOptions tokenize = tokenize_options(files, config);
  tokenize.split = split;
  data::TokenizeProgressLine progress;
  tokenize.progress = [&](const data::TokenizeProgress& at) { progress.show(at); };
  const data::TokenizeResult result =
      data::tokenize_to_shards(files, config.datasets, tokenizer, tokenize, folder);
  progress.finish();
  report(config, folder, result);
}

void tokenize(const Options& options) {
  FileSystem& files = posix_file_system();
  const TokenizeConfig config = read_config(files, options);
  const auto tokenizer = trainer::load_model_tokenizer(files, config.model);
  if (!config.val_size) {
    tokenize_into(files, config, *tokenizer, config.output_dir, std::nullopt);
    return;
  }
  for (const bool validation : {false, true}) {
    const fs::path folder = fs::path(config.output_dir) / (validation ? "validation" : "train");
    tokenize_into(files, config, *tokenizer, folder.string(),
                  data::ValidationSplit{.size = *config.val_size, .validation = validation});
  }
}

}  // namespace

void add_tokenize_command(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize", "Raw text, chats or ids to HDF5 token shards");
  command
      ->add_option("config", options->config,
                   "YAML file: model_name_or_path, datasets, output_dir, …")
      ->required();
  command->add_option("overrides", options->overrides, "key=value, winning over the file");
  command->callback([options] { tokenize(*options); });
}

}  // namespace weft::cli
