// HTTP/2 (RFC 9113) with prior knowledge, or agreed on under TLS: what both sides of a connection
// share.
//
// Framing is our own because it is the cost of a measurement: a frame costs tens of instructions
// and no allocation. Http2Connection owns the socket, splits input into frames, answers PING and
// SETTINGS, keeps both directions' flow control and the table of streams; a client or server
// derives from it and says what headers and data mean.
//
// Threads: one event loop. Output is collected during a turn and written once at its end.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/event_loop.h"
#include "net/http2_streams.h"
#include "net/http_client.h"
#include "net/socket.h"
#include "net/write_queue.h"

namespace sextant::net {

enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

constexpr uint8_t kFlagEndStream = 0x01;
constexpr uint8_t kFlagAck = 0x01;
constexpr uint8_t kFlagEndHeaders = 0x04;
constexpr uint8_t kFlagPadded = 0x08;
constexpr uint8_t kFlagPriority = 0x20;

enum class Http2Error : uint32_t {
  kNoError = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kFlowControlError = 3,
  kSettingsTimeout = 4,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompressionError = 9,
  kConnectError = 10,
  kEnhanceYourCalm = 11,
  kInadequateSecurity = 12,
  kHttp11Required = 13,
};
std::string_view Http2ErrorName(uint32_t code);

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHeaderBytes = 9;
constexpr uint32_t kDefaultWindow = 65535;
// Frames larger than we allow are refused; we announce nothing above the default.
constexpr uint32_t kMaxReceivedFrame = 16384;
constexpr uint32_t kMaxWindow = 0x7fffffff;

struct FrameHeader {
  uint32_t length = 0;
  FrameType type{};
  uint8_t flags = 0;
  uint32_t stream = 0;
};
inline uint32_t ReadBigEndian32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}
inline void WriteBigEndian32(char* p, uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof v);
}
inline FrameHeader ParseFrameHeader(const char* p) {
  const uint32_t length_and_type = ReadBigEndian32(p);
  return {.length = length_and_type >> 8,
          .type = static_cast<FrameType>(length_and_type & 0xff),
          .flags = static_cast<uint8_t>(p[4]),
          .stream = ReadBigEndian32(p + 5) & 0x7fffffff};
}
// A frame header's first five octets as a number: what frames of one kind and size share.
inline uint64_t FrameKind(size_t length, FrameType type, uint8_t flags) {
  return static_cast<uint64_t>(length) << 16 | static_cast<uint64_t>(type) << 8 | flags;
}
inline uint64_t ReadFrameKind(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap64(v) >> 24;
}
inline void WriteFrameHeader(char* p, size_t length, FrameType type, uint8_t flags,
                             uint32_t stream) {
  WriteBigEndian32(p, static_cast<uint32_t>(length << 8) | static_cast<uint32_t>(type));
  p[4] = static_cast<char>(flags);
  WriteBigEndian32(p + 5, stream);
}

struct Http2Settings {
  uint32_t header_table_size = 4096;
  uint32_t max_concurrent_streams = UINT32_MAX;
  uint32_t initial_window_size = kDefaultWindow;
  uint32_t max_frame_size = 16384;
};

// What this side announces.
struct Http2Limits {
  uint32_t stream_window = kMaxWindow;  // how much a peer may send on a stream before we give back
  uint32_t connection_window = kMaxWindow;
  uint32_t max_concurrent_streams = 0;  // 0: not announced
  bool no_dynamic_table = false;        // asks the peer for header blocks without state
};

class Http2Connection : public EventHandler, public TurnEndHandler {
 public:
  ~Http2Connection() override;

  void OnEvents(uint32_t events) override;
  void OnTurnEnd() override;

  bool connected() const { return socket_.valid() && !connecting_; }
  bool settled() const { return settled_; }
  size_t active_streams() const { return streams_.size(); }
  // Whether the peer owes the rest of something that has a foreseeable end: its preface and
  // settings, a frame, a header block.
  bool awaits_rest() const {
    return !settled_ || !partial_.empty() || preface_left_ > 0 || header_stream_ != 0;
  }

 protected:
  enum class Side : uint8_t { kClient, kServer };
  Http2Connection(EventLoop& loop, Side side, const Http2Limits& limits,
                  TransferCounters& counters);

  // Takes over a connected or connecting socket and queues the preface and settings.
  Result<void> Open(Socket socket, bool connecting);
  // Leaves the loop and closes; no callback. The streams are forgotten.
  void Shut();

  // Hooks. A hook may call anything here but must not destroy the connection.
  virtual void OnConnected() {}
  // The peer's SETTINGS have arrived; called for every SETTINGS frame.
  virtual void OnSettings() {}
  // Frames that the derived side knows as a whole: how many bytes of them it has dealt with, or 0.
  // Called between frames, with everything that has been received.
  virtual size_t OnKnownFrames(std::string_view) { return 0; }
  // A complete header block. `stream` may be unknown to the table.
  virtual void OnHeaders(uint32_t stream, std::string_view block, bool end_stream) = 0;
  virtual void OnData(Http2Stream& stream, std::string_view data, bool end_stream) = 0;
  virtual void OnReset(Http2Stream& stream, uint32_t code) = 0;
  // Whether the peer has not opened the stream yet, as far as this side can tell.
  virtual bool IsIdle(uint32_t) const { return false; }
  virtual void OnGoaway(uint32_t last_stream, uint32_t code, std::string_view debug) = 0;
  // All of the stream's outgoing data and trailers have been framed.
  virtual void OnSendDone(Http2Stream& stream) = 0;
  // The connection is gone and Shut() has been called; the streams are still in the table.
  virtual void OnEnd(FailureKind kind, std::string_view reason) = 0;
  // A flush took everything that was queued: `now` is the time immediately before it.
  virtual void OnFlush(Instant now) = 0;

  // A frame's header; the payload is to be written where this points, at once.
  char* QueueFrame(FrameType type, uint8_t flags, uint32_t stream, size_t length) {
    char* frame = out_.Extend(kFrameHeaderBytes + length);
    WriteFrameHeader(frame, length, type, flags, stream);
    NeedFlush();
    return frame + kFrameHeaderBytes;
  }
  // A stream that is headers and one frame of data, if windows and frame size allow it now; the
  // usual request.
  bool TryQueueWhole(Http2Stream& stream, std::string_view block,
                     std::span<const std::string_view> pieces);
  // More data of a stream that has none waiting, copied into frames, if windows allow it now.
  bool TryQueueMore(Http2Stream& stream, std::span<const std::string_view> pieces);
  // Header block as HEADERS and, if it is larger than a frame, CONTINUATION frames.
  void QueueHeaders(uint32_t stream, std::string_view block, bool end_stream);
  // Frames stream.pieces as far as flow control allows; the rest follows when windows open.
  void QueueData(Http2Stream& stream);
  void QueueReset(uint32_t stream, Http2Error code);
  // Ends our interest in a stream, whatever it still had to send.
  void Forget(Http2Stream& stream);
  void QueueGoaway(uint32_t last_stream, Http2Error code, std::string_view debug = {});
  void NeedFlush() { loop_.AtEndOfTurn(*this); }
  // The fault is the peer's: says so (GOAWAY), writes what it can, and ends.
  void ConnectionFault(Http2Error code, std::string_view reason);
  // Ends the connection with a TCP reset.
  void BreakConnection();
  // Window for data that has been dealt with, given back in large steps.
  void GiveBack(Http2Stream* stream, size_t bytes);

  EventLoop& loop_;
  const Http2Limits limits_;
  TransferCounters& counters_;
  Socket socket_;
  WriteQueue out_;
  Http2StreamTable streams_;
  Http2Settings peer_;
  int64_t send_window_ = kDefaultWindow;
  Instant received_{};  // when the bytes being dealt with were read

 private:
  void ReadSocket();
  // False when the connection has ended.
  bool Receive(std::string_view bytes);
  bool OnFrame(const FrameHeader& frame, std::string_view payload);
  bool OnDataFrame(const FrameHeader& frame, std::string_view payload);
  bool OnHeadersFrame(const FrameHeader& frame, std::string_view payload);
  bool OnSettingsFrame(const FrameHeader& frame, std::string_view payload);
  bool OnWindowUpdate(const FrameHeader& frame, std::string_view payload);
  bool StripPadding(const FrameHeader& frame, std::string_view& payload);
  bool Fault(Http2Error code, std::string_view reason);  // ConnectionFault, and false
  void PumpWaiting();
  void End(FailureKind kind, std::string_view reason);
  void Flush();

  const Side side_;
  bool connecting_ = false;
  bool settled_ = false;
  bool peer_closing_ = false;
  bool ended_ = false;
  uint32_t life_ = 0;         // counts Open(): a callback may have closed and opened again
  std::string partial_;       // an incomplete frame
  size_t preface_left_ = 0;   // bytes of the client's preface a server still expects
  std::string header_block_;  // HEADERS waiting for CONTINUATION
  uint32_t header_stream_ = 0;
  bool header_end_stream_ = false;
  uint64_t unacknowledged_ = 0;
  uint32_t control_frames_ = 0;        // answered since the peer last took everything we sent
  std::vector<Http2Stream*> waiting_;  // streams with data that flow control holds back
};

}  // namespace sextant::net
