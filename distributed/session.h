#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "distributed/background_gather.h"
#include "distributed/key_store.h"
#include "distributed/launch.h"
#include "distributed/process_group.h"
#include "distributed/watchdog.h"

namespace weft::distributed {

struct SessionOptions {
  /// How long a rank waits for another, in the rendezvous and in every collective.
  std::chrono::milliseconds timeout = std::chrono::minutes(30);
  std::string backend = "gloo";  ///< gloo | nccl
  std::string device = "cpu";    ///< for the table of ranks
};

/// This process's part in a run of several ranks, from the rendezvous to the end. Used from one
/// thread.
class Session {
 public:
  /// One rank: nothing is opened, and every call is local.
  Session();
  /// Meets the other ranks: all of them say who they are, agree on their number, and are connected
  /// with each other. A config Error when two processes have the same rank or the ranks disagree on
  /// their number, on all of them; a peer Error that lists who is missing after the timeout.
  Session(const Launch& launch, const SessionOptions& options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  [[nodiscard]] int rank() const { return launch_.rank; }
  [[nodiscard]] int size() const { return launch_.world_size; }
  [[nodiscard]] const Launch& launch() const { return launch_; }
  /// Rank 0: the one that writes files and talks.
  [[nodiscard]] bool is_main() const { return launch_.rank == 0; }
  [[nodiscard]] ProcessGroup& group() { return *group_; }
  [[nodiscard]] Watchdog& watchdog() { return *watchdog_; }
  [[nodiscard]] const std::vector<RankInfo>& ranks() const { return ranks_; }

  /// Opens gathers between the ranks of `ranks`, in rising order, this one among them; all of them
  /// call it with the same, and with the same `purpose`, which sets gathers apart. On a GPU over
  /// the backend of group().
  [[nodiscard]] std::unique_ptr<BackgroundGather> open_gather(const std::vector<int>& ranks,
                                                              const std::string& purpose);

  /// Compares named values with those of rank 0. A config Error on all ranks names the rank, and
  /// each value that differs with both.
  void compare(const std::map<std::string, std::string>& values);

  /// Runs `body` on every rank, each for itself, and waits until all are done. When it throws on
  /// any rank, every rank throws: the error of the lowest such rank, with that rank's name.
  void together(const std::string& phase, const std::function<void()>& body,
                std::int64_t step = -1);
  /// The second half of that, for work that is done already: `mine` is what this rank caught.
  void settle(std::exception_ptr mine);
  /// For work that the others can't come to the end of without this rank: breaks the connections
  /// and throws `mine` with this rank's name. The others get peer Errors.
  [[noreturn]] void leave(std::exception_ptr mine);
  /// Runs `body` on rank 0 and then, when it is done, on the others (so that they find what rank 0
  /// made). It may take longer than the timeout: rank 0 says in the meantime that it is alive.
  void main_first(const std::string& phase, const std::function<void()>& body);

 private:
  void introduce(const SessionOptions& options);
  [[nodiscard]] std::string problem_of(const std::vector<std::string>& infos) const;
  [[noreturn]] void refuse(const std::string& problem);
  void throw_if_refused();
  [[noreturn]] void fail_missing(const std::vector<std::string>& keys);
  void wait_for_main(const std::string& key, const std::string& alive, const std::string& phase);

  Launch launch_;
  std::chrono::milliseconds timeout_{0};
  std::vector<RankInfo> ranks_;
  std::unique_ptr<Watchdog> watchdog_;
  std::unique_ptr<KeyStore> store_;
  std::unique_ptr<ProcessGroup> group_;
  std::map<std::string, int> gathers_;  ///< opened so far, by purpose
  int phases_ = 0;
  int comparisons_ = 0;
};

}  // namespace weft::distributed
