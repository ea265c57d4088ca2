// sextant perf --self-test: how fast this machine's client can be, against a server that does
// nothing.
#include <cstdio>

#include "base/files.h"
#include "base/stop.h"
#include "cli/command.h"
#include "cli/perf_options.h"
#include "load/generate.h"
#include "load/measurement.h"
#include "run/print.h"
#include "serve/server.h"

namespace sextant::cli {
namespace {

constexpr std::string_view kNullConfig = R"(backend: "null"
max_batch_size: 64
input { name: "INPUT" data_type: TYPE_FP32 dims: 16 }
output { name: "OUTPUT" data_type: TYPE_FP32 dims: 16 }
)";

Result<std::vector<run::Level>> MeasureProtocol(kserve::Protocol protocol, int port, size_t workers,
                                                const StopSignals& stop) {
  const load::ModelSignature model{.name = "null",
                                   .max_batch_size = 64,
                                   .inputs = {{"INPUT", kserve::DataType::kFp32, {16}}},
                                   .outputs = {{"OUTPUT", kserve::DataType::kFp32, {16}}},
                                   .optional_inputs = {false}};
  SEXTANT_ASSIGN(const load::DataSet data, load::GenerateData(model, {.zero = true}));
  const std::string authority = Format("127.0.0.1:{}", port);
  SEXTANT_ASSIGN(
      const auto requests,
      load::RequestSet::Encode(model, data, {.protocol = protocol, .authority = authority}));
  SEXTANT_ASSIGN(const net::Address address, net::FindListening({"127.0.0.1", port}, 5s));
  SEXTANT_ASSIGN(
      const auto generator,
      load::Generator::Start(
          {.channel = {.protocol = protocol, .endpoints = {{address, authority}}}, .timeout = 10s},
          workers));
  std::vector<run::Level> levels;
  for (const double concurrency : {1.0, 16.0, 64.0}) {
    if (stop.received()) break;
    load::MeasureOptions options;
    options.window = {.kind = load::WindowRule::Kind::kTime, .time = 2s};
    options.warmup.longest = 2s;
    levels.push_back(generator->Measure(
        {.load = {.value = concurrency, .arrivals = "closed"}, .requests = requests.get()}, options,
        {.stop = [&] { return stop.received().has_value(); }}));
  }
  return levels;
}

Result<void> Test(const PerfOptions& options, const StopSignals& stop) {
  SEXTANT_ASSIGN(const std::string directory, MakeTempDirectory("sextant-self-test"));
  // Removed on every way out.
  struct Cleaner {
    const std::string& path;
    ~Cleaner() { static_cast<void>(RemoveAll(path)); }
  } cleaner{directory};
  SEXTANT_TRY(MakeDirectories(JoinPath(directory, "null")));
  SEXTANT_TRY(WriteFileAtomic(JoinPath(directory, "null/config.pbtxt"), kNullConfig));
  Log log;
  const size_t workers = options.workers == 0 ? 1 : options.workers;
  SEXTANT_ASSIGN(const auto server, serve::Server::Start({.model_repository = {directory},
                                                          .address = "127.0.0.1",
                                                          .http_port = 0,
                                                          .grpc_port = 0,
                                                          .allow_metrics = false,
                                                          .threads = 1},
                                                         log));
  std::puts(Format("This machine's ceiling: {} load thread{} against a null server (one thread) in "
                   "this process, 64-byte tensors.\n"
                   "A measurement that comes near these rates measures the client.\n",
                   workers, workers == 1 ? "" : "s")
                .c_str());
  for (const kserve::Protocol protocol : {kserve::Protocol::kHttp, kserve::Protocol::kGrpc}) {
    const int port =
        protocol == kserve::Protocol::kHttp ? server->http_port() : server->grpc_port();
    SEXTANT_ASSIGN(const auto levels, MeasureProtocol(protocol, port, workers, stop));
    for (const run::Level& level : levels) {
      std::puts(Format("{}  concurrency {:>3}: {:>9} req/s, {:.1f} us client CPU per request, "
                       "latency p50 {:.1f} us, p99 {:.1f} us",
                       kserve::ProtocolName(protocol), level.load.value,
                       HumanNumber(level.request_rate.value), level.client.cpu_us_per_request,
                       level.latency.histogram.Quantile(0.5) / 1e3,
                       level.latency.histogram.Quantile(0.99) / 1e3)
                    .c_str());
    }
    std::fflush(stdout);
  }
  return {};
}

}  // namespace

int RunSelfTest(const PerfOptions& options) {
  Result<StopSignals> stop = StopSignals::Install();
  if (!stop.has_value()) return PrintError("perf", stop.error()), kExitFailure;
  const Result<void> tested = Test(options, *stop);
  if (stop->received()) return ExitCodeForSignal(*stop->received());
  if (!tested.has_value()) return PrintError("perf", tested.error()), kExitFailure;
  return kExitOk;
}

}  // namespace sextant::cli
