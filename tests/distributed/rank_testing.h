#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "distributed/session.h"

namespace weft::test {

/// How one forked rank ended.
struct RankEnd {
  int exit_code = -1;  ///< -1: by a signal. 0, or an Error's, or 1 for a failed expectation
  int signal = 0;
  std::string error;   ///< the Error's message, or what failed
  double seconds = 0;  ///< since the ranks were forked, or were all running
};

/// A free port of 127.0.0.1, as of now.
[[nodiscard]] int free_port();

/// What the ranks of a test need to meet on `port`.
[[nodiscard]] distributed::Launch launch_of(int rank, int world, int port);

/// Forked ranks, each in `body`, killed when this object goes.
class Ranks {
 public:
  /// The body gets its rank; a thrown Error and gtest's failures end up in RankEnd.
  Ranks(int world, const std::function<void(int rank)>& body);
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  ~Ranks();

  void send(int rank, int signal) const;
  /// Returns when every rank has called say_running(), and counts RankEnd::seconds from then on.
  void wait_until_running();
  /// For a body: it has come to where the test wants it.
  static void say_running();
  /// Waits for one rank's end; kills it, and fails the test, after ten seconds.
  RankEnd wait(int rank);
  /// Of all ranks.
  std::vector<RankEnd> wait_all();

 private:
  struct Child {
    pid_t id = -1;
    int pipe = -1;
    bool reaped = false;
  };
  static std::atomic<int>& running();

  std::vector<Child> children_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

/// Runs `body` in a session of `world` ranks over Gloo; all must end well.
void run_ranks(int world, const std::function<void(distributed::Session&)>& body);

}  // namespace weft::test
