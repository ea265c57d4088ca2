#include "cli/perf_compat_options.h"

#include "cli/perf_options.h"

namespace sextant::options {

template <>
struct EnumNames<cli::Compat> {
  static constexpr std::pair<std::string_view, cli::Compat> kNames[] = {
      {"none", cli::Compat::kNone}, {"perf_analyzer", cli::Compat::kPerfAnalyzer}};
};
template <>
struct EnumNames<cli::MeasurementMode> {
  static constexpr std::pair<std::string_view, cli::MeasurementMode> kNames[] = {
      {"time_windows", cli::MeasurementMode::kTimeWindows},
      {"count_windows", cli::MeasurementMode::kCountWindows}};
};
template <>
struct EnumNames<cli::TensorFormat> {
  static constexpr std::pair<std::string_view, cli::TensorFormat> kNames[] = {
      {"binary", cli::TensorFormat::kBinary}, {"json", cli::TensorFormat::kJson}};
};
// One kind is spoken; of the others the error says what to do instead.
template <>
struct ValueType<cli::ServiceKind> {
  static Result<cli::ServiceKind> Parse(std::string_view text, const Limits&) {
    if (EqualsIgnoreCase(text, "triton")) return cli::ServiceKind::kTriton;
    constexpr std::pair<std::string_view, std::string_view> kInstead[] = {
        {"openai", "OpenAI endpoints are not measured here: NVIDIA's genai-perf does that"},
        {"tfserving",
         "serve the model with Triton's TensorFlow backend or OpenVINO Model Server, which speak "
         "KServe v2, and give their address to -u"},
        {"torchserve",
         "start TorchServe with TS_OPEN_INFERENCE_PROTOCOL=oip, give its gRPC address to -u, and "
         "leave --service-kind out"},
        {"triton_c_api",
         "there is no server inside this process: start tritonserver, or 'sextant serve', on "
         "loopback and give its address to -u"},
        {"dynamic_grpc", "gRPC services other than KServe v2 are not measured here: ghz does that"},
    };
    for (const auto& [kind, instead] : kInstead) {
      if (EqualsIgnoreCase(text, kind)) return Unsupported(std::string(instead));
    }
    return InvalidArgument("must be triton, which is any server that speaks KServe v2");
  }
  static std::string Format_(cli::ServiceKind) { return "triton"; }
  static std::string Describe(const Limits&) { return "triton"; }
  static text::Json Schema(const Limits&) { return EnumSchema({"triton"}); }
};

}  // namespace sextant::options

namespace sextant::cli {
namespace {

using O = PerfOptions;

void AddWindowRows(options::Table<O>& t) {
  t.Group("perf_analyzer's windows");
  t.Add(&O::compat,
        {.name = "compat",
         .value = "TOOL",
         .help = "Defaults, report, files and exit codes of that tool, in which no figure is "
                 "imitated that it gets wrong. On when the program is started under the name "
                 "perf_analyzer or perf_client."});
  t.Add(&O::measurement_interval_ms,
        {.name = "measurement-interval",
         .letter = 'p',
         .value = "MS",
         .help = "Measures windows of 1.2 times so many milliseconds, until the last three agree; "
                 "they are the level's result.",
         .limits = {1, 3.6e6},
         .default_text = "5000 where windows are asked for"});
  t.Add(&O::measurement_mode, {.name = "measurement-mode",
                               .value = "MODE",
                               .help = "What ends a window: a time, or a number of answers.",
                               .default_text = "time_windows"});
  t.Add(&O::measurement_request_count, {.name = "measurement-request-count",
                                        .value = "N",
                                        .help = "Answers in a window of count_windows, at least.",
                                        .limits = {1},
                                        .default_text = "50"});
  t.Add(&O::stability_percentage,
        {.name = "stability-percentage",
         .letter = 's',
         .value = "PERCENT",
         .help = "Three windows agree when the highest throughput, and the highest latency, is so "
                 "much above the lowest at most.",
         .limits = {0},
         .default_text = "10"});
  t.Add(&O::max_trials,
        {.name = "max-trials",
         .letter = 'r',
         .value = "N",
         .help = "Windows of a level at most. Then the last three are reported, as not stable.",
         .limits = {1, 1e6},
         .default_text = "10"});
  t.Add(&O::percentile,
        {.name = "percentile",
         .aliases = {"percent"},
         .value = "P",
         .help = "That percentile of latency, instead of the average, is what must agree, and is "
                 "reported; -1: the average.",
         .limits = {-1, 99},
         .default_text = "-1"});
}

void AddOtherRows(options::Table<O>& t) {
  t.Group("Coming from perf_analyzer");
  t.Add(&O::service_kind, {.name = "service-kind",
                           .value = "KIND",
                           .help = "triton: any server that speaks KServe v2."});
  t.Add(&O::bls_composing_models,
        {.name = "bls-composing-models",
         .value = "NAME[:VERSION],...",
         .help = "Models that the model calls by itself: their statistics are reported too. Those "
                 "of an ensemble are known."});
  t.Add(&O::input_format, {.name = "input-tensor-format",
                           .value = "FORMAT",
                           .help = "HTTP: how input tensors are sent."});
  t.Add(&O::output_format, {.name = "output-tensor-format",
                            .value = "FORMAT",
                            .help = "HTTP: how output tensors are asked for."});
  t.Add(&O::async, {.name = "async",
                    .letter = 'a',
                    .help = "Accepted: no request ever waits for a thread here. In "
                            "perf_analyzer's report it is named, and throughput alone may agree."});
  t.Add(&O::sync, {.name = "sync", .help = "Accepted, and of no effect: see --async."});
  t.Add(&O::max_threads, {.name = "max-threads",
                          .value = "N",
                          .help = "No more load threads than so many. No load needs many.",
                          .limits = {1},
                          .default_text = "no limit"});
  t.Add(&O::endpoint, {.name = "endpoint",
                       .value = "PATH",
                       .help = "Accepted, and of no effect: belongs to another service kind."});
  t.Add(&O::model_signature_name,
        {.name = "model-signature-name",
         .value = "NAME",
         .help = "Accepted, and of no effect: belongs to another service kind."});
  t.Add(&O::verbose, {.name = "verbose",
                      .letter = 'v',
                      .help = "Prints a line for each of perf_analyzer's windows."});
  t.Add(&O::verbose_csv,
        {.name = "verbose-csv", .help = "Further columns in --latency-report-file."});
  t.Add(&O::zero_input,
        {.name = "zero-input", .letter = 'z', .help = "Deprecated: --input-data zero."});
  t.Add(&O::data_directories,
        {.name = "data-directory", .value = "PATH", .help = "Deprecated: --input-data PATH."});
  t.Add(&O::concurrent_requests, {.name = "concurrent-requests",
                                  .letter = 't',
                                  .value = "N",
                                  .help = "Deprecated: start of --concurrency-range.",
                                  .limits = {1, 1e6}});
  t.Add(&O::max_concurrency, {.name = "max-concurrency",
                              .letter = 'c',
                              .value = "N",
                              .help = "Deprecated: end of --concurrency-range.",
                              .limits = {1, 1e6}});
  t.Add(
      &O::dynamic_concurrency,
      {.name = "dynamic-concurrency-mode", .letter = 'd', .help = "Deprecated, and of no effect."});
}

}  // namespace

void AddCompatRows(options::Table<PerfOptions>& t) {
  AddWindowRows(t);
  AddOtherRows(t);
  AddExportRows(t);
  t.Refuse("enable-mpi",
           "is not here: run one 'sextant perf' for each model or machine, each with --output");
  t.Refuse("session-concurrency",
           "belongs to OpenAI endpoints, which are not measured here: NVIDIA's genai-perf does "
           "that");
  t.Refuse("grpc-method",
           "belongs to gRPC services other than KServe v2, which are not measured here: ghz does "
           "that");
  for (const std::string_view name : {"triton-server-directory", "model-repository"}) {
    t.Refuse(name,
             "belongs to a server inside the client, which is not here: start tritonserver, or "
             "'sextant serve', on loopback and give its address to -u");
  }
  t.Refuse("proto", "is not here: the protocol is built in");
}

}  // namespace sextant::cli
