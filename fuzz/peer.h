// A loopback connection with scripted bytes on one side, for targets that are connections: our
// server against SendAndDrain(), our client against a ScriptedPeer.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <string_view>

#include "net/event_loop.h"
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

// The server that a client under test has connected to. One a process, listening for good; every
// input has a connection of its own. All on the target's thread: the client's loop turns only here.
class ScriptedPeer {
 public:
  sextant::net::EventLoop& loop() { return *loop_; }
  // Where the client is to connect to.
  const sextant::net::Address& address() const { return address_; }

  // Lets the client connect, and takes its connection.
  void Accept() {
    loop_->Turn(std::chrono::seconds(1));
    pollfd ready{listening_.get(), POLLIN, 0};
    poll(&ready, 1, 1000);
    peer_ = sextant::Fd(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  // Sends to the client, as far as it takes that; its loop has not turned yet.
  void Send(std::string_view bytes) {
    if (!bytes.empty()) send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // Lets the client work on what there is.
  void Turn() {
    for (int i = 0; i < 3; ++i) loop_->Turn(sextant::Nanos(0));
  }
  // Ends the connection; true once the client has seen that.
  bool End(const bool& closed) {
    shutdown(peer_.get(), SHUT_RDWR);
    for (int i = 0; i < 100 && !closed; ++i) loop_->Turn(std::chrono::milliseconds(10));
    peer_ = sextant::Fd();
    return closed;
  }

 private:
  const std::unique_ptr<sextant::net::EventLoop> loop_ = *sextant::net::EventLoop::Create();
  const sextant::Fd listening_ = *sextant::net::Listen(Loopback());
  const sextant::net::Address address_ = *sextant::net::LocalAddress(listening_.get());
  sextant::Fd peer_;
};
