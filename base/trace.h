#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace weft {

/// Where the time of a program goes: named spans of wall time, nested. One trace at a time is
/// active in a process; the code that is measured marks its phases with TracePhase, which costs a
/// comparison while no trace is active. Used from one thread.
class Trace {
 public:
  /// Becomes the active one, and stays it as long as it lives.
  Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;
  ~Trace();

  /// What the active trace calls, from now on, before it reads the clock: a span then ends when
  /// what it has given to a device is done. Does nothing while no trace is active.
  static void settle_by(std::function<void()> settle);

  /// What one name took, without the spans inside it.
  struct Share {
    std::string name;
    std::int64_t count = 0;
    double seconds = 0;
    double fraction = 0;  ///< of all spans together
  };
  /// Largest first.
  [[nodiscard]] std::vector<Share> shares() const;
  /// The shares as lines for people.
  [[nodiscard]] std::string summary() const;
  /// Publishes the spans in Chrome's trace format (chrome://tracing, Perfetto). The file holds the
  /// first million spans; the shares count all of them.
  void write(FileSystem& files, const fs::path& path) const;

 private:
  friend class TracePhase;
  struct Span {
    const char* name;
    std::int64_t begin;  ///< nanoseconds since the trace began
    std::int64_t end;
  };
  struct Open {
    const char* name;
    std::int64_t begin;
    std::int64_t inside;  ///< nanoseconds of the spans inside it
  };
  struct Sum {
    std::int64_t count = 0;
    std::int64_t nanoseconds = 0;
  };

  void open(const char* name);
  void close();
  [[nodiscard]] std::int64_t now() const;

  std::chrono::steady_clock::time_point began_;
  std::function<void()> settle_;
  std::vector<Open> open_;
  std::vector<Span> spans_;
  std::vector<std::pair<const char*, Sum>> sums_;
};

/// A span from here to the end of the scope, or to the next phase of the same object. Names are
/// string literals.
class TracePhase {
 public:
  explicit TracePhase(const char* name);
  TracePhase(const TracePhase&) = delete;
  TracePhase& operator=(const TracePhase&) = delete;
  ~TracePhase();

  /// Ends the phase and begins another.
  void next(const char* name);

 private:
  Trace* trace_;
};

}  // namespace weft
