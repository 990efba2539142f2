#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "trainer/checkpoint_manifest.h"

namespace weft::trainer {

/// A file system that passes everything on to another and takes the SHA-256 of what is written
/// through it, so that a manifest records the bytes that were meant and no file is read again. Safe
/// for use from several threads.
class HashingFileSystem : public FileSystem {
 public:
  explicit HashingFileSystem(FileSystem& inner) : inner_(inner) {}

  /// The files that were created and closed through this object and are still there, by path.
  [[nodiscard]] std::map<fs::path, FileRecord> records() const;

  std::unique_ptr<ReadableFile> open(const fs::path& path, bool follow_links) override;
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
  class HashedFile;
  void forget(const fs::path& path);

  FileSystem& inner_;
  mutable std::mutex mutex_;
  std::map<fs::path, FileRecord> records_;  // guarded by mutex_
};

}  // namespace weft::trainer
