// A server that speaks KServe v2 and nothing of Triton's: no /config, no /stats, no extensions.
// It keeps what it was sent.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "net/grpc_server.h"
#include "net/http_server.h"

namespace sextant::e2e {

struct PlainOptions {
  bool server_metadata = true;
  bool binary_tensors = false;      // HTTP: says that it has the extension
  bool break_every_second = false;  // resets the connection instead of answering
};

class PlainServer final : public net::HttpHandler, public net::GrpcService {
 public:
  explicit PlainServer(const PlainOptions& options = {});
  ~PlainServer() override;

  // "127.0.0.1:PORT" of the protocol "http" or "grpc".
  std::string Url(std::string_view protocol) const;
  // Bodies of inference requests (HTTP) and their messages (gRPC), in order of arrival.
  std::vector<std::string> bodies();
  size_t broken();
  // Paths and methods that it does not have and was asked for.
  std::vector<std::string> refused();

  void OnRequest(const net::HttpRequest& request, net::HttpReply reply) override;
  net::GrpcMethodKind FindMethod(std::string_view path, uint32_t& method) override;
  void OnUnary(uint32_t method, std::string_view message, const net::GrpcCall& call) override;
  void OnStreamMessage(uint32_t, std::string_view, const net::GrpcCall&) override {}
  void OnStreamDone(uint32_t, const net::GrpcCall&) override {}
  void OnStreamLost(uint32_t, const net::GrpcCall&) override {}

 private:
  // Keeps it; false when it is to be left unanswered.
  bool TakeInference(std::string_view body);

  const PlainOptions options_;
  std::mutex mutex_;  // guards what follows
  std::vector<std::string> bodies_, refused_;
  size_t inferences_ = 0, broken_ = 0;

  std::unique_ptr<net::IoThreads> threads_;
  std::unique_ptr<net::HttpServer> http_;
  std::unique_ptr<net::GrpcServer> grpc_;
};

}  // namespace sextant::e2e
