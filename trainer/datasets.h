#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "data/loader.h"
#include "data/shard_set.h"
#include "data/tokenizer.h"
#include "trainer/run_config.h"

namespace weft::trainer {

/// Opens each dataset as a set of shards. Raw files are tokenised first, into `cache`/FINGERPRINT;
/// what is there already is used as it is. Shards made with another tokenizer are refused.
[[nodiscard]] std::vector<std::shared_ptr<const data::ShardSet>> open_datasets(
    FileSystem& files, const std::vector<data::TokenizeInput>& datasets, const RunConfig& config,
    const data::Tokenizer& tokenizer, const fs::path& cache);

/// What the loader needs of a run's config, for training or evaluation.
[[nodiscard]] data::LoaderOptions train_loader_options(const RunConfig& config);
[[nodiscard]] data::LoaderOptions eval_loader_options(const RunConfig& config);

/// Fingerprints of all sets, in order.
[[nodiscard]] std::string data_fingerprint(
    const std::vector<std::shared_ptr<const data::ShardSet>>& sets);

}  // namespace weft::trainer
