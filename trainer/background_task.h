#pragma once

#include <functional>
#include <future>
#include <string>

namespace weft::trainer {

/// One piece of work at a time on a thread of its own. What it throws is thrown to whoever asks
/// next. Used from one thread.
class BackgroundTask {
 public:
  /// `name` is what the log calls it where nobody is left to ask.
  explicit BackgroundTask(std::string name) : name_(std::move(name)) {}
  BackgroundTask(const BackgroundTask&) = delete;
  BackgroundTask& operator=(const BackgroundTask&) = delete;
  /// Waits for the work; its error is logged.
  ~BackgroundTask();

  /// Waits as wait() does for what was begun before, then begins this; does it at once where the
  /// system has no thread to give.
  void start(std::function<void()> work);
  /// Waits for the work; throws what it threw, once.
  void wait();
  /// The same where the work is done, and nothing where it still goes on.
  void check();

 private:
  std::string name_;
  std::future<void> work_;
};

}  // namespace weft::trainer
