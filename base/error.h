#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace weft {

/// What went wrong, coarsely; the value is the exit code of the `weft` program. Scripts rely on
/// these numbers.
enum class ErrorKind {
  kConfig = 2,  ///< a config file, flag or combination of them
  kData = 3,    ///< a file or the data in it: missing, damaged, of the wrong kind, or not writable
  kNumerics = 4,      ///< a loss or gradient that is not finite
  kPeer = 5,          ///< another rank was lost or timed out
  kRestartLimit = 6,  ///< restarted too often without progress
  kOutOfMemory = 7,   ///< host or device memory
  kInternal = 70,     ///< a defect in weft
};

/// The only exception that weft's libraries throw on purpose. The message is one line that names
/// the object, what was found, what was expected and what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}

  [[nodiscard]] ErrorKind kind() const { return kind_; }
  [[nodiscard]] int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

/// Throws an Error of the given kind with an fmt-formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void fail_config(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::kConfig, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void fail_data(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::kData, fmt::format(format, std::forward<Args>(args)...));
}

/// For conditions that only a defect in weft can cause; never for input.
template <typename... Args>
[[noreturn]] void fail_internal(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::kInternal, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace weft
