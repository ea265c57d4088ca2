// A small HTTP/1.1 server: keep-alive, pipelining in order, chunked requests, Expect: 100-continue,
// limits on everything a peer can send. What a path means is the handler's business.
//
// Threads: connections live on the loops of IoThreads; the handler is called there and must not
// block. Answers may come from any thread, at any time, once.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http1.h"
#include "net/io_threads.h"
#include "net/socket.h"

namespace sextant::net {

struct HttpLimits {
  uint64_t max_body_bytes = uint64_t{1} << 31;
  Nanos head_timeout = 30s;       // from a head's first byte to its last
  Nanos body_idle_timeout = 60s;  // without a byte of a body that is due
  size_t max_connections = 20'000;
};

struct HttpRequest {
  std::string_view method;
  std::string_view path;  // undecoded, without the query
  std::string_view query;
  std::string_view fields;  // header lines, for FindHeader
  std::string_view body;
};

// An answer; Content-Length is added when it is written.
struct HttpAnswer {
  int status = 200;
  std::string fields;  // header lines, each with its CR LF
  std::string body;
  std::vector<std::string> more;  // further body parts, written without being joined
  bool break_connection = false;  // instead of answering
};

class HttpServer;

// The right and duty to answer one request. Dropping it unanswered answers 500.
class HttpReply {
 public:
  HttpReply() = default;
  HttpReply(HttpReply&& other) noexcept;
  HttpReply& operator=(HttpReply&& other) noexcept;
  ~HttpReply();

  void Send(HttpAnswer answer);
  // Breaks the connection (TCP reset) instead of answering: for simulated faults.
  void Break() { Send({.break_connection = true}); }

 private:
  friend class HttpServerConnection;
  HttpReply(HttpServer* server, size_t loop, uint64_t connection)
      : server_(server), loop_(loop), connection_(connection) {}
  HttpServer* server_ = nullptr;
  size_t loop_ = 0;
  uint64_t connection_ = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // The views are valid during the call.
  virtual void OnRequest(const HttpRequest& request, HttpReply reply) = 0;
};

class HttpServerConnection;

class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> Start(IoThreads& threads, const Address& address,
                                                   HttpHandler& handler,
                                                   const HttpLimits& limits = {},
                                                   const TlsContext* tls = nullptr);
  // Closes the listener and all connections. Every reply must have been sent or dropped.
  ~HttpServer();

  const Address& address() const { return acceptor_->address(); }
  // Takes no new connections; those open are closed as soon as they are idle. Not from a loop's
  // thread.
  void StopAccepting();
  size_t connections() const { return connection_count_.load(); }

 private:
  friend class HttpReply;
  friend class HttpServerConnection;
  struct LoopSide;

  HttpServer(IoThreads& threads, HttpHandler& handler, const HttpLimits& limits,
             const TlsContext* tls);
  void OnAccept(size_t loop, Fd fd);
  void Deliver(size_t loop, uint64_t connection, HttpAnswer answer);

  IoThreads& threads_;
  HttpHandler& handler_;
  const HttpLimits limits_;
  const TlsContext* const tls_;  // null: plain text
  std::vector<std::unique_ptr<LoopSide>> sides_;
  std::unique_ptr<Acceptor> acceptor_;
  std::atomic<size_t> connection_count_{0};
  std::atomic<bool> draining_{false};
};

}  // namespace sextant::net
