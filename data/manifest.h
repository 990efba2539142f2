#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "data/shard_format.h"

namespace weft::data {

inline constexpr std::string_view kManifestName = "shards.json";

/// One shard file of a folder.
struct ShardEntry {
  std::string file;  ///< a plain name in the manifest's folder
  std::int64_t bytes = 0;
  ShardCounts counts;
  std::string sha256;

  bool operator==(const ShardEntry&) const = default;
};

/// What became of the rows of one dataset of the config.
struct SourceCounts {
  std::string path;
  std::int64_t rows = 0;        ///< read
  ShardCounts kept;             ///< written to the shards
  std::int64_t left_out = 0;    ///< rows of the other side of a split
  std::int64_t duplicates = 0;  ///< rows dropped: the same as one before
  /// Rows of which nothing was kept; the counts below say why. A row may make several documents.
  std::int64_t dropped = 0;
  std::int64_t empty = 0;             ///< rows dropped: no token
  std::int64_t no_target = 0;         ///< documents dropped: no token of them would be trained
  std::int64_t overlong_dropped = 0;  ///< rows dropped: over max_length
  std::int64_t truncated = 0;         ///< rows cut to max_length
  std::int64_t split = 0;             ///< rows cut into pieces of max_length
  std::int64_t tokens_lost = 0;       ///< tokens of rows that were truncated or dropped
  std::string first_dropped;          ///< FILE:LINE and why, of the first dropped row; "" if none

  bool operator==(const SourceCounts&) const = default;
};

/// A folder of shards: written last, so a folder without it is not one.
struct Manifest {
  ShardIdentity identity;
  Json recipe =
      Json::object();  ///< the inputs and options in full; its SHA-256 is identity.fingerprint
  std::vector<SourceCounts> sources;
  std::vector<ShardEntry> shards;

  bool operator==(const Manifest&) const = default;
  [[nodiscard]] ShardCounts totals() const;
};

/// As the manifest holds them. Reading gives data Errors that start with `name`.
[[nodiscard]] Json to_json(const SourceCounts& source);
[[nodiscard]] Json to_json(const ShardEntry& shard);
[[nodiscard]] SourceCounts source_from_json(const Json& json, std::string_view name);
[[nodiscard]] ShardEntry shard_from_json(const Json& json, std::string_view name);

/// Whether `path` is a folder that holds a manifest.
[[nodiscard]] bool is_shard_folder(FileSystem& files, const fs::path& path);

/// Writes shards.json into `folder` and syncs it.
void write_manifest(FileSystem& files, const fs::path& folder, const Manifest& manifest);

/// Reads and checks FOLDER/shards.json: format, version, plain file names, counts that add up. Data
/// Errors name the file and, where one is meant, the shard.
[[nodiscard]] Manifest read_manifest(FileSystem& files, const fs::path& folder);

}  // namespace weft::data
