#pragma once

#include <optional>
#include <utility>

#include "base/file_system.h"

namespace weft {

/// A lock on a folder, held until this object goes or its process ends, however it ends: nothing is
/// left behind that a later process would have to judge. It binds those who ask for it alone.
class FolderLock {
 public:
  /// Locks the folder, which must exist. Nothing when another process, or another FolderLock of
  /// this one, holds it. A file system that knows no such locks is taken at its word: the lock is
  /// granted. Data Errors name the folder.
  [[nodiscard]] static std::optional<FolderLock> try_lock(const fs::path& folder);

  FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FolderLock& operator=(FolderLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FolderLock();

  /// Whether `folder` is still the one that was locked, and not gone or another of its name.
  [[nodiscard]] bool holds(const fs::path& folder) const;

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}

  int descriptor_;
};

}  // namespace weft
