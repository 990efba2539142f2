#pragma once

#include <cstdint>
#include <string>

#include "base/file_system.h"

namespace weft::trainer {

/// Who runs in an output folder.
struct RunOwner {
  std::int64_t pid = 0;
  std::int64_t process_start =
      0;  ///< clock ticks since boot, so that a reused pid is not taken for the owner
  std::string boot_id;
  std::string host;
  std::string run_id;  ///< unique for each start of a run

  bool operator==(const RunOwner&) const = default;
};

/// This process, with a new run id.
[[nodiscard]] RunOwner this_process();

/// Keeps a second run out of an output folder through OUT/.lock, which holds the owner as JSON. A
/// lock whose process is gone is taken over with a warning; so is one that cannot be read. A lock
/// of another host is not taken over, since whether that process lives cannot be seen from here,
/// unless the caller knows that it is gone.
class RunLock {
 public:
  /// Makes the folder and takes its lock. A config Error when the folder cannot be made or written,
  /// or when another run has it: the message names its pid, host and run id.
  /// `others_are_gone`: a launcher has ended every earlier process of this run, on any host.
  RunLock(FileSystem& files, const fs::path& output_dir, const RunOwner& owner = this_process(),
          bool others_are_gone = false);
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;
  /// Removes the lock if it is still this run's.
  ~RunLock();

  [[nodiscard]] const std::string& run_id() const { return owner_.run_id; }

 private:
  void take_over_stale(bool others_are_gone);

  FileSystem& files_;
  fs::path path_;
  RunOwner owner_;
};

}  // namespace weft::trainer
