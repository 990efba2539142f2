#include "distributed/watchdog.h"

#include <unistd.h>

#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace weft::distributed {
namespace {

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

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const auto deadline = since_ + limit_;
    if (std::chrono::steady_clock::now() < deadline) {
      changed_.wait_until(lock, deadline);
      continue;
    }
    const std::string report =
        fmt::format("{}: {} made no progress for {:.1f} s (ddp_timeout); leaving", name_,
                    place(phase_, step_), static_cast<double>(limit_.count()) / 1000);
    lock.unlock();
    expired_(report);
    return;
  }
}

}  // namespace weft::distributed
