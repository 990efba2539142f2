#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "data/loader.h"
#include "data/shard_set.h"
#include "data/tokenizer.h"
#include "trainer/run_config.h"

namespace weft::trainer {

enum class DataPart {
  kTraining,    ///< `datasets`; with val_size what is left of them
  kEvaluation,  ///< `eval_datasets`; with val_size what is set aside of `datasets`
};

/// Opens the datasets of a run as sets of shards, one each. Raw files are tokenised first, into
/// `cache`/FINGERPRINT; what is there already is used as it is. Where rows of all datasets have to
/// be seen together (deduplicate, val_size as a number), raw datasets become one set. Refused with
/// config Errors: a dataset that does not exist, shards made with another tokenizer, preference
/// pairs and judged answers, and val_size or deduplicate for shards, whose rows are no more. `tick`
/// is called as the work goes on.
[[nodiscard]] std::vector<std::shared_ptr<const data::ShardSet>> open_datasets(
    FileSystem& files, const RunConfig& config, DataPart part, const data::Tokenizer& tokenizer,
    const fs::path& cache, const std::function<void()>& tick = {});

/// What can be told of the datasets without reading them: names and sizes of their files.
[[nodiscard]] std::string datasets_signature(FileSystem& files, const RunConfig& config);

/// What the loader needs of a run's config, for training or evaluation.
[[nodiscard]] data::LoaderOptions train_loader_options(const RunConfig& config);
[[nodiscard]] data::LoaderOptions eval_loader_options(const RunConfig& config);

/// Fingerprints of all sets, in order.
[[nodiscard]] std::string data_fingerprint(
    const std::vector<std::shared_ptr<const data::ShardSet>>& sets);

}  // namespace weft::trainer
