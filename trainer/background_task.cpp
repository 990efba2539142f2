#include "trainer/background_task.h"

#include <chrono>
#include <exception>
#include <system_error>

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
  try {
    work_ = std::async(std::launch::async, work);
  } catch (const std::system_error&) {  // no thread is to be had; the caller does it then
    work_ = std::async(std::launch::deferred, std::move(work));
    work_.wait();
  }
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
