#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file_system.h"
#include "base/log.h"

namespace weft::fuzz {

/// A folder of this process's own in memory, made at the first call.
inline const fs::path& folder() {
  static const fs::path path = [] {
    const fs::path shared = fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
    fs::path made = shared / ("weft-fuzz-" + std::to_string(::getpid()));
    fs::create_directories(made);
    static const fs::path at_exit = made;
    std::atexit([] { fs::remove_all(at_exit); });
    return made;
  }();
  return path;
}

/// Creates or replaces a file of that folder and returns its path.
inline fs::path put(std::string_view name, std::string_view bytes) {
  const fs::path path = folder() / name;
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() ||
      std::fclose(file) != 0) {
    std::abort();
  }
  return path;
}

/// Runs `call`, which may refuse its input with any Error but an internal one: that would be a
/// mistake in weft. Every other exception, signal and sanitizer report is a finding too.
template <typename Call>
void refuses_or_takes(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) {
      std::fprintf(stderr, "internal error: %s\n", error.what());
      std::abort();
    }
  }
}

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace weft::fuzz
