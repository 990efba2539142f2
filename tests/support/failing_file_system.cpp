#include "tests/support/failing_file_system.h"

#include <system_error>
#include <utility>

#include "base/error.h"

namespace weft::test {

/// A file or folder as it is now, and as the disk would show it after a power cut.
struct FailingFileSystem::Node {
  bool folder = false;
  std::string bytes;
  std::string durable_bytes;
  std::map<std::string, NodePtr> entries;
  std::map<std::string, NodePtr> durable_entries;
};

namespace {

[[noreturn]] void fail_call_with(const std::string& name, const fs::path& path, int error) {
  fail_data("{}: cannot {}: {} (injected)", path.string(), name,
            std::generic_category().message(error));
}

fs::path normal(const fs::path& path) {
  fs::path result = fs::absolute(path).lexically_normal();
  return result.has_filename() ? result : result.parent_path();
}

}  // namespace

class FailingFileSystem::File final : public WritableFile {
 public:
  File(FailingFileSystem& files, std::unique_ptr<WritableFile> inner, fs::path path, NodePtr node)
      : files_(files), inner_(std::move(inner)), path_(std::move(path)), node_(std::move(node)) {}

  using WritableFile::append;

  void append(std::span<const std::byte> bytes) override {
    const std::lock_guard lock(files_.mutex_);
    const int error = files_.begin_call("append", path_);
    if (error != 0) {
      bytes = bytes.first(files_.died_before_ ? 0 : bytes.size() / 2);
    }
    inner_->append(bytes);
    node_->bytes.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (error != 0) {
      fail_call_with("append", path_, error);
    }
  }

  void sync() override {
    const std::lock_guard lock(files_.mutex_);
    files_.begin_or_fail("sync", path_);
    inner_->sync();
    node_->durable_bytes = node_->bytes;
  }

  void close() override {
    const std::lock_guard lock(files_.mutex_);
    const int error = files_.begin_call("close", path_);
    inner_->close();
    if (error != 0) {
      fail_call_with("close", path_, error);
    }
  }

 private:
  FailingFileSystem& files_;
  std::unique_ptr<WritableFile> inner_;
  fs::path path_;
  NodePtr node_;
};

FailingFileSystem::FailingFileSystem(FileSystem& inner, fs::path root)
    : inner_(inner), root_(normal(root)), tree_(import_from_disk(root_, true)) {}

void FailingFileSystem::fail_call(std::size_t n, int error, Then then) {
  const std::lock_guard lock(mutex_);
  heal();
  matches_ = [this, n](const Call&) { return calls_.size() == n; };
  error_ = error;
  then_ = then;
}

void FailingFileSystem::fail_where(std::function<bool(const Call&)> matches, int error) {
  const std::lock_guard lock(mutex_);
  heal();
  matches_ = std::move(matches);
  error_ = error;
}

void FailingFileSystem::heal() {
  const std::lock_guard lock(mutex_);
  calls_.clear();
  matches_ = nullptr;
  failed_ = false;
  died_before_ = false;
  then_ = Then::kGoOn;
}

bool FailingFileSystem::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

std::vector<FailingFileSystem::Call> FailingFileSystem::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

int FailingFileSystem::begin_call(const std::string& name, const fs::path& path) {
  calls_.push_back({name, path});
  died_before_ = failed_ && then_ == Then::kDie;
  if (died_before_ || (matches_ && matches_(calls_.back()))) {
    failed_ = true;
    return error_;
  }
  return 0;
}

void FailingFileSystem::begin_or_fail(const std::string& name, const fs::path& path) {
  if (const int error = begin_call(name, path); error != 0) {
    fail_call_with(name, path, error);
  }
}

FailingFileSystem::NodePtr FailingFileSystem::import_from_disk(const fs::path& path, bool durable) {
  auto node = std::make_shared<Node>();
  node->folder = inner_.is_folder(path);
  if (!node->folder) {
    node->bytes = read_file(inner_, path);
    if (durable) {
      node->durable_bytes = node->bytes;
    }
    return node;
  }
  for (const std::string& name : inner_.list(path)) {
    node->entries[name] = import_from_disk(path / name, durable);
  }
  if (durable) {
    node->durable_entries = node->entries;
  }
  return node;
}

/// The node at `path`, which must exist on disk and below the root.
FailingFileSystem::NodePtr FailingFileSystem::find(const fs::path& path) {
  const fs::path relative = normal(path).lexically_relative(root_);
  if (relative.empty() || *relative.begin() == "..") {
    fail_internal("{}: not below {}", path.string(), root_.string());
  }
  NodePtr node = tree_;
  fs::path at = root_;
  for (const fs::path& part : relative) {
    if (part == ".") {
      continue;
    }
    at /= part;
    const auto known = node->entries.find(part.string());
    node = known != node->entries.end()
               ? known->second
               : node->entries.emplace(part.string(), import_from_disk(at, false)).first->second;
  }
  return node;
}

FailingFileSystem::NodePtr FailingFileSystem::find_parent(const fs::path& path) {
  return find(normal(path).parent_path());
}

std::unique_ptr<ReadableFile> FailingFileSystem::open(const fs::path& path, bool follow_links) {
  return inner_.open(path, follow_links);
}

std::unique_ptr<WritableFile> FailingFileSystem::create(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  begin_or_fail("create", path);
  auto file = inner_.create(path);
  NodePtr node = std::make_shared<Node>();
  find_parent(path)->entries[path.filename().string()] = node;
  return std::make_unique<File>(*this, std::move(file), path, std::move(node));
}

std::unique_ptr<WritableFile> FailingFileSystem::open_append(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  begin_or_fail("open_append", path);
  auto file = inner_.open_append(path);
  const NodePtr node = find(path);
  node->bytes = read_file(inner_, path);  // it may have been written behind our back
  return std::make_unique<File>(*this, std::move(file), path, node);
}

void FailingFileSystem::rename(const fs::path& from, const fs::path& to) {
  const std::lock_guard lock(mutex_);
  begin_or_fail("rename", to);
  const NodePtr node = find(from);
  inner_.rename(from, to);
  find_parent(from)->entries.erase(normal(from).filename().string());
  find_parent(to)->entries[normal(to).filename().string()] = node;
}

void FailingFileSystem::sync_folder(const fs::path& folder) {
  const std::lock_guard lock(mutex_);
  begin_or_fail("sync_folder", folder);
  inner_.sync_folder(folder);
  const NodePtr node = find(folder);
  for (const std::string& name : inner_.list(folder)) {
    if (!node->entries.contains(name)) {
      node->entries[name] = import_from_disk(folder / name, false);
    }
  }
  node->durable_entries = node->entries;
}

void FailingFileSystem::make_folders(const fs::path& folder) {
  const std::lock_guard lock(mutex_);
  begin_or_fail("make_folders", folder);
  inner_.make_folders(folder);
  NodePtr node = tree_;
  for (const fs::path& part : normal(folder).lexically_relative(root_)) {
    if (part == ".") {
      continue;
    }
    NodePtr& next = node->entries[part.string()];
    if (!next) {
      next = std::make_shared<Node>();
      next->folder = true;
      node->durable_entries[part.string()] = next;  // make_folders promises this
    }
    node = next;
  }
}

void FailingFileSystem::remove(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  begin_or_fail("remove", path);
  inner_.remove(path);
  find_parent(path)->entries.erase(normal(path).filename().string());
}

void FailingFileSystem::remove_all(const fs::path& path) {
  const std::lock_guard lock(mutex_);
  begin_or_fail("remove_all", path);
  if (inner_.exists(path)) {
    inner_.remove_all(path);
    find_parent(path)->entries.erase(normal(path).filename().string());
  }
}

std::vector<std::string> FailingFileSystem::list(const fs::path& folder) {
  return inner_.list(folder);
}

bool FailingFileSystem::exists(const fs::path& path) { return inner_.exists(path); }

bool FailingFileSystem::is_folder(const fs::path& path) { return inner_.is_folder(path); }

void FailingFileSystem::lose_power(PowerLoss loss) {
  const std::lock_guard lock(mutex_);
  for (const std::string& name : inner_.list(root_)) {
    inner_.remove_all(root_ / name);
  }
  restore(*tree_, root_, loss);
  tree_ = import_from_disk(root_, true);
  heal();
}

void FailingFileSystem::restore(const Node& folder, const fs::path& path, PowerLoss loss) {
  const auto& entries = loss == PowerLoss::kDropEntries ? folder.durable_entries : folder.entries;
  for (const auto& [name, node] : entries) {
    if (node->folder) {
      inner_.make_folders(path / name);
      restore(*node, path / name, loss);
    } else {
      const std::unique_ptr<WritableFile> file = inner_.create(path / name);
      file->append(node->durable_bytes);
      file->close();
    }
  }
}

}  // namespace weft::test
