// One HTTP/1.1 connection of a client: one request at a time, nothing copied, nothing allocated
// once its buffers have their working size.
//
// Threads: lives on one event loop. Lifetime: owned by the listener's side, which may Abandon() it
// and Connect() it again inside a callback, but not destroy it there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/event_loop.h"
#include "net/http1.h"
#include "net/socket.h"
#include "net/write_queue.h"

namespace sextant::net {

// What went over a worker's connections, for its report.
struct TransferCounters {
  uint64_t bytes_sent = 0, bytes_received = 0;
  uint64_t connects = 0;     // connections established
  uint64_t disconnects = 0;  // ended by the peer or by failure
};

struct HttpResponse {
  int status = 0;
  std::string_view fields;  // header lines; only when the body is there
  // When it was to be kept; of a status other than 200, its beginning in any case.
  std::string_view body;
  uint64_t body_bytes = 0;  // whether kept or not
  Instant received;         // when its last byte had been read
};

class HttpClientConnection;

class HttpClientListener {
 public:
  virtual ~HttpClientListener() = default;
  // Connected and idle.
  virtual void OnHttpConnected(HttpClientConnection& connection) = 0;
  // The answer to the request in flight; the connection is idle again and takes the next Send(),
  // unless connection.open() is false. The views are valid during the call only.
  virtual void OnHttpResponse(HttpClientConnection& connection, const HttpResponse& response) = 0;
  // The connection is gone. `awaiting`: a request was in flight (or waiting for the connect) and
  // has failed with it.
  virtual void OnHttpClosed(HttpClientConnection& connection, FailureKind kind,
                            std::string_view reason, bool awaiting) = 0;
};

class HttpClientConnection final : public EventHandler {
 public:
  // `index` is the owner's to use.
  HttpClientConnection(EventLoop& loop, HttpClientListener& listener, TransferCounters& counters,
                       uint32_t index);
  ~HttpClientConnection() override;

  // Starts connecting, under TLS where there is a peer for it; OnHttpConnected or OnHttpClosed
  // follows, never inside this call.
  void Connect(const Address& address, TlsPeer* tls = nullptr);

  // Sends a request: its bytes are the pieces in order and must stay in place until the answer or
  // the end of the connection. While still connecting, it is sent as soon as that is done. *sent is
  // set immediately before the first byte goes to the kernel.
  void Send(std::span<const std::string_view> pieces, bool keep_body, Instant* sent);

  // Closes without a callback; a request in flight is forgotten.
  void Abandon();

  bool open() const { return state_ == State::kIdle || state_ == State::kAwaiting; }
  bool idle() const { return state_ == State::kIdle; }
  uint32_t index() const { return index_; }

  void OnEvents(uint32_t events) override;

 private:
  enum class State : uint8_t { kClosed, kConnecting, kIdle, kAwaiting };

  void OnConnecting(uint32_t events);
  void WriteRequest();
  IoResult WritePieces(size_t total);
  HttpParse ParseHead(std::string_view bytes, std::string_view& fault);
  void Read();
  // False when the connection has been closed (and may be destroyed).
  bool Receive(std::string_view bytes, Instant received);
  bool ReceiveBody(std::string_view bytes, Instant received);
  bool Deliver(std::string_view fields, std::string_view body, Instant received);
  void Fail(FailureKind kind, std::string_view reason);
  // Whether this answer's body is handed on: it was asked for, or it says what went wrong.
  bool Keeps() const { return keep_body_ || head_.status != 200; }

  EventLoop& loop_;
  HttpClientListener& listener_;
  TransferCounters& counters_;
  const uint32_t index_;
  State state_ = State::kClosed;
  bool keep_body_ = false;
  bool in_body_ = false;       // the head of the current answer has been parsed
  bool send_pending_ = false;  // Send() came before the connect was done
  bool peer_closing_ = false;  // the peer will send nothing after what is in the socket now
  Socket socket_;
  WriteQueue unwritten_;
  std::span<const std::string_view> pieces_;
  Instant* sent_ = nullptr;
  HttpHead head_;
  // The last head that came in one piece, and what it meant: servers repeat themselves.
  std::string seen_;
  HttpHead seen_meaning_;
  HttpBody body_;
  uint64_t body_bytes_ = 0;
  std::string partial_;  // a head, or chunk framing, that came in pieces
  std::string kept_fields_, kept_body_;
};

}  // namespace sextant::net
