#include "trainer/background_task.h"

#include <chrono>
#include <exception>

#include "base/log.h"

namespace weft::trainer {

BackgroundTask::~BackgroundTask() {
  try {
    wait();
  } catch (const std::exception& error) {
    log_error("{} failed: {}", name_, error.what());
  }
}

void BackgroundTask::start(std::function<void()> work) {
  wait();
  work_ = std::async(std::launch::async, std::move(work));
}

void BackgroundTask::wait() {
  if (work_.valid()) {
    work_.get();
  }
}

void BackgroundTask::check() {
  if (work_.valid() && work_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
    work_.get();
  }
}

}  // namespace weft::trainer
