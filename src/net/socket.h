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
#include "net/io_result.h"
#include "net/tls.h"

namespace sextant::net {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  int port() const;
  // "127.0.0.1:8000", "[::1]:8000", "unix:/run/server.sock"
  std::string text() const;
};

struct HostPort {
  std::string host;
  int port = 0;
  std::string path;  // of a Unix socket, in place of both
};
// "host:port", "host" (then default_port), "[::1]:8000", "127.0.0.1:0". Errors say what is wrong.
Result<HostPort> ParseHostPort(std::string_view text, int default_port);

// Errors: the path is longer than the system allows.
Result<Address> UnixAddress(std::string_view path);

// All stream addresses of a name, in the resolver's order. Blocks on the resolver.
Result<std::vector<Address>> Resolve(const HostPort& where);

// Why an exchange with a peer failed, in classes a user can act on.
enum class FailureKind : uint8_t {
  kConnect,   // no connection could be made: refused, unreachable, out of ports
  kReset,     // the peer broke the connection while it owed an answer
  kProtocol,  // the peer sent bytes that are not the protocol
};
std::string_view FailureKindName(FailureKind kind);

// A connected or connecting stream socket, with or without TLS: non-blocking, no delay, closed on
// exec.
class Socket {
 public:
  Socket() = default;
  explicit Socket(Fd fd) : fd_(std::move(fd)) {}
  // The server's side of TLS.
  Socket(Fd fd, std::unique_ptr<TlsStream> tls) : fd_(std::move(fd)), tls_(std::move(tls)) {}

  // Starts connecting, under TLS where there is a peer for it; what follows is NextStep()'s to say.
  static Result<Socket> Connect(const Address& address, TlsPeer* tls = nullptr);
  // To be called on every event while connecting: would_block, an error, or neither when the
  // connection is up. `writable`: as the event says.
  IoResult NextStep(bool writable);
  // Of an IoResult of this socket.
  std::string ErrorText(int error) const;
  // What a failure is: under TLS a server may refuse a client with its first words.
  FailureKind KindOf(int error) const;

  int fd() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  bool secure() const { return tls_ != nullptr; }
  void Close();
  // Close() will send a reset instead of an orderly end.
  void ResetOnClose();
  // Nothing more will be written; reading goes on.
  void EndWriting();
  // TLS may need the other direction for what was asked: then an event for one is one for both.
  uint32_t Widen(uint32_t events) const {
    return tls_ != nullptr && tls_->crossed() ? WidenCrossed(events) : events;
  }

  IoResult Read(char* buffer, size_t size) {
    if (tls_ != nullptr) [[unlikely]]
      return tls_->Read(fd(), buffer, size);
    // Not recv(), nor send() below: the library's are points where threads may be cancelled, which
    // ours never are, and cost more than the call's own instructions.
    const ssize_t n = syscall(SYS_recvfrom, fd(), buffer, size, 0, nullptr, nullptr);
    if (n > 0) return {.bytes = static_cast<size_t>(n)};
    return n == 0 ? IoResult{.closed = true} : Failed();
  }
  IoResult Write(const char* data, size_t size) {
    if (tls_ != nullptr) [[unlikely]]
      return WriteTls(data, size);
    const ssize_t n = syscall(SYS_sendto, fd(), data, size, MSG_NOSIGNAL, nullptr, 0);
    return n >= 0 ? IoResult{.bytes = static_cast<size_t>(n)} : Failed();
  }
  IoResult WritePieces(std::span<const iovec> pieces);

 private:
  static IoResult Failed();  // as errno says
  static uint32_t WidenCrossed(uint32_t events);
  IoResult WriteTls(const char* data, size_t size);

  Fd fd_;
  std::unique_ptr<TlsStream> tls_;
  bool connecting_ = false;  // TCP's part
};

// A listening socket. Port 0 takes a free one: LocalAddress tells which.
Result<Fd> Listen(const Address& address, int backlog = 4096);
Result<Address> LocalAddress(int fd);
// Sets what every accepted connection has: non-blocking (by accept4), no delay.
void PrepareAccepted(int fd);
// Removes the file of a Unix socket; of other addresses nothing.
void RemoveSocketFile(const Address& address);

// The first address of `where` that accepts a connection within the timeout: so that "localhost"
// means the family the server listens on.
Result<Address> FindListening(const HostPort& where, Nanos timeout);

}  // namespace sextant::net
