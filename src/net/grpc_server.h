// A gRPC server: unary and bidirectional streaming methods over HTTP/2 with prior knowledge.
//
// Threads: connections live on the loops of IoThreads; the service is called there and must not
// block. Answers may come from any thread.
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
#include "net/grpc.h"
#include "net/http_client.h"
#include "net/io_threads.h"

namespace sextant::net {

struct GrpcLimits {
  uint64_t max_message_bytes = (uint64_t{1} << 31) - 1;
  uint32_t max_concurrent_streams = 16384;
  size_t max_connections = 20'000;
  Nanos begin_timeout = 30s;  // from the connection to the client's settings
  Nanos frame_timeout = 60s;  // for the rest of a frame or header block, from its last bytes
};

class GrpcServer;
struct GrpcOutgoing;

// One call. A copyable name for it: what is sent after the call has ended is dropped.
class GrpcCall {
 public:
  GrpcCall() = default;
  // A unary call's answer: the message (without prefix) and OK.
  void Reply(std::string message) const;
  // One message of a streaming call.
  void Write(std::string message) const;
  // Ends the call.
  void Finish(GrpcStatus status, std::string text = {}) const;
  // Breaks the connection (TCP reset), with all its calls: for simulated faults.
  void Break() const;
  // Identifies the call among those of this server.
  bool operator==(const GrpcCall&) const = default;
  uint64_t connection() const { return connection_; }
  uint32_t stream() const { return stream_; }

 private:
  friend class GrpcServerConnection;
  GrpcCall(GrpcServer* server, size_t loop, uint64_t connection, uint32_t stream)
      : server_(server), loop_(loop), connection_(connection), stream_(stream) {}
  void Send(GrpcOutgoing&& outgoing) const;

  GrpcServer* server_ = nullptr;
  size_t loop_ = 0;
  uint64_t connection_ = 0;
  uint32_t stream_ = 0;
};

enum class GrpcMethodKind : uint8_t { kUnknown, kUnary, kStream };

class GrpcService {
 public:
  virtual ~GrpcService() = default;
  // What a path is; `method` is the service's own number for it.
  virtual GrpcMethodKind FindMethod(std::string_view path, uint32_t& method) = 0;
  // A unary call's message, decompressed; the view is valid during the call.
  virtual void OnUnary(uint32_t method, std::string_view message, const GrpcCall& call) = 0;
  // A streaming call's messages, in order, then either the end of the client's side or its absence.
  virtual void OnStreamMessage(uint32_t method, std::string_view message, const GrpcCall& call) = 0;
  virtual void OnStreamDone(uint32_t method, const GrpcCall& call) = 0;
  virtual void OnStreamLost(uint32_t method, const GrpcCall& call) = 0;
};

class GrpcServer {
 public:
  static Result<std::unique_ptr<GrpcServer>> Start(IoThreads& threads, const Address& address,
                                                   GrpcService& service,
                                                   const GrpcLimits& limits = {},
                                                   const TlsContext* tls = nullptr);
  ~GrpcServer();

  const Address& address() const { return acceptor_->address(); }
  // Takes no new connections and tells the open ones to go away; calls in progress go on, and a
  // connection ends with its last one. Not from a loop's thread.
  void StopAccepting();
  size_t connections() const { return connection_count_.load(); }

 private:
  friend class GrpcCall;
  friend class GrpcServerConnection;
  struct LoopSide;

  GrpcServer(IoThreads& threads, GrpcService& service, const GrpcLimits& limits,
             const TlsContext* tls);
  void OnAccept(size_t loop, Fd fd);
  void Deliver(size_t loop, uint64_t connection, uint32_t stream, GrpcOutgoing&& outgoing);

  IoThreads& threads_;
  GrpcService& service_;
  const GrpcLimits limits_;
  const TlsContext* const tls_;  // null: plain text
  std::vector<std::unique_ptr<LoopSide>> sides_;
  std::unique_ptr<Acceptor> acceptor_;
  std::atomic<size_t> connection_count_{0};
};

}  // namespace sextant::net
