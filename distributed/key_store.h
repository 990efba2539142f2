#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "distributed/launch.h"

namespace weft::distributed {

/// The small table of names and values through which ranks find each other: c10d's TCPStore. It has
/// no authentication and no encryption; whoever reaches the port can read and change it. Calls come
/// from one thread at a time. Peer Errors when the rank that serves it is gone or silent.
class KeyStore {
 public:
  virtual ~KeyStore() = default;
  virtual void set(const std::string& key, const std::string& value) = 0;
  [[nodiscard]] virtual bool has(const std::string& key) = 0;
  /// The value of a key that is there.
  [[nodiscard]] virtual std::string get(const std::string& key) = 0;
  /// Adds to a counter, 0 at the start; returns the new value.
  virtual std::int64_t add(const std::string& key, std::int64_t value) = 0;
  /// "host:port", for messages.
  [[nodiscard]] virtual std::string name() const = 0;
};

/// Serves the table on rank 0 (unless the launcher does) and connects to it. A config Error when
/// the port is in use or the address is none of this host's; a peer Error when nothing that speaks
/// the protocol answers within `timeout`. Keys of another start of the same run are apart.
[[nodiscard]] std::unique_ptr<KeyStore> open_key_store(const Launch& launch,
                                                       std::chrono::milliseconds timeout);

/// Waits for all keys, asking again and again; false when `timeout` has passed first. `meanwhile`
/// is called between two looks and may throw to give up.
[[nodiscard]] bool wait_for_keys(KeyStore& store, const std::vector<std::string>& keys,
                                 std::chrono::milliseconds timeout,
                                 const std::function<void()>& meanwhile = {});

/// A socket that listens on address:port, TCP; the caller owns it. Config Errors as above.
[[nodiscard]] int listen_on(const std::string& address, int port);

}  // namespace weft::distributed
