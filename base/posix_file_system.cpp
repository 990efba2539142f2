#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/file_system.h"

namespace weft {
namespace {

std::string_view advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "; free some space or choose another folder";
    case EACCES:
    case EPERM:
      return "; check the permissions or choose another folder";
    case EROFS:
      return "; choose a folder that can be written";
    case ELOOP:
      return "; symbolic links are not followed here";
    default:
      return "";
  }
}

[[noreturn]] void fail_system(const fs::path& path, std::string_view action, int error) {
  fail_data("{}: cannot {}: {}{}", path.string(), action, std::generic_category().message(error),
            advice(error));
}

/// Repeats a system call that a signal interrupted.
template <typename Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) {
      ::close(value_);
    }
  }
  [[nodiscard]] int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(fs::path path, int descriptor, std::uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

  [[nodiscard]] std::uint64_t size() const override { return size_; }

  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > size_ || out.size() > size_ - offset) {
      fail_data("{}: {} bytes wanted at byte {}, but the file ends at byte {}; it is cut short",
                path_.string(), out.size(), offset, size_);
    }
    while (!out.empty()) {
      const ssize_t count = retried([&] {
        return ::pread(descriptor_.get(), out.data(), out.size(), static_cast<off_t>(offset));
      });
      if (count < 0) {
        fail_system(path_, "read", errno);
      }
      if (count == 0) {
        fail_data("{}: the file ends at byte {}, but had {} bytes when it was opened",
                  path_.string(), offset, size_);
      }
      offset += static_cast<std::uint64_t>(count);
      out = out.subspan(static_cast<std::size_t>(count));
    }
  }

 private:
  fs::path path_;
  Descriptor descriptor_;
  std::uint64_t size_;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(fs::path path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}

  using WritableFile::append;

  void append(std::span<const std::byte> bytes) override {
    check_usable();
    while (!bytes.empty()) {
      const ssize_t count =
          retried([&] { return ::write(descriptor_.get(), bytes.data(), bytes.size()); });
      if (count <= 0) {
        failed_ = true;
        fail_system(path_, "write", count < 0 ? errno : EIO);
      }
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  void sync() override {
    check_usable();
    if (retried([&] { return ::fsync(descriptor_.get()); }) != 0) {
      failed_ = true;
      fail_system(path_, "write to the disk", errno);
    }
  }

  void close() override {
    check_usable();
    // Linux closes the descriptor also when it answers EINTR; a second close could hit another
    // thread's file.
    if (::close(descriptor_.release()) != 0 && errno != EINTR) {
      fail_system(path_, "close", errno);
    }
  }

 private:
  void check_usable() const {
    if (descriptor_.get() < 0) {
      fail_internal("{}: used after it was closed", path_.string());
    }
    if (failed_) {
      fail_data("{}: an earlier write failed, so the file is not whole", path_.string());
    }
  }

  fs::path path_;
  Descriptor descriptor_;
  bool failed_ = false;
};

class PosixFileSystem final : public FileSystem {
 public:
  std::unique_ptr<ReadableFile> open(const fs::path& path, bool follow_links) override {
    // O_NONBLOCK: opening a pipe must not wait for a writer; it has no meaning for regular files.
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow_links ? 0 : O_NOFOLLOW);
    Descriptor descriptor(retried([&] { return ::open(path.c_str(), flags); }));
    struct stat status {};
    if (descriptor.get() < 0 || ::fstat(descriptor.get(), &status) != 0) {
      fail_system(path, "open", errno);
    }
    if (!S_ISREG(status.st_mode)) {
      fail_data("{}: expected a file, found {}", path.string(),
                S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    return std::make_unique<PosixReadableFile>(path, descriptor.release(), size);
  }

  std::unique_ptr<WritableFile> create(const fs::path& path) override {
    return open_for_writing(path, O_EXCL, "create");
  }

  std::unique_ptr<WritableFile> open_append(const fs::path& path) override {
    return open_for_writing(path, O_APPEND, "open for writing");
  }

  void rename(const fs::path& from, const fs::path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      fail_system(to, "rename " + from.filename().string() + " to this", errno);
    }
  }

  void sync_folder(const fs::path& folder) override {
    const Descriptor descriptor(
        retried([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (descriptor.get() < 0) {
      fail_system(folder, "open the folder", errno);
    }
    // EINVAL: some network file systems keep folders on a server and have nothing to sync.
    if (retried([&] { return ::fsync(descriptor.get()); }) != 0 && errno != EINVAL) {
      fail_system(folder, "write the folder to the disk", errno);
    }
  }

  void make_folders(const fs::path& folder) override {
    if (folder.empty() || is_folder(folder)) {
      return;
    }
    const fs::path parent =
        folder.has_filename() ? folder.parent_path() : folder.parent_path().parent_path();
    make_folders(parent);
    if (::mkdir(folder.c_str(), 0777) != 0 && !(errno == EEXIST && is_folder(folder))) {
      fail_system(folder, "create the folder", errno);
    }
    sync_folder(parent.empty() ? fs::path(".") : parent);
  }

  void remove(const fs::path& path) override {
    if (::remove(path.c_str()) != 0) {
      fail_system(path, "remove", errno);
    }
  }

  void remove_all(const fs::path& path) override {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) {
      fail_system(path, "remove", error.value());
    }
  }

  std::vector<std::string> list(const fs::path& folder) override {
    std::error_code error;
    std::vector<std::string> names;
    fs::directory_iterator entry(folder, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      names.push_back(entry->path().filename().string());
    }
    if (error) {
      fail_system(folder, "list the folder", error.value());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  bool exists(const fs::path& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
      return true;
    }
    if (errno != ENOENT && errno != ENOTDIR) {
      fail_system(path, "look up", errno);
    }
    return false;
  }

  bool is_folder(const fs::path& path) override {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  }

 private:
  static std::unique_ptr<WritableFile> open_for_writing(const fs::path& path, int extra_flags,
                                                        std::string_view action) {
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | extra_flags;
    const int descriptor = retried([&] { return ::open(path.c_str(), flags, 0666); });
    if (descriptor < 0) {
      fail_system(path, action, errno);
    }
    return std::make_unique<PosixWritableFile>(path, descriptor);
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem files;
  return files;
}

}  // namespace weft
