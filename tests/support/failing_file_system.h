#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace weft::test {

/// What a power cut keeps of directory entries that were changed and not yet synced. Bytes that
/// were not synced are lost either way.
enum class PowerLoss {
  kDropEntries,  ///< creations, renames and removals since the folder's last sync never happened
  kKeepEntries,  ///< all of them happened: a file may be there with none of its bytes
};

/// Wraps a real file system below the folder `root` and makes it fail on demand. Calls that change
/// something (create, open_append, append, sync, close, rename, sync_folder, make_folders, remove,
/// remove_all) are counted from 1, so that a test can fail each in turn:
///
///     for (std::size_t n = 1;; ++n) {
///       files.fail_call(n, ENOSPC);
///       … act, and expect an error if files.failed() …
///       if (!files.failed()) break;
///     }
///
/// A failing call does nothing, but for append, which writes the first half. It follows the promise
/// of each call about what reaches the disk, and lose_power() takes away all that was not promised.
/// A file that is written behind its back counts as unsynced until someone calls
/// open_append(path)->sync().
class FailingFileSystem final : public FileSystem {
 public:
  struct Call {
    std::string name;  ///< "create", "append", "sync", …
    fs::path path;     ///< for rename, the new name
  };
  enum class Then {
    kGoOn,  ///< one call fails; later ones work (a full disk, a bad sector)
    kDie,   ///< every later call fails too: what is on disk is what a killed process leaves
  };

  FailingFileSystem(FileSystem& inner, fs::path root);

  /// Forgets earlier faults and calls, and makes the n-th call from now fail with `error` (an
  /// errno).
  void fail_call(std::size_t n, int error, Then then = Then::kGoOn);
  /// The same for every call that `matches`.
  void fail_where(std::function<bool(const Call&)> matches, int error);
  /// No faults from now on; forgets the calls so far.
  void heal();

  /// Whether a call was made to fail since the last fail_call, fail_where or heal.
  [[nodiscard]] bool failed() const;
  /// The calls since then, with the failed ones.
  [[nodiscard]] std::vector<Call> calls() const;

  /// Puts the folder into the state that a power cut now would leave, and heals. Files that are
  /// open must not be used any more.
  void lose_power(PowerLoss loss = PowerLoss::kDropEntries);

  std::unique_ptr<ReadableFile> open(const fs::path& path, bool follow_links = true) override;
  std::unique_ptr<WritableFile> create(const fs::path& path) override;
  std::unique_ptr<WritableFile> open_append(const fs::path& path) override;
  void rename(const fs::path& from, const fs::path& to) override;
  void sync_folder(const fs::path& folder) override;
  void make_folders(const fs::path& folder) override;
  void remove(const fs::path& path) override;
  void remove_all(const fs::path& path) override;
  std::vector<std::string> list(const fs::path& folder) override;
  bool exists(const fs::path& path) override;
  bool is_folder(const fs::path& path) override;

 private:
  class File;
  struct Node;
  using NodePtr = std::shared_ptr<Node>;

  /// Records a call; the error it must fail with, or 0.
  int begin_call(const std::string& name, const fs::path& path);
  void begin_or_fail(const std::string& name, const fs::path& path);
  NodePtr import_from_disk(const fs::path& path, bool durable);
  NodePtr find(const fs::path& path);
  NodePtr find_parent(const fs::path& path);
  void restore(const Node& folder, const fs::path& path, PowerLoss loss);

  FileSystem& inner_;
  fs::path root_;
  NodePtr tree_;
  mutable std::recursive_mutex mutex_;
  std::vector<Call> calls_;
  std::function<bool(const Call&)> matches_;
  int error_ = 0;
  bool failed_ = false;
  bool died_before_ = false;  ///< the call at hand comes after one that killed the process
  Then then_ = Then::kGoOn;
};

}  // namespace weft::test
