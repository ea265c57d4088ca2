#include "net/grpc_server.h"

#include <algorithm>

#include "base/strings.h"
#include "net/compress.h"
#include "net/hpack.h"
#include "net/http2.h"

namespace sextant::net {
namespace {

// Http2Stream::state of this side: the method's kind in the low bits, its number above.
constexpr uint32_t kOpen = 1, kStreaming = 2;
constexpr uint32_t kMethodShift = 8;

// The peers that matter refuse header tables of our making least of all: no state in what we send.
// Made before any server and gone after all of them.
const std::string kAnswerHeaders = [] {
  std::string out;
  AppendHpackIndexed(out, kHpackStatus200);
  AppendHpackField(out, kHpackContentType, {}, "application/grpc");
  return out;
}();
const std::string kOkTrailers = [] {
  std::string out;
  AppendHpackField(out, 0, "grpc-status", "0");
  return out;
}();

std::string Trailers(GrpcStatus status, std::string_view text) {
  if (status == GrpcStatus::kOk) return kOkTrailers;
  std::string out;
  AppendHpackField(out, 0, "grpc-status", std::to_string(static_cast<int>(status)));
  if (!text.empty()) AppendHpackField(out, 0, "grpc-message", GrpcEncodeMessage(text));
  return out;
}

}  // namespace

// What a call sends.
struct GrpcOutgoing {
  bool has_message = false;
  std::string message;
  bool end = false;
  GrpcStatus status = GrpcStatus::kOk;
  std::string text;
  bool break_connection = false;
};

class GrpcServerConnection final : public Http2Connection {
 public:
  GrpcServerConnection(GrpcServer& server, size_t loop, uint64_t id)
      : Http2Connection(server.threads_.loop(loop), Side::kServer,
                        {.stream_window = 8u << 20,
                         .connection_window = 64u << 20,
                         .max_concurrent_streams = server.limits_.max_concurrent_streams},
                        counters_storage_),
        server_(server),
        loop_index_(loop),
        id_(id) {}
  ~GrpcServerConnection() override;

  Result<void> Begin(Fd fd) {
    const TlsContext* const tls = server_.tls_;
    return Open(Socket(std::move(fd), tls == nullptr ? nullptr : TlsStream::Accept(*tls)),
                /*connecting=*/false);
  }
  void Send(uint32_t stream, GrpcOutgoing&& outgoing);
  void GoAway();
  void OnTick(Instant now);

 private:
  // What the last header block that needed no decoding meant.
  struct Seen {
    std::string block;
    uint64_t table_version = 0;
    uint32_t state = 0;
  };

  void OnHeaders(uint32_t stream, std::string_view block, bool end_stream) override;
  void OnData(Http2Stream& stream, std::string_view data, bool end_stream) override;
  void OnReset(Http2Stream& stream, uint32_t code) override;
  void OnGoaway(uint32_t, uint32_t, std::string_view) override {}
  bool IsIdle(uint32_t stream) const override { return stream % 2 == 0 || stream > last_stream_; }
  void OnSendDone(Http2Stream& stream) override;
  void OnEnd(FailureKind kind, std::string_view reason) override;
  void OnFlush(Instant) override {}

  // The state of a call with these headers; 0: it has been refused.
  uint32_t Route(uint32_t stream, std::string& encoding);
  void TakeMessages(Http2Stream& stream, bool end_stream);
  bool Decompressed(Http2Stream& stream, std::string_view& message);
  void Refuse(uint32_t stream, GrpcStatus status, std::string_view text);
  void Lose(const Http2Stream& stream);
  GrpcCall CallOf(const Http2Stream& stream) { return {&server_, loop_index_, id_, stream.id}; }
  static uint32_t MethodOf(const Http2Stream& stream) { return stream.state >> kMethodShift; }

  TransferCounters counters_storage_;
  GrpcServer& server_;
  const size_t loop_index_;
  const uint64_t id_;
  HpackDecoder decoder_;
  std::vector<HeaderField> fields_;
  uint64_t table_version_ = 0;
  Seen seen_;
  std::string scratch_;
  uint32_t last_stream_ = 0;
  uint64_t resets_ = 0, calls_ = 0;
  bool going_away_ = false;
  const Instant opened_ = SteadyNow();
};

struct GrpcServer::LoopSide final : public Ticker {
  std::unordered_map<uint64_t, std::unique_ptr<GrpcServerConnection>> connections;
  std::vector<uint64_t> closed;
  uint64_t next_id = 1;

  void OnTick(Instant now) override {
    for (auto& [id, connection] : connections) connection->OnTick(now);
  }
};

GrpcServerConnection::~GrpcServerConnection() = default;

uint32_t GrpcServerConnection::Route(uint32_t stream, std::string& encoding) {
  std::string_view method, path, content_type;
  for (const HeaderField& field : fields_) {
    if (field.name == ":method") method = field.value;
    if (field.name == ":path") path = field.value;
    if (field.name == "content-type") content_type = field.value;
    if (field.name == "grpc-encoding") encoding = field.value;
  }
  if (method != "POST" || !content_type.starts_with("application/grpc")) {
    std::string block;
    AppendHpackField(block, kHpackStatusName, {}, method != "POST" ? "405" : "415");
    QueueHeaders(stream, block, true);
    return 0;
  }
  uint32_t number = 0;
  switch (server_.service_.FindMethod(path, number)) {
    case GrpcMethodKind::kUnknown:
      Refuse(stream, GrpcStatus::kUnimplemented, Format("unknown method {}", Printable(path, 100)));
      return 0;
    case GrpcMethodKind::kUnary:
      return kOpen | number << kMethodShift;
    case GrpcMethodKind::kStream:
      return kOpen | kStreaming | number << kMethodShift;
  }
  return 0;
}

void GrpcServerConnection::OnHeaders(uint32_t id, std::string_view block, bool end_stream) {
  uint32_t state = 0;
  std::string encoding;
  const bool same =
      seen_.table_version == table_version_ && seen_.state != 0 && block == seen_.block;
  if (!same && !decoder_.Decode(block, fields_)) {
    return ConnectionFault(Http2Error::kCompressionError, "a malformed header block");
  }
  // Also of a block that is then refused: the table has changed all the same.
  if (!same && ExamineHpack(block) == HpackDependence::kChanges) ++table_version_;
  if (Http2Stream* stream = streams_.Find(id); stream != nullptr) {  // trailers
    if (!end_stream)
      return ConnectionFault(Http2Error::kProtocolError, "a second header block within a call");
    if (stream->remote_closed)
      return ConnectionFault(Http2Error::kStreamClosed, "HEADERS after the end of their stream");
    stream->remote_closed = true;
    return TakeMessages(*stream, true);
  }
  if (id % 2 == 0 || id <= last_stream_) {
    // Of a call that is over (its client had not heard yet), or a fault.
    if (id % 2 == 0)
      ConnectionFault(Http2Error::kProtocolError, "an even stream number from a client");
    return;
  }
  last_stream_ = id;
  ++calls_;
  if (going_away_ || streams_.size() >= server_.limits_.max_concurrent_streams) {
    return QueueReset(id, Http2Error::kRefusedStream);
  }
  if (same) {
    state = seen_.state;
  } else {
    state = Route(id, encoding);
    if (state != 0 && encoding.empty() && ExamineHpack(block) != HpackDependence::kChanges) {
      seen_ = {std::string(block), table_version_, state};
    }
    if (state == 0) return;
  }
  Http2Stream& stream = streams_.Insert(id);
  stream.send_window = peer_.initial_window_size;
  stream.state = state;
  stream.status_message = encoding;  // of compressed messages
  if (end_stream) {
    stream.remote_closed = true;
    TakeMessages(stream, true);
  }
}

void GrpcServerConnection::OnData(Http2Stream& stream, std::string_view data, bool end_stream) {
  if (stream.message.size() + data.size() > server_.limits_.max_message_bytes + kGrpcPrefixBytes) {
    const uint32_t id = stream.id;
    Lose(stream);
    Refuse(id, GrpcStatus::kResourceExhausted,
           Format("the message is larger than {} bytes", server_.limits_.max_message_bytes));
    QueueReset(id, Http2Error::kNoError);
    Forget(stream);
    return;
  }
  // The usual unary call: one frame, one message; no copy.
  if (end_stream && stream.message.empty() && (stream.state & kStreaming) == 0 &&
      data.size() >= kGrpcPrefixBytes) {
    const GrpcPrefix prefix = ParseGrpcPrefix(data.data());
    if (!prefix.compressed && prefix.length == data.size() - kGrpcPrefixBytes) {
      return server_.service_.OnUnary(MethodOf(stream), data.substr(kGrpcPrefixBytes),
                                      CallOf(stream));
    }
  }
  stream.message.append(data);
  TakeMessages(stream, end_stream);
}

// Turns a compressed message into a plain one in scratch_; false when the call has been refused.
bool GrpcServerConnection::Decompressed(Http2Stream& stream, std::string_view& message) {
  const std::optional<Compression> kind = ParseCompression(stream.status_message);
  const uint32_t id = stream.id;
  if (!kind || *kind == Compression::kNone) {
    Refuse(id, GrpcStatus::kUnimplemented,
           Format("grpc-encoding '{}' is not supported", Printable(stream.status_message, 40)));
  } else if (Result<std::string> plain =
                 Decompress(*kind, message, server_.limits_.max_message_bytes);
             !plain.has_value()) {
    Refuse(id, GrpcStatus::kInternal, plain.error().message());
  } else {
    scratch_ = *std::move(plain);
    message = scratch_;
    return true;
  }
  Lose(stream);
  Forget(stream);
  return false;
}

void GrpcServerConnection::TakeMessages(Http2Stream& stream, bool end_stream) {
  const uint32_t id = stream.id;
  const bool streaming = (stream.state & kStreaming) != 0;
  size_t at = 0;
  while (stream.message.size() - at >= kGrpcPrefixBytes) {
    const GrpcPrefix prefix = ParseGrpcPrefix(stream.message.data() + at);
    if (prefix.length > server_.limits_.max_message_bytes) {
      Lose(stream);
      Refuse(id, GrpcStatus::kResourceExhausted,
             Format("the message is larger than {} bytes", server_.limits_.max_message_bytes));
      return Forget(stream);
    }
    if (stream.message.size() - at - kGrpcPrefixBytes < prefix.length) break;
    if (!streaming && !end_stream) return;  // a unary call is complete with its end
    std::string_view message =
        std::string_view(stream.message).substr(at + kGrpcPrefixBytes, prefix.length);
    at += kGrpcPrefixBytes + prefix.length;
    if (prefix.compressed && !Decompressed(stream, message)) return;
    if (!streaming) {
      if (at != stream.message.size()) break;
      return server_.service_.OnUnary(MethodOf(stream), message, CallOf(stream));
    }
    server_.service_.OnStreamMessage(MethodOf(stream), message, CallOf(stream));
    if (streams_.Find(id) != &stream) return;  // finished from inside
  }
  if (streaming) {
    stream.message.erase(0, at);
    if (!end_stream) return;
    if (stream.message.empty())
      return server_.service_.OnStreamDone(MethodOf(stream), CallOf(stream));
    Lose(stream);
  } else if (!end_stream) {
    return;
  }
  Refuse(id, GrpcStatus::kInternal,
         streaming ? "the stream ended within a message"
                   : "a unary call must send exactly one message");
  Forget(stream);
}

void GrpcServerConnection::Refuse(uint32_t stream, GrpcStatus status, std::string_view text) {
  std::string block = kAnswerHeaders;
  block += Trailers(status, text);
  QueueHeaders(stream, block, true);
}

void GrpcServerConnection::Send(uint32_t id, GrpcOutgoing&& outgoing) {
  if (outgoing.break_connection) return BreakConnection();
  Http2Stream* stream = streams_.Find(id);
  if (stream == nullptr || stream->local_closed || stream->ends_after_data) return;
  constexpr uint32_t kHeadersSent = 4;
  if (!outgoing.has_message && outgoing.end && (stream->state & kHeadersSent) == 0) {
    Refuse(id, outgoing.status, outgoing.text);
    stream->local_closed = true;
    return OnSendDone(*stream);
  }
  if ((stream->state & kHeadersSent) == 0) {
    stream->state |= kHeadersSent;
    QueueHeaders(id, kAnswerHeaders, false);
  }
  if (outgoing.has_message) {
    // What flow control still holds back of earlier messages stays in front.
    std::string bytes;
    for (size_t i = stream->piece; i < stream->pieces.size(); ++i) {
      bytes += stream->pieces[i].substr(i == stream->piece ? stream->offset : 0);
    }
    bytes.reserve(bytes.size() + kGrpcPrefixBytes + outgoing.message.size());
    AppendGrpcPrefix(bytes, static_cast<uint32_t>(outgoing.message.size()));
    bytes += outgoing.message;
    if (!stream->owned.empty() && out_.pending() > 0) out_.Keep(std::move(stream->owned));
    stream->owned = std::move(bytes);
    stream->pieces.assign(1, stream->owned);
    stream->piece = stream->offset = 0;
  }
  if (outgoing.end) {
    stream->ends_after_data = true;
    stream->trailers = Trailers(outgoing.status, outgoing.text);
  }
  QueueData(*stream);
}

void GrpcServerConnection::OnSendDone(Http2Stream& stream) {
  if (!stream.local_closed) return;
  // The client may still be sending; we are not interested.
  if (!stream.remote_closed) QueueReset(stream.id, Http2Error::kNoError);
  Forget(stream);
}

void GrpcServerConnection::Lose(const Http2Stream& stream) {
  if ((stream.state & kStreaming) != 0)
    server_.service_.OnStreamLost(MethodOf(stream), CallOf(stream));
}

void GrpcServerConnection::OnReset(Http2Stream& stream, uint32_t) {
  Lose(stream);
  Forget(stream);
  // Opening and resetting costs a client nothing and us a call each time (CVE-2023-44487): tolerate
  // as many as a client that cancels in earnest could need.
  if (++resets_ > 1000 && resets_ * 2 > calls_) {
    ConnectionFault(Http2Error::kEnhanceYourCalm, "most calls were reset at once");
  }
}

void GrpcServerConnection::OnEnd(FailureKind, std::string_view) {
  streams_.ForEach([&](Http2Stream& stream) { Lose(stream); });
  GrpcServer::LoopSide& side = *server_.sides_[loop_index_];
  server_.connection_count_.fetch_sub(1);
  side.closed.push_back(id_);
  if (side.closed.size() == 1) {
    loop_.Post([&side] {
      for (const uint64_t id : side.closed) side.connections.erase(id);
      side.closed.clear();
    });
  }
}

void GrpcServerConnection::GoAway() {
  if (going_away_) return;
  going_away_ = true;
  QueueGoaway(last_stream_, Http2Error::kNoError, "shutting down");
}

void GrpcServerConnection::OnTick(Instant now) {
  if (!connected()) return;
  // After the last answer: the client reads the end of the stream and closes its side.
  if (going_away_ && streams_.size() == 0 && out_.pending() == 0) socket_.EndWriting();
  if (!awaits_rest()) return;
  const Instant since = settled() ? received_ : opened_;
  if (now - since > (settled() ? server_.limits_.frame_timeout : server_.limits_.begin_timeout))
    ConnectionFault(Http2Error::kSettingsTimeout, "the rest did not arrive in time");
}

void GrpcCall::Reply(std::string message) const {
  Send({.has_message = true, .message = std::move(message), .end = true});
}
void GrpcCall::Write(std::string message) const {
  Send({.has_message = true, .message = std::move(message)});
}
void GrpcCall::Finish(GrpcStatus status, std::string text) const {
  Send({.end = true, .status = status, .text = std::move(text)});
}
void GrpcCall::Break() const { Send({.break_connection = true}); }

void GrpcCall::Send(GrpcOutgoing&& outgoing) const {
  GrpcServer* server = server_;
  if (server->threads_.OnThread(loop_))
    return server->Deliver(loop_, connection_, stream_, std::move(outgoing));
  auto shared = std::make_shared<GrpcOutgoing>(std::move(outgoing));
  server->threads_.loop(loop_).Post(
      [server, loop = loop_, connection = connection_, stream = stream_, shared] {
        server->Deliver(loop, connection, stream, std::move(*shared));
      });
}

GrpcServer::GrpcServer(IoThreads& threads, GrpcService& service, const GrpcLimits& limits,
                       const TlsContext* tls)
    : threads_(threads), service_(service), limits_(limits), tls_(tls) {}

Result<std::unique_ptr<GrpcServer>> GrpcServer::Start(IoThreads& threads, const Address& address,
                                                      GrpcService& service,
                                                      const GrpcLimits& limits,
                                                      const TlsContext* tls) {
  std::unique_ptr<GrpcServer> server(new GrpcServer(threads, service, limits, tls));
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

GrpcServer::~GrpcServer() {
  if (acceptor_ != nullptr) acceptor_->Stop();
  for (size_t i = 0; i < sides_.size(); ++i) {
    threads_.RunOn(i, [&] {
      threads_.RemoveTicker(i, *sides_[i]);
      sides_[i]->connections.clear();
    });
    // A sweep that was posted by a connection's end runs before this returns.
    threads_.RunOn(i, [] {});
  }
}

void GrpcServer::StopAccepting() {
  acceptor_->Stop();
  for (size_t i = 0; i < sides_.size(); ++i) {
    threads_.RunOn(i, [&] {
      for (auto& [id, connection] : sides_[i]->connections) connection->GoAway();
    });
  }
}

void GrpcServer::OnAccept(size_t loop, Fd fd) {
  if (connection_count_.load() >= limits_.max_connections) return;
  LoopSide& side = *sides_[loop];
  // Unique among all loops.
  const uint64_t id = static_cast<uint64_t>(loop) << 48 | side.next_id++;
  auto connection = std::make_unique<GrpcServerConnection>(*this, loop, id);
  connection_count_.fetch_add(1);
  GrpcServerConnection& raw = *connection;
  side.connections.emplace(id, std::move(connection));
  if (!raw.Begin(std::move(fd)).has_value()) {
    connection_count_.fetch_sub(1);
    side.connections.erase(id);
  }
}

void GrpcServer::Deliver(size_t loop, uint64_t connection, uint32_t stream,
                         GrpcOutgoing&& outgoing) {
  const auto it = sides_[loop]->connections.find(connection);
  if (it != sides_[loop]->connections.end()) it->second->Send(stream, std::move(outgoing));
}

}  // namespace sextant::net
