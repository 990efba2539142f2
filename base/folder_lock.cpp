#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace weft {

std::optional<FolderLock> FolderLock::try_lock(const fs::path& folder) {
  FolderLock lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.descriptor_ < 0) {
    fail_data("{}: cannot open the folder: {}", folder.string(),
              std::generic_category().message(errno));
  }
  int result = ::flock(lock.descriptor_, LOCK_EX | LOCK_NB);
  while (result != 0 && errno == EINTR) {
    result = ::flock(lock.descriptor_, LOCK_EX | LOCK_NB);
  }
  if (result != 0 && errno == EWOULDBLOCK) {
    return std::nullopt;
  }
  return lock;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

bool FolderLock::holds(const fs::path& folder) const {
  struct stat locked {};
  struct stat named {};
  return ::fstat(descriptor_, &locked) == 0 && ::stat(folder.c_str(), &named) == 0 &&
         locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

}  // namespace weft
