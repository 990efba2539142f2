#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "distributed/gloo_mesh.h"

namespace weft::distributed {

// A datagram socket that is connected sends nothing, but the kernel chooses its own address by the
// routing table.
std::string address_towards(const std::string& address, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  std::string result = "127.0.0.1";
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    return result;
  }
  const int file = ::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  std::array<char, NI_MAXHOST> text{};
  if (file >= 0 && ::connect(file, found->ai_addr, found->ai_addrlen) == 0 &&
      ::getsockname(file, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&own), length, text.data(), text.size(),
                    nullptr, 0, NI_NUMERICHOST) == 0) {
    result = text.data();
  }
  if (file >= 0) {
    ::close(file);
  }
  ::freeaddrinfo(found);
  return result;
}

}  // namespace weft::distributed
