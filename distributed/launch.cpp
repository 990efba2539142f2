#include "distributed/launch.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace weft::distributed {
namespace {

constexpr int kMaxWorld = 65536;
// Below Linux's range of ephemeral ports, so that no client socket sits there by chance.
constexpr std::uint64_t kFirstPort = 20000;
constexpr std::uint64_t kPorts = 12000;
constexpr int kDefaultPort = 29500;

int number(const Environment& env, const std::string& name, int low, int high) {
  const std::string text = env(name);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    fail_config("environment: {}='{}'; expected a number from {} to {}", name, printable(text), low,
                high);
  }
  return value;
}

// All of `needed` or none of them: true or false. Some of them: an Error that names both.
bool has_all(const Environment& env, const char* launcher, const std::vector<std::string>& needed) {
  std::vector<std::string> set;
  std::vector<std::string> missing;
  for (const std::string& name : needed) {
    (env(name).empty() ? missing : set).push_back(name);
  }
  if (set.empty() || missing.empty()) {
    return missing.empty();
  }
  fail_config(
      "environment: {} set without {}, which {} sets too; start weft with {}, or unset {} for a "
      "run of one rank",
      join(set, ", ") + (set.size() == 1 ? " is" : " are"), join(missing, ", "), launcher, launcher,
      join(set, ", "));
}

void set_ranks(const Environment& env, Launch& launch, const std::string& rank,
               const std::string& world) {
  launch.world_size = number(env, world, 1, kMaxWorld);
  launch.rank = number(env, rank, 0, kMaxWorld - 1);
  if (launch.rank >= launch.world_size) {
    fail_config("environment: {}={} with {}={}; ranks count from 0 to one below their number", rank,
                launch.rank, world, launch.world_size);
  }
}

void set_local(const Environment& env, Launch& launch, const std::string& rank,
               const std::string& world) {
  launch.local_world_size = 0;
  if (!env(world).empty()) {
    launch.local_world_size = number(env, world, 1, launch.world_size);
  }
  if (!env(rank).empty()) {
    const int end = launch.local_world_size > 0 ? launch.local_world_size : launch.world_size;
    launch.local_rank = number(env, rank, 0, end - 1);
  }
  if (launch.world_size == 1) {
    launch.local_world_size = 1;
  }
}

// MASTER_ADDR and MASTER_PORT, which win over what a launcher without a rendezvous implies.
void set_master(const Environment& env, Launch& launch, const std::string& address, int port) {
  launch.master_address = env("MASTER_ADDR").empty() ? address : env("MASTER_ADDR");
  launch.master_port = env("MASTER_PORT").empty() ? port : number(env, "MASTER_PORT", 1, 65535);
  launch.bind_address =
      env("WEFT_BIND_ADDRESS").empty() ? launch.master_address : env("WEFT_BIND_ADDRESS");
}

// The same port on all ranks of a job, and most likely another for each job.
int port_of_job(const std::string& job) {
  if (job.empty()) {
    return kDefaultPort;
  }
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : job) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return static_cast<int>(kFirstPort + hash % kPorts);
}

std::optional<Launch> read_torchrun(const Environment& env) {
  if (!has_all(env, "torchrun", {"RANK", "WORLD_SIZE"})) {
    return std::nullopt;
  }
  Launch launch;
  launch.launcher = "torchrun";
  set_ranks(env, launch, "RANK", "WORLD_SIZE");
  set_local(env, launch, "LOCAL_RANK", "LOCAL_WORLD_SIZE");
  if (launch.world_size > 1 && !has_all(env, "torchrun", {"MASTER_ADDR", "MASTER_PORT"})) {
    fail_config(
        "environment: WORLD_SIZE={} without MASTER_ADDR and MASTER_PORT, where the ranks meet; "
        "torchrun sets them",
        launch.world_size);
  }
  set_master(env, launch, launch.master_address, kDefaultPort);
  launch.store_is_served = env("TORCHELASTIC_USE_AGENT_STORE") == "True";
  if (!env("TORCHELASTIC_RESTART_COUNT").empty()) {
    launch.restart_count = number(env, "TORCHELASTIC_RESTART_COUNT", 0, 1 << 30);
  }
  return launch;
}

// "4(x2),3" and node 2: 3. 0 where the text is another.
int slurm_tasks_of_node(const std::string& text, int node) {
  for (std::string_view part : split(text, ',')) {
    int tasks = 0;
    int nodes = 1;
    const char* end = part.data() + part.size();
    const auto first = std::from_chars(part.data(), end, tasks);
    if (first.ec != std::errc()) {
      return 0;
    }
    if (end - first.ptr > 2 && first.ptr[0] == '(' && first.ptr[1] == 'x') {
      std::from_chars(first.ptr + 2, end, nodes);
    }
    if (node < nodes) {
      return tasks;
    }
    node -= nodes;
  }
  return 0;
}

// Only within srun: SLURM_STEP_ID is not set in a batch script or a shell of salloc, whose
// SLURM_NTASKS says what the job may start and not what runs.
std::optional<Launch> read_slurm(const Environment& env) {
  if (env("SLURM_STEP_ID").empty()) {
    return std::nullopt;
  }
  const std::string world =
      env("SLURM_STEP_NUM_TASKS").empty() ? "SLURM_NTASKS" : "SLURM_STEP_NUM_TASKS";
  if (!has_all(env, "srun", {"SLURM_PROCID", world})) {
    return std::nullopt;
  }
  Launch launch;
  launch.launcher = "slurm";
  set_ranks(env, launch, "SLURM_PROCID", world);
  set_local(env, launch, "SLURM_LOCALID", "");
  if (!env("SLURM_NODEID").empty()) {
    const int node = number(env, "SLURM_NODEID", 0, kMaxWorld);
    launch.local_world_size = slurm_tasks_of_node(env("SLURM_STEP_TASKS_PER_NODE"), node);
  }
  const std::string nodes =
      env(env("SLURM_STEP_NODELIST").empty() ? "SLURM_JOB_NODELIST" : "SLURM_STEP_NODELIST");
  const bool one_host = launch.local_world_size == launch.world_size;
  if (!one_host && nodes.empty() && env("MASTER_ADDR").empty()) {
    fail_config(
        "environment: neither SLURM_STEP_NODELIST nor MASTER_ADDR is set; start weft with srun, or "
        "name rank 0's host in MASTER_ADDR");
  }
  set_master(env, launch, one_host ? "127.0.0.1" : first_slurm_host(nodes),
             port_of_job(env("SLURM_JOB_ID") + "." + env("SLURM_STEP_ID")));
  if (!env("SLURM_RESTART_COUNT").empty()) {
    launch.restart_count = number(env, "SLURM_RESTART_COUNT", 0, 1 << 30);
  }
  return launch;
}

std::optional<Launch> read_mpirun(const Environment& env) {
  Launch launch;
  launch.launcher = "mpirun";
  std::string job;
  if (has_all(env, "mpirun", {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"})) {
    set_ranks(env, launch, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE");
    set_local(env, launch, "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE");
    job = env("PMIX_NAMESPACE").empty() ? env("OMPI_MCA_ess_base_jobid") : env("PMIX_NAMESPACE");
  } else if (has_all(env, "mpirun", {"PMI_RANK", "PMI_SIZE"})) {
    set_ranks(env, launch, "PMI_RANK", "PMI_SIZE");
    set_local(env, launch, "MPI_LOCALRANKID", "MPI_LOCALNRANKS");
  } else {
    return std::nullopt;
  }
  if (launch.world_size > 1 && launch.local_world_size != launch.world_size &&
      env("MASTER_ADDR").empty()) {
    fail_config(
        "environment: mpirun started {} ranks on several hosts, and MASTER_ADDR is not set; name "
        "rank 0's host: mpirun -x MASTER_ADDR=HOST -x MASTER_PORT=PORT …",
        launch.world_size);
  }
  set_master(env, launch, "127.0.0.1", port_of_job(job));
  return launch;
}

// Whether `inner`, the one that counts, can have been started by or beside `outer`: they say the
// same, or outer started one process a host (or one at all), which started the ranks.
bool fits(const Environment& env, const Launch& inner, const Launch& outer) {
  const std::string hosts = env("GROUP_WORLD_SIZE");
  return outer.world_size == 1 ||
         (outer.world_size == inner.world_size && outer.rank == inner.rank) ||
         (inner.launcher == "torchrun" && std::to_string(outer.world_size) == hosts);
}

std::optional<Launch> read_named(const Environment& env, const std::string& name) {
  return name == "torchrun" ? read_torchrun(env)
         : name == "slurm"  ? read_slurm(env)
                            : read_mpirun(env);
}

}  // namespace

bool Launch::is_loopback() const {
  return master_address == "localhost" || master_address == "::1" ||
         master_address.starts_with("127.");
}

Environment process_environment() {
  return [](const std::string& name) {
    const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  };
}

Launch read_launch(const Environment& environment) {
  const std::string chosen = environment("WEFT_LAUNCHER");
  const std::vector<std::string> names{"torchrun", "slurm", "mpirun"};
  if (chosen == "none") {
    return {};
  }
  if (!chosen.empty()) {
    if (std::find(names.begin(), names.end(), chosen) == names.end()) {
      fail_config("environment: WEFT_LAUNCHER='{}'; expected none, {}", printable(chosen),
                  join(names, ", "));
    }
    const std::optional<Launch> launch = read_named(environment, chosen);
    return launch ? *launch
                  : throw Error(ErrorKind::kConfig,
                                fmt::format("environment: WEFT_LAUNCHER={}, but none of the "
                                            "variables that {} sets is there",
                                            chosen, chosen));
  }
  std::optional<Launch> first;
  for (const std::string& name : names) {
    const std::optional<Launch> found = read_named(environment, name);
    // mpirun starts its daemons on other hosts through srun, one task each.
    const bool daemon = first && first->launcher == "slurm" && first->world_size == 1;
    if (found && (!first || daemon)) {
      first = found;
    } else if (found && !fits(environment, *first, *found)) {
      fail_config(
          "environment: {} says rank {} of {}, {} says rank {} of {}; start weft with one of them, "
          "or say which one counts: WEFT_LAUNCHER={}",
          first->launcher, first->rank, first->world_size, name, found->rank, found->world_size,
          first->launcher);
    }
  }
  return first.value_or(Launch{});
}

std::string first_slurm_host(const std::string& nodes) {
  std::string host;
  std::size_t at = 0;
  while (at < nodes.size() && nodes[at] != ',') {
    if (nodes[at] != '[') {
      host += nodes[at++];
      continue;
    }
    const std::size_t close = std::min(nodes.find(']', at), nodes.size());
    const std::size_t end = std::min(nodes.find_first_of("-,]", at), close);
    host += nodes.substr(at + 1, end - at - 1);
    at = close + 1;
  }
  return host;
}

std::vector<int> ranks_of_node(const std::vector<RankInfo>& ranks, int rank) {
  // Host, and how many ranks of it with that local number came before.
  std::map<std::pair<std::string, int>, int> seen;
  std::map<std::pair<std::string, int>, std::vector<int>> nodes;
  std::pair<std::string, int> own;
  for (const RankInfo& info : ranks) {
    const std::pair<std::string, int> node{info.host, seen[{info.host, info.local_rank}]++};
    nodes[node].push_back(info.rank);
    if (info.rank == rank) {
      own = node;
    }
  }
  return nodes[own];
}

std::vector<std::string> rank_table(const std::vector<RankInfo>& ranks) {
  constexpr std::size_t kRows = 32;
  std::size_t width = 4;
  for (const RankInfo& info : ranks) {
    width = std::max(width, info.host.size());
  }
  std::vector<std::string> lines;
  if (ranks.size() <= kRows) {
    lines.push_back(
        fmt::format("{:>4}  {:<{}}  {:>5}  {:>8}  device", "rank", "host", width, "local", "pid"));
    for (const RankInfo& info : ranks) {
      lines.push_back(fmt::format("{:>4}  {:<{}}  {:>5}  {:>8}  {}", info.rank, info.host, width,
                                  info.local_rank, info.pid, info.device));
    }
    return lines;
  }
  lines.push_back(fmt::format("{:<{}}  ranks", "host", width));
  for (std::size_t begin = 0, end = 0; begin < ranks.size(); begin = end) {
    while (end < ranks.size() && ranks[end].host == ranks[begin].host) {
      ++end;
    }
    lines.push_back(fmt::format("{:<{}}  {} to {}", ranks[begin].host, width, ranks[begin].rank,
                                ranks[end - 1].rank));
  }
  return lines;
}

}  // namespace weft::distributed
