// Addresses and non-blocking stream sockets.
//
// Threads: an Address is a value; a Socket belongs to one event loop.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"

namespace sextant::net {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  int port() const;
  // "127.0.0.1:8000", "[::1]:8000"
  std::string text() const;
};

struct HostPort {
  std::string host;
  int port = 0;
};
// "host:port", "host" (then default_port), "[::1]:8000", "127.0.0.1:0". Errors say what is wrong.
Result<HostPort> ParseHostPort(std::string_view text, int default_port);

// All stream addresses of a name, in the resolver's order. Blocks on the resolver.
Result<std::vector<Address>> Resolve(const HostPort& where);

// Why an exchange with a peer failed, in classes a user can act on.
enum class FailureKind : uint8_t {
  kConnect,   // no connection could be made: refused, unreachable, out of ports
  kReset,     // the peer broke the connection while it owed an answer
  kProtocol,  // the peer sent bytes that are not the protocol
};
std::string_view FailureKindName(FailureKind kind);

struct IoResult {
  size_t bytes = 0;
  bool closed = false;  // orderly end of the stream
  bool would_block = false;
  int error = 0;  // errno of a failure
};

// A connected or connecting TCP socket: non-blocking, no delay, closed on exec.
class Socket {
 public:
  Socket() = default;
  explicit Socket(Fd fd) : fd_(std::move(fd)) {}

  // Starts connecting; completion is the first writable event, its outcome ConnectError().
  static Result<Socket> Connect(const Address& address);
  // 0, or the errno that ended the connect.
  int ConnectError() const;

  int fd() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  void Close() { fd_.Reset(); }
  // Close() will send a reset instead of an orderly end.
  void ResetOnClose();

  IoResult Read(char* buffer, size_t size) {
    // Not recv(): the library's is a point where threads may be cancelled, which ours never are.
    const ssize_t n = syscall(SYS_recvfrom, fd(), buffer, size, 0, nullptr, nullptr);
    if (n > 0) return {.bytes = static_cast<size_t>(n)};
    return n == 0 ? IoResult{.closed = true} : Failed();
  }
  IoResult Write(const char* data, size_t size) {
    const ssize_t n = send(fd(), data, size, MSG_NOSIGNAL);
    return n >= 0 ? IoResult{.bytes = static_cast<size_t>(n)} : Failed();
  }
  IoResult WritePieces(std::span<const iovec> pieces);

 private:
  static IoResult Failed();  // as errno says

  Fd fd_;
};

// A listening socket. Port 0 takes a free one: LocalAddress tells which.
Result<Fd> Listen(const Address& address, int backlog = 4096);
Result<Address> LocalAddress(int fd);
// Sets what every accepted connection has: non-blocking (by accept4), no delay.
void PrepareAccepted(int fd);

// The first address of `where` that accepts a connection within the timeout: so that "localhost"
// means the family the server listens on.
Result<Address> FindListening(const HostPort& where, Nanos timeout);

}  // namespace sextant::net
