#pragma once

#include <csignal>

namespace weft::trainer {

/// While one lives, SIGTERM and SIGINT only set a flag, so that a run can save and leave at a step
/// boundary; a second one ends the process at once. SIGPIPE and SIGXFSZ are ignored: a closed pipe
/// or a file-size limit is then an error of the write, with a message. At most one at a time; the
/// destructor restores what was there before.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  /// Whether SIGTERM or SIGINT has come.
  [[nodiscard]] static bool requested();
  /// Its number, 0 when none has come.
  [[nodiscard]] static int number();

 private:
  static constexpr int kSignals[] = {SIGTERM, SIGINT, SIGPIPE, SIGXFSZ};
  struct sigaction before_[4] = {};
};

}  // namespace weft::trainer
