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
  static const auto loop = *EventLoop::Create();
  static const Fd listening = *Listen(Loopback());
  static const Address address = *LocalAddress(listening.get());
  Listener listener;
  TransferCounters counters;
  GrpcClientConnection client(*loop, listener, counters, listener.method, 0);
  client.Connect(address);
  loop->Turn(std::chrono::seconds(1));
  pollfd ready{listening.get(), POLLIN, 0};
  poll(&ready, 1, 1000);
  Fd peer(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  char settings[kFrameHeaderBytes];
  WriteFrameHeader(settings, 0, FrameType::kSettings, 0, 0);
  send(peer.get(), settings, sizeof settings, MSG_NOSIGNAL);
  loop->Turn(std::chrono::milliseconds(100));
  if (size > 0) send(peer.get(), data, size, MSG_NOSIGNAL);
  for (int i = 0; i < 3; ++i) loop->Turn(Nanos(0));
  shutdown(peer.get(), SHUT_RDWR);
  for (int i = 0; i < 100 && !listener.closed; ++i) loop->Turn(std::chrono::milliseconds(10));
  Require(listener.closed);
  return 0;
}
