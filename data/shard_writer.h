#pragma once

#include <cstdint>
#include <vector>

#include "base/file_system.h"
#include "data/document.h"
#include "data/manifest.h"
#include "data/shard_format.h"

namespace weft::data {

class Hdf5Handle;

struct ShardOptions {
  /// A shard is closed when the next document would take it over this many tokens; a longer
  /// document gets a shard of its own. Five bytes of memory and of disk per token.
  std::int64_t shard_tokens = std::int64_t{16} << 20;
  /// Shuffle and gzip level 1: about 2.5 times smaller, slower to read at random.
  bool compress = false;
};

/// Writes documents into shard-00000.h5, shard-00001.h5, … in a folder that is not yet published.
/// Used from one thread.
class ShardWriter {
 public:
  /// `files` must outlive the writer. Nothing is written before the first shard is full. `finished`
  /// are shards that the folder holds already: the first new one is numbered after them.
  ShardWriter(FileSystem& files, fs::path folder, ShardIdentity identity, ShardOptions options,
              std::vector<ShardEntry> finished = {});

  /// Data Errors: an empty document, ids and mask of different length, a token outside the
  /// vocabulary, a mask that is not 0 or 1 or that marks the first token.
  void add(const Document& document);

  /// A preference pair: the two documents lie in one shard, the chosen one first. Errors as of add.
  void add_pair(const Document& chosen, const Document& rejected);
  /// Of the shards that are finished, in order.
  [[nodiscard]] const std::vector<ShardEntry>& entries() const { return entries_; }

  /// Writes the last shard and returns the entries of all of them, in order. No other call may
  /// follow.
  [[nodiscard]] std::vector<ShardEntry> finish();

 private:
  void check(const Document& document) const;
  void make_room(std::int64_t tokens);
  void append(const Document& document, std::int64_t pair);
  [[nodiscard]] ShardCounts write_datasets(const Hdf5Handle& file, const fs::path& path) const;
  void write_shard();

  FileSystem& files_;
  fs::path folder_;
  ShardIdentity identity_;
  ShardOptions options_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::uint8_t> mask_;
  std::vector<std::int64_t> offsets_{0};
  std::vector<std::uint16_t> source_;
  std::vector<std::int64_t> pair_;
  std::vector<std::int8_t> label_;
  std::int64_t documents_ = 0;  ///< in earlier shards and this one, for messages
  std::vector<ShardEntry> entries_;
};

}  // namespace weft::data
