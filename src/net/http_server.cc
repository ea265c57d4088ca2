#include "net/http_server.h"

#include <charconv>
#include <utility>

#include "base/strings.h"
#include "net/write_queue.h"

namespace sextant::net {

class HttpServerConnection final : public EventHandler {
 public:
  HttpServerConnection(HttpServer& server, size_t loop, uint64_t id, Fd fd)
      : server_(server),
        loop_(server.threads_.loop(loop)),
        loop_index_(loop),
        id_(id),
        socket_(std::move(fd), server.tls_ == nullptr ? nullptr : TlsStream::Accept(*server.tls_)) {
  }
  ~HttpServerConnection() override { Close(); }

  Result<void> Open() { return loop_.Add(socket_.fd(), *this); }
  void OnEvents(uint32_t events) override;
  void Write(HttpAnswer answer);
  void OnTick(Instant now);
  // Closes when there is nothing in progress.
  void CloseIfIdle();
  bool closed() const { return !socket_.valid(); }

 private:
  enum class State : uint8_t { kHead, kBody, kAnswering, kLingering };

  void Read();
  // Deals with what is in input_; stops when a request is with the handler.
  void Advance();
  bool AdvanceHead();
  bool AdvanceBody();
  void Dispatch(std::string_view body);
  void Refuse(int status, std::string_view reason);
  void WriteHead(const HttpAnswer& answer, size_t body_bytes);
  void Flush();
  void Finish();
  void Close();
  void Consume(size_t n) { consumed_ += n; }
  std::string_view Input() const { return std::string_view(input_).substr(consumed_); }

  HttpServer& server_;
  EventLoop& loop_;
  const size_t loop_index_;
  const uint64_t id_;
  Socket socket_;
  WriteQueue out_;
  State state_ = State::kHead;
  std::string input_;  // received, not yet dealt with, from consumed_ on
  size_t consumed_ = 0;
  HttpHead head_;
  std::string head_text_;  // backs head_ while the body is being received
  HttpBody body_;
  std::string body_text_;
  bool close_after_answer_ = false;
  bool head_request_ = false;  // the request was HEAD
  bool refused_ = false;       // answered before all of the request was read
  bool dispatching_ = false;
  bool peer_closed_ = false;
  Instant waiting_since_{};  // of the head or body that is due; zero: nothing is
};

struct HttpServer::LoopSide final : public Ticker {
  std::unordered_map<uint64_t, std::unique_ptr<HttpServerConnection>> connections;
  std::vector<uint64_t> closed;
  uint64_t next_id = 1;

  void OnTick(Instant now) override {
    for (auto& [id, connection] : connections) {
      connection->OnTick(now);
    }
    Sweep();
  }
  void Sweep() {
    for (const uint64_t id : closed) connections.erase(id);
    closed.clear();
  }
};

void HttpServerConnection::OnEvents(uint32_t events) {
  events = socket_.Widen(events);
  if ((events & EPOLLOUT) != 0 && out_.pending() > 0) Flush();
  if (!closed() && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) peer_closed_ = true;
    Read();
  }
}

void HttpServerConnection::Read() {
  // While a request is being answered, a peer that goes on sending is left to the kernel's buffers.
  constexpr size_t kMaxAhead = 256 * 1024;
  while (!closed()) {
    if (state_ == State::kAnswering && Input().size() > kMaxAhead) return;
    const IoResult result = socket_.Read(loop_.scratch(), EventLoop::kScratchBytes);
    if (result.would_block) return;
    if (result.error != 0 || result.closed) {
      // A half-closed peer still waits for its answer.
      if (result.closed && (state_ == State::kAnswering || out_.pending() > 0)) {
        close_after_answer_ = true;
        return;
      }
      return Close();
    }
    const std::string_view bytes(loop_.scratch(), result.bytes);
    if (state_ == State::kLingering) continue;
    if (consumed_ > 0 && consumed_ == input_.size()) input_.clear(), consumed_ = 0;
    if (state_ == State::kBody && input_.empty() && !head_.chunked) {
      // Straight into the body, without the detour.
      const HttpBody::Step step = body_.Next(bytes);
      body_text_.append(step.data);
      input_.append(bytes.substr(step.consumed));
      waiting_since_ = loop_.turn_start();
      if (body_.complete()) Dispatch(body_text_);
      if (!closed()) Advance();
    } else {
      // A head is looked at again only when a line has been completed.
      const bool partial_head = state_ == State::kHead && !Input().empty();
      input_.append(bytes);
      if (!partial_head || bytes.find('\n') != std::string_view::npos ||
          Input().size() > kMaxHttpHeadBytes)
        Advance();
    }
    if (result.bytes < EventLoop::kScratchBytes && !peer_closed_) return;
  }
}

void HttpServerConnection::Advance() {
  if (dispatching_) return;  // the loop below goes on
  dispatching_ = true;
  while (!closed() && (state_ == State::kHead || state_ == State::kBody)) {
    if (state_ == State::kHead ? !AdvanceHead() : !AdvanceBody()) break;
  }
  dispatching_ = false;
  if (closed()) return;
  if (consumed_ == input_.size()) {
    input_.clear();
    consumed_ = 0;
  } else if (consumed_ > 64 * 1024) {
    input_.erase(0, consumed_);
    consumed_ = 0;
  }
  if (input_.capacity() > 1024 * 1024 && input_.empty()) input_.shrink_to_fit();
}

bool HttpServerConnection::AdvanceHead() {
  // Empty lines before a request are to be ignored.
  while (!Input().empty() && (Input()[0] == '\r' || Input()[0] == '\n')) Consume(1);
  if (Input().empty()) {
    waiting_since_ = {};
    return false;
  }
  if (waiting_since_ == Instant()) waiting_since_ = loop_.turn_start();
  std::string_view fault;
  switch (ParseRequestHead(Input(), head_, fault)) {
    case HttpParse::kIncomplete:
      return false;
    case HttpParse::kBad:
      Refuse(fault.find("larger") != std::string_view::npos ? 431 : 400, fault);
      return false;
    case HttpParse::kComplete:
      break;
  }
  if (head_.minor_version == 1 && !FindHeader(head_.fields, "host")) {
    Refuse(400, "the Host header is missing");
    return false;
  }
  if (head_.content_length.value_or(0) > server_.limits_.max_body_bytes) {
    Refuse(413, Format("the body is larger than {} bytes", server_.limits_.max_body_bytes));
    return false;
  }
  waiting_since_ = loop_.turn_start();
  body_.StartRequest(head_);
  body_text_.clear();
  const std::string_view rest = Input().substr(head_.size);
  const uint64_t length = head_.content_length.value_or(0);
  if (!head_.chunked && rest.size() >= length) {
    // All of it is here: answered in place.
    Consume(head_.size + length);
    Dispatch(rest.substr(0, length));
    return true;
  }
  // The body is still to come: keep the head where it does not move.
  head_text_.assign(Input().substr(0, head_.size));
  Consume(head_.size);
  ParseRequestHead(head_text_, head_, fault);
  if (head_.expects_continue && Input().empty()) {
    out_.Append("HTTP/1.1 100 Continue\r\n\r\n");
    Flush();
  }
  // A promise of size is not yet a reason to hold that much memory.
  body_text_.reserve(std::min<uint64_t>(length, 1024 * 1024));
  state_ = State::kBody;
  return !closed();
}

bool HttpServerConnection::AdvanceBody() {
  while (!body_.complete()) {
    const HttpBody::Step step = body_.Next(Input());
    if (step.bad) {
      Refuse(400, "a malformed chunked body");
      return false;
    }
    if (step.consumed == 0) return false;
    waiting_since_ = loop_.turn_start();
    body_text_.append(step.data);
    Consume(step.consumed);
    if (body_text_.size() > server_.limits_.max_body_bytes) {
      Refuse(413, Format("the body is larger than {} bytes", server_.limits_.max_body_bytes));
      return false;
    }
  }
  Dispatch(body_text_);
  return true;
}

void HttpServerConnection::Dispatch(std::string_view body) {
  state_ = State::kAnswering;
  waiting_since_ = {};
  head_request_ = head_.method == "HEAD";
  close_after_answer_ = !head_.keep_alive || server_.draining_.load(std::memory_order_relaxed);
  HttpRequest request{
      .method = head_.method, .path = head_.target, .fields = head_.fields, .body = body};
  if (const size_t mark = head_.target.find('?'); mark != std::string_view::npos) {
    request.path = head_.target.substr(0, mark);
    request.query = head_.target.substr(mark + 1);
  }
  server_.handler_.OnRequest(request, HttpReply(&server_, loop_index_, id_));
}

void HttpServerConnection::Refuse(int status, std::string_view reason) {
  state_ = State::kAnswering;
  close_after_answer_ = refused_ = true;
  head_request_ = false;
  waiting_since_ = {};
  std::string body = "{\"error\":\"";
  // The reasons are this program's own words.
  body += reason;
  body += "\"}";
  Write(
      {.status = status, .fields = "Content-Type: application/json\r\n", .body = std::move(body)});
}

void HttpServerConnection::WriteHead(const HttpAnswer& answer, size_t body_bytes) {
  std::string out;
  out.reserve(256);
  if (answer.status == 200) {
    out += "HTTP/1.1 200 OK\r\n";
  } else {
    AppendFormat(out, "HTTP/1.1 {} {}\r\n", answer.status, HttpReason(answer.status));
  }
  out += answer.fields;
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, body_bytes);
  static_cast<void>(error);
  out += "Content-Length: ";
  out.append(digits, static_cast<size_t>(end - digits));
  out += close_after_answer_ ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n";
  out_.Append(out);
}

void HttpServerConnection::Write(HttpAnswer answer) {
  if (closed() || state_ != State::kAnswering) return;
  if (answer.break_connection) {
    socket_.ResetOnClose();
    return Close();
  }
  constexpr size_t kCopyBelow = 16 * 1024;
  size_t body_bytes = answer.body.size();
  for (const std::string& part : answer.more) body_bytes += part.size();
  WriteHead(answer, body_bytes);
  // The answer to HEAD has the head only.
  if (!head_request_) {
    const auto add = [&](std::string& part) {
      if (part.size() < kCopyBelow) {
        out_.Append(part);
      } else {
        out_.AppendOwned(std::move(part));
      }
    };
    add(answer.body);
    for (std::string& part : answer.more) add(part);
  }
  state_ = State::kHead;
  if (body_text_.capacity() > 1024 * 1024) {
    body_text_ = std::string();
  } else {
    body_text_.clear();
  }
  Flush();
  if (closed() || close_after_answer_) return;
  // Requests that came in the meantime, in this connection's buffer or in the kernel's.
  if (!dispatching_) {
    Advance();
    if (!closed() && state_ != State::kAnswering) Read();
  }
}

// Everything is written and the connection is to end. If the peer is still sending, closing now
// would make its kernel throw our answer away (RFC 9112, 9.6): stop writing, and read until it has
// seen it.
void HttpServerConnection::Finish() {
  if (!refused_ || peer_closed_) return Close();
  state_ = State::kLingering;
  waiting_since_ = loop_.turn_start();
  socket_.EndWriting();
}

void HttpServerConnection::Flush() {
  uint64_t written = 0;
  if (out_.Flush(socket_, written) != 0) return Close();
  if (out_.pending() == 0 && close_after_answer_ && state_ == State::kHead) Finish();
}

void HttpServerConnection::OnTick(Instant now) {
  if (closed()) return;
  CloseIfIdle();
  if (closed() || waiting_since_ == Instant() || state_ == State::kAnswering) return;
  if (state_ == State::kLingering) {
    if (now - waiting_since_ > 2s) Close();
    return;
  }
  const Nanos limit =
      state_ == State::kHead ? server_.limits_.head_timeout : server_.limits_.body_idle_timeout;
  if (now - waiting_since_ > limit) Refuse(408, "the request did not arrive in time");
}

void HttpServerConnection::CloseIfIdle() {
  if (server_.draining_.load(std::memory_order_relaxed) && state_ == State::kHead &&
      Input().empty() && out_.pending() == 0)
    Close();
}

void HttpServerConnection::Close() {
  if (!socket_.valid()) return;
  loop_.Remove(socket_.fd(), *this);
  socket_.Close();
  server_.connection_count_.fetch_sub(1);
  // Not destroyed here: a caller up the stack may still hold it. The sweep takes it.
  HttpServer::LoopSide& side = *server_.sides_[loop_index_];
  side.closed.push_back(id_);
  if (side.closed.size() == 1) loop_.Post([&side] { side.Sweep(); });
}

HttpReply::HttpReply(HttpReply&& other) noexcept
    : server_(std::exchange(other.server_, nullptr)),
      loop_(other.loop_),
      connection_(other.connection_) {}

HttpReply& HttpReply::operator=(HttpReply&& other) noexcept {
  std::swap(server_, other.server_);
  std::swap(loop_, other.loop_);
  std::swap(connection_, other.connection_);
  return *this;
}

HttpReply::~HttpReply() {
  if (server_ == nullptr) return;
  Send({.status = 500,
        .fields = "Content-Type: application/json\r\n",
        .body = "{\"error\":\"the request was dropped\"}"});
}

void HttpReply::Send(HttpAnswer answer) {
  HttpServer* server = std::exchange(server_, nullptr);
  SEXTANT_CHECK(server != nullptr, "a request answered twice");
  if (server->threads_.OnThread(loop_))
    return server->Deliver(loop_, connection_, std::move(answer));
  auto shared = std::make_shared<HttpAnswer>(std::move(answer));
  server->threads_.loop(loop_).Post([server, loop = loop_, connection = connection_, shared] {
    server->Deliver(loop, connection, std::move(*shared));
  });
}

HttpServer::HttpServer(IoThreads& threads, HttpHandler& handler, const HttpLimits& limits,
                       const TlsContext* tls)
    : threads_(threads), handler_(handler), limits_(limits), tls_(tls) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(IoThreads& threads, const Address& address,
                                                      HttpHandler& handler,
                                                      const HttpLimits& limits,
                                                      const TlsContext* tls) {
  std::unique_ptr<HttpServer> server(new HttpServer(threads, handler, limits, tls));
  for (size_t i = 0; i < threads.size(); ++i)
    server->sides_.push_back(std::make_unique<LoopSide>());
  for (size_t i = 0; i < threads.size(); ++i) {
    threads.RunOn(i, [&] { threads.AddTicker(i, *server->sides_[i]); });
  }
  SEXTANT_ASSIGN(server->acceptor_,
                 Acceptor::Start(threads, address, [raw = server.get()](size_t loop, Fd fd) {
                   raw->OnAccept(loop, std::move(fd));
                 }));
  return server;
}

HttpServer::~HttpServer() {
  if (acceptor_ != nullptr) acceptor_->Stop();
  for (size_t i = 0; i < sides_.size(); ++i) {
    threads_.RunOn(i, [&] {
      threads_.RemoveTicker(i, *sides_[i]);
      sides_[i]->connections.clear();
    });
    // A sweep that was posted by the closing runs before this returns.
    threads_.RunOn(i, [] {});
  }
}

void HttpServer::StopAccepting() {
  draining_ = true;
  acceptor_->Stop();
  for (size_t i = 0; i < sides_.size(); ++i) {
    threads_.RunOn(i, [&] {
      for (auto& [id, connection] : sides_[i]->connections) connection->CloseIfIdle();
    });
  }
}

void HttpServer::OnAccept(size_t loop, Fd fd) {
  if (connection_count_.load() >= limits_.max_connections) return;  // closes it
  LoopSide& side = *sides_[loop];
  // Unique among all loops.
  const uint64_t id = static_cast<uint64_t>(loop) << 48 | side.next_id++;
  auto connection = std::make_unique<HttpServerConnection>(*this, loop, id, std::move(fd));
  connection_count_.fetch_add(1);
  HttpServerConnection& raw = *connection;
  side.connections.emplace(id, std::move(connection));
  if (!raw.Open().has_value()) side.connections.erase(id);
}

void HttpServer::Deliver(size_t loop, uint64_t connection, HttpAnswer answer) {
  const auto it = sides_[loop]->connections.find(connection);
  if (it != sides_[loop]->connections.end()) it->second->Write(std::move(answer));
}

}  // namespace sextant::net
