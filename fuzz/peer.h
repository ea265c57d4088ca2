// A loopback connection with scripted bytes on one side, for targets that are connections.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <string_view>

#include "net/socket.h"

inline sextant::net::Address Loopback() { return (*sextant::net::Resolve({"127.0.0.1", 0}))[0]; }

// Connects, sends everything, closes its side, reads until the other side is done.
inline void SendAndDrain(const sextant::net::Address& address, std::string_view bytes) {
  sextant::Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0)
    std::abort();
  // Closed with a reset, or the ports of thousands of runs would wait for their last packets.
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  while (!bytes.empty()) {
    const ssize_t n = send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) break;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  shutdown(fd.get(), SHUT_WR);
  char buffer[4096];
  pollfd ready{fd.get(), POLLIN, 0};
  while (poll(&ready, 1, 3000) > 0 && recv(fd.get(), buffer, sizeof buffer, 0) > 0) {
  }
}
