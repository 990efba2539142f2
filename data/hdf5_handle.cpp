#include "data/hdf5_handle.h"

#include <string>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

/// Keeps the first description, which is the deepest one: the cause rather than its consequences.
herr_t keep_first(unsigned position, const H5E_error2_t* error, void* text) {
  if (position == 0 && error->desc != nullptr) {
    *static_cast<std::string*>(text) = error->desc;
  }
  return 0;
}

}  // namespace

Hdf5Lock::Hdf5Lock() : lock_(library_mutex()) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  // No filter or driver code is loaded from the machine because a file asks for it.
  H5PLset_loading_state(0);
}

Hdf5Handle::~Hdf5Handle() {
  if (id_ >= 0) {
    const Hdf5Lock lock;
    close_(id_);
  }
}

void fail_hdf5(const fs::path& path, std::string_view what) {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  H5Eclear2(H5E_DEFAULT);
  if (reason.empty()) {
    fail_data("{}: {}", path.string(), what);
  }
  fail_data("{}: {} (HDF5: {})", path.string(), what, printable(reason));
}

Hdf5Handle hdf5_handle(hid_t id, Hdf5Handle::Close close, const fs::path& path,
                       std::string_view what) {
  if (id < 0) {
    fail_hdf5(path, what);
  }
  return {id, close};
}

void check_hdf5(herr_t status, const fs::path& path, std::string_view what) {
  if (status < 0) {
    fail_hdf5(path, what);
  }
}

}  // namespace weft::data
