#include "base/file_system.h"

#include "base/error.h"
#include "base/published_name.h"
#include "base/text.h"

namespace weft {
namespace {

fs::path parent_folder(const fs::path& path) {
  fs::path parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

}  // namespace

void WritableFile::append(std::string_view text) {
  append(std::as_bytes(std::span(text.data(), text.size())));
}

std::string read_file(FileSystem& files, const fs::path& path, std::uint64_t limit) {
  const std::unique_ptr<ReadableFile> file = files.open(path);
  const std::uint64_t size = file->size();
  if (size > limit) {
    fail_data("{}: the file has {}, more than the {} that are allowed here", path.string(),
              human_bytes(size), human_bytes(limit));
  }
  std::string text(static_cast<std::size_t>(size), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size())));
  return text;
}

void write_synced(FileSystem& files, const fs::path& path, std::span<const std::byte> bytes) {
  const std::unique_ptr<WritableFile> file = files.create(path);
  file->append(bytes);
  file->sync();
  file->close();
}

void write_synced(FileSystem& files, const fs::path& path, std::string_view text) {
  write_synced(files, path, std::as_bytes(std::span(text.data(), text.size())));
}

void publish_file(FileSystem& files, const fs::path& path, std::span<const std::byte> bytes) {
  PublishedFile file(files, path);
  file.append(bytes);
  file.commit();
}

void publish_file(FileSystem& files, const fs::path& path, std::string_view text) {
  publish_file(files, path, std::as_bytes(std::span(text.data(), text.size())));
}

PublishedFile::PublishedFile(FileSystem& files, fs::path path)
    : files_(files),
      path_(std::move(path)),
      temporary_(parent_folder(path_) / temporary_file_name(path_.filename().string())),
      file_(files_.create(temporary_)) {}

PublishedFile::~PublishedFile() {
  if (temporary_.empty()) {
    return;
  }
  file_.reset();
  try {
    files_.remove(temporary_);
  } catch (const Error&) {
    // The error that brought us here is the one to report; remove_stale_temporaries sweeps the
    // rest.
  }
}

void PublishedFile::append(std::span<const std::byte> bytes) {
  if (!file_) {
    fail_internal("{}: append after commit", path_.string());
  }
  file_->append(bytes);
}

void PublishedFile::append(std::string_view text) {
  append(std::as_bytes(std::span(text.data(), text.size())));
}

void PublishedFile::commit() {
  if (!file_) {
    fail_internal("{}: committed twice", path_.string());
  }
  file_->sync();
  file_->close();
  file_.reset();
  files_.rename(temporary_, path_);
  temporary_.clear();
  files_.sync_folder(parent_folder(path_));
}

PublishedFolder::PublishedFolder(FileSystem& files, fs::path final_path)
    : files_(files), final_path_(std::move(final_path)) {
  if (!final_path_.has_filename()) {  // "runs/first/" is "runs/first"
    final_path_ = final_path_.parent_path();
  }
  temporary_ = parent_folder(final_path_) / temporary_folder_name(final_path_.filename().string());
  try {
    files_.make_folders(temporary_);
  } catch (...) {  // it may be there, and only its parent not synced
    discard();
    throw;
  }
}

PublishedFolder::~PublishedFolder() {
  if (!committed_) {
    discard();
  }
}

void PublishedFolder::discard() {
  try {
    files_.remove_all(temporary_);
  } catch (const Error&) {
    // As for PublishedFile: the first error counts.
  }
}

void PublishedFolder::commit() {
  if (committed_) {
    fail_internal("{}: committed twice", final_path_.string());
  }
  files_.sync_folder(temporary_);
  // rename() would replace an empty folder without a word.
  if (files_.exists(final_path_)) {
    fail_data("{}: exists already; remove it or choose another name", final_path_.string());
  }
  files_.rename(temporary_, final_path_);
  committed_ = true;
  files_.sync_folder(parent_folder(final_path_));
}

}  // namespace weft
