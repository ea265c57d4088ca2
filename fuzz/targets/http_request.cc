// The HTTP/1.1 request parser and body decoder, fed whole and in two pieces; and the server around
// them.
#include "net/http1.h"
#include "net/http_server.h"
#include "peer.h"
#include "target.h"

namespace {

using namespace sextant;       // NOLINT
using namespace sextant::net;  // NOLINT

class Echo final : public HttpHandler {
  void OnRequest(const HttpRequest& request, HttpReply reply) override {
    reply.Send({.body = std::string(request.body)});
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = AsText(data, size);
  HttpHead head;
  std::string_view fault;
  if (ParseRequestHead(text, head, fault) == HttpParse::kComplete) {
    Require(head.size <= size);
    FindHeader(head.fields, "host");
    // A prefix of a complete head is incomplete, never complete or bad.
    HttpHead shorter;
    Require(ParseRequestHead(text.substr(0, head.size - 1), shorter, fault) ==
            HttpParse::kIncomplete);
    HttpBody body;
    body.StartRequest(head);
    std::string_view rest = text.substr(head.size);
    while (!body.complete()) {
      const HttpBody::Step step = body.Next(rest);
      Require(step.consumed <= rest.size() && step.data.size() <= rest.size());
      if (step.bad || step.consumed == 0) break;
      rest.remove_prefix(step.consumed);
    }
  }
  static Echo echo;
  static const auto threads = *IoThreads::Start(1, "fuzz");
  static const auto server =
      *HttpServer::Start(*threads, Loopback(), echo, {.max_body_bytes = 1 << 20});
  if (size < 4096) SendAndDrain(server->address(), text);
  return 0;
}
