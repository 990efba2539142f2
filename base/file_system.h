#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

namespace fs = std::filesystem;

/// A file open for positional reads. Reads may come from several threads at once.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Fills `out` from `offset`; a data Error that names the file when the file ends before that.
  virtual void read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

/// A new file open for appending. Destroying it without close() leaves what was written, unsynced.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual void append(std::span<const std::byte> bytes) = 0;
  void append(std::string_view text);
  /// Forces the file's bytes to the disk. A failed sync fails for good: never retry it on the same
  /// file.
  virtual void sync() = 0;
  /// Closes; an error here is a failed write. No other call may follow.
  virtual void close() = 0;
};

/// All files that weft writes go through this interface, so that a test can make any call fail.
/// Every call throws a data Error that names the path and the system's reason. Safe for use from
/// several threads.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  /// Opens for reading; with `follow_links` false a symbolic link as the last part of the path is
  /// an error.
  [[nodiscard]] virtual std::unique_ptr<ReadableFile> open(const fs::path& path,
                                                           bool follow_links = true) = 0;
  /// Creates the file, which must not exist.
  [[nodiscard]] virtual std::unique_ptr<WritableFile> create(const fs::path& path) = 0;
  /// Opens for appending, creating the file if needed (logs and metrics; never data that must be
  /// whole).
  [[nodiscard]] virtual std::unique_ptr<WritableFile> open_append(const fs::path& path) = 0;
  virtual void rename(const fs::path& from, const fs::path& to) = 0;
  /// Forces a folder's entries to the disk.
  virtual void sync_folder(const fs::path& folder) = 0;
  /// Makes the folder and its parents, and syncs what it made; an existing folder is fine.
  virtual void make_folders(const fs::path& folder) = 0;
  /// Removes a file or an empty folder that exists.
  virtual void remove(const fs::path& path) = 0;
  /// Removes a tree; nothing there is fine.
  virtual void remove_all(const fs::path& path) = 0;
  /// Names (not paths) in the folder, sorted.
  [[nodiscard]] virtual std::vector<std::string> list(const fs::path& folder) = 0;
  [[nodiscard]] virtual bool exists(const fs::path& path) = 0;
  [[nodiscard]] virtual bool is_folder(const fs::path& path) = 0;
};

/// The real one. It lives as long as the process.
[[nodiscard]] FileSystem& posix_file_system();

/// The whole file as a string; a data Error when it is larger than `limit` bytes.
[[nodiscard]] std::string read_file(FileSystem& files, const fs::path& path,
                                    std::uint64_t limit = std::uint64_t{1} << 30);

/// Publishes a file: writes a hidden sibling `.NAME.tmp-…`, syncs it, renames it over `path`, syncs
/// the folder. On an error the sibling is removed and the old `path` is untouched; only when the
/// last step, the folder's sync, fails is the new file in place, and a power cut may take it back.
void publish_file(FileSystem& files, const fs::path& path, std::span<const std::byte> bytes);
void publish_file(FileSystem& files, const fs::path& path, std::string_view text);

/// A file that is published in pieces, as publish_file does: append, then commit. Destroyed before
/// commit, it removes its temporary sibling and leaves `path` as it was.
class PublishedFile {
 public:
  PublishedFile(FileSystem& files, fs::path path);
  PublishedFile(const PublishedFile&) = delete;
  PublishedFile& operator=(const PublishedFile&) = delete;
  ~PublishedFile();

  void append(std::span<const std::byte> bytes);
  void append(std::string_view text);
  void commit();

 private:
  FileSystem& files_;
  fs::path path_;
  fs::path temporary_;
  std::unique_ptr<WritableFile> file_;
};

/// A folder that appears whole or not at all: write files into path(), then commit() renames it to
/// its final name. commit() syncs the folder, renames it and syncs the parent; the files in it must
/// have been written with write_synced (or published). The final name must not exist at commit.
/// Destroyed before commit, the temporary folder is removed. As for publish_file, a failed sync of
/// the parent is an error with the whole folder in place.
class PublishedFolder {
 public:
  PublishedFolder(FileSystem& files, fs::path final_path);
  PublishedFolder(const PublishedFolder&) = delete;
  PublishedFolder& operator=(const PublishedFolder&) = delete;
  ~PublishedFolder();

  /// The temporary folder `.tmp-NAME-…` beside the final one.
  [[nodiscard]] const fs::path& path() const { return temporary_; }
  void commit();

 private:
  void discard();

  FileSystem& files_;
  fs::path final_path_;
  fs::path temporary_;
  bool committed_ = false;
};

/// Creates `path`, writes, syncs and closes it. For files inside a PublishedFolder.
void write_synced(FileSystem& files, const fs::path& path, std::span<const std::byte> bytes);
void write_synced(FileSystem& files, const fs::path& path, std::string_view text);

/// Removes what a killed process left beside published files and folders in `folder`: entries that
/// are named as the temporaries of PublishedFile and PublishedFolder and whose process is gone.
void remove_stale_temporaries(FileSystem& files, const fs::path& folder);

}  // namespace weft
