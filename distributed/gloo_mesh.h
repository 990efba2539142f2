#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "distributed/key_store.h"

namespace weft::distributed {

/// What goes to one peer and comes from it in one exchange; 0 bytes: nothing.
struct Transfer {
  int peer = 0;
  const void* send = nullptr;
  std::size_t send_bytes = 0;
  void* receive = nullptr;
  std::size_t receive_bytes = 0;
};

/// The ranks that a mesh connects.
struct MeshMembers {
  std::string name;        ///< sets the meshes of a run apart; "" for that of all ranks
  std::vector<int> ranks;  ///< by their numbers in the run, for messages; a peer is an index here
  int own = 0;             ///< this rank's index
  int world = 1;           ///< ranks of the run
};

/// Connections between all pairs of ranks, over Gloo's TCP transport. Gloo's own collectives are
/// not used: they neither add in the order of the ranks nor say which peer failed them. The only
/// file that includes Gloo is this class's: LibTorch exports another version of the same names.
class GlooMesh {
 public:
  /// Connects the members with each other; `address` is the numeric address that this rank's peers
  /// reach it at. All members call it. A peer Error after `timeout`.
  GlooMesh(KeyStore& store, MeshMembers members, const std::string& address,
           std::chrono::milliseconds timeout);
  GlooMesh(const GlooMesh&) = delete;
  GlooMesh& operator=(const GlooMesh&) = delete;
  ~GlooMesh();

  /// All of the transfers at once. Every member makes the same exchanges in the same order. A peer
  /// Error names the rank that was lost, or that stayed silent for `timeout`, and `what`; the mesh
  /// can't be used after it.
  void exchange(std::span<const Transfer> transfers, std::string_view what);
  /// Closes the connections, so that every peer's call fails now and not at its timeout.
  void abort();
  /// Payload sent so far.
  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }
  /// The shared library that Gloo's calls land in, for a test.
  [[nodiscard]] static std::string library();

 private:
  [[nodiscard]] int number(int peer) const {
    return members_.ranks[static_cast<std::size_t>(peer)];
  }

  struct Gloo;  ///< keeps Gloo's headers out of here

  std::unique_ptr<Gloo> gloo_;
  MeshMembers members_;
  std::chrono::milliseconds timeout_;
  std::uint64_t slot_ = 0;
  std::uint64_t bytes_sent_ = 0;
};

/// The numeric address of this host from which `address`:`port` is reached; 127.0.0.1 for itself.
[[nodiscard]] std::string address_towards(const std::string& address, int port);

}  // namespace weft::distributed
