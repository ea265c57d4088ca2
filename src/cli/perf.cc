// sextant perf: the driver. Each phase is a function; Run() is their order.
#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/host.h"
#include "base/stop.h"
#include "cli/command.h"
#include "cli/perf_arrivals.h"
#include "cli/perf_compat.h"
#include "cli/perf_data.h"
#include "cli/perf_merge.h"
#include "cli/perf_metrics.h"
#include "cli/perf_progress.h"
#include "cli/perf_record.h"
#include "cli/perf_report.h"
#include "cli/perf_shard.h"
#include "cli/perf_shared_memory.h"
#include "cli/perf_sweep.h"
#include "cli/perf_trace.h"
#include "run/run_file.h"

namespace sextant::cli {
namespace {

// The verdict over all levels.
int Judge(const PerfOptions& options, const std::vector<run::Level>& levels,
          const std::vector<load::Conclusion>& conclusions) {
  int exit_code = kExitOk;
  for (const load::Conclusion& conclusion : conclusions) {
    if (!conclusion.satisfied) exit_code = kExitVerdict;
  }
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

int Measure(std::span<const std::string_view> arguments, PerfOptions& options, bool& reported) {
  static const PerfOptions defaults;
  Plan plan;
  if (const auto exit_code = ParseOrExit(PerfTable(), &options, &defaults, arguments, [&] {
        ApplyCompat(options);
        return MakePlan(options, plan);
      }))
    return *exit_code;
  RaiseOpenFileLimit();
  if (options.self_test) return RunSelfTest(options);
  if (!options.merge.empty()) return RunMerge(options);

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
  Result<Subject> subject = AskServer(options, plan, **control);
  if (!subject.has_value()) return Fail(subject.error());
  // Each worker has sequences of its own.
  if (subject->streams.sequences != nullptr && options.rate)
    plan.workers = std::min(plan.workers, options.sequences);
  Result<load::DataSet> data = MakeData(options, plan, subject->signature);
  if (!data.has_value()) return Fail(data.error());
  if (FromFiles(options)) UseDataStreams(*data, subject->streams);
  if (Result<void> rows = CheckRows(plan, data->rows()); !rows.has_value())
    return Fail(rows.error());
  // From here on a signal ends the run in order: the server forgets what is ours.
  Result<StopSignals> stop = StopSignals::Install();
  if (!stop.has_value()) return Fail(stop.error());
  auto shared = SharedMemory::Open(options, plan, *subject, *data, **control);
  if (!shared.has_value()) return Fail(shared.error());
  const auto traces = TraceSettings::Set(options, **control);
  if (!traces.has_value()) return Fail(traces.error());
  auto requests = EncodeRequests(options, plan, *subject, *data, *connection, **credentials,
                                 *shared ? &(*shared)->tensors() : nullptr);
  if (!requests.has_value()) return Fail(requests.error());
  std::optional<run::RunWriter> run_file;
  if (!options.output_file.empty()) {
    Result<run::RunWriter> created = run::RunWriter::Create(
        options.output_file, MakeHeader(options, plan, *connection, *subject, *data));
    if (!created.has_value()) return Fail(created.error());
    run_file = *std::move(created);
  }
  auto generator =
      load::Generator::Start({.channel = {.protocol = target.protocol,
                                          .endpoints = connection->endpoints,
                                          .timeout = options.timeout,
                                          .max_connections = options.connections,
                                          .keep_bodies = !data->expected().empty(),
                                          .metadata = GrpcMetadata(options, **credentials),
                                          .streaming = subject->streams.streaming,
                                          .streams = options.streams,
                                          .decoupled = subject->streams.decoupled,
                                          .live_header = (*credentials)->live()},
                              .timeout = options.timeout,
                              .spin = options.spin,
                              .sequences = subject->streams.sequences,
                              .retries = static_cast<uint16_t>(options.retries)},
                             plan.workers);
  if (!generator.has_value()) return Fail(generator.error());
  if (*shared) subject->absent.push_back("shared memory: " + (*shared)->Describe());
  const std::unique_ptr<Reporter> reporter = MakeReporter(options, plan, *subject, *data);
  reporter->Banner();
  auto metrics = StartMetrics(options, target);
  if (!metrics.has_value()) return Fail(metrics.error());

  // The levels, one after the other; each is on paper before the next begins.
  std::vector<run::Level> levels;
  std::vector<load::Conclusion> conclusions;
  ProgressPrinter progress(options.progress, IsSearch(options) ? 0 : plan.points.size());
  std::optional<Error> lost;
  Instant start_at = plan.start_at ? SteadyNow() + (*plan.start_at - WallNow()) : Instant::min();
  const auto keep = [&](Result<void> written) {
    if (!written.has_value()) lost = std::move(written).error();
  };
  for (const std::unique_ptr<load::Sweep>& sweep : MakeSweeps(options, plan)) {
    while (!stop->received()) {
      const std::optional<load::Probe> probe = sweep->Next();
      if (!probe) break;
      reporter->StartLevel(probe->load);
      progress.StartLevel(probe->load);
      bool given_up = false;
      load::MeasureHooks hooks{
          .progress =
              [&](const load::LiveFigures& figures) {
                given_up = given_up || sweep->GiveUp(figures);
                progress.Show(figures);
              },
          .stop = [&] { return given_up || stop->received().has_value(); },
          .edge = {},
          .statistics = {},
          .model = options.model,
          .trial = [&](const load::TrialFigures& figures) { reporter->Trial(figures); }};
      if (*metrics) hooks.edge = [&] { (*metrics)->Edge(); };
      if (subject->statistics)
        hooks.statistics = [&] {
          return FetchAllStatistics(**control, {options.model, options.model_version},
                                    subject->composing);
        };
      run::Level level = (*generator)
                             ->Measure({.load = ShareOf(probe->load, plan.shard),
                                        .requests = (*requests)[probe->load.batch_size].get(),
                                        .arrivals = plan.arrivals,
                                        .order = plan.order,
                                        .shard = plan.shard,
                                        .rate = probe->load.value,
                                        .start_at = std::exchange(start_at, Instant::min()),
                                        .max_in_flight = MaxInFlight(options, shared->get()),
                                        .connections = options.connections,
                                        .seed = plan.seed,
                                        .sequences = options.sequences,
                                        .serial_sequences = options.serial_sequences},
                                       MeasureFor(*probe, plan), hooks);
      if (*metrics) RecordMetrics(**metrics, level);
      if (!stop->received()) sweep->Report(level);
      progress.EndLevel(level);
      if (run_file) keep(run_file->Append(level));
      reporter->EndLevel(level);
      levels.push_back(std::move(level));
    }
    if (auto conclusion = sweep->Conclude()) {
      if (run_file) keep(run_file->AppendSearch(conclusion->record));
      conclusions.push_back(*std::move(conclusion));
    }
  }

  // A server does not let go of regions that a request in flight still refers to: Triton keeps one
  // for ever when its connection ends first.
  if (*shared) (*generator)->Drain(std::min<Nanos>(plan.measure.drain_limit, 10s));
  reporter->End(levels);
  for (const load::Conclusion& conclusion : conclusions) reporter->Conclude(conclusion);
  int exit_code = Judge(options, levels, conclusions);
  if (Result<void> written = WriteCsvFiles(options, plan, levels); !written.has_value())
    lost = std::move(written).error();
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
  reported = true;
  return reporter->ExitCode(exit_code, levels);
}

int Run(std::span<const std::string_view> arguments) {
  if (PrintPerfVersion(arguments)) return kExitOk;
  PerfOptions options;
  bool reported = false;
  const int exit_code = Measure(arguments, options, reported);
  if (reported || options.compat == Compat::kNone) return exit_code;
  return PerfAnalyzerExitCode(exit_code, {});
}

}  // namespace

Command PerfCommand() {
  static const PerfOptions defaults;
  return {&PerfTable(), &defaults, Run};
}

}  // namespace sextant::cli
