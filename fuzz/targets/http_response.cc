// The HTTP client, fed by a server that sends anything.
#include "net/http_client.h"
#include "peer.h"
#include "target.h"

namespace {

using namespace sextant;       // NOLINT
using namespace sextant::net;  // NOLINT

class Listener final : public HttpClientListener {
 public:
  void OnHttpConnected(HttpClientConnection&) override {}
  void OnHttpResponse(HttpClientConnection& connection, const HttpResponse& response) override {
    FindHeader(response.fields, "inference-header-content-length");
    static const std::string_view request[] = {"GET / HTTP/1.1\r\n\r\n"};
    if (connection.open()) connection.Send(request, true, &sent);
  }
  void OnHttpClosed(HttpClientConnection&, FailureKind, std::string_view, bool) override {
    closed = true;
  }
  bool closed = false;
  Instant sent;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static ScriptedPeer peer;
  Listener listener;
  TransferCounters counters;
  HttpClientConnection client(peer.loop(), listener, counters, 0);
  const std::string_view request[] = {"GET / HTTP/1.1\r\n\r\n"};
  client.Connect(peer.address());
  client.Send(request, true, &listener.sent);
  peer.Accept();
  // The first byte says where the rest is cut in two.
  const std::string_view text = AsText(data, size);
  const size_t cut = size == 0 ? 0 : std::min<size_t>(data[0], size);
  for (const std::string_view part : {text.substr(0, cut), text.substr(cut)}) {
    peer.Send(part);
    peer.Turn();
  }
  Require(peer.End(listener.closed));
  return 0;
}
