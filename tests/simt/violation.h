#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace weft::simt {

/// What a kernel did that a GPU would not forgive, or would forgive on some days.
enum class Rule {
  kBounds,         ///< an access outside of every buffer
  kAlignment,      ///< an address that is no multiple of the access's size
  kReadOnly,       ///< a write to an input
  kUninitialised,  ///< a read of an output, or of shared memory, before anything was written there
  kRace,           ///< two threads at one place with no barrier between them, one of them writing
  kBarrier,        ///< a barrier that not all threads of the block reach, or not the same one
  kWarp,           ///< a shuffle or vote that not all lanes of the warp reach, or not the same one
  kUnwritten,      ///< an output of which some bytes were not written
  kLaunch,         ///< a launch that no device accepts
};

/// Thrown by the launch of a kernel that broke a rule; the message names kernel, thread and source
/// line.
class Violation : public std::runtime_error {
 public:
  Violation(Rule rule, const std::string& message) : std::runtime_error(message), rule_(rule) {}
  [[nodiscard]] Rule rule() const { return rule_; }

 private:
  Rule rule_;
};

/// A line of a kernel's source.
using Where = std::source_location;

inline std::string text_of(const Where& where) {
  const std::string_view path = where.file_name();
  return fmt::format("{}:{}", path.substr(path.rfind('/') + 1), where.line());
}

/// A thread at a moment, as far as the order of memory accesses goes.
struct Moment {
  std::uint32_t launch = 0;  ///< 0: never
  std::int32_t block = 0;
  std::int32_t thread = 0;
  std::uint32_t block_phase = 0;  ///< barriers of the block passed so far
  std::uint32_t warp_phase = 0;   ///< barriers of the warp passed so far
  bool atomic = false;

  /// Whether what happened then is certain to be seen by what happens at `later`.
  [[nodiscard]] bool before(const Moment& later) const {
    if (launch != later.launch) {
      return true;
    }
    if (block != later.block) {
      return false;
    }
    return thread == later.thread || block_phase != later.block_phase ||
           (thread / 32 == later.thread / 32 && warp_phase != later.warp_phase);
  }
};

}  // namespace weft::simt
