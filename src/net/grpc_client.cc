#include "net/grpc_client.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace sextant::net {
namespace {

constexpr std::string_view kUserAgent = "sextant";
// Http2Stream::state of this side.
constexpr uint32_t kStreaming = 1;

// Without a limit of its own on a message, a client trusts the server it was pointed at; 2 GiB is
// protobuf's.
constexpr uint64_t kMaxMessage = uint64_t{1} << 31;

// Calls `add(name_index, name, value)` for every field that is not a fixed static entry.
template <typename Add>
void ForEachField(const GrpcMethod& method, Add&& add) {
  add(kHpackPath, ":path", method.path);
  add(kHpackAuthority, ":authority", method.authority);
  add(0, "te", "trailers");
  add(kHpackContentType, "content-type", "application/grpc");
  add(kHpackUserAgent, "user-agent", kUserAgent);
  if (method.timeout > Nanos(0)) add(0, "grpc-timeout", GrpcEncodeTimeout(method.timeout));
  for (const HeaderField& field : method.metadata) add(0, field.name, field.value);
}

}  // namespace

std::string EncodeGrpcHeaders(const GrpcMethod& method) {
  std::string block;
  AppendHpackIndexed(block, kHpackMethodPost);
  AppendHpackIndexed(block, method.secure ? kHpackSchemeHttps : kHpackSchemeHttp);
  ForEachField(method, [&](uint8_t index, std::string_view name, std::string_view value) {
    AppendHpackField(block, index, name, value);
  });
  return block;
}

GrpcClientConnection::GrpcClientConnection(EventLoop& loop, GrpcClientListener& listener,
                                           TransferCounters& counters, const GrpcMethod& method,
                                           uint32_t index)
    : Http2Connection(loop, Side::kClient, {.no_dynamic_table = true}, counters),
      listener_(listener),
      method_(method),
      index_(index) {
  unsent_.reserve(256);
}

void GrpcClientConnection::Connect(const Address& address, TlsPeer* tls) {
  ready_ = draining_ = first_block_sent_ = false;
  next_stream_ = 1;
  meanings_ = {};
  std::string reason;
  if (Result<Socket> socket = Socket::Connect(address, tls); !socket.has_value()) {
    reason = socket.error().message();
  } else if (Result<void> opened = Open(*std::move(socket), /*connecting=*/true);
             !opened.has_value()) {
    reason = opened.error().message();
    Shut();
  }
  if (!reason.empty()) {
    loop_.Post(
        [this, reason] { listener_.OnGrpcClosed(*this, FailureKind::kConnect, reason, {}); });
  }
}

void GrpcClientConnection::EncodeBlocks() {
  // The fields go into the server's table with the first call, if it has room for them all.
  size_t entries = 0, table_bytes = 0;
  ForEachField(method_, [&](uint8_t, std::string_view name, std::string_view value) {
    ++entries;
    table_bytes += name.size() + value.size() + 32;
  });
  const bool use_table = table_bytes <= peer_.header_table_size && entries < 60;
  if (!first_block_sent_ || !use_table) {
    first_block_ = EncodeGrpcHeaders(method_);
    next_block_ = first_block_;
  }
  if (use_table && !first_block_sent_) {
    first_block_.clear();
    next_block_.clear();
    for (std::string* block : {&first_block_, &next_block_}) {
      AppendHpackIndexed(*block, kHpackMethodPost);
      AppendHpackIndexed(*block, method_.secure ? kHpackSchemeHttps : kHpackSchemeHttp);
    }
    size_t position = 0;
    ForEachField(method_, [&](uint8_t index, std::string_view name, std::string_view value) {
      AppendHpackField(first_block_, index, name, value, /*insert=*/true);
      // The newest entry has index 62, the first inserted the highest.
      AppendHpackIndexed(next_block_, 61 + entries - position++);
    });
  }
}

void GrpcClientConnection::MethodChanged() {
  if (!ready_) return;  // the blocks are still to be made
  // As if nothing had been said yet: the fields go into the table anew, before the older ones.
  first_block_sent_ = false;
  EncodeBlocks();
}

void GrpcClientConnection::OnSettings() {
  EncodeBlocks();
  if (!ready_) {
    ready_ = true;
    listener_.OnGrpcReady(*this);
  }
}

Http2Stream& GrpcClientConnection::NewStream(uint32_t token, bool keep_message, Instant* sent) {
  SEXTANT_CHECK(CanStart(), "a call on a connection that takes none");
  Http2Stream& stream = streams_.Insert(next_stream_);
  next_stream_ += 2;
  // Ids end at 2^31; another connection starts over.
  if (next_stream_ > kMaxWindow - 2) draining_ = true;
  stream.token = token;
  stream.send_window = peer_.initial_window_size;
  stream.keep_message = keep_message;
  if (sent != nullptr) unsent_.push_back(sent);
  return stream;
}

uint32_t GrpcClientConnection::Start(uint32_t token, std::span<const std::string_view> pieces,
                                     bool keep_message, Instant* sent) {
  Http2Stream& stream = NewStream(token, keep_message, sent);
  const std::string& block = first_block_sent_ ? next_block_ : first_block_;
  first_block_sent_ = true;
  if (TryQueueWhole(stream, block, pieces)) return stream.id;
  QueueHeaders(stream.id, block, false);
  Send(stream, pieces);
  return stream.id;
}

uint32_t GrpcClientConnection::StartMethod(const GrpcMethod& method, uint32_t token,
                                           std::span<const std::string_view> pieces,
                                           bool keep_message, Instant* sent) {
  Http2Stream& stream = NewStream(token, keep_message, sent);
  QueueHeaders(stream.id, EncodeGrpcHeaders(method), false);
  Send(stream, pieces);
  return stream.id;
}

void GrpcClientConnection::Send(Http2Stream& stream, std::span<const std::string_view> pieces) {
  stream.pieces.assign(pieces.begin(), pieces.end());
  stream.ends_after_data = true;
  QueueData(stream);
}

uint32_t GrpcClientConnection::OpenStream(const GrpcMethod& method, uint32_t token) {
  Http2Stream& stream = NewStream(token, true, nullptr);
  stream.state |= kStreaming;
  QueueHeaders(stream.id, EncodeGrpcHeaders(method), false);
  return stream.id;
}

bool GrpcClientConnection::Write(uint32_t id, std::span<const std::string_view> pieces,
                                 Instant* sent) {
  Http2Stream* stream = streams_.Find(id);
  if (stream == nullptr || stream->local_closed) return false;
  if (sent != nullptr) unsent_.push_back(sent);
  if (TryQueueMore(*stream, pieces)) return true;
  // What is not yet framed of earlier messages stays in front.
  std::string rest;
  for (size_t i = stream->piece; i < stream->pieces.size(); ++i) {
    rest += stream->pieces[i].substr(i == stream->piece ? stream->offset : 0);
  }
  for (const std::string_view piece : pieces) rest += piece;
  if (!stream->owned.empty() && out_.pending() > 0) out_.Keep(std::move(stream->owned));
  stream->owned = std::move(rest);
  stream->pieces.assign(1, stream->owned);
  stream->piece = stream->offset = 0;
  QueueData(*stream);
  return true;
}

void GrpcClientConnection::WritesDone(uint32_t id) {
  Http2Stream* stream = streams_.Find(id);
  if (stream == nullptr || stream->local_closed) return;
  stream->ends_after_data = true;
  QueueData(*stream);
}

void GrpcClientConnection::Cancel(uint32_t id) {
  Http2Stream* stream = streams_.Find(id);
  if (stream == nullptr) return;
  if (stream->sent != nullptr) std::erase(unsent_, stream->sent);
  Forget(*stream);
  QueueReset(id, Http2Error::kCancel);
}

void GrpcClientConnection::OnFlush(Instant now) {
  for (Instant* sent : unsent_) *sent = now;
  unsent_.clear();
}

const GrpcClientConnection::BlockMeaning* GrpcClientConnection::FindMeaning(std::string_view block,
                                                                            bool end_stream) const {
  for (const BlockMeaning& meaning : meanings_[end_stream ? 1 : 0]) {
    if (!meaning.block.empty() && meaning.block == block) return &meaning;
  }
  return nullptr;
}

// What a whole frame means that is one of those that are known, octet for octet but for its stream.
const GrpcClientConnection::BlockMeaning* GrpcClientConnection::MatchFrame(const char* p,
                                                                           const char* end,
                                                                           bool end_stream) const {
  if (end - p < static_cast<ptrdiff_t>(kFrameHeaderBytes)) return nullptr;
  const uint64_t kind = ReadFrameKind(p);
  for (const BlockMeaning& meaning : meanings_[end_stream ? 1 : 0]) {
    const size_t size = meaning.block.size();
    if (meaning.frame == kind && end - p >= static_cast<ptrdiff_t>(kFrameHeaderBytes + size) &&
        std::memcmp(p + kFrameHeaderBytes, meaning.block.data(), size) == 0)
      return &meaning;
  }
  return nullptr;
}

// The usual answer of a unary call: headers, one frame of data and trailers, all here, with header
// blocks that have been met before. Taken together they cost a quarter of what they cost one by
// one.
size_t GrpcClientConnection::OnKnownFrames(std::string_view bytes) {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  const auto stream_of = [](const char* frame) { return ReadBigEndian32(frame + 5) & 0x7fffffff; };
  const BlockMeaning* first = MatchFrame(p, end, false);
  if (first == nullptr || first->trailers || first->http_status != 200) return 0;
  const uint32_t id = stream_of(p);
  p += kFrameHeaderBytes + first->block.size();
  if (end - p < static_cast<ptrdiff_t>(kFrameHeaderBytes)) return 0;
  const uint64_t kind = ReadFrameKind(p);
  const size_t length = kind >> 16;
  if (kind != FrameKind(length, FrameType::kData, 0) || length > kMaxReceivedFrame ||
      end - p < static_cast<ptrdiff_t>(kFrameHeaderBytes + length) || stream_of(p) != id)
    return 0;
  const std::string_view data(p + kFrameHeaderBytes, length);
  p += kFrameHeaderBytes + length;
  const BlockMeaning* last = MatchFrame(p, end, true);
  if (last == nullptr || !last->trailers || last->http_status != 0 || stream_of(p) != id) return 0;
  p += kFrameHeaderBytes + last->block.size();
  Http2Stream* stream = streams_.Find(id);
  if (stream == nullptr || stream->http_status != 0 || (stream->state & kStreaming) != 0) return 0;

  GiveBack(nullptr, data.size());
  stream->http_status = first->http_status;
  stream->grpc_status = last->grpc_status;
  stream->message_bytes = data.size();
  if (stream->keep_message) stream->message = data;
  stream->remote_closed = true;
  Finish(*stream);
  return static_cast<size_t>(p - bytes.data());
}

bool GrpcClientConnection::Interpret(Http2Stream& stream, std::string_view block, bool end_stream) {
  if (const BlockMeaning* meaning = FindMeaning(block, end_stream); meaning != nullptr) {
    if (meaning->http_status != 0) stream.http_status = meaning->http_status;
    if (meaning->trailers) stream.grpc_status = meaning->grpc_status;
    return true;
  }
  if (!decoder_.Decode(block, fields_)) return false;
  BlockMeaning meaning;
  bool plain = true;
  for (const HeaderField& field : fields_) {
    if (field.name == ":status") {
      meaning.http_status = static_cast<int>(ParseInt(field.value).value_or(0));
    } else if (field.name == "grpc-status") {
      meaning.trailers = true;
      meaning.grpc_status =
          static_cast<int>(ParseInt(field.value).value_or(static_cast<int>(GrpcStatus::kUnknown)));
    } else if (field.name == "grpc-message") {
      stream.status_message = GrpcDecodeMessage(field.value);
      plain = stream.status_message.empty();
    }
  }
  if (meaning.http_status != 0) stream.http_status = meaning.http_status;
  if (meaning.trailers) stream.grpc_status = meaning.grpc_status;
  if (plain && block.size() <= 512 && ExamineHpack(block) == HpackDependence::kNone) {
    meaning.block = block;
    meaning.frame = FrameKind(block.size(), FrameType::kHeaders,
                              end_stream ? kFlagEndHeaders | kFlagEndStream : kFlagEndHeaders);
    // An answer brings its blocks in pairs, one that begins it and one that ends it, so two steps
    // of the one counter are a step in each list: the two places of a list are filled in turn, and
    // a third block takes the place of the older.
    meanings_[end_stream ? 1 : 0][next_meaning_++ / 2 % 2] = std::move(meaning);
  }
  return true;
}

void GrpcClientConnection::OnHeaders(uint32_t id, std::string_view block, bool end_stream) {
  Http2Stream* stream = streams_.Find(id);
  if (stream == nullptr) {
    // Of a call that was cancelled; the decoder must see it all the same.
    if (!decoder_.Decode(block, fields_))
      ConnectionFault(Http2Error::kCompressionError, "a malformed header block");
    return;
  }
  if (!Interpret(*stream, block, end_stream)) {
    return ConnectionFault(Http2Error::kCompressionError, "a malformed header block");
  }
  if (stream->http_status / 100 == 1) stream->http_status = 0;  // interim
  if (end_stream) {
    stream->remote_closed = true;
    Finish(*stream);
  }
}

void GrpcClientConnection::OnData(Http2Stream& stream, std::string_view data, bool end_stream) {
  stream.message_bytes += data.size();
  if (stream.keep_message) {
    if (stream.message.size() + data.size() > kMaxMessage) {
      return ConnectionFault(Http2Error::kEnhanceYourCalm, "a message larger than 2 GiB");
    }
    if ((stream.state & kStreaming) == 0) {
      stream.message.append(data);
    } else if (stream.message.empty()) {
      // Whole messages are delivered from where they were received.
      const std::optional<size_t> taken = TakeMessages(stream, data);
      if (!taken) return;
      stream.message.assign(data.substr(*taken));
    } else {
      stream.message.append(data);
      const std::optional<size_t> taken = TakeMessages(stream, stream.message);
      if (!taken) return;
      stream.message.erase(0, *taken);
    }
  }
  if (end_stream) Finish(stream);
}

std::optional<size_t> GrpcClientConnection::TakeMessages(Http2Stream& stream,
                                                         std::string_view bytes) {
  const uint32_t id = stream.id;
  size_t at = 0;
  while (bytes.size() - at >= kGrpcPrefixBytes) {
    const GrpcPrefix prefix = ParseGrpcPrefix(bytes.data() + at);
    if (prefix.compressed) {
      ConnectionFault(Http2Error::kProtocolError, "a compressed message that was not asked for");
      return std::nullopt;
    }
    if (bytes.size() - at - kGrpcPrefixBytes < prefix.length) break;
    listener_.OnGrpcMessage(*this, stream.token, bytes.substr(at + kGrpcPrefixBytes, prefix.length),
                            received_);
    if (streams_.Find(id) != &stream) return std::nullopt;  // cancelled from inside
    at += kGrpcPrefixBytes + prefix.length;
  }
  return at;
}

void GrpcClientConnection::Finish(Http2Stream& stream) {
  GrpcResponse response{.message_bytes = stream.message_bytes, .received = received_};
  std::string text;
  if (stream.grpc_status >= 0) {
    response.status = stream.grpc_status;
  } else {
    response.status = static_cast<int>(GrpcStatusFromHttp(stream.http_status));
    text = Format("no grpc-status in the answer (HTTP status {})", stream.http_status);
    response.status_message = text;
  }
  // The listener may start the next call from inside, so the stream goes first and what the
  // response refers to is put aside, in buffers that keep their size.
  if (stream.keep_message) message_.swap(stream.message);
  if (!stream.status_message.empty()) {
    status_message_.swap(stream.status_message);
    if (stream.grpc_status >= 0) response.status_message = status_message_;
  }
  const bool unary = (stream.state & kStreaming) == 0;
  if (stream.keep_message && unary && response.status == 0) {
    const std::string_view message = message_;
    if (message.size() < kGrpcPrefixBytes ||
        ParseGrpcPrefix(message.data()).length != message.size() - kGrpcPrefixBytes ||
        ParseGrpcPrefix(message.data()).compressed) {
      response.status = static_cast<int>(GrpcStatus::kInternal);
      response.status_message = "the answer is not one uncompressed message";
    } else {
      response.message = message.substr(kGrpcPrefixBytes);
    }
  }
  if (!stream.local_closed)
    QueueReset(stream.id, Http2Error::kNoError);  // answered before we had sent all
  const uint32_t token = stream.token;
  Forget(stream);
  listener_.OnGrpcResponse(*this, token, response);
}

void GrpcClientConnection::OnReset(Http2Stream& stream, uint32_t code) {
  // NO_ERROR after a complete answer only says that our remaining data is not wanted; the answer's
  // end has then erased the stream already.
  const std::string text = Format("the stream was reset with {}", Http2ErrorName(code));
  const GrpcResponse response{.status = static_cast<int>(GrpcStatusFromReset(code)),
                              .status_message = text,
                              .message_bytes = stream.message_bytes,
                              .reset = true,
                              .received = received_};
  const uint32_t token = stream.token;
  Forget(stream);
  listener_.OnGrpcResponse(*this, token, response);
}

void GrpcClientConnection::OnGoaway(uint32_t last_stream, uint32_t code, std::string_view debug) {
  draining_ = true;
  std::vector<uint32_t> refused;
  streams_.ForEach([&](Http2Stream& stream) {
    if (stream.id > last_stream) refused.push_back(stream.id);
  });
  const std::string text = Format("the server is going away ({}{}{})", Http2ErrorName(code),
                                  debug.empty() ? "" : ": ", Printable(debug, 80));
  for (const uint32_t id : refused) {
    Http2Stream* stream = streams_.Find(id);
    if (stream == nullptr) continue;
    const GrpcResponse response{.status = static_cast<int>(GrpcStatus::kUnavailable),
                                .status_message = text,
                                .reset = true,
                                .received = received_};
    const uint32_t token = stream->token;
    Forget(*stream);
    listener_.OnGrpcResponse(*this, token, response);
  }
}

void GrpcClientConnection::OnEnd(FailureKind kind, std::string_view reason) {
  ready_ = false;
  unsent_.clear();
  std::vector<uint32_t> tokens;
  streams_.ForEach([&](Http2Stream& stream) { tokens.push_back(stream.token); });
  streams_ = Http2StreamTable();
  listener_.OnGrpcClosed(*this, kind, reason, tokens);
}

}  // namespace sextant::net
