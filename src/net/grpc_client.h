// One HTTP/2 connection of a gRPC client, carrying unary calls and bidirectional streams.
//
// The header block of a method is encoded once per connection: the first call inserts its fields
// into the server's table, later calls send a few index bytes. Answers are asked for without state
// (SETTINGS_HEADER_TABLE_SIZE = 0), so a header block that has been seen before is recognised by
// its bytes and not decoded again.
//
// Threads: one event loop. Lifetime: as HttpClientConnection: not to be destroyed inside a
// callback.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/grpc.h"
#include "net/hpack.h"
#include "net/http2.h"

namespace sextant::net {

// What every call of a kind says in its headers.
struct GrpcMethod {
  std::string authority;  // "localhost:8001"
  std::string path;       // "/inference.GRPCInferenceService/ModelInfer"
  std::vector<HeaderField> metadata;
  Nanos timeout{0};     // 0: no grpc-timeout
  bool secure = false;  // the scheme: https
};

struct GrpcResponse {
  int status = 0;  // GrpcStatus or a number the protocol does not know
  std::string_view status_message;
  std::string_view message;  // of a unary call, when it was kept
  uint64_t message_bytes = 0;
  bool reset = false;  // the stream was reset or refused, `status` is our reading of it
  Instant received;
};

class GrpcClientConnection;

class GrpcClientListener {
 public:
  virtual ~GrpcClientListener() = default;
  // Connected, and the server's settings are known: calls may start.
  virtual void OnGrpcReady(GrpcClientConnection& connection) = 0;
  // A call has ended, in whatever way but the end of the connection.
  virtual void OnGrpcResponse(GrpcClientConnection& connection, uint32_t token,
                              const GrpcResponse& response) = 0;
  // A message of a streaming call.
  virtual void OnGrpcMessage(GrpcClientConnection&, uint32_t /*token*/,
                             std::string_view /*message*/, Instant) {}
  // The connection is gone; `tokens` are the calls that it took along.
  virtual void OnGrpcClosed(GrpcClientConnection& connection, FailureKind kind,
                            std::string_view reason, std::span<const uint32_t> tokens) = 0;
};

class GrpcClientConnection final : public Http2Connection {
 public:
  // `method` is what Start() calls; it must outlive the connection.
  GrpcClientConnection(EventLoop& loop, GrpcClientListener& listener, TransferCounters& counters,
                       const GrpcMethod& method, uint32_t index);

  // Starts connecting, under TLS where there is a peer for it; OnGrpcReady or OnGrpcClosed follows,
  // never inside this call.
  void Connect(const Address& address, TlsPeer* tls = nullptr);
  // Closes without a callback; calls in flight are forgotten.
  void Abandon() { Shut(), streams_ = Http2StreamTable(), ready_ = false; }

  // Ready, not going away, and below the server's limit of streams.
  bool CanStart() const {
    return ready_ && !draining_ && streams_.size() < peer_.max_concurrent_streams;
  }
  bool ready() const { return ready_; }
  // The server has asked for another connection (or stream ids are used up): calls in flight go on.
  bool draining() const { return draining_; }
  uint32_t index() const { return index_; }

  // What Start() calls has changed (its metadata): later calls say it as it is now.
  void MethodChanged();
  // Starts a unary call: its bytes are the pieces in order, prefix included; they must stay in
  // place until the call has ended. *sent is set immediately before the flush that takes its first
  // byte. Returns the stream's id for Cancel().
  uint32_t Start(uint32_t token, std::span<const std::string_view> pieces, bool keep_message,
                 Instant* sent);
  // Any other method, encoded without touching the table.
  uint32_t StartMethod(const GrpcMethod& method, uint32_t token,
                       std::span<const std::string_view> pieces, bool keep_message, Instant* sent);
  // Opens a bidirectional stream (messages are delivered as they come); Write and WritesDone feed
  // it.
  uint32_t OpenStream(const GrpcMethod& method, uint32_t token);
  // The pieces are copied; nothing is allocated while flow control lets messages go at once. *sent,
  // where there is one, is set as by Start(). False when the stream has ended.
  bool Write(uint32_t stream, std::span<const std::string_view> pieces, Instant* sent = nullptr);
  // *sent will not be set any more.
  void ForgetStamp(const Instant* sent) { std::erase(unsent_, sent); }
  void WritesDone(uint32_t stream);
  // Resets the stream; no callback follows.
  void Cancel(uint32_t stream);

 private:
  struct BlockMeaning {
    std::string block;      // empty: none is known
    uint64_t frame = 0;     // FrameKind() of the frame that has it
    bool trailers = false;  // holds grpc-status
    int http_status = 0;
    int grpc_status = -1;
  };

  void OnSettings() override;
  size_t OnKnownFrames(std::string_view bytes) override;
  void OnHeaders(uint32_t stream, std::string_view block, bool end_stream) override;
  void OnData(Http2Stream& stream, std::string_view data, bool end_stream) override;
  void OnReset(Http2Stream& stream, uint32_t code) override;
  void OnGoaway(uint32_t last_stream, uint32_t code, std::string_view debug) override;
  void OnSendDone(Http2Stream&) override {}
  void OnEnd(FailureKind kind, std::string_view reason) override;
  void OnFlush(Instant now) override;

  void EncodeBlocks();
  Http2Stream& NewStream(uint32_t token, bool keep_message, Instant* sent);
  void Send(Http2Stream& stream, std::span<const std::string_view> pieces);
  const BlockMeaning* FindMeaning(std::string_view block, bool end_stream) const;
  const BlockMeaning* MatchFrame(const char* p, const char* end, bool end_stream) const;
  bool Interpret(Http2Stream& stream, std::string_view block, bool end_stream);
  // Delivers the whole messages at the front; how many bytes they were, or nothing when the stream
  // is gone.
  std::optional<size_t> TakeMessages(Http2Stream& stream, std::string_view bytes);
  void Finish(Http2Stream& stream);

  GrpcClientListener& listener_;
  const GrpcMethod& method_;
  const uint32_t index_;
  bool ready_ = false;
  bool draining_ = false;
  bool first_block_sent_ = false;
  uint32_t next_stream_ = 1;
  std::string first_block_, next_block_;
  HpackDecoder decoder_;
  // Blocks that need no decoding: those that begin an answer, and those that end a stream.
  std::array<std::array<BlockMeaning, 2>, 2> meanings_;
  size_t next_meaning_ = 0;
  std::vector<HeaderField> fields_;
  std::string message_, status_message_;  // of the response being delivered
  std::vector<Instant*> unsent_;          // stamps to set at the next flush
};

// The header block of a method in literals only.
std::string EncodeGrpcHeaders(const GrpcMethod& method);

}  // namespace sextant::net
