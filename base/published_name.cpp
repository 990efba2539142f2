#include "base/published_name.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <random>
#include <system_error>

#include "base/error.h"
#include "base/file_system.h"
#include "base/log.h"

namespace weft {
namespace {

constexpr std::size_t kLongestName = 150;  // file systems allow 255 bytes for the whole

std::uint32_t host_hash() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const char c : std::string_view(name.data())) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  }
  return hash;
}

std::uint32_t run_number() {
  static const std::uint32_t number = std::random_device{}();
  return number;
}

std::string hex_word(std::uint32_t value) { return fmt::format("{:08x}", value); }

bool is_hex_word(std::string_view text) {
  return text.size() == 8 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string owner() {
  static std::atomic<std::uint64_t> counter{0};
  return fmt::format("{}-{}-{}-{}", hex_word(host_hash()), getpid(), hex_word(run_number()),
                     counter++);
}

bool is_running(pid_t process) { return kill(process, 0) == 0 || errno == EPERM; }

}  // namespace

std::string temporary_file_name(std::string_view name) {
  return fmt::format(".{}.tmp-{}", name.substr(0, kLongestName), owner());
}

std::string temporary_folder_name(std::string_view name) {
  return fmt::format(".tmp-{}-{}", name.substr(0, kLongestName), owner());
}

bool is_stale_temporary(std::string_view name) {
  std::array<std::string_view, 4> owner_parts;  // HOST, PID, RUN, N
  for (std::size_t i = owner_parts.size(); i-- > 0;) {
    const std::size_t dash = name.rfind('-');
    if (dash == name.npos) {
      return false;
    }
    owner_parts[i] = name.substr(dash + 1);
    name = name.substr(0, dash);
  }
  const bool file = name.size() > 5 && name.starts_with('.') && name.ends_with(".tmp");
  const bool folder = name.size() > 5 && name.starts_with(".tmp-");
  const auto [host, process_text, run, count] = owner_parts;
  pid_t process = 0;
  const char* const end = process_text.data() + process_text.size();
  const auto parsed = std::from_chars(process_text.data(), end, process);
  if ((!file && !folder) || parsed.ec != std::errc() || parsed.ptr != end || process <= 0 ||
      host != hex_word(host_hash()) || !is_hex_word(run) || count.empty()) {
    return false;
  }
  return process == getpid() ? run != hex_word(run_number()) : !is_running(process);
}

void remove_stale_temporaries(FileSystem& files, const fs::path& folder) {
  if (!files.exists(folder)) {
    return;
  }
  for (const std::string& name : files.list(folder)) {
    if (!is_stale_temporary(name)) {
      continue;
    }
    try {
      files.remove_all(folder / name);
    } catch (const Error& error) {
      log_warning("{}", error.what());  // a leftover does no harm; the work goes on
    }
  }
}

}  // namespace weft
