// The whole server: what `sextant serve` runs, and what tests and the self-test start in-process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"

namespace sextant::serve {

enum class ControlMode : uint8_t { kNone, kExplicit };

struct ServerOptions {
  std::vector<std::string> model_repository;
  std::string address = "0.0.0.0";
  int http_port = 8000, grpc_port = 8001, metrics_port = 8002;  // 0: any free one
  bool allow_http = true, allow_grpc = true, allow_metrics = true;
  ControlMode control_mode = ControlMode::kNone;
  std::vector<std::string> load_models;  // explicit control: at start; "*" is all
  bool exit_on_error = true;
  bool strict_readiness = true;
  int threads = 2;  // event loops
  Nanos exit_timeout{30s};
  std::string tls_certificate, tls_key;  // PEM files; empty: plain text
  std::string tls_client_ca;             // clients must have a certificate of these; empty: not
  std::string http_unix, grpc_unix;      // paths of sockets to serve on as well; empty: none
  std::string truth_log;                 // path; empty: none
  std::string openvino_module;
};

class Server {
 public:
  // Loads the models and starts listening. `log` must outlive the server.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, Log& log);
  // Stop(0).
  ~Server();

  // 0 when not served.
  int http_port() const;
  int grpc_port() const;
  int metrics_port() const;

  // Takes no new connections or requests, answers those in flight within `grace`, then ends.
  void Stop(Nanos grace);

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  static Result<void> MakeTls(const ServerOptions& options, Parts& parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace sextant::serve
