// sextant perf: the driver. Each phase is a function; Run() is their order.
#include <algorithm>
#include <cstdio>

#include "base/files.h"
#include "base/host.h"
#include "base/stop.h"
#include "cli/command.h"
#include "cli/perf_progress.h"
#include "cli/perf_record.h"
#include "run/print.h"
#include "run/run_file.h"

namespace sextant::cli {
namespace {

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
  const Target& target = plan.target;
  auto credentials =
      Credentials::Create(options, target, [](const Error& error) { PrintError("perf", error); });
  if (!credentials.has_value()) return Fail(credentials.error());
  Result<Connection> connection = Reach(target, options.control_timeout);
  if (!connection.has_value()) return Fail(connection.error());
  const load::Endpoint& first = connection->endpoints.front();
  auto control = kserve::MakeControlClient(
      target.protocol, first.address, first.authority, target.path_prefix, options.control_timeout,
      {.tls = first.tls.get(), .headers = [&] { return (*credentials)->headers(); }});
  if (!control.has_value()) return Fail(control.error());
  Result<Subject> subject = AskServer(options, target, **control);
  if (!subject.has_value()) return Fail(subject.error());
  Result<load::DataSet> data = MakeData(options, plan, subject->signature);
  if (!data.has_value()) return Fail(data.error());
  auto requests = EncodeRequests(options, plan, *subject, *data, *connection, **credentials);
  if (!requests.has_value()) return Fail(requests.error());
  std::optional<run::RunWriter> run_file;
  if (!options.output_file.empty()) {
    Result<run::RunWriter> created = run::RunWriter::Create(
        options.output_file, MakeHeader(options, plan, *connection, *subject, *data));
    if (!created.has_value()) return Fail(created.error());
    run_file = *std::move(created);
  }
  Result<StopSignals> stop = StopSignals::Install();
  if (!stop.has_value()) return Fail(stop.error());
  auto generator = load::Generator::Start(
      {.channel = {.protocol = target.protocol,
                   .endpoints = connection->endpoints,
                   .timeout = options.timeout,
                   .max_connections = options.connections == 0
                                          ? 0
                                          : std::max<size_t>(1, options.connections / plan.workers),
                   .keep_bodies = !data->expected().empty(),
                   .metadata = GrpcMetadata(options, **credentials),
                   .live_header = (*credentials)->live()},
       .timeout = options.timeout,
       .spin = options.spin,
       .retries = static_cast<uint16_t>(options.retries)},
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