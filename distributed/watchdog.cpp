#include "distributed/watchdog.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace weft::distributed {
namespace {

using std::chrono::milliseconds;

std::string place(const std::string& phase, std::int64_t step) {
  return step < 0 ? fmt::format("phase {}", phase) : fmt::format("step {}, phase {}", step, phase);
}

PhaseObserver& observer() {
  static PhaseObserver current;
  return current;
}

}  // namespace

void set_phase_observer(PhaseObserver next) { observer() = std::move(next); }

void tell_phase_observer(const std::string& phase, std::int64_t step) {
  if (observer()) {
    observer()(phase, step);
  }
}

Watchdog::Watchdog(std::string name, std::chrono::milliseconds limit, Expired expired)
    : name_(std::move(name)), limit_(limit), expired_(std::move(expired)) {
  if (!expired_) {
    expired_ = [](const std::string& report) {
      log_error("{}", report);
      ::_exit(static_cast<int>(ErrorKind::kPeer));
    };
  }
  if (limit_.count() > 0) {
    thread_ = std::thread([this] { run(); });
  }
}

Watchdog::~Watchdog() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Watchdog::enter(std::string phase, std::int64_t step) {
  {
    const std::scoped_lock lock(mutex_);
    phase_ = phase;
    step_ = step;
    since_ = std::chrono::steady_clock::now();
  }
  tell_phase_observer(phase, step);
}

void Watchdog::tick() {
  const std::scoped_lock lock(mutex_);
  since_ = std::chrono::steady_clock::now();
}

std::string Watchdog::where() const {
  const std::scoped_lock lock(mutex_);
  return place(phase_, step_);
}

void Watchdog::stop_after(std::function<bool()> told, milliseconds grace) {
  {
    const std::scoped_lock lock(mutex_);
    told_ = std::move(told);
    grace_ = grace;
  }
  changed_.notify_all();
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { run(); });
  }
}

// "" while there is nothing to report.
std::string Watchdog::report_at(Time now) {
  const auto seconds = [](milliseconds time) { return static_cast<double>(time.count()) / 1000; };
  if (limit_.count() > 0 && now >= since_ + limit_) {
    return fmt::format("{}: {} made no progress for {:.1f} s (ddp_timeout); leaving", name_,
                       place(phase_, step_), seconds(limit_));
  }
  if (told_ && !told_at_ && told_()) {
    told_at_ = now;
  }
  if (told_at_ && now >= *told_at_ + grace_) {
    return fmt::format(
        "{}: told to stop {:.1f} s ago (stop_timeout) and still in {}; leaving without saving",
        name_, seconds(grace_), place(phase_, step_));
  }
  return "";
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const Time now = std::chrono::steady_clock::now();
    const std::string report = report_at(now);
    if (!report.empty()) {
      lock.unlock();
      expired_(report);
      return;
    }
    // A signal wakes nobody here: it is looked for again and again.
    Time next = limit_.count() > 0 ? since_ + limit_ : now + std::chrono::hours(1);
    if (told_) {
      next = std::min(next, now + std::clamp(grace_ / 8, milliseconds(10), milliseconds(500)));
    }
    changed_.wait_until(lock, next);
  }
}

}  // namespace weft::distributed
