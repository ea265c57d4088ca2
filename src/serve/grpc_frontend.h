// The Open Inference Protocol over gRPC, with Triton's extensions.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "net/grpc_server.h"
#include "serve/core.h"
#include "serve/work_queue.h"

namespace sextant::serve {

class GrpcFrontend final : public net::GrpcService {
 public:
  GrpcFrontend(Core& core, WorkQueue& slow, bool allow_control)
      : core_(core), slow_(slow), allow_control_(allow_control) {}

  net::GrpcMethodKind FindMethod(std::string_view path, uint32_t& method) override;
  void OnUnary(uint32_t method, std::string_view message, const net::GrpcCall& call) override;
  void OnStreamMessage(uint32_t method, std::string_view message,
                       const net::GrpcCall& call) override;
  void OnStreamDone(uint32_t method, const net::GrpcCall& call) override;
  void OnStreamLost(uint32_t method, const net::GrpcCall& call) override;

  // One client stream: how many of its requests are still being answered.
  struct Stream {
    std::mutex mutex;
    size_t open = 0;
    bool client_done = false;
  };

 private:
  struct MethodRow;
  static const MethodRow* Methods(size_t& count);
  void Infer(std::string_view message, const net::GrpcCall& call);
  void Load(std::string_view message, const net::GrpcCall& call, bool load);
  void RegisterCuda(std::string_view message, const net::GrpcCall& call);
  void UnregisterCuda(std::string_view message, const net::GrpcCall& call);

  Core& core_;
  WorkQueue& slow_;
  const bool allow_control_;
  std::mutex mutex_;  // guards streams_
  std::map<std::pair<uint64_t, uint32_t>, std::shared_ptr<Stream>> streams_;
};

net::GrpcStatus GrpcStatusOf(ErrorCode code);

}  // namespace sextant::serve
