#include "serve/server.h"

#include <algorithm>

#include "base/files.h"
#include "base/strings.h"
#include "net/grpc_server.h"
#include "net/http_server.h"
#include "net/io_threads.h"
#include "serve/core.h"
#include "serve/grpc_frontend.h"
#include "serve/http_frontend.h"
#include "serve/truth_log.h"

namespace sextant::serve {

// In the order of construction; destruction runs the other way.
struct Server::Parts {
  explicit Parts(Log& log) : context{.log = log, .gpus = &gpus} {}

  SimulatedGpus gpus;
  std::unique_ptr<gpu::NvmlGpus> real_gpus;  // null where there are none
  std::unique_ptr<TruthLog> truth;
  BackendContext context;
  std::unique_ptr<Core> core;
  WorkQueue slow;
  std::unique_ptr<HttpFrontend> http_frontend;
  std::unique_ptr<GrpcFrontend> grpc_frontend;
  std::unique_ptr<MetricsFrontend> metrics_frontend;
  std::unique_ptr<net::IoThreads> threads;
  std::unique_ptr<net::TlsContext> http_tls, grpc_tls;  // null: plain text
  std::unique_ptr<net::HttpServer> http, metrics, http_unix;
  std::unique_ptr<net::GrpcServer> grpc, grpc_unix;
};

namespace {

Result<void> LoadModels(const ServerOptions& options, Core& core, Log& log) {
  std::vector<std::string> names;
  const bool all = options.control_mode == ControlMode::kNone ||
                   std::find(options.load_models.begin(), options.load_models.end(), "*") !=
                       options.load_models.end();
  names = all ? core.repository().Names() : options.load_models;
  std::vector<std::string> failures;
  for (const std::string& name : names) {
    core.repository().Expect(name);
    // An ensemble that came before has loaded it already.
    if (core.repository().Find(name, "").has_value()) continue;
    if (Result<void> loaded = core.repository().Load(name, std::nullopt); !loaded.has_value()) {
      failures.push_back(Format("model '{}': {}", name, loaded.error().message()));
    }
  }
  if (!failures.empty() && options.exit_on_error) {
    return InvalidArgument(Format(
        "{} of {} models cannot be loaded (--exit-on-error=false starts without them):\n  {}",
        failures.size(), names.size(), Join(failures, "\n  ")));
  }
  for (const std::string& failure : failures) log.Write(LogLevel::kWarning, "{}", failure);
  core.SetServing(true);
  return {};
}

}  // namespace

Result<void> Server::MakeTls(const ServerOptions& options, Parts& parts) {
  if (options.tls_certificate.empty() != options.tls_key.empty())
    return InvalidArgument("--tls-cert and --tls-key belong together");
  if (options.tls_certificate.empty()) {
    if (!options.tls_client_ca.empty())
      return InvalidArgument("--tls-client-ca needs --tls-cert and --tls-key");
    return {};
  }
  net::TlsServerOptions tls{.certificate_file = options.tls_certificate,
                            .key_file = options.tls_key,
                            .client_ca_file = options.tls_client_ca,
                            .protocol = "http/1.1"};
  SEXTANT_ASSIGN(parts.http_tls, net::TlsContext::CreateServer(tls), "TLS");
  tls.protocol = "h2";
  SEXTANT_ASSIGN(parts.grpc_tls, net::TlsContext::CreateServer(tls), "TLS");
  return {};
}

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, Log& log) {
  for (const std::string& directory : options.model_repository) {
    if (!IsDirectory(directory))
      return NotFound(Format("the model repository '{}' is not a directory", directory));
  }
  auto parts = std::make_unique<Parts>(log);
  parts->context.openvino_module = options.openvino_module;
  if (!options.truth_log.empty()) {
    SEXTANT_ASSIGN(parts->truth, TruthLog::Create(options.truth_log));
    parts->context.truth = parts->truth.get();
  }
  parts->core =
      std::make_unique<Core>(options.model_repository, parts->context, options.strict_readiness);
  SEXTANT_TRY(LoadModels(options, *parts->core, log));

  const bool control = options.control_mode == ControlMode::kExplicit;
  parts->http_frontend = std::make_unique<HttpFrontend>(*parts->core, parts->slow, control);
  parts->grpc_frontend = std::make_unique<GrpcFrontend>(*parts->core, parts->slow, control);
  if (auto gpus = gpu::NvmlGpus::Open(); gpus.has_value()) {
    parts->real_gpus = *std::move(gpus);
  } else if (gpus.error().code() != ErrorCode::kNotFound) {
    log.Write(LogLevel::kWarning, "no GPU metrics: {}", gpus.error().message());
  }
  parts->metrics_frontend =
      std::make_unique<MetricsFrontend>(*parts->core, parts->gpus, parts->real_gpus.get());
  SEXTANT_ASSIGN(parts->threads,
                 net::IoThreads::Start(static_cast<size_t>(std::max(1, options.threads)), "serve"));
  const auto address = [&](int port) -> Result<net::Address> {
    SEXTANT_ASSIGN(auto addresses, net::Resolve({options.address, port}));
    return addresses.front();
  };
  SEXTANT_TRY(MakeTls(options, *parts));
  if (options.allow_http) {
    SEXTANT_ASSIGN(const net::Address at, address(options.http_port));
    SEXTANT_ASSIGN(parts->http,
                   net::HttpServer::Start(*parts->threads, at, *parts->http_frontend, {},
                                          parts->http_tls.get()),
                   "HTTP service");
  }
  if (options.allow_grpc) {
    SEXTANT_ASSIGN(const net::Address at, address(options.grpc_port));
    SEXTANT_ASSIGN(parts->grpc,
                   net::GrpcServer::Start(*parts->threads, at, *parts->grpc_frontend, {},
                                          parts->grpc_tls.get()),
                   "gRPC service");
  }
  if (!options.http_unix.empty()) {
    SEXTANT_ASSIGN(const net::Address at, net::UnixAddress(options.http_unix), "--http-unix");
    SEXTANT_ASSIGN(parts->http_unix,
                   net::HttpServer::Start(*parts->threads, at, *parts->http_frontend),
                   "HTTP service");
  }
  if (!options.grpc_unix.empty()) {
    SEXTANT_ASSIGN(const net::Address at, net::UnixAddress(options.grpc_unix), "--grpc-unix");
    SEXTANT_ASSIGN(parts->grpc_unix,
                   net::GrpcServer::Start(*parts->threads, at, *parts->grpc_frontend),
                   "gRPC service");
  }
  if (options.allow_metrics) {
    SEXTANT_ASSIGN(const net::Address at, address(options.metrics_port));
    SEXTANT_ASSIGN(parts->metrics,
                   net::HttpServer::Start(*parts->threads, at, *parts->metrics_frontend),
                   "metrics service");
  }
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() { Stop(Nanos(0)); }

int Server::http_port() const {
  return parts_->http == nullptr ? 0 : parts_->http->address().port();
}
int Server::grpc_port() const {
  return parts_->grpc == nullptr ? 0 : parts_->grpc->address().port();
}
int Server::metrics_port() const {
  return parts_->metrics == nullptr ? 0 : parts_->metrics->address().port();
}

void Server::Stop(Nanos grace) {
  if (parts_->core == nullptr) return;
  parts_->core->SetServing(false);
  const Instant deadline = SteadyNow() + grace;
  if (parts_->http != nullptr) parts_->http->StopAccepting();
  if (parts_->grpc != nullptr) parts_->grpc->StopAccepting();
  if (parts_->metrics != nullptr) parts_->metrics->StopAccepting();
  if (parts_->http_unix != nullptr) parts_->http_unix->StopAccepting();
  if (parts_->grpc_unix != nullptr) parts_->grpc_unix->StopAccepting();
  // A load or unload in progress answers its client and is not undone by what follows.
  parts_->slow.Finish();
  parts_->core->repository().UnloadAll(std::max(deadline - SteadyNow(), Nanos(0)));
  // The answers of the last requests are still on their way out.
  const auto open = [&] {
    return (parts_->http == nullptr ? 0 : parts_->http->connections()) +
           (parts_->grpc == nullptr ? 0 : parts_->grpc->connections()) +
           (parts_->http_unix == nullptr ? 0 : parts_->http_unix->connections()) +
           (parts_->grpc_unix == nullptr ? 0 : parts_->grpc_unix->connections());
  };
  const Instant flush_deadline = std::min(deadline, SteadyNow() + 2s);
  while (open() > 0 && SteadyNow() < flush_deadline) std::this_thread::sleep_for(5ms);
  parts_->grpc_unix.reset();
  parts_->http_unix.reset();
  parts_->grpc.reset();
  parts_->http.reset();
  parts_->metrics.reset();
  parts_->threads.reset();
  parts_->core.reset();
}

}  // namespace sextant::serve
