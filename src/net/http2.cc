#include "net/http2.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace sextant::net {
namespace {

constexpr size_t kMaxHeaderBlock = 256 * 1024;
// A peer that makes us queue answers (PING, SETTINGS, RST_STREAM) faster than it reads them is
// attacking or broken.
constexpr uint32_t kMaxUnreadControlFrames = 10'000;

void AppendSetting(std::string& out, uint16_t id, uint32_t value) {
  char bytes[6] = {static_cast<char>(id >> 8), static_cast<char>(id)};
  WriteBigEndian32(bytes + 2, value);
  out.append(bytes, sizeof bytes);
}

enum Setting : uint16_t {
  kHeaderTableSize = 1,
  kEnablePush = 2,
  kMaxConcurrentStreams = 3,
  kInitialWindowSize = 4,
  kMaxFrameSize = 5,
};

}  // namespace

std::string_view Http2ErrorName(uint32_t code) {
  constexpr std::string_view kNames[] = {"NO_ERROR",
                                         "PROTOCOL_ERROR",
                                         "INTERNAL_ERROR",
                                         "FLOW_CONTROL_ERROR",
                                         "SETTINGS_TIMEOUT",
                                         "STREAM_CLOSED",
                                         "FRAME_SIZE_ERROR",
                                         "REFUSED_STREAM",
                                         "CANCEL",
                                         "COMPRESSION_ERROR",
                                         "CONNECT_ERROR",
                                         "ENHANCE_YOUR_CALM",
                                         "INADEQUATE_SECURITY",
                                         "HTTP_1_1_REQUIRED"};
  return code < std::size(kNames) ? kNames[code] : "an unknown error code";
}

Http2Connection::Http2Connection(EventLoop& loop, Side side, const Http2Limits& limits,
                                 TransferCounters& counters)
    : loop_(loop), limits_(limits), counters_(counters), side_(side) {}

Http2Connection::~Http2Connection() {
  Shut();
  loop_.ForgetTurnEnd(*this);
}

Result<void> Http2Connection::Open(Socket socket, bool connecting) {
  socket_ = std::move(socket);
  connecting_ = connecting;
  ++life_;
  settled_ = peer_closing_ = ended_ = false;
  peer_ = Http2Settings();
  send_window_ = kDefaultWindow;
  unacknowledged_ = 0;
  control_frames_ = 0;
  partial_.clear();
  header_stream_ = 0;
  preface_left_ = side_ == Side::kServer ? kHttp2Preface.size() : 0;
  SEXTANT_TRY(loop_.Add(socket_.fd(), *this));

  std::string settings;
  if (limits_.no_dynamic_table) AppendSetting(settings, kHeaderTableSize, 0);
  if (side_ == Side::kClient) AppendSetting(settings, kEnablePush, 0);
  if (limits_.max_concurrent_streams > 0)
    AppendSetting(settings, kMaxConcurrentStreams, limits_.max_concurrent_streams);
  AppendSetting(settings, kInitialWindowSize, limits_.stream_window);
  if (side_ == Side::kClient) out_.Append(kHttp2Preface);
  std::memcpy(QueueFrame(FrameType::kSettings, 0, 0, settings.size()), settings.data(),
              settings.size());
  if (limits_.connection_window > kDefaultWindow) {
    WriteBigEndian32(QueueFrame(FrameType::kWindowUpdate, 0, 0, 4),
                     limits_.connection_window - kDefaultWindow);
  }
  return {};
}

void Http2Connection::Shut() {
  if (socket_.valid()) {
    loop_.Remove(socket_.fd(), *this);
    socket_.Close();
  }
  ended_ = true;
  out_.Clear();
  waiting_.clear();
}

void Http2Connection::End(FailureKind kind, std::string_view reason) {
  if (ended_) return;
  const std::string kept(reason);
  ++counters_.disconnects;
  Shut();
  OnEnd(kind, kept);
}

void Http2Connection::OnEvents(uint32_t events) {
  if (connecting_) {
    const IoResult step = socket_.NextStep((events & EPOLLOUT) != 0);
    if (step.would_block) return;
    if (step.error != 0) return End(FailureKind::kConnect, socket_.ErrorText(step.error));
    // What came with the end of a handshake makes no event of its own.
    if (socket_.secure()) events |= EPOLLIN;
    connecting_ = false;
    ++counters_.connects;
    NeedFlush();
    OnConnected();
    if (ended_) return;
  }
  events = socket_.Widen(events);
  if ((events & EPOLLOUT) != 0 && out_.pending() > 0) NeedFlush();
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) peer_closing_ = true;
  if (peer_closing_ || (events & EPOLLIN) != 0) ReadSocket();
}

void Http2Connection::ReadSocket() {
  while (!ended_) {
    const IoResult result = socket_.Read(loop_.scratch(), EventLoop::kScratchBytes);
    if (result.would_block) return;
    if (result.error != 0)
      return End(socket_.KindOf(result.error), socket_.ErrorText(result.error));
    if (result.closed) return End(FailureKind::kReset, "the peer closed the connection");
    received_ = SteadyNow();
    counters_.bytes_received += result.bytes;
    if (!Receive({loop_.scratch(), result.bytes})) return;
    if (result.bytes < EventLoop::kScratchBytes && !peer_closing_) return;
  }
}

bool Http2Connection::Receive(std::string_view bytes) {
  // What is left of this connection's bytes is nothing to a new one.
  const uint32_t life = life_;
  if (preface_left_ > 0) {
    const size_t n = std::min(preface_left_, bytes.size());
    if (bytes.substr(0, n) != kHttp2Preface.substr(kHttp2Preface.size() - preface_left_, n)) {
      return Fault(Http2Error::kProtocolError, "not HTTP/2 with prior knowledge");
    }
    preface_left_ -= n;
    bytes.remove_prefix(n);
  }
  // First what is left of a frame that came in pieces, then frames in place.
  while (!partial_.empty() && !bytes.empty()) {
    size_t want = kFrameHeaderBytes;
    if (partial_.size() >= kFrameHeaderBytes) want += ParseFrameHeader(partial_.data()).length;
    const size_t n = std::min(want - partial_.size(), bytes.size());
    partial_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (partial_.size() < want) return true;
    const FrameHeader frame = ParseFrameHeader(partial_.data());
    if (frame.length > kMaxReceivedFrame)
      return Fault(Http2Error::kFrameSizeError, "a frame larger than allowed");
    if (partial_.size() < kFrameHeaderBytes + frame.length) continue;
    std::string whole;
    whole.swap(partial_);
    if (!OnFrame(frame, std::string_view(whole).substr(kFrameHeaderBytes)) || life != life_)
      return false;
    whole.clear();
    if (partial_.empty()) partial_.swap(whole);  // keep its capacity
  }
  while (bytes.size() >= kFrameHeaderBytes) {
    if (settled_ && header_stream_ == 0) {
      const size_t known = OnKnownFrames(bytes);
      if (ended_ || life != life_) return false;
      bytes.remove_prefix(known);
      if (known > 0) continue;
    }
    const FrameHeader frame = ParseFrameHeader(bytes.data());
    if (frame.length > kMaxReceivedFrame)
      return Fault(Http2Error::kFrameSizeError, "a frame larger than allowed");
    if (bytes.size() < kFrameHeaderBytes + frame.length) break;
    if (!OnFrame(frame, bytes.substr(kFrameHeaderBytes, frame.length)) || life != life_)
      return false;
    bytes.remove_prefix(kFrameHeaderBytes + frame.length);
  }
  if (!bytes.empty()) partial_.append(bytes);
  return true;
}

bool Http2Connection::OnFrame(const FrameHeader& frame, std::string_view payload) {
  if (header_stream_ != 0 &&
      (frame.type != FrameType::kContinuation || frame.stream != header_stream_)) {
    return Fault(Http2Error::kProtocolError, "a header block interrupted by another frame");
  }
  if (!settled_ && frame.type != FrameType::kSettings) {
    return Fault(Http2Error::kProtocolError, "the first frame is not SETTINGS");
  }
  switch (frame.type) {
    case FrameType::kData:
      return OnDataFrame(frame, payload);
    case FrameType::kHeaders:
    case FrameType::kContinuation:
      return OnHeadersFrame(frame, payload);
    case FrameType::kSettings:
      return OnSettingsFrame(frame, payload);
    case FrameType::kWindowUpdate:
      return OnWindowUpdate(frame, payload);
    case FrameType::kPriority:
      if (payload.size() != 5)
        return Fault(Http2Error::kFrameSizeError, "PRIORITY of the wrong size");
      if (frame.stream == 0) return Fault(Http2Error::kProtocolError, "PRIORITY without a stream");
      return true;
    case FrameType::kRstStream: {
      if (payload.size() != 4)
        return Fault(Http2Error::kFrameSizeError, "RST_STREAM of the wrong size");
      if (frame.stream == 0)
        return Fault(Http2Error::kProtocolError, "RST_STREAM without a stream");
      if (++control_frames_ > kMaxUnreadControlFrames)
        return Fault(Http2Error::kEnhanceYourCalm, "too many RST_STREAM");
      if (Http2Stream* stream = streams_.Find(frame.stream)) {
        OnReset(*stream, ReadBigEndian32(payload.data()));
      } else if (IsIdle(frame.stream)) {
        return Fault(Http2Error::kProtocolError, "RST_STREAM of a stream that was never opened");
      }
      return !ended_;
    }
    case FrameType::kPing:
      if (payload.size() != 8) return Fault(Http2Error::kFrameSizeError, "PING of the wrong size");
      if (frame.stream != 0) return Fault(Http2Error::kProtocolError, "PING on a stream");
      if ((frame.flags & kFlagAck) != 0) return true;
      if (++control_frames_ > kMaxUnreadControlFrames)
        return Fault(Http2Error::kEnhanceYourCalm, "too many PING");
      std::memcpy(QueueFrame(FrameType::kPing, kFlagAck, 0, 8), payload.data(), 8);
      return true;
    case FrameType::kGoaway:
      if (payload.size() < 8) return Fault(Http2Error::kFrameSizeError, "GOAWAY of the wrong size");
      if (frame.stream != 0) return Fault(Http2Error::kProtocolError, "GOAWAY on a stream");
      OnGoaway(ReadBigEndian32(payload.data()) & 0x7fffffff, ReadBigEndian32(payload.data() + 4),
               payload.substr(8));
      return !ended_;
    case FrameType::kPushPromise:
      return Fault(Http2Error::kProtocolError, "PUSH_PROMISE, which is disabled");
  }
  return true;  // unknown types are to be ignored
}

bool Http2Connection::StripPadding(const FrameHeader& frame, std::string_view& payload) {
  if ((frame.flags & kFlagPadded) == 0) return true;
  if (payload.empty()) return Fault(Http2Error::kFrameSizeError, "padding without its length");
  const auto padding = static_cast<uint8_t>(payload[0]);
  if (padding >= payload.size())
    return Fault(Http2Error::kProtocolError, "more padding than payload");
  payload = payload.substr(1, payload.size() - 1 - padding);
  return true;
}

bool Http2Connection::OnDataFrame(const FrameHeader& frame, std::string_view payload) {
  if (frame.stream == 0) return Fault(Http2Error::kProtocolError, "DATA without a stream");
  const size_t counted = payload.size();
  if (!StripPadding(frame, payload)) return false;
  Http2Stream* stream = streams_.Find(frame.stream);
  // The window is given back at once: what bounds memory is the limit on a message's size.
  GiveBack(stream != nullptr && (frame.flags & kFlagEndStream) == 0 ? stream : nullptr, counted);
  if (stream == nullptr) {
    if (IsIdle(frame.stream))
      return Fault(Http2Error::kProtocolError, "DATA on a stream that was never opened");
    return true;  // of a stream we have cancelled or finished
  }
  if (stream->remote_closed)
    return Fault(Http2Error::kStreamClosed, "DATA after the end of its stream");
  if ((frame.flags & kFlagEndStream) != 0) stream->remote_closed = true;
  OnData(*stream, payload, stream->remote_closed);
  return !ended_;
}

bool Http2Connection::OnHeadersFrame(const FrameHeader& frame, std::string_view payload) {
  if (frame.stream == 0) return Fault(Http2Error::kProtocolError, "HEADERS without a stream");
  const bool ends_headers = (frame.flags & kFlagEndHeaders) != 0;
  if (frame.type == FrameType::kHeaders) {
    if (!StripPadding(frame, payload)) return false;
    if ((frame.flags & kFlagPriority) != 0) {
      if (payload.size() < 5)
        return Fault(Http2Error::kFrameSizeError, "HEADERS too short for its priority");
      payload.remove_prefix(5);
    }
    const bool end_stream = (frame.flags & kFlagEndStream) != 0;
    if (ends_headers) {
      OnHeaders(frame.stream, payload, end_stream);
      return !ended_;
    }
    header_stream_ = frame.stream;
    header_end_stream_ = end_stream;
    header_block_ = payload;
    return true;
  }
  if (header_stream_ == 0) return Fault(Http2Error::kProtocolError, "CONTINUATION without HEADERS");
  header_block_.append(payload);
  if (header_block_.size() > kMaxHeaderBlock)
    return Fault(Http2Error::kEnhanceYourCalm, "a header block without end");
  if (payload.empty() && !ends_headers && ++control_frames_ > kMaxUnreadControlFrames) {
    return Fault(Http2Error::kEnhanceYourCalm, "too many empty CONTINUATION frames");
  }
  if (!ends_headers) return true;
  header_stream_ = 0;
  OnHeaders(frame.stream, header_block_, header_end_stream_);
  return !ended_;
}

bool Http2Connection::OnSettingsFrame(const FrameHeader& frame, std::string_view payload) {
  if (frame.stream != 0) return Fault(Http2Error::kProtocolError, "SETTINGS on a stream");
  if ((frame.flags & kFlagAck) != 0) {
    if (!payload.empty())
      return Fault(Http2Error::kFrameSizeError, "SETTINGS acknowledgement with a payload");
    return true;
  }
  if (payload.size() % 6 != 0)
    return Fault(Http2Error::kFrameSizeError, "SETTINGS of the wrong size");
  if (++control_frames_ > kMaxUnreadControlFrames)
    return Fault(Http2Error::kEnhanceYourCalm, "too many SETTINGS");
  for (; !payload.empty(); payload.remove_prefix(6)) {
    const auto id = static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 |
                                          static_cast<uint8_t>(payload[1]));
    const uint32_t value = ReadBigEndian32(payload.data() + 2);
    switch (id) {
      case kHeaderTableSize:
        peer_.header_table_size = value;
        break;
      case kEnablePush:
        if (value > 1) return Fault(Http2Error::kProtocolError, "ENABLE_PUSH is neither 0 nor 1");
        break;
      case kMaxConcurrentStreams:
        peer_.max_concurrent_streams = value;
        break;
      case kInitialWindowSize: {
        if (value > kMaxWindow)
          return Fault(Http2Error::kFlowControlError, "an initial window beyond 2^31 - 1");
        const int64_t change = int64_t{value} - peer_.initial_window_size;
        peer_.initial_window_size = value;
        bool beyond = false;
        streams_.ForEach([&](Http2Stream& stream) {
          stream.send_window += change;
          beyond |= stream.send_window > kMaxWindow;
        });
        if (beyond)
          return Fault(Http2Error::kFlowControlError, "a stream's window beyond 2^31 - 1");
        break;
      }
      case kMaxFrameSize:
        if (value < 16384 || value > 16777215)
          return Fault(Http2Error::kProtocolError, "a frame size out of range");
        peer_.max_frame_size = value;
        break;
      default:
        break;
    }
  }
  settled_ = true;
  QueueFrame(FrameType::kSettings, kFlagAck, 0, 0);
  PumpWaiting();
  OnSettings();
  return !ended_;
}

bool Http2Connection::OnWindowUpdate(const FrameHeader& frame, std::string_view payload) {
  if (payload.size() != 4)
    return Fault(Http2Error::kFrameSizeError, "WINDOW_UPDATE of the wrong size");
  const int64_t increment = ReadBigEndian32(payload.data()) & 0x7fffffff;
  if (increment == 0) return Fault(Http2Error::kProtocolError, "WINDOW_UPDATE by nothing");
  int64_t* window = &send_window_;
  if (frame.stream != 0) {
    Http2Stream* stream = streams_.Find(frame.stream);
    if (stream == nullptr) {
      if (IsIdle(frame.stream))
        return Fault(Http2Error::kProtocolError, "WINDOW_UPDATE of a stream that was never opened");
      return true;
    }
    window = &stream->send_window;
  }
  if (*window + increment > kMaxWindow)
    return Fault(Http2Error::kFlowControlError, "a window beyond 2^31 - 1");
  *window += increment;
  PumpWaiting();
  return !ended_;
}

void Http2Connection::GiveBack(Http2Stream* stream, size_t bytes) {
  unacknowledged_ += bytes;
  const auto update = [&](uint32_t id, uint64_t& amount) {
    WriteBigEndian32(QueueFrame(FrameType::kWindowUpdate, 0, id, 4), static_cast<uint32_t>(amount));
    amount = 0;
  };
  if (unacknowledged_ >= limits_.connection_window / 2) update(0, unacknowledged_);
  if (stream == nullptr) return;
  stream->unacknowledged += bytes;
  if (stream->unacknowledged >= limits_.stream_window / 2)
    update(stream->id, stream->unacknowledged);
}

bool Http2Connection::TryQueueWhole(Http2Stream& stream, std::string_view block,
                                    std::span<const std::string_view> pieces) {
  size_t bytes = 0;
  for (const std::string_view piece : pieces) bytes += piece.size();
  const auto size = static_cast<int64_t>(bytes);
  if (size > send_window_ || size > stream.send_window || bytes > peer_.max_frame_size ||
      block.size() > peer_.max_frame_size) {
    return false;
  }
  char* p = out_.Extend(2 * kFrameHeaderBytes + block.size() + bytes);
  WriteFrameHeader(p, block.size(), FrameType::kHeaders, kFlagEndHeaders, stream.id);
  p += kFrameHeaderBytes;
  std::memcpy(p, block.data(), block.size());
  p += block.size();
  WriteFrameHeader(p, bytes, FrameType::kData, kFlagEndStream, stream.id);
  p += kFrameHeaderBytes;
  for (const std::string_view piece : pieces) {
    if (!piece.empty()) std::memcpy(p, piece.data(), piece.size());
    p += piece.size();
  }
  NeedFlush();
  send_window_ -= size;
  stream.send_window -= size;
  stream.local_closed = true;
  return true;
}

bool Http2Connection::TryQueueMore(Http2Stream& stream, std::span<const std::string_view> pieces) {
  size_t left = 0;
  for (const std::string_view piece : pieces) left += piece.size();
  const auto size = static_cast<int64_t>(left);
  if (size > send_window_ || size > stream.send_window || stream.piece < stream.pieces.size())
    return false;
  char* p = nullptr;
  size_t room = 0;  // in the frame that p points into
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      if (room == 0) {
        room = std::min<size_t>(left, peer_.max_frame_size);
        p = QueueFrame(FrameType::kData, 0, stream.id, room);
      }
      const size_t n = std::min(room, piece.size());
      std::memcpy(p, piece.data(), n);
      p += n;
      room -= n;
      left -= n;
      piece.remove_prefix(n);
    }
  }
  send_window_ -= size;
  stream.send_window -= size;
  return true;
}

void Http2Connection::QueueHeaders(uint32_t stream, std::string_view block, bool end_stream) {
  uint8_t flags = end_stream ? kFlagEndStream : 0;
  FrameType type = FrameType::kHeaders;
  do {
    const std::string_view part = block.substr(0, peer_.max_frame_size);
    block.remove_prefix(part.size());
    if (block.empty()) flags |= kFlagEndHeaders;
    std::memcpy(QueueFrame(type, flags, stream, part.size()), part.data(), part.size());
    type = FrameType::kContinuation;
    flags = 0;
  } while (!block.empty());
}

void Http2Connection::QueueData(Http2Stream& stream) {
  // Pieces up to this size are copied beside their frame header; larger ones are written from where
  // they lie.
  constexpr size_t kCopyBelow = 4096;
  NeedFlush();
  const auto finished = [&] { return stream.piece == stream.pieces.size(); };
  const auto skip_empty = [&] {
    while (!finished() && stream.offset == stream.pieces[stream.piece].size())
      ++stream.piece, stream.offset = 0;
  };
  skip_empty();
  while (!finished()) {
    const int64_t window = std::min(send_window_, stream.send_window);
    if (window <= 0) {
      if (!stream.queued) {
        stream.queued = true;
        waiting_.push_back(&stream);
      }
      return;
    }
    // One frame: as many pieces as fit.
    size_t room = std::min<size_t>(static_cast<size_t>(window), peer_.max_frame_size);
    size_t length = 0;
    size_t last = stream.piece, last_offset = stream.offset;
    while (last < stream.pieces.size() && length < room) {
      const size_t n = std::min(stream.pieces[last].size() - last_offset, room - length);
      length += n;
      last_offset += n;
      if (last_offset == stream.pieces[last].size()) ++last, last_offset = 0;
    }
    while (last < stream.pieces.size() && stream.pieces[last].empty()) ++last;
    const bool is_last = last == stream.pieces.size();
    const bool ends = is_last && stream.ends_after_data && stream.trailers.empty();
    WriteFrameHeader(out_.Extend(kFrameHeaderBytes), length, FrameType::kData,
                     ends ? kFlagEndStream : 0, stream.id);
    size_t left = length;
    while (left > 0) {
      const std::string_view piece = stream.pieces[stream.piece];
      const std::string_view part = piece.substr(stream.offset, left);
      if (part.size() < kCopyBelow) {
        out_.Append(part);
      } else {
        out_.AppendReference(part);
      }
      left -= part.size();
      stream.offset += part.size();
      skip_empty();
    }
    send_window_ -= static_cast<int64_t>(length);
    stream.send_window -= static_cast<int64_t>(length);
    if (ends) stream.local_closed = true;
  }
  if (!stream.trailers.empty()) {
    QueueHeaders(stream.id, stream.trailers, true);
    stream.local_closed = true;
  } else if (stream.ends_after_data && !stream.local_closed) {
    QueueFrame(FrameType::kData, kFlagEndStream, stream.id, 0);
    stream.local_closed = true;
  }
  OnSendDone(stream);
}

void Http2Connection::PumpWaiting() {
  if (waiting_.empty() || send_window_ <= 0) return;
  std::vector<Http2Stream*> streams;
  streams.swap(waiting_);
  for (Http2Stream* stream : streams) {
    stream->queued = false;
    QueueData(*stream);
  }
}

void Http2Connection::Forget(Http2Stream& stream) {
  if (stream.queued) std::erase(waiting_, &stream);
  // What has been queued by reference must outlive the stream. Only heap storage is referred to,
  // and that does not move with its string.
  if (!stream.owned.empty() && out_.pending() > 0) out_.Keep(std::move(stream.owned));
  streams_.Erase(stream.id);
}

void Http2Connection::QueueReset(uint32_t id, Http2Error code) {
  WriteBigEndian32(QueueFrame(FrameType::kRstStream, 0, id, 4), static_cast<uint32_t>(code));
}

void Http2Connection::QueueGoaway(uint32_t last_stream, Http2Error code, std::string_view debug) {
  char* payload = QueueFrame(FrameType::kGoaway, 0, 0, 8 + debug.size());
  WriteBigEndian32(payload, last_stream);
  WriteBigEndian32(payload + 4, static_cast<uint32_t>(code));
  std::memcpy(payload + 8, debug.data(), debug.size());
}

bool Http2Connection::Fault(Http2Error code, std::string_view reason) {
  ConnectionFault(code, reason);
  return false;
}

void Http2Connection::ConnectionFault(Http2Error code, std::string_view reason) {
  if (ended_) return;
  QueueGoaway(0, code, reason);
  out_.Flush(socket_, counters_.bytes_sent);  // best effort: the connection ends either way
  End(FailureKind::kProtocol, reason);
}

void Http2Connection::BreakConnection() {
  if (ended_) return;
  socket_.ResetOnClose();
  End(FailureKind::kReset, "broken on purpose");
}

void Http2Connection::OnTurnEnd() {
  if (!ended_ && !connecting_) Flush();
}

void Http2Connection::Flush() {
  OnFlush(SteadyNow());
  if (out_.pending() == 0) return;
  if (const int error = out_.Flush(socket_, counters_.bytes_sent); error != 0) {
    return End(socket_.KindOf(error), socket_.ErrorText(error));
  }
  if (out_.pending() == 0) control_frames_ = 0;
}

}  // namespace sextant::net
