#pragma once

#include <hdf5.h>

#include <mutex>
#include <string_view>
#include <utility>

#include "base/file_system.h"

namespace weft::data {

/// Must be held around every HDF5 call: Debian's library is not thread-safe, whatever file is
/// meant. Recursive, so a function that holds it may call another that takes it. Also turns HDF5's
/// own printing of errors off.
class Hdf5Lock {
 public:
  Hdf5Lock();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

/// Owns one HDF5 identifier and closes it, under the lock, with the function it was given.
class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);

  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Hdf5Handle();

  [[nodiscard]] hid_t id() const { return id_; }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

/// Throws a data Error `PATH: WHAT (HDF5: innermost reason)`. Call it with the lock held, right
/// after the call that failed.
[[noreturn]] void fail_hdf5(const fs::path& path, std::string_view what);

/// A handle for `id`, or fail_hdf5 when it is negative.
[[nodiscard]] Hdf5Handle hdf5_handle(hid_t id, Hdf5Handle::Close close, const fs::path& path,
                                     std::string_view what);

/// fail_hdf5 when `status`, the result of an HDF5 call, is negative.
void check_hdf5(herr_t status, const fs::path& path, std::string_view what);

}  // namespace weft::data
