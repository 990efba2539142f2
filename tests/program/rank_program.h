#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/program/program_testing.h"

namespace weft::test {

/// A free port of 127.0.0.1, as of now.
[[nodiscard]] int free_port();

struct RankOptions {
  std::string fault{};          ///< WEFT_FAULT, see fault.cpp; then the program is weft_faulty
  int port = 0;                 ///< 0: a free one
  int per_node = 0;             ///< ranks that the launcher says are on a host; 0: all
  int restart_count = 0;        ///< TORCHELASTIC_RESTART_COUNT
  std::string only_rank_one{};  ///< an override that rank 1 alone gets
};

/// The weft program as several ranks, started as torchrun would. Whatever still runs is killed when
/// this object goes.
class RankedProgram {
 public:
  RankedProgram(int world, const std::vector<std::string>& arguments,
                const RankOptions& options = {});

  [[nodiscard]] Process& rank(int number) {
    return *processes_.at(static_cast<std::size_t>(number));
  }
  /// Waits for one rank; also how long after `since` it ended, in seconds.
  [[nodiscard]] std::vector<ProcessResult> wait_all();

 private:
  std::vector<std::unique_ptr<Process>> processes_;
};

/// Runs it to its end; every rank must leave with `exit_code`. Returns rank 0's result.
ProcessResult run_ranks(int world, const std::vector<std::string>& arguments,
                        const RankOptions& options = {}, int exit_code = 0);

/// The number that a rank's log has after `words`; fails the test where it has none.
[[nodiscard]] std::uint64_t logged_number(const ProcessResult& result, const std::string& words);

/// Waits until the run has logged so many steps; false when it ended first.
[[nodiscard]] bool wait_for_steps(Process& process, const fs::path& out, std::int64_t lines);

/// Loss, gradient norm and token counts of each logged step, exact.
struct LoggedStep {
  double loss = 0;
  double grad_norm = 0;
  std::int64_t tokens = 0;
  std::int64_t trained_tokens = 0;
};
[[nodiscard]] std::vector<LoggedStep> logged_steps(const fs::path& out);

}  // namespace weft::test
