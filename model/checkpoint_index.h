#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "model/checkpoint_layout.h"
#include "model/safetensors.h"

namespace weft::model {

inline constexpr std::string_view kIndexName = "model.safetensors.index.json";

/// What model.safetensors.index.json says.
struct CheckpointIndex {
  std::string path;
  std::map<std::string, std::string, std::less<>> shard_of;  ///< by tensor name
  std::vector<std::string> shards;                           ///< sorted, each once
};

/// Reads an index; shard names are as written there, checked by locate_weight_file and not here.
[[nodiscard]] CheckpointIndex read_checkpoint_index(FileSystem& files, const fs::path& path);

/// `opened[i]` is the file of `index.shards[i]`. A data Error with up to ten names when a tensor
/// lies in a shard that the index gives to another or does not list, or in none.
void check_index(const CheckpointIndex& index, std::span<const SafetensorsFile> opened);

/// The index file's text for a plan of at least two shards.
[[nodiscard]] std::string index_text(const ShardPlan& plan);

}  // namespace weft::model
