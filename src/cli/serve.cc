// sextant serve: the embedded server.
#include <poll.h>

#include <cstdio>

#include "base/host.h"
#include "base/stop.h"
#include "cli/command.h"
#include "serve/server.h"

namespace sextant::options {

template <>
struct EnumNames<serve::ControlMode> {
  static constexpr std::pair<std::string_view, serve::ControlMode> kNames[] = {
      {"none", serve::ControlMode::kNone}, {"explicit", serve::ControlMode::kExplicit}};
};

}  // namespace sextant::options

namespace sextant::cli {
namespace {

struct Options : serve::ServerOptions {
  int log_verbose = 0;
  int exit_timeout_seconds = 30;
};

const options::Table<Options>& Table() {
  static const options::Table<Options> table = [] {
    options::Table<Options> t("serve",
                              "Runs models: ONNX on the CPU, and simulated ones with known timing",
                              "Serves a Triton model repository over HTTP and gRPC (the Open "
                              "Inference Protocol with Triton's extensions). Runs ONNX models on "
                              "the CPU, simulated models whose timing is declared in their "
                              "config.pbtxt, and null models that answer at once.\n"
                              "Prints one line per service when it is ready; SIGTERM or SIGINT "
                              "drains and ends it. Exit codes: 0 ended by a signal, 1 could not "
                              "start, 2 wrong options.");
    t.Usage("sextant serve --model-repository DIR [options]");
    t.Example("sextant serve --model-repository models/repository");
    t.Group("Models");
    t.Add(&Options::model_repository,
          {.name = "model-repository",
           .aliases = {"model-store"},
           .value = "DIR",
           .help = "Directory of models: DIR/MODEL/config.pbtxt, DIR/MODEL/VERSION/model.onnx.",
           .required = true,
           .is_file = true});
    t.Add(&Options::control_mode, {.name = "model-control-mode",
                                   .value = "MODE",
                                   .help = "none: all models are loaded at start and stay; "
                                           "explicit: clients load and unload them."});
    t.Add(&Options::load_models,
          {.name = "load-model",
           .value = "NAME",
           .help = "With explicit control: a model to load at start; '*' is all."});
    t.Add(&Options::exit_on_error,
          {.name = "exit-on-error", .help = "Ends when a model cannot be loaded at start."});
    t.Add(&Options::strict_readiness,
          {.name = "strict-readiness", .help = "Says ready only when all models are."});
    t.Add(&Options::openvino_module, {.name = "openvino-module",
                                      .value = "FILE",
                                      .help = "The engine module that runs ONNX models.",
                                      .default_text = "libsextant_openvino.so beside the program",
                                      .is_file = true});
    t.Group("Services");
    t.Add(&Options::address, {.name = "http-address",
                              .aliases = {"grpc-address", "metrics-address", "address"},
                              .value = "ADDRESS",
                              .help = "Address of all services."});
    t.Add(&Options::http_port, {.name = "http-port",
                                .value = "PORT",
                                .help = "HTTP; 0 takes a free port.",
                                .limits = {0, 65535}});
    t.Add(&Options::grpc_port, {.name = "grpc-port",
                                .value = "PORT",
                                .help = "gRPC; 0 takes a free port.",
                                .limits = {0, 65535}});
    t.Add(&Options::metrics_port, {.name = "metrics-port",
                                   .value = "PORT",
                                   .help = "/metrics; 0 takes a free port.",
                                   .limits = {0, 65535}});
    t.Add(&Options::allow_http, {.name = "allow-http", .help = "Serves HTTP."});
    t.Add(&Options::allow_grpc, {.name = "allow-grpc", .help = "Serves gRPC."});
    t.Add(&Options::allow_metrics, {.name = "allow-metrics", .help = "Serves /metrics."});
    t.Add(&Options::threads, {.name = "http-thread-count",
                              .aliases = {"threads"},
                              .value = "N",
                              .help = "Threads for connections, shared by all services.",
                              .limits = {1, 256}});
    t.Add(&Options::exit_timeout_seconds,
          {.name = "exit-timeout-secs",
           .value = "SECONDS",
           .help = "How long requests in flight may take after a signal.",
           .limits = {0, 86400}});
    t.Add(&Options::http_unix, {.name = "http-unix",
                                .value = "PATH",
                                .help = "HTTP on a Unix socket as well.",
                                .is_file = true});
    t.Add(&Options::grpc_unix, {.name = "grpc-unix",
                                .value = "PATH",
                                .help = "gRPC on a Unix socket as well.",
                                .is_file = true});
    t.Add(&Options::tls_certificate,
          {.name = "tls-cert",
           .value = "FILE",
           .help = "Serves HTTP and gRPC under TLS with this certificate and its chain, PEM.",
           .is_file = true});
    t.Add(&Options::tls_key, {.name = "tls-key",
                              .value = "FILE",
                              .help = "The certificate's key, PEM.",
                              .is_file = true});
    t.Add(&Options::tls_client_ca,
          {.name = "tls-client-ca",
           .value = "FILE",
           .help = "Only clients with a certificate of these authorities, PEM.",
           .is_file = true});
    t.Group("Records");
    t.Add(&Options::log_verbose, {.name = "log-verbose",
                                  .value = "LEVEL",
                                  .help = "0: events; 1: more.",
                                  .limits = {0, 10}});
    t.Add(&Options::truth_log, {.name = "truth-log",
                                .value = "FILE",
                                .help = "Writes what simulated models did, a CSV line per request: "
                                        "arrival, requests in flight, service time.",
                                .is_file = true});
    return t;
  }();
  return table;
}

int Run(std::span<const std::string_view> arguments) {
  Options options;
  static const Options defaults;
  if (const auto exit_code = ParseOrExit(Table(), &options, &defaults, arguments))
    return *exit_code;
  Result<StopSignals> stop = StopSignals::Install();
  if (!stop.has_value()) return PrintError("serve", stop.error()), kExitFailure;
  RaiseOpenFileLimit();
  Log log(options.log_verbose > 0 ? LogLevel::kVerbose : LogLevel::kInfo,
          [](std::string_view line) {
            std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
          });
  Result<std::unique_ptr<serve::Server>> server = serve::Server::Start(options, log);
  if (!server.has_value()) return PrintError("serve", server.error()), kExitFailure;

  // For scripts that started it with port 0: one line each, and then "ready".
  const auto print = [&](const char* service, int port) {
    if (port != 0) std::printf("%s on %s:%d\n", service, options.address.c_str(), port);
  };
  print("http", (*server)->http_port());
  print("grpc", (*server)->grpc_port());
  print("metrics", (*server)->metrics_port());
  std::puts("ready");
  std::fflush(stdout);

  pollfd wait{stop->fd(), POLLIN, 0};
  while (!stop->received()) poll(&wait, 1, -1);
  log.Write(LogLevel::kInfo, "draining after signal {}", *stop->received());
  (*server)->Stop(std::chrono::seconds(options.exit_timeout_seconds));
  return kExitOk;
}

}  // namespace

Command ServeCommand() {
  static const Options defaults;
  return {&Table(), &defaults, Run};
}

}  // namespace sextant::cli
