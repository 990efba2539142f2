#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "data/loader.h"

namespace weft::data {

/// Runs `produce` again and again on a thread of its own and keeps up to `depth` results ready.
class Prefetcher {
 public:
  Prefetcher(std::function<MicroBatch()> produce, std::size_t depth);
  /// Waits for the call of `produce` that is running, if any.
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// Results in order. When `produce` threw, the results before it are given first, then its
  /// exception, now and at every later call.
  [[nodiscard]] MicroBatch next();

 private:
  void run();

  std::function<MicroBatch()> produce_;
  std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<MicroBatch> ready_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;  ///< last: starts when all else is in place
};

}  // namespace weft::data
