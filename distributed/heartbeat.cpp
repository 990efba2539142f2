#include "distributed/heartbeat.h"

#include "base/log.h"

namespace weft::distributed {

Heartbeat::Heartbeat(KeyStore& store, std::string key, std::chrono::milliseconds interval)
    : store_(store), key_(std::move(key)), interval_(interval), thread_([this] { run(); }) {}

Heartbeat::~Heartbeat() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Heartbeat::run() {
  try {
    std::unique_lock lock(mutex_);
    for (std::int64_t beat = 0; !stop_; ++beat) {
      store_.set(key_, std::to_string(beat));
      changed_.wait_for(lock, interval_, [this] { return stop_; });
    }
  } catch (const std::exception& error) {
    log_warning("{}", error.what());
  }
}

}  // namespace weft::distributed
