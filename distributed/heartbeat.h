#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "distributed/key_store.h"

namespace weft::distributed {

/// While it lives, a thread counts up one key of the store, so that waiting ranks see that this one
/// is alive. Nothing else may use the store meanwhile. A store that fails ends the counting; the
/// next use of the store tells.
class Heartbeat {
 public:
  Heartbeat(KeyStore& store, std::string key, std::chrono::milliseconds interval);
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;
  ~Heartbeat();

 private:
  void run();

  KeyStore& store_;
  std::string key_;
  std::chrono::milliseconds interval_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;  ///< last: starts when all else is in place
};

}  // namespace weft::distributed
