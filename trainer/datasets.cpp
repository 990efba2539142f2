#include "trainer/datasets.h"

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "base/text.h"
#include "data/file_patterns.h"
#include "data/manifest.h"
#include "data/tokenize.h"

namespace weft::trainer {
namespace {

data::TokenizeOptions tokenize_options(const RunConfig& config) {
  data::TokenizeOptions options;
  options.max_length = config.max_length;
  config.tokenize.apply(options);
  return options;
}

// Nothing is left out silently.
void warn_of_losses(const data::SourceCounts& source) {
  std::string losses;
  const auto add = [&](std::int64_t count, const char* what) {
    if (count > 0) {
      losses += fmt::format("{}{} {}", losses.empty() ? "" : ", ", count, what);
    }
  };
  add(source.empty, "empty");
  add(source.no_target, "without a target");
  add(source.overlong_dropped, "dropped as longer than max_length");
  add(source.truncated, "cut to max_length");
  add(source.split, "split at max_length");
  if (!losses.empty()) {
    log_warning("{}: of {} rows {}", source.path, source.rows, losses);
  }
}

// Tokenises one dataset into its cache folder, unless that is done.
fs::path tokenised(FileSystem& files, const data::TokenizeInput& dataset, const RunConfig& config,
                   const data::Tokenizer& tokenizer, const fs::path& cache) {
  const std::vector<data::TokenizeInput> inputs{dataset};
  data::TokenizeOptions options = tokenize_options(config);
  const std::string fingerprint = data::tokenize_fingerprint(files, inputs, tokenizer, options);
  const fs::path folder = cache / fingerprint.substr(0, 16);
  std::unique_ptr<ProgressLine> progress;
  options.progress = [&](const data::TokenizeProgress& at) {
    if (progress == nullptr) {
      progress = std::make_unique<ProgressLine>("tokenising", at.total_bytes, "bytes");
    }
    progress->update(at.bytes);
  };
  files.make_folders(cache);
  const data::TokenizeResult result =
      data::tokenize_to_shards(files, inputs, tokenizer, options, folder);
  progress.reset();
  const data::ShardCounts totals = result.manifest.totals();
  log_info("{}: {} documents, {} tokens, {} of them targets{}", dataset.path.string(),
           totals.documents, human_count(static_cast<double>(totals.tokens)),
           human_count(static_cast<double>(totals.trained_tokens)),
           result.reused ? " (tokenised before)" : "");
  for (const data::SourceCounts& source : result.manifest.sources) {
    warn_of_losses(source);
  }
  return folder;
}

}  // namespace

std::vector<std::shared_ptr<const data::ShardSet>> open_datasets(
    FileSystem& files, const std::vector<data::TokenizeInput>& datasets, const RunConfig& config,
    const data::Tokenizer& tokenizer, const fs::path& cache) {
  std::vector<std::shared_ptr<const data::ShardSet>> sets;
  for (const data::TokenizeInput& dataset : datasets) {
    const std::string name = dataset.path.string();
    if (!files.exists(dataset.path) && !data::is_file_pattern(dataset.path) &&
        name.find('#') == std::string::npos) {
      fail_config(
          "dataset {} does not exist; paths are relative to the folder that weft is started in",
          name);
    }
    const bool shards = data::is_shard_folder(files, dataset.path);
    const fs::path folder =
        shards ? dataset.path : tokenised(files, dataset, config, tokenizer, cache);
    sets.push_back(std::make_shared<const data::ShardSet>(
        files, folder, data::ShardSetOptions{tokenizer.sha256()}));
  }
  return sets;
}

data::LoaderOptions train_loader_options(const RunConfig& config) {
  data::LoaderOptions options{
      .max_length = config.max_length,
      .batch_size = config.per_device_train_batch_size,
      .packing = config.packing,
      .shuffle = config.shuffle,
      .seed = static_cast<std::uint64_t>(config.data_seed.value_or(config.seed)),
      .overlong = data::overlong_from_name(config.tokenize.overlong)};
  for (const data::TokenizeInput& dataset : config.datasets) {
    if (dataset.weight) {
      options.weights.push_back(*dataset.weight);
    }
  }
  return options;
}

data::LoaderOptions eval_loader_options(const RunConfig& config) {
  return {
      .max_length = config.max_length,
      .batch_size = config.per_device_eval_batch_size.value_or(config.per_device_train_batch_size),
      .packing = config.packing,
      .shuffle = false,
      .overlong = data::overlong_from_name(config.tokenize.overlong)};
}

std::string data_fingerprint(const std::vector<std::shared_ptr<const data::ShardSet>>& sets) {
  std::string all;
  for (const auto& set : sets) {
    all += set->manifest().identity.fingerprint + "\n";
  }
  return sha256_hex(all);
}

}  // namespace weft::trainer
