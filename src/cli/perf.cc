// sextant perf: the driver. Each phase is a function below; Run() is their order.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

#include "base/files.h"
#include "base/host.h"
#include "base/stop.h"
#include "base/version.h"
#include "cli/command.h"
#include "cli/perf_options.h"
#include "cli/perf_progress.h"
#include "load/measurement.h"
#include "run/print.h"
#include "run/run_file.h"

namespace sextant::cli {
namespace {

// Where requests go.
struct Target {
  kserve::Protocol protocol = kserve::Protocol::kHttp;
  net::HostPort where;
  std::string path_prefix;
  net::Address address;
  std::string authority;
};

// What is known of the server and the model.
struct Subject {
  kserve::ServerMetadata server;
  kserve::ModelMetadata metadata;
  std::optional<kserve::ModelConfig> config;
  load::ModelSignature signature;
  bool statistics = false;
  bool binary_tensors = true;
  std::vector<std::string> absent;  // said once
};

// What the options amount to, beyond what the table checks.
struct Plan {
  std::vector<double> percentiles;
  std::map<std::string, kserve::Shape> shapes;
  std::map<std::string, load::Range> ranges;
  uint64_t seed = 0;
  size_t workers = 1;
  load::MeasureOptions measure;
  std::vector<run::LoadPoint> points;
  Target target;  // without its address
};

Result<Target> ParseUrl(const PerfOptions& options) {
  Target target{.protocol = options.protocol};
  std::string_view text = options.url;
  if (const size_t scheme_end = text.find("://"); scheme_end != std::string_view::npos) {
    const std::string_view scheme = text.substr(0, scheme_end);
    text.remove_prefix(scheme_end + 3);
    if (scheme == "grpc") {
      target.protocol = kserve::Protocol::kGrpc;
    } else if (scheme != "http") {
      return InvalidArgument(
          Format("--url: the scheme '{}' is not supported; there are http and grpc",
                 Printable(scheme, 20)));
    }
  }
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    target.path_prefix = text.substr(slash);
    while (target.path_prefix.ends_with('/')) target.path_prefix.pop_back();
    text = text.substr(0, slash);
  }
  const int port = target.protocol == kserve::Protocol::kGrpc ? 8001 : 8000;
  Result<net::HostPort> where = net::ParseHostPort(text.empty() ? "localhost" : text, port);
  if (!where.has_value()) return std::move(where).error().In("--url");
  target.where = *std::move(where);
  if (target.protocol == kserve::Protocol::kGrpc && !target.path_prefix.empty())
    return InvalidArgument("--url: gRPC has no path prefix");
  const bool v6 = target.where.host.find(':') != std::string::npos;
  target.authority =
      Format("{}{}{}:{}", v6 ? "[" : "", target.where.host, v6 ? "]" : "", target.where.port);
  return target;
}

Result<std::vector<double>> ParsePercentiles(std::string_view text) {
  std::vector<double> out;
  for (const std::string_view part : Split(text, ',')) {
    const auto value = ParseDouble(TrimSpace(part));
    if (!value || *value <= 0 || *value >= 100) {
      return InvalidArgument(
          Format("--percentiles '{}': must be numbers between 0 and 100, such as 50,99,99.9",
                 Printable(text, 60)));
    }
    out.push_back(*value / 100);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<void> ParseShape(std::string_view text, std::map<std::string, kserve::Shape>& shapes) {
  const auto fault = [&] {
    return InvalidArgument(
        Format("--shape '{}': write NAME:D1,D2 with positive numbers", Printable(text, 60)));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return fault();
  kserve::Shape shape;
  for (const std::string_view part : Split(text.substr(colon + 1), ',')) {
    const auto dim = ParseInt(TrimSpace(part));
    if (!dim || *dim < 1) return fault();
    shape.push_back(*dim);
  }
  shapes[std::string(text.substr(0, colon))] = shape;
  return {};
}

Result<void> ParseRandomRange(std::string_view text, std::map<std::string, load::Range>& ranges) {
  const auto fault = [&] {
    return InvalidArgument(
        Format("--random-range '{}': write LOW:HIGH or NAME=LOW:HIGH", Printable(text, 60)));
  };
  const size_t equals = text.rfind('=');
  const std::string name(equals == std::string_view::npos ? "" : text.substr(0, equals));
  const auto bounds = Split(equals == std::string_view::npos ? text : text.substr(equals + 1), ':');
  if (bounds.size() != 2) return fault();
  const auto low = ParseDouble(bounds[0]), high = ParseDouble(bounds[1]);
  if (!low || !high || *high <= *low) return fault();
  ranges[name] = {*low, *high};
  return {};
}

// All mistakes that the option table cannot see, at once.
std::vector<options::Mistake> MakePlan(const PerfOptions& options, Plan& plan) {
  std::vector<options::Mistake> mistakes;
  const auto add = [&](std::string text) { mistakes.push_back({"command line", std::move(text)}); };
  const auto check = [&](const Result<void>& result) {
    if (!result.has_value()) add(result.error().message());
  };
  if (options.model.empty() && !options.self_test)
    add("-m, --model-name NAME is required: the model to measure");
  if (options.concurrency && options.rate)
    add("--concurrency-range and --request-rate-range exclude each other: one closes the loop, the "
        "other opens it");
  if (!options.rate && options.max_in_flight > 0)
    add("--max-in-flight belongs to --request-rate-range");
  if (options.requests && options.duration.time)
    add("--requests and --duration exclude each other");
  for (const std::string& file : {options.csv_file, options.output_file}) {
    const std::string directory =
        file.find('/') == std::string::npos ? "." : file.substr(0, file.rfind('/') + 1);
    if (!file.empty() && !IsDirectory(directory))
      add(Format("'{}': the directory does not exist", file));
  }
  if (Result<Target> target = ParseUrl(options); target.has_value()) {
    plan.target = *std::move(target);
  } else {
    add(target.error().message());
  }
  for (const std::string& shape : options.shapes) check(ParseShape(shape, plan.shapes));
  for (const std::string& range : options.random_ranges)
    check(ParseRandomRange(range, plan.ranges));
  if (Result<std::vector<double>> percentiles = ParsePercentiles(options.percentiles);
      percentiles.has_value()) {
    plan.percentiles = *std::move(percentiles);
  } else {
    add(percentiles.error().message());
  }
  const bool has_files =
      std::any_of(options.input_data.begin(), options.input_data.end(),
                  [](const std::string& s) { return s != "zero" && s != "random"; });
  if (options.input_data.size() > 1) add("--input-data is given more than once");
  if (has_files && !plan.ranges.empty()) add("--random-range belongs to random data");

  plan.seed = options.seed ? *options.seed : std::random_device()();
  double most = 1;
  for (const double batch : options.batch.values) {
    const std::vector<double>& values = options.rate          ? options.rate->values
                                        : options.concurrency ? options.concurrency->values
                                                              : std::vector<double>{1};
    for (const double value : values) {
      plan.points.push_back(
          {.mode = options.rate ? run::LoadMode::kRequestRate : run::LoadMode::kConcurrency,
           .value = value,
           .batch_size = static_cast<int64_t>(batch),
           .arrivals =
               options.rate ? std::string(load::ArrivalsName(options.distribution)) : "closed"});
      most = std::max(most, value);
    }
  }
  plan.workers = options.workers;
  if (plan.workers == 0) {
    plan.workers = static_cast<size_t>(std::max(1, ReadHostFacts().cores_usable / 2));
    if (!options.rate) plan.workers = std::min(plan.workers, static_cast<size_t>(most));
  }

  load::MeasureOptions& m = plan.measure;
  m.percentiles = plan.percentiles;
  m.spin = options.spin;
  if (options.requests)
    m.window = {.kind = load::WindowRule::Kind::kRequests, .requests = *options.requests};
  if (options.duration.time)
    m.window = {.kind = load::WindowRule::Kind::kTime, .time = *options.duration.time};
  if (options.warmup.requests)
    m.warmup = {.kind = load::WarmupRule::Kind::kRequests, .requests = *options.warmup.requests};
  if (options.warmup.time)
    m.warmup = {.kind = load::WarmupRule::Kind::kTime, .time = *options.warmup.time};
  m.drain_limit = options.timeout > Nanos(0) ? options.timeout + 1s : Nanos(60s);
  return mistakes;
}

// Inputs and outputs of one row, from metadata and, where there is one, the configuration.
load::ModelSignature MakeSignature(const std::string& name, const kserve::ModelMetadata& metadata,
                                   const std::optional<kserve::ModelConfig>& config,
                                   std::vector<std::string>& absent) {
  load::ModelSignature out{.name = name, .inputs = metadata.inputs, .outputs = metadata.outputs};
  bool batches = false;
  if (config) {
    out.max_batch_size = config->max_batch_size();
    batches = out.max_batch_size > 0;
    for (const kserve::TensorMetadata& input : out.inputs) {
      bool optional = false;
      for (const auto& entry : config->input())
        optional |= entry.name() == input.name && entry.optional();
      out.optional_inputs.push_back(optional);
    }
  } else {
    // Without a configuration, a first dimension that every tensor leaves open is taken for the
    // batch's.
    const auto open = [](const kserve::TensorMetadata& t) {
      return !t.shape.empty() && t.shape[0] == -1;
    };
    batches = !out.inputs.empty() && std::all_of(out.inputs.begin(), out.inputs.end(), open) &&
              std::all_of(out.outputs.begin(), out.outputs.end(), open);
    out.max_batch_size = batches ? INT32_MAX : 0;
    absent.push_back(Format("no model configuration: the model is taken {}",
                            batches ? "to batch along its first dimension" : "not to batch"));
    out.optional_inputs.assign(out.inputs.size(), false);
  }
  if (batches) {
    for (auto* tensors : {&out.inputs, &out.outputs}) {
      for (kserve::TensorMetadata& tensor : *tensors) {
        if (!tensor.shape.empty()) tensor.shape.erase(tensor.shape.begin());
      }
    }
  }
  return out;
}

bool Has(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Asks the server what it is and what the model is. What a plain KServe server lacks is noted.
Result<Subject> AskServer(const PerfOptions& options, const Target& target,
                          kserve::ControlClient& client) {
  Subject subject;
  Result<kserve::ServerMetadata> server = client.FetchServerMetadata();
  if (server.has_value()) {
    subject.server = *std::move(server);
  } else if (server.error().code() == ErrorCode::kUnavailable ||
             server.error().code() == ErrorCode::kDeadlineExceeded ||
             server.error().code() == ErrorCode::kCorrupt) {
    return std::move(server).error().In(Format("the server at {}", target.authority));
  } else {
    subject.absent.push_back("no server metadata: " + server.error().message());
  }
  SEXTANT_ASSIGN(subject.metadata, client.FetchModelMetadata(options.model, options.model_version),
                 Format("model '{}'", options.model));
  if (subject.metadata.inputs.empty())
    return InvalidArgument(Format("model '{}': its metadata lists no inputs", options.model));
  Result<kserve::ModelConfig> config =
      client.FetchModelConfig(options.model, options.model_version);
  if (config.has_value()) subject.config = *std::move(config);
  subject.signature =
      MakeSignature(options.model, subject.metadata, subject.config, subject.absent);
  if (subject.config && subject.config->model_transaction_policy().decoupled()) {
    return Unsupported(
        Format("model '{}' is decoupled: it answers a request with any number of responses, which "
               "needs a stream",
               options.model));
  }
  if (subject.config && subject.config->has_sequence_batching()) {
    return Unsupported(Format("model '{}' batches sequences: its requests must carry sequence ids",
                              options.model));
  }
  subject.statistics = client.FetchStatistics(options.model, options.model_version).has_value();
  if (!subject.statistics)
    subject.absent.emplace_back(
        "no model statistics: server-side queue and compute times are not reported");
  if (target.protocol == kserve::Protocol::kHttp && !subject.server.extensions.empty()) {
    subject.binary_tensors = Has(subject.server.extensions, "binary_tensor_data");
    if (!subject.binary_tensors)
      subject.absent.emplace_back("no binary tensor data extension: inputs are sent as JSON");
  }
  return subject;
}

Result<load::DataSet> MakeData(const PerfOptions& options, const Plan& plan,
                               const load::ModelSignature& model) {
  for (const auto& [name, shape] : plan.shapes) {
    const bool known = std::any_of(model.inputs.begin(), model.inputs.end(),
                                   [&](const auto& i) { return i.name == name; });
    if (!known)
      return InvalidArgument(Format("--shape: the model has no input '{}'", Printable(name, 60)));
  }
  const std::string source = options.input_data.empty() ? "random" : options.input_data.front();
  if (source != "zero" && source != "random") {
    SEXTANT_ASSIGN(const MappedFile file, MappedFile::Open(source), "--input-data");
    return load::ParseJsonData(file.bytes(), source, model, {.shapes = plan.shapes});
  }
  return load::GenerateData(model, {.zero = source == "zero",
                                    .seed = plan.seed,
                                    .shapes = plan.shapes,
                                    .ranges = plan.ranges,
                                    .string_length = options.string_length,
                                    .string_data = options.string_data});
}

text::Json HostJson() {
  const HostFacts facts = ReadHostFacts();
  text::Json out{text::Json::Object()};
  out.Set("name", facts.name);
  out.Set("kernel", facts.kernel);
  out.Set("cpu_model", facts.cpu_model);
  out.Set("cores_online", facts.cores_online);
  out.Set("cores_usable", facts.cores_usable);
  if (facts.cpu_quota) out.Set("cpu_quota", *facts.cpu_quota);
  if (facts.memory_bytes) out.Set("memory_bytes", *facts.memory_bytes);
  out.Set("clock_source", facts.clock_source);
  out.Set("governor", facts.governor);
  out.Set("open_files", facts.open_files_soft);
  return out;
}

text::Json MakeHeader(const PerfOptions& options, const Plan& plan, const Subject& subject,
                      const load::DataSet& data) {
  text::Json header{text::Json::Object()};
  header.Set("tool", Format("sextant {}", Version()));
  header.Set("command", "perf");
  header.Set("started", FormatWallTime(WallNow()));
  text::Json settings{text::Json::Object()};
  for (const options::Row& row : PerfTable().rows()) settings.Set(row.spec.name, row.get(&options));
  header.Set("options", std::move(settings));
  header.Set("seed", plan.seed);
  header.Set("workers", static_cast<uint64_t>(plan.workers));
  header.Set("host", HostJson());
  text::Json server{text::Json::Object()};
  server.Set("address", plan.target.address.text());
  server.Set("authority", plan.target.authority);
  server.Set("protocol", kserve::ProtocolName(plan.target.protocol));
  server.Set("name", subject.server.name);
  server.Set("version", subject.server.version);
  text::Json::Array extensions;
  for (const std::string& extension : subject.server.extensions) extensions.emplace_back(extension);
  server.Set("extensions", std::move(extensions));
  header.Set("server", std::move(server));
  text::Json model{text::Json::Object()};
  model.Set("name", options.model);
  model.Set("version", options.model_version);
  if (Result<text::Json> metadata = text::ParseJson(kserve::ToJson(subject.metadata));
      metadata.has_value())
    model.Set("metadata", *std::move(metadata));
  if (subject.config) {
    if (Result<text::Json> config = text::ParseJson(kserve::ModelConfigToJson(*subject.config));
        config.has_value())
      model.Set("config", *std::move(config));
  }
  header.Set("model", std::move(model));
  header.Set("data", data.description());
  text::Json::Array levels;
  for (const run::LoadPoint& point : plan.points)
    levels.emplace_back(Format("{}, batch {}", run::DescribeLoad(point), point.batch_size));
  header.Set("planned", std::move(levels));
  return header;
}

void PrintBanner(const PerfOptions& options, const Plan& plan, const Subject& subject,
                 const load::DataSet& data) {
  std::fputs(Format("*** Measurement Settings ***\n"
                    "  Model: {}{} on {} {} at {} ({})\n"
                    "  Input data: {}\n"
                    "  Load: {} level{}, {}\n"
                    "  Client: {} worker{}, seed {}, request timeout {}\n",
                    options.model,
                    options.model_version.empty() ? "" : " version " + options.model_version,
                    subject.server.name, subject.server.version, plan.target.authority,
                    kserve::ProtocolName(plan.target.protocol), data.description(),
                    plan.points.size(), plan.points.size() == 1 ? "" : "s",
                    options.rate
                        ? Format("open loop, {} arrivals", load::ArrivalsName(options.distribution))
                        : "closed loop",
                    plan.workers, plan.workers == 1 ? "" : "s", plan.seed,
                    options.timeout > Nanos(0) ? FormatDuration(options.timeout) : "none")
                 .c_str(),
             stdout);
  for (const std::string& absent : subject.absent)
    std::fputs(Format("  Note: {}\n", absent).c_str(), stdout);
  for (const kserve::TensorMetadata& input : subject.signature.inputs) {
    const bool open =
        std::any_of(input.shape.begin(), input.shape.end(), [](int64_t d) { return d < 0; });
    if (open && !plan.shapes.contains(input.name) && options.input_data.empty()) {
      std::fputs(
          Format(
              "  Note: input '{}' has shape {}: open dimensions are taken as 1 (--shape {}:...)\n",
              input.name, kserve::FormatShape(input.shape), input.name)
              .c_str(),
          stdout);
    }
  }
  std::fputs("\n", stdout);
}

// Requests for every batch size of the plan, checked before the first one is sent.
Result<std::map<int64_t, std::unique_ptr<load::RequestSet>>> EncodeRequests(
    const PerfOptions& options, const Plan& plan, const Subject& subject,
    const load::DataSet& data) {
  std::map<int64_t, std::unique_ptr<load::RequestSet>> out;
  for (const run::LoadPoint& point : plan.points) {
    if (out.contains(point.batch_size)) continue;
    SEXTANT_ASSIGN(out[point.batch_size],
                   load::RequestSet::Encode(subject.signature, data,
                                            {.protocol = plan.target.protocol,
                                             .authority = plan.target.authority,
                                             .path_prefix = plan.target.path_prefix,
                                             .model_version = options.model_version,
                                             .batch_size = point.batch_size,
                                             .json_tensors = !subject.binary_tensors,
                                             .check_outputs = !data.expected().empty()}));
  }
  return out;
}

// The verdict over all levels.
int Judge(const PerfOptions& options, const std::vector<run::Level>& levels) {
  int exit_code = kExitOk;
  bool any_success = false;
  for (const run::Level& level : levels) {
    any_success |= level.succeeded > 0;
    const std::string where =
        Format("{}, batch {}", run::DescribeLoad(level.load), level.load.batch_size);
    if (options.max_error_rate && level.error_rate() > *options.max_error_rate) {
      std::fputs(Format("sextant perf: {}: {:.3g}% of the requests failed, more than "
                        "--max-error-rate allows ({:.3g}%)\n",
                        where, level.error_rate() * 100, *options.max_error_rate * 100)
                     .c_str(),
                 stderr);
      exit_code = kExitVerdict;
    }
    const double wrong =
        level.checked_outputs == 0
            ? 0
            : static_cast<double>(level.wrong_outputs) / static_cast<double>(level.checked_outputs);
    if (options.max_wrong_outputs && wrong > *options.max_wrong_outputs) {
      std::fputs(Format("sextant perf: {}: {:.3g}% of the outputs were wrong, more than "
                        "--max-wrong-outputs allows ({:.3g}%)\n",
                        where, wrong * 100, *options.max_wrong_outputs * 100)
                     .c_str(),
                 stderr);
      exit_code = kExitVerdict;
    }
  }
  if (!any_success && !levels.empty() && exit_code == kExitOk) {
    std::fputs("sextant perf: not one request succeeded\n", stderr);
    exit_code = kExitFailure;
  }
  return exit_code;
}

int Fail(const Error& error) {
  PrintError("perf", error);
  return error.code() == ErrorCode::kInvalidArgument ? kExitUsage : kExitFailure;
}

int Run(std::span<const std::string_view> arguments) {
  PerfOptions options;
  static const PerfOptions defaults;
  Plan plan;
  if (const auto exit_code = ParseOrExit(PerfTable(), &options, &defaults, arguments,
                                         [&] { return MakePlan(options, plan); }))
    return *exit_code;
  RaiseOpenFileLimit();
  if (options.self_test) return RunSelfTest(options);

  // Everything that can be wrong is found out before the first request.
  Target& target = plan.target;
  Result<net::Address> address = net::FindListening(target.where, options.control_timeout);
  if (!address.has_value()) return Fail(address.error());
  target.address = *address;
  auto control = kserve::MakeControlClient(target.protocol, target.address, target.authority,
                                           target.path_prefix, options.control_timeout);
  if (!control.has_value()) return Fail(control.error());
  Result<Subject> subject = AskServer(options, target, **control);
  if (!subject.has_value()) return Fail(subject.error());
  Result<load::DataSet> data = MakeData(options, plan, subject->signature);
  if (!data.has_value()) return Fail(data.error());
  auto requests = EncodeRequests(options, plan, *subject, *data);
  if (!requests.has_value()) return Fail(requests.error());
  std::optional<run::RunWriter> run_file;
  if (!options.output_file.empty()) {
    Result<run::RunWriter> created =
        run::RunWriter::Create(options.output_file, MakeHeader(options, plan, *subject, *data));
    if (!created.has_value()) return Fail(created.error());
    run_file = *std::move(created);
  }
  Result<StopSignals> stop = StopSignals::Install();
  if (!stop.has_value()) return Fail(stop.error());
  auto generator = load::Generator::Start(
      {.channel = {.protocol = target.protocol,
                   .address = target.address,
                   .authority = target.authority,
                   .timeout = options.timeout,
                   .max_connections = options.connections == 0
                                          ? 0
                                          : std::max<size_t>(1, options.connections / plan.workers),
                   .keep_bodies = !data->expected().empty()},
       .timeout = options.timeout,
       .spin = options.spin},
      plan.workers);
  if (!generator.has_value()) return Fail(generator.error());
  if (!options.quiet) PrintBanner(options, plan, *subject, *data);

  // The levels, one after the other; each is on paper before the next begins.
  std::vector<run::Level> levels;
  ProgressPrinter progress(options.progress, plan.points.size());
  std::optional<Error> lost;
  for (const run::LoadPoint& point : plan.points) {
    if (stop->received()) break;
    progress.StartLevel(point);
    load::MeasureHooks hooks{
        .progress = [&](const load::LiveFigures& figures) { progress.Show(figures); },
        .stop = [&] { return stop->received().has_value(); },
        .statistics = {}};
    if (subject->statistics)
      hooks.statistics = [&] {
        return (*control)->FetchStatistics(options.model, options.model_version);
      };
    levels.push_back((*generator)
                         ->Measure({.load = point,
                                    .requests = (*requests)[point.batch_size].get(),
                                    .arrivals = options.distribution,
                                    .max_in_flight = options.max_in_flight,
                                    .connections = options.connections,
                                    .seed = plan.seed},
                                   plan.measure, hooks));
    progress.EndLevel(levels.back());
    if (run_file) {
      if (Result<void> appended = run_file->Append(levels.back()); !appended.has_value())
        lost = std::move(appended).error();
    }
    if (!options.quiet) std::fputs((run::FormatLevel(levels.back()) + "\n").c_str(), stdout);
    std::fflush(stdout);
  }

  std::fputs(run::FormatTable(levels).c_str(), stdout);
  int exit_code = Judge(options, levels);
  if (!options.csv_file.empty()) {
    if (Result<void> written =
            WriteFileAtomic(options.csv_file, run::FormatPerfAnalyzerCsv(levels));
        !written.has_value())
      lost = std::move(written).error();
  }
  if (stop->received()) exit_code = ExitCodeForSignal(*stop->received());
  if (run_file) {
    if (Result<void> finished =
            run_file->Finish(stop->received() ? "interrupted" : "complete", exit_code);
        !finished.has_value())
      lost = std::move(finished).error();
  }
  if (lost) {
    PrintError("perf", *lost);
    if (exit_code == kExitOk) exit_code = kExitFailure;
  }
  return exit_code;
}

}  // namespace

Command PerfCommand() {
  static const PerfOptions defaults;
  return {&PerfTable(), &defaults, Run};
}

}  // namespace sextant::cli
