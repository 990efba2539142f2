// NCCL: collectives of several processes on this machine, computed through files. Each rank leaves
// what it sends, and waits for the others'; ranks that ask for different things are a fault.

#include <nccl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <sstream>
#include <thread>

#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::Device;
using weft::absent_gpu::is_device_memory;
using weft::absent_gpu::recording_of;
using weft::absent_gpu::Work;

namespace {

namespace fs = std::filesystem;
constexpr auto kPatience = std::chrono::seconds(60);

struct Communicator {
  fs::path folder;
  int rank, ranks;
  std::uint64_t number = 0;  // of the next collective
  std::atomic<bool> is_aborted{false};
};

std::size_t bytes_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
      return 8;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
      return 4;
    case ncclFloat16:
    case ncclBfloat16:
      return 2;
    default:
      return 1;
  }
}

fs::path file_of(const Communicator& c, std::uint64_t number, int rank) {
  return c.folder / (std::to_string(number) + "." + std::to_string(rank));
}

// What every rank sends, by rank; empty: an error was reported.
std::vector<std::string> exchange(Communicator& c, const std::string& asked, const void* data,
                                  std::size_t bytes) {
  const std::uint64_t number = c.number++;
  const fs::path own = file_of(c, number, c.rank);
  {
    std::ofstream file(own.string() + ".tmp", std::ios::binary);
    file << asked << '\n';
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  }
  fs::rename(own.string() + ".tmp", own);
  std::vector<std::string> all;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (int rank = 0; rank < c.ranks; ++rank) {
    while (!fs::exists(file_of(c, number, rank))) {
      if (c.is_aborted || std::chrono::steady_clock::now() > end) {
        if (!c.is_aborted) {
          Device::get().fault("NCCL: rank " + std::to_string(rank) + " did not come to " + asked);
        }
        return {};
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::ifstream file(file_of(c, number, rank), std::ios::binary);
    std::string theirs;
    std::getline(file, theirs);
    if (theirs != asked) {
      Device::get().fault("NCCL: this rank asks for " + asked + ", rank " + std::to_string(rank) +
                          " for " + theirs);
      return {};
    }
    std::stringstream text;
    text << file.rdbuf();
    all.push_back(text.str());
  }
  // All have come to this one, so that nobody reads the one before it any more.
  if (number > 0) {
    fs::remove(file_of(c, number - 1, c.rank));
  }
  return all;
}

template <typename T>
void add_up(const std::vector<std::string>& all, std::size_t count, ncclRedOp_t op, void* out) {
  auto* const result = static_cast<T*>(out);
  for (std::size_t i = 0; i < count; ++i) {
    T sum{};
    for (std::size_t rank = 0; rank < all.size(); ++rank) {
      T value;
      std::memcpy(&value, all[rank].data() + i * sizeof(T), sizeof(T));
      const bool first = rank == 0;
      sum = op == ncclMax   ? (first || value > sum ? value : sum)
            : op == ncclMin ? (first || value < sum ? value : sum)
                            : static_cast<T>(sum + value);
    }
    result[i] = op == ncclAvg ? static_cast<T>(sum / static_cast<T>(all.size())) : sum;
  }
}

bool reduce(const std::vector<std::string>& all, std::size_t count, ncclDataType_t type,
            ncclRedOp_t op, void* out) {
  switch (type) {
    case ncclFloat32:
      add_up<float>(all, count, op, out);
      return true;
    case ncclFloat64:
      add_up<double>(all, count, op, out);
      return true;
    case ncclInt64:
      add_up<std::int64_t>(all, count, op, out);
      return true;
    case ncclInt32:
      add_up<std::int32_t>(all, count, op, out);
      return true;
    case ncclUint8:
      add_up<std::uint8_t>(all, count, op, out);
      return true;
    default:
      return Device::get().fault("NCCL: the stand-in adds up no such numbers");
  }
}

std::string asked(const char* name, std::size_t count, ncclDataType_t type, int detail = 0) {
  return std::string(name) + " of " + std::to_string(count) + " x " + std::to_string(type) + " (" +
         std::to_string(detail) + ")";
}

// One collective: checks the memory, exchanges, and lets `take` write the result.
ncclResult_t collect(ncclComm_t comm, cudaStream_t stream, const char* name,
                     const std::string& text, const void* send, std::size_t send_bytes,
                     const void* receive, std::size_t receive_bytes,
                     const std::function<bool(const std::vector<std::string>&)>& take) {
  if (!is_device_memory(send, send_bytes, name) ||
      !is_device_memory(receive, receive_bytes, name)) {
    return ncclInvalidArgument;
  }
  Device::get().work(Work::kCollective, std::string("nccl ") + name, recording_of(stream));
  const auto all = exchange(*reinterpret_cast<Communicator*>(comm), text, send, send_bytes);
  return !all.empty() && take(all) ? ncclSuccess : ncclSystemError;
}

// Pairs between ncclGroupStart and ncclGroupEnd: an all-to-all, as LibTorch asks for one.
struct Pair {
  const void* send = nullptr;
  void* receive = nullptr;
  std::size_t send_bytes = 0, receive_bytes = 0;
};
struct Group {
  int depth = 0;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  std::map<int, Pair> pairs;
};
thread_local Group group;

ncclResult_t end_group() {
  Group ended;
  std::swap(ended.comm, group.comm);
  std::swap(ended.stream, group.stream);
  std::swap(ended.pairs, group.pairs);
  if (ended.comm == nullptr) {
    return ncclSuccess;
  }
  auto& c = *reinterpret_cast<Communicator*>(ended.comm);
  std::string sent;
  for (int rank = 0; rank < c.ranks; ++rank) {
    const Pair& pair = ended.pairs[rank];
    sent += std::to_string(pair.send_bytes) + "\n";
    sent.append(static_cast<const char*>(pair.send), pair.send_bytes);
  }
  Device::get().work(Work::kCollective, "nccl send and receive", recording_of(ended.stream));
  const auto all = exchange(c, "pairs", sent.data(), sent.size());
  if (all.empty()) {
    return ncclSystemError;
  }
  for (int rank = 0; rank < c.ranks; ++rank) {
    std::istringstream text(all[static_cast<std::size_t>(rank)]);
    for (int to = 0; to < c.ranks; ++to) {
      std::string line;
      std::getline(text, line);
      std::string data(std::stoull(line), '\0');
      text.read(data.data(), static_cast<std::streamsize>(data.size()));
      const Pair& pair = ended.pairs[rank];
      if (to == c.rank && data.size() != pair.receive_bytes) {
        Device::get().fault("NCCL: rank " + std::to_string(rank) + " sends another size");
        return ncclInvalidArgument;
      }
      if (to == c.rank) {
        std::memcpy(pair.receive, data.data(), data.size());
      }
    }
  }
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclSuccess ? "no error" : "the stand-in for NCCL failed";
}
const char* ncclGetLastError(ncclComm_t) { return weft_absent_gpu_fault(); }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::memset(id, 0, sizeof *id);
  std::snprintf(id->internal, sizeof id->internal, "weft-absent-nccl-%u-%d", std::random_device{}(),
                static_cast<int>(getpid()));
  return ncclSuccess;
}
ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  auto* const made = new Communicator;
  made->folder = fs::temp_directory_path() / id.internal;
  made->rank = rank;
  made->ranks = ranks;
  fs::create_directories(made->folder);
  *comm = reinterpret_cast<ncclComm_t>(made);
  return exchange(*made, "the communicator", "", 0).empty() ? ncclSystemError : ncclSuccess;
}
ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t*) {
  return ncclCommInitRank(comm, ranks, id, rank);
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* error) {
  *error = ncclSuccess;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  // Kept: another thread may still be in a collective of it.
  auto& c = *reinterpret_cast<Communicator*>(comm);
  c.is_aborted = true;
  std::error_code ignored;
  fs::remove(file_of(c, c.number - 1, c.rank), ignored);
  fs::remove(c.folder, ignored);  // by the last rank
  return ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) { return ncclCommAbort(comm); }
ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
ncclResult_t ncclCommCount(const ncclComm_t comm, int* count) {
  *count = reinterpret_cast<const Communicator*>(comm)->ranks;
  return ncclSuccess;
}
ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  *rank = reinterpret_cast<const Communicator*>(comm)->rank;
  return ncclSuccess;
}
ncclResult_t ncclCommRegister(const ncclComm_t, void*, size_t, void** handle) {
  *handle = nullptr;
  return ncclSuccess;
}
ncclResult_t ncclCommDeregister(const ncclComm_t, void*) { return ncclSuccess; }

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  const std::size_t bytes = count * bytes_of(type);
  return collect(
      comm, stream, "all-reduce", asked("all-reduce", count, type, op), send, bytes, receive, bytes,
      [&](const std::vector<std::string>& all) { return reduce(all, count, type, op, receive); });
}
ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  const std::size_t bytes = count * bytes_of(type);
  return collect(comm, stream, "broadcast", asked("broadcast", count, type, root), send, bytes,
                 receive, bytes, [&](const std::vector<std::string>& all) {
                   std::memcpy(receive, all[static_cast<std::size_t>(root)].data(), bytes);
                   return true;
                 });
}
ncclResult_t ncclBcast(void* data, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                       cudaStream_t stream) {
  return ncclBroadcast(data, data, count, type, root, comm, stream);
}
ncclResult_t ncclAllGather(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  const std::size_t bytes = count * bytes_of(type);
  const auto ranks = static_cast<std::size_t>(reinterpret_cast<Communicator*>(comm)->ranks);
  return collect(comm, stream, "all-gather", asked("all-gather", count, type), send, bytes, receive,
                 bytes * ranks, [&](const std::vector<std::string>& all) {
                   for (std::size_t rank = 0; rank < ranks; ++rank) {
                     std::memcpy(static_cast<char*>(receive) + rank * bytes, all[rank].data(),
                                 bytes);
                   }
                   return true;
                 });
}
ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  const auto& c = *reinterpret_cast<Communicator*>(comm);
  const std::size_t total = count * static_cast<std::size_t>(c.ranks);
  return collect(comm, stream, "reduce-scatter", asked("reduce-scatter", count, type, op), send,
                 total * bytes_of(type), receive, count * bytes_of(type),
                 [&](const std::vector<std::string>& all) {
                   std::vector<char> sum(total * bytes_of(type));
                   const std::size_t own = count * bytes_of(type);
                   const bool added = reduce(all, total, type, op, sum.data());
                   std::memcpy(receive, sum.data() + static_cast<std::size_t>(c.rank) * own, own);
                   return added;
                 });
}

ncclResult_t ncclGroupStart() {
  ++group.depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() { return --group.depth == 0 ? end_group() : ncclSuccess; }
ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  Pair& pair = group.pairs[peer];
  pair.send = data;
  pair.send_bytes = count * bytes_of(type);
  group.comm = comm;
  group.stream = stream;
  return is_device_memory(data, pair.send_bytes, "NCCL's send") ? ncclSuccess : ncclInvalidArgument;
}
ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  Pair& pair = group.pairs[peer];
  pair.receive = data;
  pair.receive_bytes = count * bytes_of(type);
  group.comm = comm;
  group.stream = stream;
  return is_device_memory(data, pair.receive_bytes, "NCCL's receive") ? ncclSuccess
                                                                      : ncclInvalidArgument;
}
ncclResult_t ncclAlltoAll(const void* send, void* receive, size_t count, ncclDataType_t type,
                          ncclComm_t comm, cudaStream_t stream) {
  const auto& c = *reinterpret_cast<Communicator*>(comm);
  const std::size_t part = count * bytes_of(type);
  const std::size_t bytes = part * static_cast<std::size_t>(c.ranks);
  return collect(comm, stream, "all-to-all", asked("all-to-all", count, type), send, bytes, receive,
                 bytes, [&](const std::vector<std::string>& all) {
                   for (std::size_t rank = 0; rank < all.size(); ++rank) {
                     std::memcpy(static_cast<char*>(receive) + rank * part,
                                 all[rank].data() + static_cast<std::size_t>(c.rank) * part, part);
                   }
                   return true;
                 });
}
}
