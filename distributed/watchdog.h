#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace weft::distributed {

/// Called whenever a watchdog's owner enters a phase, on its thread; none at the start. For
/// programs that follow or disturb a run from outside, as the tests of faults do.
using PhaseObserver = std::function<void(const std::string& phase, std::int64_t step)>;
void set_phase_observer(PhaseObserver observer);
/// Tells the observer of a phase that begins beside the watched one, on a thread of its own:
/// "writing" and "publishing" a checkpoint.
void tell_phase_observer(const std::string& phase, std::int64_t step);

/// Ends a process that is stuck where no collective's timeout finds it: the thread of this class
/// looks whether the present phase has gone on for longer than the limit without a tick.
/// Thread-safe.
class Watchdog {
 public:
  /// Called on the watchdog's thread, once, with the report. The default logs it and leaves with
  /// the exit code of a lost peer, without running destructors: the stuck thread may hold any lock.
  using Expired = std::function<void(const std::string& report)>;

  /// `limit` zero: never expires, and there is no thread. `name` is what the report calls this
  /// process: "rank 1 of 4 (host a, pid 77)".
  Watchdog(std::string name, std::chrono::milliseconds limit, Expired expired = {});
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  /// From now on also ends a process that is still there so long after `told` first says that it is
  /// to stop: a launcher would kill it then. `told` is asked on the watchdog's thread. Called once.
  void stop_after(std::function<bool()> told, std::chrono::milliseconds grace);
  /// A new phase begins: "setup", "data", "step", "gradients", "evaluation", "saving", "leaving".
  void enter(std::string phase, std::int64_t step = -1);
  /// The phase makes progress.
  void tick();
  /// "step 12, phase step".
  [[nodiscard]] std::string where() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  void run();
  [[nodiscard]] std::string report_at(Time now);

  std::string name_;
  std::chrono::milliseconds limit_;
  Expired expired_;
  std::function<bool()> told_;
  std::chrono::milliseconds grace_{0};
  std::optional<Time> told_at_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string phase_ = "setup";
  std::int64_t step_ = -1;
  Time since_ = std::chrono::steady_clock::now();
  bool stop_ = false;
  std::thread thread_;  ///< last: starts when all else is in place
};

}  // namespace weft::distributed
