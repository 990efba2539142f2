#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "distributed/key_store.h"

namespace weft::distributed {

/// All-gathers, and exchanges of all with all, that go on while their caller computes, over
/// connections of their own, so that others may run beside them. One at a time; every member makes
/// the same ones in the same order, from one thread.
class BackgroundGather {
 public:
  virtual ~BackgroundGather() = default;
  /// This process's place among the members, and their number.
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Begins to fill `all` with the members' `mine`, one after the other. Both are contiguous, of
  /// one type, on the members' device; they must live, and be left alone, until wait(). On a GPU it
  /// begins when the work that the current stream has been given is done.
  virtual void start(const at::Tensor& mine, const at::Tensor& all, std::string what) = 0;
  /// As start(), of blocks: `received` gets, one after the other, the block of each member's
  /// `blocks` that has this member's place.
  virtual void start_exchange(const at::Tensor& blocks, const at::Tensor& received,
                              std::string what) = 0;
  /// Returns when `all` (`received`) is full; on a GPU, when the current stream is made to wait for
  /// that. A peer Error names the rank that was lost or silent, and `what`; nothing can be gathered
  /// after it.
  virtual void wait() = 0;
  /// Breaks the connections, so that the other members learn of a failure at once (over NCCL, when
  /// this process ends). Nothing can be gathered after it.
  virtual void abort() = 0;
  /// Payload that this rank has sent by the gathers that were waited for, in bytes; 0 where the
  /// backend does not count.
  [[nodiscard]] virtual std::uint64_t bytes_sent() const = 0;
};

/// The ranks that gather: in order, this one among them. All of them open it.
struct GatherMembers {
  std::string name;        ///< its own for each group of ranks of a run
  std::vector<int> ranks;  ///< by their numbers in the run
  int own = 0;             ///< this rank's index in `ranks`
  [[nodiscard]] int size() const { return static_cast<int>(ranks.size()); }
};

/// Over Gloo, by a thread of its own; tensors of a GPU go through the host's memory.
[[nodiscard]] std::unique_ptr<BackgroundGather> make_gloo_gather(KeyStore& store,
                                                                 const Launch& launch,
                                                                 const GatherMembers& members,
                                                                 std::chrono::milliseconds timeout);

/// Over NCCL, on a stream of its own. A config Error in a build without CUDA.
[[nodiscard]] std::unique_ptr<BackgroundGather> make_nccl_gather(KeyStore& store,
                                                                 const Launch& launch,
                                                                 const GatherMembers& members,
                                                                 std::chrono::milliseconds timeout);

}  // namespace weft::distributed
