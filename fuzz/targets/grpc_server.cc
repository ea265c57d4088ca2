// The gRPC server behind its HTTP/2 preface, fed with anything.
#include "net/grpc_server.h"
#include "net/http2.h"
#include "peer.h"
#include "target.h"

namespace {

using namespace sextant;       // NOLINT
using namespace sextant::net;  // NOLINT

class Echo final : public GrpcService {
  GrpcMethodKind FindMethod(std::string_view path, uint32_t& method) override {
    method = static_cast<uint32_t>(path.size());
    return path.ends_with("s")     ? GrpcMethodKind::kStream
           : path.starts_with("/") ? GrpcMethodKind::kUnary
                                   : GrpcMethodKind::kUnknown;
  }
  void OnUnary(uint32_t, std::string_view message, const GrpcCall& call) override {
    call.Reply(std::string(message));
  }
  void OnStreamMessage(uint32_t, std::string_view message, const GrpcCall& call) override {
    call.Write(std::string(message));
  }
  void OnStreamDone(uint32_t, const GrpcCall& call) override { call.Finish(GrpcStatus::kOk); }
  void OnStreamLost(uint32_t, const GrpcCall&) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Echo echo;
  static const auto threads = *IoThreads::Start(1, "fuzz");
  static const auto server =
      *GrpcServer::Start(*threads, Loopback(), echo, {.max_message_bytes = 1 << 16});
  std::string bytes(kHttp2Preface);
  char settings[kFrameHeaderBytes];
  WriteFrameHeader(settings, 0, FrameType::kSettings, 0, 0);
  bytes.append(settings, sizeof settings);
  bytes += AsText(data, size);
  SendAndDrain(server->address(), bytes);
  return 0;
}
