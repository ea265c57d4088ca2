#include "net/http_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace sextant::net {
namespace {

// Of an error's body, which is kept even when answers are not.
constexpr size_t kMaxErrorBody = 4096;

}  // namespace

HttpClientConnection::HttpClientConnection(EventLoop& loop, HttpClientListener& listener,
                                           TransferCounters& counters, uint32_t index)
    : loop_(loop), listener_(listener), counters_(counters), index_(index) {}

HttpClientConnection::~HttpClientConnection() { Abandon(); }

void HttpClientConnection::Connect(const Address& address, TlsPeer* tls) {
  SEXTANT_CHECK(state_ == State::kClosed, "connecting twice");
  state_ = State::kConnecting;
  Result<Socket> socket = Socket::Connect(address, tls);
  std::string reason;
  if (socket.has_value()) {
    socket_ = *std::move(socket);
    if (Result<void> added = loop_.Add(socket_.fd(), *this); !added.has_value()) {
      reason = added.error().message();
      socket_.Close();
    }
  } else {
    reason = socket.error().message();
  }
  // The caller is not ready to hear of a failure yet.
  if (!socket_.valid()) {
    loop_.Post([this, reason] {
      if (state_ == State::kConnecting) Fail(FailureKind::kConnect, reason);
    });
  }
}

void HttpClientConnection::Abandon() {
  if (socket_.valid()) {
    loop_.Remove(socket_.fd(), *this);
    socket_.Close();
  }
  state_ = State::kClosed;
  send_pending_ = in_body_ = peer_closing_ = false;
  unwritten_.Clear();
  partial_.clear();
}

void HttpClientConnection::Send(std::span<const std::string_view> pieces, bool keep_body,
                                Instant* sent) {
  pieces_ = pieces;
  keep_body_ = keep_body;
  sent_ = sent;
  if (state_ == State::kConnecting) {
    send_pending_ = true;
    return;
  }
  SEXTANT_CHECK(state_ == State::kIdle, "Send on a connection that is not idle");
  state_ = State::kAwaiting;
  WriteRequest();
}

IoResult HttpClientConnection::WritePieces(size_t total) {
  if (pieces_.size() == 1) return socket_.Write(pieces_[0].data(), total);
  // What is small is copied together in less time than the kernel takes to look for its pieces.
  std::array<char, 2048> together;
  if (total <= together.size()) {
    char* p = together.data();
    for (const std::string_view piece : pieces_) p = std::copy(piece.begin(), piece.end(), p);
    return socket_.Write(together.data(), total);
  }
  std::array<iovec, 64> vectors;
  size_t count = 0;
  for (const std::string_view piece : pieces_) {
    if (count == vectors.size()) break;
    vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
  }
  return socket_.WritePieces({vectors.data(), count});
}

void HttpClientConnection::WriteRequest() {
  *sent_ = SteadyNow();
  size_t total = 0;
  for (const std::string_view piece : pieces_) total += piece.size();
  const IoResult result = WritePieces(total);
  // A broken connection shows as the next event, which tells the listener outside of its own call.
  counters_.bytes_sent += result.bytes;
  if (result.bytes == total || result.error != 0) return;
  size_t skip = result.bytes;
  for (const std::string_view piece : pieces_) {
    if (skip >= piece.size()) {
      skip -= piece.size();
    } else {
      unwritten_.AppendReference(piece.substr(skip));
      skip = 0;
    }
  }
  // Edge-triggered: if the socket was full, an event follows; if only the vectors ran out, go on
  // now.
  if (!result.would_block && unwritten_.Flush(socket_, counters_.bytes_sent) != 0)
    unwritten_.Clear();
}

void HttpClientConnection::OnConnecting(uint32_t events) {
  const IoResult step = socket_.NextStep((events & EPOLLOUT) != 0);
  if (step.would_block) return;
  if (step.error != 0) return Fail(FailureKind::kConnect, socket_.ErrorText(step.error));
  ++counters_.connects;
  state_ = State::kIdle;
  if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) peer_closing_ = true;
  if (send_pending_) {
    send_pending_ = false;
    state_ = State::kAwaiting;
    WriteRequest();
  } else {
    listener_.OnHttpConnected(*this);
  }
  // What came with the end of a handshake makes no event of its own.
  if (socket_.secure() && open()) Read();
}

void HttpClientConnection::OnEvents(uint32_t events) {
  if (state_ == State::kConnecting) return OnConnecting(events);
  events = socket_.Widen(events);
  if (unwritten_.pending() > 0 && (events & EPOLLOUT) != 0) {
    if (const int error = unwritten_.Flush(socket_, counters_.bytes_sent); error != 0) {
      // There may be an answer that explains it (413, say): read first.
      unwritten_.Clear();
      events |= EPOLLIN | EPOLLHUP;
    }
  }
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) peer_closing_ = true;
  if (peer_closing_ || (events & EPOLLIN) != 0) Read();
}

void HttpClientConnection::Read() {
  for (;;) {
    const IoResult result = socket_.Read(loop_.scratch(), EventLoop::kScratchBytes);
    if (result.would_block) return;
    if (result.error != 0)
      return Fail(socket_.KindOf(result.error), socket_.ErrorText(result.error));
    const Instant received = SteadyNow();
    if (result.closed) {
      if (in_body_ && body_.until_close()) {
        body_.EndOfConnection();
        head_.keep_alive = false;
        Deliver(kept_fields_, kept_body_, received);
        return;
      }
      return Fail(FailureKind::kReset,
                  state_ == State::kAwaiting
                      ? "the server closed the connection before it had answered"
                      : "the server closed the idle connection");
    }
    counters_.bytes_received += result.bytes;
    if (!Receive({loop_.scratch(), result.bytes}, received)) return;
    // A read that did not fill the buffer has emptied the socket; new bytes make a new event.
    if (result.bytes < EventLoop::kScratchBytes && !peer_closing_) return;
  }
}

// A head with the same bytes as the one before has the same meaning; comparing is a tenth of
// parsing.
HttpParse HttpClientConnection::ParseHead(std::string_view bytes, std::string_view& fault) {
  if (!seen_.empty() && bytes.starts_with(seen_)) {
    head_ = seen_meaning_;
    head_.fields = bytes.substr(static_cast<size_t>(seen_meaning_.fields.data() - seen_.data()),
                                seen_meaning_.fields.size());
    return HttpParse::kComplete;
  }
  const HttpParse parsed = ParseResponseHead(bytes, head_, fault);
  if (parsed == HttpParse::kComplete && head_.status == 200) {
    seen_ = bytes.substr(0, head_.size);
    seen_meaning_ = head_;
    seen_meaning_.fields = std::string_view(seen_).substr(
        static_cast<size_t>(head_.fields.data() - bytes.data()), head_.fields.size());
  }
  return parsed;
}

bool HttpClientConnection::Receive(std::string_view bytes, Instant received) {
  while (!in_body_) {
    if (state_ != State::kAwaiting) {
      if (bytes.empty()) return true;
      Fail(FailureKind::kProtocol, "the server sent bytes that nobody asked for");
      return false;
    }
    std::string_view all = bytes;
    if (!partial_.empty()) {
      partial_.append(bytes);
      all = partial_;
    }
    std::string_view fault;
    const HttpParse parsed = ParseHead(all, fault);
    if (parsed == HttpParse::kBad) {
      Fail(FailureKind::kProtocol, Format("{} in the answer '{}'", fault, Printable(all, 60)));
      return false;
    }
    if (parsed == HttpParse::kIncomplete) {
      if (partial_.empty()) partial_ = bytes;
      return true;
    }
    // How much of `bytes` belongs to the head: what was kept before counts towards it.
    const size_t kept_before = all.size() - bytes.size();
    bytes.remove_prefix(head_.size - kept_before);
    if (head_.status / 100 == 1) {  // an interim answer
      partial_.clear();
      if (bytes.empty()) return true;
      continue;
    }
    body_.StartResponse(head_);
    body_bytes_ = 0;
    kept_body_.clear();
    const uint64_t length = head_.content_length.value_or(0);
    if (!head_.chunked && head_.content_length && bytes.size() >= length) {
      // All of it is here: no copy.
      body_bytes_ = length;
      if (bytes.size() > length) head_.keep_alive = false;  // and something that does not belong
      return Deliver(head_.fields, bytes.substr(0, length), received);
    }
    if (Keeps()) kept_fields_ = head_.fields;
    partial_.clear();
    in_body_ = true;
  }
  return ReceiveBody(bytes, received);
}

bool HttpClientConnection::ReceiveBody(std::string_view bytes, Instant received) {
  std::string joined;
  if (!partial_.empty()) {
    partial_.append(bytes);
    joined.swap(partial_);
    bytes = joined;
  }
  while (!body_.complete()) {
    const HttpBody::Step step = body_.Next(bytes);
    if (step.bad) {
      Fail(FailureKind::kProtocol, "a malformed chunked body");
      return false;
    }
    if (step.consumed == 0) {
      partial_.assign(bytes);  // chunk framing cut in two: wait for the rest of it
      return true;
    }
    body_bytes_ += step.data.size();
    if (Keeps() && (keep_body_ || kept_body_.size() < kMaxErrorBody)) kept_body_.append(step.data);
    bytes.remove_prefix(step.consumed);
  }
  if (!bytes.empty()) head_.keep_alive = false;
  return Deliver(kept_fields_, kept_body_, received);
}

bool HttpClientConnection::Deliver(std::string_view fields, std::string_view body,
                                   Instant received) {
  in_body_ = false;
  const bool stays = head_.keep_alive && !peer_closing_ && unwritten_.pending() == 0;
  HttpResponse response{.status = head_.status, .body_bytes = body_bytes_, .received = received};
  if (Keeps()) response.fields = fields, response.body = body;
  if (stays) {
    state_ = State::kIdle;
    // The listener may send the next request from inside; nothing of this one is needed after it,
    // and an empty string costs nothing to clear.
    if (partial_.empty()) {
      listener_.OnHttpResponse(*this, response);
    } else {
      const std::string head = std::move(partial_);
      partial_.clear();
      listener_.OnHttpResponse(*this, response);
    }
    return open();
  }
  ++counters_.disconnects;
  const std::string head = std::move(partial_);  // the views may lie in it
  Abandon();
  listener_.OnHttpResponse(*this, response);
  listener_.OnHttpClosed(*this, FailureKind::kReset, "the server asked for a new connection",
                         false);
  return false;
}

void HttpClientConnection::Fail(FailureKind kind, std::string_view reason) {
  const bool awaiting = state_ == State::kAwaiting || send_pending_;
  if (state_ != State::kConnecting) ++counters_.disconnects;
  // `reason` may lie in the buffers that are cleared here.
  const std::string kept_reason(reason);
  Abandon();
  listener_.OnHttpClosed(*this, kind, kept_reason, awaiting);
}

}  // namespace sextant::net
