#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/file_system.h"
#include "base/folder_lock.h"
#include "base/json.h"
#include "data/manifest.h"

namespace weft::data {

/// Where a shard ended: the next one begins with a document of this row.
struct TokenizePosition {
  std::int64_t source = 0;     ///< counted in the order of the config
  std::int64_t row = 0;        ///< rows of the source that are done with
  std::int64_t documents = 0;  ///< of the next row, those that are in earlier shards

  bool operator==(const TokenizePosition&) const = default;
};

/// What of a folder of shards is done.
struct TokenizeProgressRecord {
  std::vector<ShardEntry> shards;
  TokenizePosition next;
  /// Of the sources up to next.source, counted up to next.row.
  std::vector<SourceCounts> sources;
};

/// The folder `.NAME.partial` beside a folder NAME of shards that is being made, locked for as long
/// as this object lives:
///
///     recipe.json       the inputs and options, and their fingerprint
///     shard-00000.json  a record of each finished shard and of where the next begins
///     shards/           what becomes NAME, by one rename, when all is done
///
/// A run that is killed leaves it there, and the next one of the same recipe goes on behind the
/// last shard that is recorded and whole. An object that ends without publish() keeps the folder if
/// a shard is recorded, and else removes it.
class TokenizeWork {
 public:
  /// Takes the folder up, or makes it. Config Errors: another process works in it; it holds shards
  /// of another recipe, with what differs.
  TokenizeWork(FileSystem& files, const fs::path& out_folder, const ShardIdentity& identity,
               const Json& recipe);
  TokenizeWork(const TokenizeWork&) = delete;
  TokenizeWork& operator=(const TokenizeWork&) = delete;
  ~TokenizeWork();

  /// Where the shards go that are to be published.
  [[nodiscard]] fs::path shards() const { return folder_ / "shards"; }
  /// What was there already.
  [[nodiscard]] const TokenizeProgressRecord& done() const { return done_; }

  /// Records that shards()/entry.file is finished. Syncs the shards' folder before.
  void record(const ShardEntry& entry, const TokenizePosition& next,
              const std::vector<SourceCounts>& sources);
  /// Renames shards() to the final name, which must not exist or be an empty folder, and removes
  /// the rest.
  void publish();
  /// Nothing here is of use to a later run: the folder is removed at the end.
  void discard() { keep_ = false; }

  /// The folder's path for a folder of shards.
  [[nodiscard]] static fs::path path_of(const fs::path& out_folder);

 private:
  void lock();
  void take_up();
  void begin();
  [[nodiscard]] bool take_up_shard(std::size_t number);
  void remove_unrecorded();

  FileSystem& files_;
  fs::path out_;
  fs::path folder_;
  ShardIdentity identity_;
  Json recipe_;
  std::optional<FolderLock> lock_;
  TokenizeProgressRecord done_;
  std::size_t recorded_ = 0;
  bool keep_ = true;
};

/// Removes the working folder of `out_folder`, if there is one that no process works in: for when
/// the shards are whole, or are no longer wanted.
void remove_tokenize_work(FileSystem& files, const fs::path& out_folder);

/// Removes the working folders in `cache` that nothing was finished in for `days` and no process
/// works in: of inputs or options that a run had and no longer has. Younger ones may be taken up
/// yet.
void remove_old_tokenize_work(FileSystem& files, const fs::path& cache, int days);

}  // namespace weft::data
