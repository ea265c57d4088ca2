#include "net/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::net {
namespace {

void SetNoDelay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

}  // namespace

int Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  if (family() == AF_INET6)
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  return 0;
}

std::string Address::text() const {
  if (family() == AF_UNIX)
    return Format("unix:{}", reinterpret_cast<const sockaddr_un*>(&storage)->sun_path);
  char host[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, host,
              sizeof host);
    return Format("{}:{}", host, port());
  }
  inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr, host,
            sizeof host);
  return Format("[{}]:{}", host, port());
}

Result<HostPort> ParseHostPort(std::string_view text, int default_port) {
  HostPort out{.port = default_port};
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos)
      return InvalidArgument(Format("'{}': '[' without ']'", Printable(text, 80)));
    out.host = text.substr(1, close - 1);
    if (text.size() > close + 1) {
      if (text[close + 1] != ':')
        return InvalidArgument(Format("'{}': ':port' must follow ']'", Printable(text, 80)));
      port = text.substr(close + 2);
      if (port.empty())
        return InvalidArgument(Format("'{}': the port is missing", Printable(text, 80)));
    }
  } else {
    const size_t colon = text.find(':');
    if (colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos) {
      return InvalidArgument(
          Format("'{}': an IPv6 address goes in brackets, as in [::1]:8000", Printable(text, 80)));
    }
    out.host = text.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = text.substr(colon + 1);
      if (port.empty())
        return InvalidArgument(Format("'{}': the port is missing", Printable(text, 80)));
    }
  }
  if (out.host.empty())
    return InvalidArgument(Format("'{}': the host is missing", Printable(text, 80)));
  if (!port.empty()) {
    const std::optional<int64_t> number = ParseInt(port);
    if (!number || *number < 0 || *number > 65535) {
      return InvalidArgument(
          Format("'{}': the port must be a number from 0 to 65535", Printable(text, 80)));
    }
    out.port = static_cast<int>(*number);
  }
  return out;
}

Result<Address> UnixAddress(std::string_view path) {
  Address address;
  auto& un = reinterpret_cast<sockaddr_un&>(address.storage);
  un.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof un.sun_path) {
    return InvalidArgument(Format("'{}': the path of a Unix socket has 1 to {} characters",
                                  Printable(path, 80), sizeof un.sun_path - 1));
  }
  std::memcpy(un.sun_path, path.data(), path.size());
  address.length = sizeof un;
  return address;
}

Result<std::vector<Address>> Resolve(const HostPort& where) {
  if (!where.path.empty()) {
    SEXTANT_ASSIGN(const Address address, UnixAddress(where.path));
    return std::vector<Address>{address};
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed =
      getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &list);
  if (failed != 0) {
    return Unavailable(Format("the name '{}' cannot be resolved: {}", Printable(where.host, 80),
                              failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed)));
  }
  std::vector<Address> out;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    Address address;
    address.length = entry->ai_addrlen;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    out.push_back(address);
  }
  freeaddrinfo(list);
  return out;
}

std::string_view FailureKindName(FailureKind kind) {
  switch (kind) {
    case FailureKind::kConnect:
      return "connect";
    case FailureKind::kReset:
      return "reset";
    case FailureKind::kProtocol:
      return "protocol";
  }
  return "unknown";
}

Result<Socket> Socket::Connect(const Address& address, TlsPeer* tls) {
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return IoError("socket", errno);
  if (address.family() != AF_UNIX) SetNoDelay(fd.get());
  const int failed =
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length);
  if (failed != 0 && errno != EINPROGRESS) return IoError("connect to " + address.text(), errno);
  Socket socket(std::move(fd));
  socket.connecting_ = true;
  if (tls != nullptr) socket.tls_ = TlsStream::Connect(*tls);
  return socket;
}

IoResult Socket::NextStep(bool writable) {
  if (connecting_) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error != 0) return {.error = error};
    if (!writable) return {.would_block = true};
    connecting_ = false;
  }
  return tls_ == nullptr ? IoResult{} : tls_->Handshake(fd());
}

std::string Socket::ErrorText(int error) const {
  return tls_ != nullptr && !tls_->fault().empty() ? tls_->fault() : strerror(error);
}

FailureKind Socket::KindOf(int error) const {
  return error == EPROTO && tls_ != nullptr && tls_->untried() ? FailureKind::kConnect
                                                               : FailureKind::kReset;
}

void Socket::Close() {
  if (tls_ != nullptr) {
    if (valid() && !connecting_) tls_->Finish(fd());
    tls_.reset();
  }
  fd_.Reset();
}

void Socket::EndWriting() {
  if (tls_ != nullptr) tls_->Finish(fd());
  shutdown(fd(), SHUT_WR);
}

uint32_t Socket::WidenCrossed(uint32_t events) { return events | EPOLLIN | EPOLLOUT; }

IoResult Socket::WriteTls(const char* data, size_t size) {
  const iovec piece{const_cast<char*>(data), size};
  return tls_->Write(fd(), {&piece, 1});
}

void Socket::ResetOnClose() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

IoResult Socket::Failed() {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {.would_block = true};
  return {.error = errno};
}

IoResult Socket::WritePieces(std::span<const iovec> pieces) {
  if (tls_ != nullptr) return tls_->Write(fd(), pieces);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  const ssize_t n = sendmsg(fd(), &message, MSG_NOSIGNAL);
  return n >= 0 ? IoResult{.bytes = static_cast<size_t>(n)} : Failed();
}

static bool NobodyListens(const Address& address) {
  const Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) !=
             0 &&
         errno == ECONNREFUSED;
}

Result<Fd> Listen(const Address& address, int backlog) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return IoError("socket", errno);
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  // What a server that is gone has left behind; one that lives keeps its place.
  if (address.family() == AF_UNIX && NobodyListens(address)) RemoveSocketFile(address);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0 ||
      listen(fd.get(), backlog) != 0) {
    return IoError("listen on " + address.text(), errno);
  }
  return fd;
}

Result<Address> LocalAddress(int fd) {
  Address address;
  address.length = sizeof address.storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) {
    return IoError("getsockname", errno);
  }
  return address;
}

void PrepareAccepted(int fd) { SetNoDelay(fd); }

void RemoveSocketFile(const Address& address) {
  if (address.family() == AF_UNIX)
    unlink(reinterpret_cast<const sockaddr_un*>(&address.storage)->sun_path);
}

Result<Address> FindListening(const HostPort& where, Nanos timeout) {
  SEXTANT_ASSIGN(const std::vector<Address> addresses, Resolve(where));
  const Instant deadline = SteadyNow() + timeout;
  std::string reasons;
  for (const Address& address : addresses) {
    Result<Socket> socket = Socket::Connect(address);
    int error = 0;
    if (!socket.has_value()) {
      reasons += (reasons.empty() ? "" : "; ") + socket.error().message();
      continue;
    }
    pollfd wait{socket->fd(), POLLOUT, 0};
    const Nanos left = std::max(deadline - SteadyNow(), Nanos(0));
    const int ready = poll(&wait, 1, static_cast<int>(left.count() / 1'000'000));
    error = ready == 0 ? ETIMEDOUT : socket->NextStep(true).error;
    if (error == 0) return address;
    reasons += Format("{}{}: {}", reasons.empty() ? "" : "; ", address.text(), strerror(error));
  }
  const std::string name =
      where.path.empty() ? Format("{}:{}", where.host, where.port) : "unix:" + where.path;
  return Unavailable(Format("no server answers at {} ({})", name, reasons));
}

}  // namespace sextant::net
