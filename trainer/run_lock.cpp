#include "trainer/run_lock.h"

#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"

namespace weft::trainer {

namespace {

/// Field 22 of /proc/PID/stat; 0 when it cannot be read. The name in field 2 may hold spaces and
/// parentheses.
std::int64_t process_start_of(std::int64_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(stat, text)) {
    return 0;
  }
  std::istringstream rest(text.substr(text.rfind(')') + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) {
    rest >> field;
  }
  return std::strtoll(field.c_str(), nullptr, 10);
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::string new_run_id() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

bool is_alive(const RunOwner& owner, const RunOwner& self) {
  if (owner.boot_id != self.boot_id) {
    return false;
  }
  const auto pid = static_cast<pid_t>(owner.pid);
  if (owner.pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH)) {
    return false;
  }
  return process_start_of(owner.pid) == owner.process_start;
}

std::string to_text(const RunOwner& owner) {
  Json json;
  json["pid"] = owner.pid;
  json["process_start"] = owner.process_start;
  json["boot_id"] = owner.boot_id;
  json["host"] = owner.host;
  json["run_id"] = owner.run_id;
  return dump_json(json) + "\n";
}

/// Not set when the lock is gone, torn or not ours to understand.
std::optional<RunOwner> read_owner(FileSystem& files, const fs::path& path) {
  try {
    const std::string name = path.string();
    const Json json = parse_json(read_file(files, path, 1 << 16), name);
    return RunOwner{.pid = json_int(json, "pid", name),
                    .process_start = json_int(json, "process_start", name),
                    .boot_id = json_string(json, "boot_id", name),
                    .host = json_string(json, "host", name),
                    .run_id = json_string(json, "run_id", name)};
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// A lock that was just created may not have its text yet.
std::optional<RunOwner> read_owner_patiently(FileSystem& files, const fs::path& path) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (auto owner = read_owner(files, path); owner || !files.exists(path)) {
      return owner;
    }
    ::usleep(20'000);
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const fs::path& path, const RunOwner& owner, std::string_view remedy) {
  fail_config("output_dir {} is in use by process {} on host {} (run {}); {}",
              path.parent_path().string(), owner.pid, owner.host, owner.run_id, remedy);
}

}  // namespace

RunOwner this_process() {
  std::string boot_id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot_id;
  const std::int64_t pid = ::getpid();
  return {.pid = pid,
          .process_start = process_start_of(pid),
          .boot_id = boot_id,
          .host = host_name(),
          .run_id = new_run_id()};
}

RunLock::RunLock(FileSystem& files, const fs::path& output_dir, const RunOwner& owner,
                 bool others_are_gone)
    : files_(files), path_(output_dir / ".lock"), owner_(owner) {
  try {
    files_.make_folders(output_dir);
  } catch (const Error& error) {
    fail_config("output_dir {} cannot be made: {}", output_dir.string(), error.what());
  }
  if (files_.exists(path_)) {
    take_over_stale(others_are_gone);
  }
  try {
    write_synced(files_, path_, to_text(owner_));
  } catch (const Error& error) {
    // Another run may have been quicker between the look and the creation.
    if (const auto other = read_owner(files_, path_); other && *other != owner_) {
      refuse(path_, *other, "wait for it, or choose another output_dir");
    }
    fail_config("output_dir {} cannot be written: {}", output_dir.string(), error.what());
  }
}

void RunLock::take_over_stale(bool others_are_gone) {
  const std::optional<RunOwner> other = read_owner_patiently(files_, path_);
  if (other && other->host != owner_.host && !others_are_gone) {
    refuse(path_, *other, fmt::format("if it is gone, remove {}", path_.string()));
  }
  if (other && other->host == owner_.host && is_alive(*other, owner_)) {
    refuse(path_, *other, "wait for it, or choose another output_dir");
  }
  if (!files_.exists(path_)) {
    return;
  }
  log_warning("{}: {}; taking the folder over", path_.string(),
              other ? fmt::format("process {} (run {}) is gone", other->pid, other->run_id)
                    : "the lock cannot be read, as a killed run leaves it");
  // Move it aside first: if another run has taken over meanwhile, this shows its lock, and it goes
  // back.
  const fs::path aside = path_.parent_path() / fmt::format(".lock-{}", owner_.run_id);
  try {
    files_.rename(path_, aside);
    const std::optional<RunOwner> moved = read_owner(files_, aside);
    if (moved && moved != other) {
      files_.rename(aside, path_);
      refuse(path_, *moved, "wait for it, or choose another output_dir");
    }
    files_.remove(aside);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kConfig) {
      throw;
    }
    fail_config("output_dir {} cannot be written: {}", path_.parent_path().string(), error.what());
  }
}

RunLock::~RunLock() {
  try {
    if (const auto owner = read_owner(files_, path_); owner && *owner == owner_) {
      files_.remove(path_);
    }
  } catch (const std::exception& error) {
    log_warning("{}: {}", path_.string(), error.what());
  }
}

}  // namespace weft::trainer
