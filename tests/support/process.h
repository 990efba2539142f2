#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace weft::test {

struct ProcessResult {
  int exit_code = -1;  ///< -1: ended by a signal
  int signal = 0;      ///< 0: it left by itself
  std::string out;
  std::string err;
};

/// A program that runs beside the test, in a process group of its own, its output kept in memory.
/// Whatever is left of the group when this object ends is killed.
class Process {
 public:
  /// Starts `arguments`, the first of which is looked up in PATH, with `input` as its standard
  /// input. One thread for OpenMP.
  explicit Process(const std::vector<std::string>& arguments, const std::string& input = "");
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  void send(int signal) const;
  [[nodiscard]] pid_t id() const { return id_; }
  /// Whether it still runs.
  [[nodiscard]] bool running();
  /// Waits for its end; kills it, and fails the test, after `limit`.
  [[nodiscard]] ProcessResult wait(std::chrono::seconds limit = std::chrono::seconds(60));

 private:
  bool reap(int options);

  pid_t id_ = -1;
  int out_ = -1;
  int err_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

/// Runs a program to its end.
[[nodiscard]] ProcessResult run_process(const std::vector<std::string>& arguments,
                                        const std::string& input = "");

/// Whether strace can trace a child here; containers may forbid it.
[[nodiscard]] bool can_trace();

}  // namespace weft::test
