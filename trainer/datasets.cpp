#include "trainer/datasets.h"

#include "base/error.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/text.h"
#include "data/file_patterns.h"
#include "data/manifest.h"
#include "data/tokenize.h"
#include "data/tokenize_progress.h"

namespace weft::trainer {
namespace {

data::TokenizeOptions tokenize_options(FileSystem& files, const RunConfig& config) {
  data::TokenizeOptions options;
  options.max_length = config.max_length;
  config.tokenize.apply(options, files, config.model_name_or_path);
  options.model = config.model_name_or_path;
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
  add(source.duplicates, "the same as earlier ones");
  add(source.empty, "empty");
  add(source.no_target, "without a target");
  add(source.overlong_dropped, "dropped as longer than max_length");
  add(source.truncated, "cut to max_length");
  add(source.split, "split at max_length");
  if (!losses.empty()) {
    log_warning("{}: of {} rows {}", source.path, source.rows, losses);
  }
}

std::string names_of(const std::vector<data::TokenizeInput>& inputs) {
  std::string names;
  for (const data::TokenizeInput& input : inputs) {
    names += (names.empty() ? "" : ", ") + input.path.string();
  }
  return names;
}

// Tokenises datasets into one cache folder, unless that is done.
fs::path tokenised(FileSystem& files, const std::vector<data::TokenizeInput>& inputs,
                   const RunConfig& config, DataPart part, const data::Tokenizer& tokenizer,
                   const fs::path& cache, const std::function<void()>& tick) {
  data::TokenizeOptions options = tokenize_options(files, config);
  if (config.val_size) {
    options.split = data::ValidationSplit{.size = *config.val_size,
                                          .validation = part == DataPart::kEvaluation};
  }
  data::TokenizeProgressLine progress;
  options.progress = [&](const data::TokenizeProgress& at) {
    progress.show(at);
    if (tick) {
      tick();
    }
  };
  files.make_folders(cache);
  const data::TokenizeResult result =
      data::tokenize_to_cache(files, inputs, tokenizer, options, cache);
  progress.finish();
  const data::ShardCounts totals = result.manifest.totals();
  log_info("{}: {} documents, {} tokens, {} of them targets{}", names_of(inputs), totals.documents,
           human_count(static_cast<double>(totals.tokens)),
           human_count(static_cast<double>(totals.trained_tokens)),
           result.reused ? " (tokenised before)" : "");
  for (const data::SourceCounts& source : result.manifest.sources) {
    warn_of_losses(source);
  }
  data::check_losses(result.manifest.sources, config.tokenize.limits);
  return result.folder;
}

// Pairs and judgements need losses that weft does not have; trained like other documents they would
// teach the rejected answers too.
void refuse_preferences(const data::ShardSet& set, std::string_view datasets) {
  if (set.has_pairs()) {
    fail_config(
        "dataset {}: holds preference pairs, which weft train cannot train on yet; set "
        "'preference: chosen' on the dataset of the raw rows to train on the chosen answers alone",
        datasets);
  }
  if (set.has_labels()) {
    fail_config(
        "dataset {}: holds answers judged good or bad (KTO), which weft train cannot train on yet; "
        "keep the good ones and leave the column out with 'columns: {{label: \"\"}}'",
        datasets);
  }
}

void require_dataset(FileSystem& files, const fs::path& path) {
  const bool found_later =
      data::is_file_pattern(path) || path.string().find('#') != std::string::npos;
  if (!found_later && !files.exists(path)) {
    fail_config(
        "dataset {} does not exist; paths are relative to the folder that weft is started in",
        path.string());
  }
}

// Shards hold documents, not the rows that these keys speak of.
void refuse_row_options(const RunConfig& config, const fs::path& path) {
  const char* key = config.val_size               ? "val_size"
                    : config.tokenize.deduplicate ? "deduplicate"
                                                  : nullptr;
  if (key != nullptr) {
    fail_config("dataset {}: holds shards, and {} needs their rows; set it for weft tokenize",
                path.string(), key);
  }
}

}  // namespace

std::vector<std::shared_ptr<const data::ShardSet>> open_datasets(
    FileSystem& files, const RunConfig& config, DataPart part, const data::Tokenizer& tokenizer,
    const fs::path& cache, const std::function<void()>& tick) {
  const bool split = config.val_size.has_value();
  const bool training = part == DataPart::kTraining;
  const std::vector<data::TokenizeInput>& datasets =
      training || split ? config.datasets : config.eval_datasets;
  const bool together = config.tokenize.deduplicate || config.val_size.value_or(0) >= 1;
  std::vector<std::shared_ptr<const data::ShardSet>> sets;
  const auto open = [&](const fs::path& folder, const std::string& names) {
    sets.push_back(std::make_shared<const data::ShardSet>(
        files, folder, data::ShardSetOptions{tokenizer.sha256()}));
    refuse_preferences(*sets.back(), names);
  };
  std::vector<data::TokenizeInput> raw;
  for (const data::TokenizeInput& dataset : datasets) {
    require_dataset(files, dataset.path);
    if (data::is_shard_folder(files, dataset.path)) {
      refuse_row_options(config, dataset.path);
      open(dataset.path, dataset.path.string());
    } else if (together) {
      raw.push_back(dataset);
    } else {
      open(tokenised(files, {dataset}, config, part, tokenizer, cache, tick),
           dataset.path.string());
    }
  }
  if (!raw.empty()) {
    open(tokenised(files, raw, config, part, tokenizer, cache, tick), names_of(raw));
  }
  return sets;
}

std::string datasets_signature(FileSystem& files, const RunConfig& config) {
  std::string all;
  const auto add = [&](const fs::path& path) {
    all += fmt::format("{} {}\n", path.filename().string(),
                       files.is_folder(path) ? 0 : files.open(path)->size());
  };
  for (const auto* datasets : {&config.datasets, &config.eval_datasets}) {
    for (const data::TokenizeInput& dataset : *datasets) {
      if (!files.exists(dataset.path)) {
        all += "missing\n";
        continue;
      }
      add(dataset.path);
      if (files.is_folder(dataset.path)) {
        for (const std::string& name : files.list(dataset.path)) {
          add(dataset.path / name);
        }
      }
    }
  }
  return sha256_hex(all);
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
