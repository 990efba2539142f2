#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

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

/// Connections between all pairs of ranks, over Gloo's TCP transport. Gloo's own collectives are
/// not used: they neither add in the order of the ranks nor say which peer failed them. The only
/// file that includes Gloo is this class's: LibTorch exports another version of the same names.
class GlooMesh {
 public:
  /// Connects all ranks with each other; `address` is the numeric address that this rank's peers
  /// reach it at. All ranks call it. A peer Error after `timeout`.
  GlooMesh(KeyStore& store, int rank, int size, const std::string& address,
           std::chrono::milliseconds timeout);
  GlooMesh(const GlooMesh&) = delete;
  GlooMesh& operator=(const GlooMesh&) = delete;
  ~GlooMesh();

  /// All of the transfers at once. Every rank makes the same exchanges in the same order. A peer
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
  struct Gloo;  ///< keeps Gloo's headers out of here

  std::unique_ptr<Gloo> gloo_;
  int rank_;
  int size_;
  std::chrono::milliseconds timeout_;
  std::uint64_t slot_ = 0;
  std::uint64_t bytes_sent_ = 0;
};

/// The numeric address of this host from which `address`:`port` is reached; 127.0.0.1 for itself.
[[nodiscard]] std::string address_towards(const std::string& address, int port);

}  // namespace weft::distributed
