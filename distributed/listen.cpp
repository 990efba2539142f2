// The rendezvous' socket, made here because TCPStore's own would listen on every interface.

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "distributed/key_store.h"

namespace weft::distributed {
namespace {

[[noreturn]] void fail_listen(const std::string& address, int port, int reason) {
  if (reason == EADDRINUSE) {
    fail_config(
        "rank 0 can't listen on {}:{}: the port is in use, by another run or program; set "
        "MASTER_PORT to a free one (torchrun: --master-port)",
        printable(address), port);
  }
  if (reason == EADDRNOTAVAIL) {
    fail_config(
        "rank 0 can't listen on {}:{}: that address is none of this host's; rank 0 must run on "
        "the host that MASTER_ADDR names, or set WEFT_BIND_ADDRESS=0.0.0.0 behind an address "
        "translation",
        printable(address), port);
  }
  fail_config("rank 0 can't listen on {}:{}: {}", printable(address), port, std::strerror(reason));
}

}  // namespace

int listen_on(const std::string& address, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int problem = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (problem != 0) {
    fail_config("the rendezvous' address {} can't be resolved: {}; check MASTER_ADDR",
                printable(address), ::gai_strerror(problem));
  }
  int reason = EADDRNOTAVAIL;
  int result = -1;
  for (const addrinfo* at = found; at != nullptr && result < 0; at = at->ai_next) {
    const int file = ::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    const int on = 1;
    if (file >= 0 && ::setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        ::bind(file, at->ai_addr, at->ai_addrlen) == 0 && ::listen(file, SOMAXCONN) == 0) {
      result = file;
    } else {
      reason = errno;
      if (file >= 0) {
        ::close(file);
      }
    }
  }
  ::freeaddrinfo(found);
  return result >= 0 ? result : (fail_listen(address, port, reason), -1);
}

}  // namespace weft::distributed
