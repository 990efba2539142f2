#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft {

/// A live line on standard error, `label  42%  1.2k tokens/s  ETA 0:31  loss 1.234`, redrawn at
/// most ten times a second and erased at the end. Silent when standard error is not a terminal. One
/// live line at a time in a process; log_line keeps clear of it. Used from one thread.
class ProgressLine {
 public:
  /// `total` 0 means unknown (no percentage, no ETA). `unit` names what is counted.
  ProgressLine(std::string_view label, std::uint64_t total, std::string_view unit);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  /// `done` of `total` so far, counted since this run began at `start_from`; `note` is shown at the
  /// end of the line.
  void update(std::uint64_t done, std::string_view note = {});
  /// For work that begins in the middle (a resumed run): rate and ETA count from here.
  void start_from(std::uint64_t done);
  void finish();

 private:
  void draw();

  std::string label_;
  std::string unit_;
  std::string note_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t first_ = 0;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point drawn_;
  bool visible_;
};

}  // namespace weft
