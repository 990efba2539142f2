#include "trainer/checkpoint_files.h"

#include <utility>

#include "base/sha256.h"

namespace weft::trainer {

class HashingFileSystem::HashedFile : public WritableFile {
 public:
  HashedFile(HashingFileSystem& owner, fs::path path, std::unique_ptr<WritableFile> inner)
      : owner_(owner), path_(std::move(path)), inner_(std::move(inner)) {}

  void append(std::span<const std::byte> bytes) override {
    inner_->append(bytes);
    hash_.update(bytes);
    bytes_ += bytes.size();
  }
  void sync() override { inner_->sync(); }
  void close() override {
    inner_->close();
    const std::lock_guard lock(owner_.mutex_);
    owner_.records_[path_] = {.bytes = bytes_, .sha256 = hash_.finish()};
  }

 private:
  HashingFileSystem& owner_;
  fs::path path_;
  std::unique_ptr<WritableFile> inner_;
  Sha256 hash_;
  std::uint64_t bytes_ = 0;
};

std::map<fs::path, FileRecord> HashingFileSystem::records() const {
  const std::lock_guard lock(mutex_);
  return records_;
}

void HashingFileSystem::forget(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  records_.erase(path);
}

std::unique_ptr<ReadableFile> HashingFileSystem::open(const fs::path& path, bool follow_links) {
  return inner_.open(path, follow_links);
}

std::unique_ptr<WritableFile> HashingFileSystem::create(const fs::path& path) {
  return std::make_unique<HashedFile>(*this, path, inner_.create(path));
}

std::unique_ptr<WritableFile> HashingFileSystem::open_append(const fs::path& path) {
  forget(path);
  return inner_.open_append(path);
}

void HashingFileSystem::rename(const fs::path& from, const fs::path& to) {
  inner_.rename(from, to);
  const std::lock_guard lock(mutex_);
  records_.erase(to);
  if (auto node = records_.extract(from)) {
    node.key() = to;
    records_.insert(std::move(node));
  }
}

void HashingFileSystem::sync_folder(const fs::path& folder) { inner_.sync_folder(folder); }

void HashingFileSystem::make_folders(const fs::path& folder) { inner_.make_folders(folder); }

void HashingFileSystem::remove(const fs::path& path) {
  inner_.remove(path);
  forget(path);
}

void HashingFileSystem::remove_all(const fs::path& path) { inner_.remove_all(path); }

std::vector<std::string> HashingFileSystem::list(const fs::path& folder) {
  return inner_.list(folder);
}

bool HashingFileSystem::exists(const fs::path& path) { return inner_.exists(path); }

bool HashingFileSystem::is_folder(const fs::path& path) { return inner_.is_folder(path); }

}  // namespace weft::trainer
