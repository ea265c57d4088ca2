// The Open Inference Protocol over HTTP, with Triton's extensions, and /metrics.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "gpu/nvml.h"
#include "net/http_server.h"
#include "serve/core.h"
#include "serve/metrics.h"
#include "serve/simulated_gpus.h"
#include "serve/work_queue.h"

namespace sextant::serve {

class HttpFrontend final : public net::HttpHandler {
 public:
  // `slow` runs what would block a connection's loop: loading and unloading, opening GPU memory.
  HttpFrontend(Core& core, WorkQueue& slow, bool allow_control)
      : core_(core), slow_(slow), allow_control_(allow_control) {}
  void OnRequest(const net::HttpRequest& request, net::HttpReply reply) override;

 private:
  void Infer(std::string model, std::string version, const net::HttpRequest& request,
             net::HttpReply reply);
  net::HttpAnswer Model(std::string_view method, std::string_view model, std::string_view rest);
  net::HttpAnswer SharedMemory(std::string_view method, std::string_view rest,
                               std::string_view body);
  void CudaSharedMemory(const net::HttpRequest& request, net::HttpReply reply);
  void RepositoryControl(std::string_view model, bool load, std::string_view body,
                         net::HttpReply reply);
  net::HttpAnswer Index(std::string_view body);

  Core& core_;
  WorkQueue& slow_;
  const bool allow_control_;
};

class MetricsFrontend final : public net::HttpHandler {
 public:
  // `real_gpus` may be null.
  MetricsFrontend(Core& core, SimulatedGpus& gpus, gpu::NvmlGpus* real_gpus)
      : core_(core), gpus_(gpus), real_gpus_(real_gpus) {}
  void OnRequest(const net::HttpRequest& request, net::HttpReply reply) override;

 private:
  Core& core_;
  SimulatedGpus& gpus_;
  gpu::NvmlGpus* real_gpus_;
  std::mutex mutex_;
  CpuMeter cpu_;
};

// The status codes of Triton's HTTP endpoint.
int HttpStatusOf(ErrorCode code);

}  // namespace sextant::serve
