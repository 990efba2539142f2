#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace weft::distributed {

/// What a launcher says about this process: which rank of how many, and where the ranks meet.
struct Launch {
  std::string launcher = "none";  ///< none | torchrun | slurm | mpirun
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;        ///< among the ranks of this host: which GPU is its own
  int local_world_size = 1;  ///< ranks on this host; 0 where the launcher does not say
  std::string master_address = "127.0.0.1";
  int master_port = 0;
  /// What rank 0 listens on: the master's address, and so nothing but loopback where all ranks are
  /// on one host; WEFT_BIND_ADDRESS says otherwise (0.0.0.0 behind an address translation).
  std::string bind_address = "127.0.0.1";
  /// The launcher itself serves the store at that address (torchrun does), and rank 0 must not.
  bool store_is_served = false;
  int restart_count = 0;  ///< how often the launcher has started this run again

  /// Whether the ranks meet on this host's loopback, out of reach for other hosts.
  [[nodiscard]] bool is_loopback() const;
};

/// A variable's value, "" where it is not set.
using Environment = std::function<std::string(const std::string& name)>;

/// The environment of this process.
[[nodiscard]] Environment process_environment();

/// Reads the variables of torchrun (and of everything that sets RANK, WORLD_SIZE, MASTER_ADDR and
/// MASTER_PORT, as Kubernetes' training operators do), of Slurm's srun, and of mpirun (Open MPI's
/// OMPI_COMM_WORLD_*, MPICH's PMI_*), in that order; the first that is there counts. None: one
/// rank. WEFT_LAUNCHER (none, torchrun, slurm, mpirun) overrules the order. Config Errors: a
/// launcher's variables are there in part, are no numbers or out of range, or two launchers
/// contradict each other. torchrun within each task of srun or mpirun is no contradiction.
[[nodiscard]] Launch read_launch(const Environment& environment = process_environment());

/// The first host of a Slurm node list: "n[003-007,9],m1" gives "n003".
[[nodiscard]] std::string first_slurm_host(const std::string& nodes);

/// One row of the table of ranks.
struct RankInfo {
  int rank = 0;
  int local_rank = 0;
  std::string host;
  std::int64_t pid = 0;
  std::string device;
};

/// The ranks that share a host with `rank`, itself among them, in rising order. Where one host runs
/// a local rank of the same number twice it counts as two hosts.
[[nodiscard]] std::vector<int> ranks_of_node(const std::vector<RankInfo>& ranks, int rank);

/// The ranks of a run as a table for the log, in lines without a newline at the end: one row a rank
/// up to 32, else one row a host.
[[nodiscard]] std::vector<std::string> rank_table(const std::vector<RankInfo>& ranks);

}  // namespace weft::distributed
