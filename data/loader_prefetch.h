#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace weft::data {

/// Runs `produce` again and again on a thread of its own and keeps up to `depth` results ready.
template <typename T>
class Prefetcher {
 public:
  Prefetcher(std::function<T()> produce, std::size_t depth)
      : produce_(std::move(produce)), depth_(depth), thread_([this] { run(); }) {}
  /// Waits for the call of `produce` that is running, if any.
  ~Prefetcher() {
    {
      const std::scoped_lock lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// Results in order. When `produce` threw, the results before it are given first, then its
  /// exception, now and at every later call.
  [[nodiscard]] T next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ready_.empty() || error_ != nullptr; });
    if (ready_.empty()) {
      std::rethrow_exception(error_);
    }
    T result = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return result;
  }

 private:
  void run() {
    try {
      while (true) {
        {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [this] { return stop_ || ready_.size() < depth_; });
          if (stop_) {
            return;
          }
        }
        T result = produce_();
        const std::scoped_lock lock(mutex_);
        ready_.push_back(std::move(result));
        changed_.notify_all();
      }
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      error_ = std::current_exception();
      changed_.notify_all();
    }
  }

  std::function<T()> produce_;
  std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> ready_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;  ///< last: starts when all else is in place
};

}  // namespace weft::data
