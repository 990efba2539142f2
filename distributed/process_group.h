#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "distributed/key_store.h"

namespace weft::distributed {

/// Collectives over all ranks of a run. Every rank makes the same calls in the same order, from one
/// thread. `what` names the call's purpose in errors. A call that fails throws a peer Error, after
/// which the group is of no use. Equal runs give equal bits.
class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;

  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// "none", "gloo" or "nccl".
  [[nodiscard]] virtual std::string_view backend() const = 0;

  /// Replaces each element by its sum over the ranks: contiguous fp32, fp64 or int64. Gloo adds in
  /// the order of the ranks, ((r0 + r1) + r2) + …, each in the tensor's own type; NCCL in an order
  /// of its own that depends on the topology.
  virtual void all_reduce(const at::Tensor& tensor, std::string_view what) = 0;
  /// Replaces the tensor of every rank by that of `root`; contiguous, any type.
  virtual void broadcast(const at::Tensor& tensor, int root, std::string_view what) = 0;
  /// Gives the bytes of all ranks, in order; `mine` has the same size everywhere, and `all` is
  /// size() times that. In the host's memory.
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                          std::string_view what) = 0;
  /// Returns when every rank has called it.
  virtual void barrier(std::string_view what) = 0;
  /// Breaks the connections, so that peers learn of a failure at once. May be called twice.
  virtual void abort() = 0;
  /// Payload that this rank has sent, in bytes; 0 where the backend does not count.
  [[nodiscard]] virtual std::uint64_t bytes_sent() const = 0;

  /// all_gather of one trivially copyable value.
  template <typename T>
  [[nodiscard]] std::vector<T> gather(const T& value, std::string_view what) {
    std::vector<T> all(static_cast<std::size_t>(size()));
    all_gather(std::as_bytes(std::span(&value, 1)), std::as_writable_bytes(std::span(all)), what);
    return all;
  }
};

/// Whether WEFT_DEBUG_COLLECTIVES=1 is in the environment.
[[nodiscard]] bool debugs_collectives();

/// One rank: every call is done at once.
[[nodiscard]] std::unique_ptr<ProcessGroup> make_single_group();

/// Over Gloo, for tensors in the host's memory; those of a GPU are staged through it. Connects all
/// ranks through `store`. With WEFT_DEBUG_COLLECTIVES=1 in the environment of all ranks each call
/// first compares its kind and size with the peers', so that ranks in different calls get an
/// internal Error that names both instead of a wrong result or a timeout.
[[nodiscard]] std::unique_ptr<ProcessGroup> make_gloo_group(KeyStore& store, const Launch& launch,
                                                            std::chrono::milliseconds timeout);

/// all_reduce and broadcast of tensors on a GPU over NCCL (c10d::ProcessGroupNCCL), and everything
/// else over Gloo. The GPU is the current device of the calling thread. A config Error in a build
/// without CUDA.
[[nodiscard]] std::unique_ptr<ProcessGroup> make_nccl_group(KeyStore& store, const Launch& launch,
                                                            std::chrono::milliseconds timeout);

}  // namespace weft::distributed
