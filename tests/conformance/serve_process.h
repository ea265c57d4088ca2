// What the tests of a whole `sextant serve` share beside the end-to-end tests' harness, which
// starts it: a request that must succeed, and connections that send whatever bytes a test likes.
//
// Everything waits for a condition with a deadline. Threads: one per Connection; a ServeProcess
// belongs to the test's thread.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/files.h"
#include "e2e/harness.h"
#include "net/hpack.h"
#include "net/http2.h"

namespace sextant::conformance {

// A config.pbtxt of a simulated model "X" -> "Y" (INT32, 4 elements) that repeats its input.
std::string EchoModel(std::string_view name, std::string_view service_time,
                      std::string_view more = "");

// A server that can be asked whether it is well.
class ServeProcess final : public e2e::Serve {
 public:
  using Serve::Serve;

  // One good request over each protocol, checked; says what is wrong, or nothing.
  std::string GoodHttp(std::string_view model = "plain") const;
  std::string GoodGrpc(std::string_view model = "plain") const;
};

// A blocking connection with a deadline for everything.
class Connection {
 public:
  explicit Connection(int port);
  bool connected() const { return fd_.valid(); }
  // False when the peer has ended the connection; what it sent before can still be read.
  bool Send(std::string_view bytes);
  // No more will be sent.
  void EndSending();
  // Appends what arrives to `in`; false at the end of the connection or after `timeout`.
  bool Receive(Nanos timeout = 10s);
  // Reads until the peer ends the connection; false when it does not.
  bool ReceiveAll(Nanos timeout = 10s);
  bool timed_out() const { return timed_out_; }

  std::string in;

 private:
  Fd fd_;
  bool timed_out_ = false;
};

// The next answer of an HTTP connection, taken off its input; status 0: none came.
struct HttpText {
  int status = 0;
  std::string body;
};
HttpText TakeHttp(Connection& connection);

std::string HttpPost(std::string_view path, std::string_view body, std::string_view fields = "");
// The JSON of a good request.
inline constexpr std::string_view kGoodJson =
    R"({"inputs":[{"name":"X","datatype":"INT32","shape":[4],"data":[1,2,3,4]}]})";
inline constexpr std::string_view kInferPath = "/v2/models/plain/infer";
inline constexpr std::string_view kGrpcInferPath = "/inference.GRPCInferenceService/ModelInfer";
std::string GoodGrpcMessage(std::string_view model = "plain");

// HTTP/2 from its bytes up.
std::string Frame(net::FrameType type, uint8_t flags, uint32_t stream, std::string_view payload);
// The client's preface and empty settings.
std::string Http2Begin();
std::string CallHeaders(std::string_view path = kGrpcInferPath, std::string_view method = "POST",
                        std::string_view content_type = "application/grpc",
                        std::string_view encoding = "");
std::string Prefixed(std::string_view message, bool compressed = false);

// What a connection's input says of it so far.
struct Http2Outcome {
  bool malformed = false;
  bool goaway = false;
  uint32_t goaway_code = 0;
  bool reset = false;
  uint32_t reset_code = 0;
  bool stream_ended = false;  // stream 1
  std::string http_status, grpc_status, grpc_message;
};
Http2Outcome ReadHttp2(std::string_view in);

}  // namespace sextant::conformance
