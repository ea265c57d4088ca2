// The gRPC client, fed by a server that sends anything after its SETTINGS.
#include "net/grpc_client.h"
#include "peer.h"
#include "target.h"

namespace {

using namespace sextant;       // NOLINT
using namespace sextant::net;  // NOLINT

class Listener final : public GrpcClientListener {
 public:
  void OnGrpcReady(GrpcClientConnection& connection) override { StartCalls(connection); }
  void OnGrpcResponse(GrpcClientConnection& connection, uint32_t,
                      const GrpcResponse& response) override {
    Require(response.message.size() <= (1u << 24));
    if (++answers < 100) StartCalls(connection);
  }
  void OnGrpcClosed(GrpcClientConnection&, FailureKind, std::string_view,
                    std::span<const uint32_t>) override {
    closed = true;
  }
  void StartCalls(GrpcClientConnection& connection) {
    static const std::string_view request[] = {std::string_view("\0\0\0\0\2hi", 7)};
    if (connection.CanStart()) connection.Start(1, request, true, &sent);
    if (connection.CanStart()) connection.OpenStream(method, 2);
  }
  const GrpcMethod method{.authority = "a", .path = "/s"};
  int answers = 0;
  bool closed = false;
  Instant sent;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static ScriptedPeer peer;
  Listener listener;
  TransferCounters counters;
  GrpcClientConnection client(peer.loop(), listener, counters, listener.method, 0);
  client.Connect(peer.address());
  peer.Accept();
  char settings[kFrameHeaderBytes];
  WriteFrameHeader(settings, 0, FrameType::kSettings, 0, 0);
  peer.Send({settings, sizeof settings});
  peer.loop().Turn(std::chrono::milliseconds(100));
  peer.Send(AsText(data, size));
  peer.Turn();
  Require(peer.End(listener.closed));
  return 0;
}
