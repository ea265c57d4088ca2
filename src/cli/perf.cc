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
#include "cli/perf_mixed.h"
#include "cli/perf_progress.h"
#include "cli/perf_record.h"
#include "cli/perf_report.h"
#include "cli/perf_server.h"
#include "cli/perf_shard.h"
#include "cli/perf_shared_memory.h"
#include "cli/perf_sweep.h"
#include "cli/perf_trace.h"
#include "run/print_failures.h"
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
    if (options.max_error_rate && level.error_rate() > options.max_error_rate->value) {
      std::fputs(Format("{}: {}: {:.3g}% of the requests failed, more than "
                        "--max-error-rate allows ({:.3g}%)\n",
                        ProgramName("perf"), where, level.error_rate() * 100,
                        options.max_error_rate->value * 100)
                     .c_str(),
                 stderr);
      exit_code = kExitVerdict;
    }
    const double wrong =
        level.checked_outputs == 0
            ? 0
            : static_cast<double>(level.wrong_outputs) / static_cast<double>(level.checked_outputs);
    if (options.max_wrong_outputs && wrong > options.max_wrong_outputs->value) {
      std::fputs(
          Format("{}: {}: {:.3g}% of the outputs were wrong, more than "
                 "--max-wrong-outputs allows ({:.3g}%)\n",
                 ProgramName("perf"), where, wrong * 100, options.max_wrong_outputs->value * 100)
              .c_str(),
          stderr);
      exit_code = kExitVerdict;
    }
  }
  if (!any_success && !levels.empty() && exit_code == kExitOk) {
    const std::string reason = run::FirstFailure(levels);
    std::fputs(Format("{}: not one request succeeded{}\n", ProgramName("perf"),
                      reason.empty() ? "" : "; the first failed with " + reason)
                   .c_str(),
               stderr);
    exit_code = kExitFailure;
  }
  return exit_code;
}

// All that a measurement needs. What the server is to forget is undone in the reverse order.
struct Setup {
  std::unique_ptr<Credentials> credentials;
  Connection connection;
  std::unique_ptr<kserve::ControlClient> control;
  Subject subject;
  std::optional<load::DataSet> data;
  MixedModels mix;  // --mix: each model's; subject is the whole then
  std::optional<StopSignals> stop;
  std::unique_ptr<SharedMemory> shared;
  std::unique_ptr<TraceSettings> traces;
  std::map<int64_t, std::unique_ptr<load::RequestSet>> requests;  // by batch size
  std::optional<run::RunWriter> run_file;
  std::unique_ptr<ExportFile> profile_export;
  std::unique_ptr<load::Generator> generator;
  std::unique_ptr<Reporter> reporter;
  std::unique_ptr<metrics::Collector> metrics;

  // The first model's, where there are several.
  const load::DataSet& any_data() const { return mix.empty() ? *data : *mix.front()->data; }
};

// What has been measured, and what went wrong with keeping it.
struct Outcome {
  std::vector<run::Level> levels;
  std::vector<load::Conclusion> conclusions;
  std::optional<Error> lost;

  void Keep(Result<void> written) {
    if (!written.has_value()) lost = std::move(written).error();
  }
};

// Asks the server and reads the data.
Result<void> Learn(const PerfOptions& options, Plan& plan, Setup& setup) {
  const Target& target = plan.target;
  SEXTANT_ASSIGN(setup.credentials, Credentials::Create(options, target, [](const Error& error) {
                   PrintError("perf", error);
                 }));
  SEXTANT_TRY(WaitReady(options, target, *setup.credentials));
  SEXTANT_ASSIGN(setup.connection, Reach(target, options.control_timeout));
  SEXTANT_ASSIGN(setup.control, MakeControl(target, setup.connection, *setup.credentials,
                                            options.control_timeout));
  if (!plan.mix.empty()) {
    SEXTANT_ASSIGN(setup.mix, LearnMix(options, plan, *setup.control));
    setup.subject = DescribeMixed(setup.mix);
    return {};
  }
  SEXTANT_ASSIGN(setup.subject,
                 ExplainFailure(AskServer(options, plan, *setup.control), options, target,
                                setup.connection.endpoints.front(), *setup.control));
  // Each worker has sequences of its own.
  if (setup.subject.streams.sequences != nullptr && options.rate)
    plan.workers = std::min(plan.workers, options.sequences);
  // For these, too, perf_analyzer is content with throughputs that agree.
  if (setup.subject.streams.streaming || (setup.subject.streams.sequences && !options.sync))
    plan.measure.window.trials.throughput_suffices = true;
  SEXTANT_ASSIGN(setup.data, MakeData(options, plan, setup.subject.signature));
  if (FromFiles(options)) UseDataStreams(*setup.data, setup.subject.streams);
  return FollowData(options, *setup.data, plan);
}

// Whether outputs are compared with what is expected.
bool ChecksOutputs(const Setup& setup) {
  if (setup.data) return !setup.data->expected().empty();
  return std::any_of(setup.mix.begin(), setup.mix.end(),
                     [](const auto& model) { return !model->data->expected().empty(); });
}

load::WorkerOptions WorkerOptionsOf(const PerfOptions& options, const Setup& setup,
                                    kserve::Protocol protocol) {
  const bool keep_bodies =
      ChecksOutputs(setup) || (setup.profile_export && setup.profile_export->needs_bodies());
  load::WorkerOptions out = MakeWorkerOptions(options, protocol, setup.subject, setup.connection,
                                              *setup.credentials, keep_bodies);
  out.models = setup.mix.size();
  out.spill = setup.profile_export ? &setup.profile_export->spill() : nullptr;
  return out;
}

Result<void> Encode(const PerfOptions& options, const Plan& plan, Setup& setup) {
  if (!setup.mix.empty()) return EncodeMix(plan, setup.connection, *setup.credentials, setup.mix);
  SEXTANT_ASSIGN(setup.requests, EncodeRequests(options, plan, setup.subject, *setup.data,
                                                setup.connection, *setup.credentials,
                                                setup.shared ? &setup.shared->tensors() : nullptr));
  return {};
}

// Everything that can be wrong is found out before the first request. `setup` does not move.
Result<void> Prepare(const PerfOptions& options, Plan& plan, Setup& setup) {
  SEXTANT_TRY(Learn(options, plan, setup));
  // From here on a signal ends the run in order: the server forgets what is ours.
  SEXTANT_ASSIGN(StopSignals stop, StopSignals::Install());
  setup.stop.emplace(std::move(stop));
  SEXTANT_ASSIGN(setup.shared, SharedMemory::Open("perf", options, plan, setup.subject,
                                                  setup.any_data(), *setup.control));
  SEXTANT_ASSIGN(setup.traces, TraceSettings::Set(options, *setup.control));
  SEXTANT_TRY(Encode(options, plan, setup));
  if (!options.output_file.empty()) {
    text::Json header =
        MakeHeader(options, plan, setup.connection, setup.subject, setup.any_data());
    if (!setup.mix.empty()) header.Set("models", MixJson(setup.mix));
    SEXTANT_ASSIGN(setup.run_file, run::RunWriter::Create(options.output_file, header));
  }
  SEXTANT_ASSIGN(setup.profile_export, ExportFile::Create(options, setup.subject));
  SEXTANT_ASSIGN(
      setup.generator,
      load::Generator::Start(WorkerOptionsOf(options, setup, plan.target.protocol), plan.workers));
  if (setup.shared) setup.subject.absent.push_back("shared memory: " + setup.shared->Describe());
  setup.reporter = MakeReporter(options, plan, setup.subject, setup.any_data());
  setup.reporter->Banner();
  SEXTANT_ASSIGN(setup.metrics, StartMetrics(options, plan.target));
  return {};
}

load::LevelPlan PlanLevel(const PerfOptions& options, const Plan& plan, const Setup& setup,
                          const run::LoadPoint& load, Instant start_at) {
  load::LevelPlan level{.load = ShareOf(load, plan.shard),
                        .requests = nullptr,
                        .arrivals = plan.arrivals,
                        .order = plan.order,
                        .shard = plan.shard,
                        .rate = load.value,
                        .start_at = start_at,
                        .max_in_flight = MaxInFlight(options, setup.shared.get()),
                        .connections = options.connections,
                        .seed = plan.seed,
                        .sequences = options.sequences,
                        .serial_sequences = options.serial_sequences,
                        .periodic = plan.periodic};
  if (setup.mix.empty()) {
    level.requests = setup.requests.at(load.batch_size).get();
  } else {
    FillMix(setup.mix, level);
  }
  return level;
}

run::Level MeasureLevel(const PerfOptions& options, const Plan& plan, Setup& setup,
                        load::Sweep& sweep, const load::Probe& probe, Instant start_at,
                        ProgressPrinter& progress) {
  setup.reporter->StartLevel(probe.load);
  progress.StartLevel(probe.load);
  bool given_up = false;
  load::MeasureHooks hooks{
      .progress =
          [&](const load::LiveFigures& figures) {
            given_up = given_up || sweep.GiveUp(figures);
            progress.Show(figures);
          },
      .stop = [&] { return given_up || setup.stop->received().has_value(); },
      .edge = {},
      .statistics = {},
      .model = options.model,
      .trial = [&](const load::TrialFigures& figures) { setup.reporter->Trial(figures); }};
  if (setup.profile_export) hooks.windows = setup.profile_export->TakeWindows();
  if (setup.metrics) hooks.edge = [&] { setup.metrics->Edge(); };
  if (setup.subject.statistics)
    hooks.statistics = [&] {
      if (!setup.mix.empty()) return FetchMixStatistics(*setup.control, setup.mix);
      return FetchAllStatistics(*setup.control, {options.model, options.model_version},
                                setup.subject.composing);
    };
  run::Level level = setup.generator->Measure(PlanLevel(options, plan, setup, probe.load, start_at),
                                              MeasureFor(probe, plan), hooks);
  if (setup.metrics) RecordMetrics(*setup.metrics, level);
  if (setup.profile_export) {
    setup.profile_export->EndLevel(probe.load, *setup.requests.at(probe.load.batch_size), progress,
                                   level);
  }
  progress.EndLevel(level);
  return level;
}

// The levels, one after the other; each is on paper before the next begins.
Outcome MeasureLevels(const PerfOptions& options, const Plan& plan, Setup& setup) {
  Outcome outcome;
  ProgressPrinter progress(options.progress, IsSearch(options) ? 0 : plan.points.size());
  Instant start_at = plan.start_at ? SteadyNow() + (*plan.start_at - WallNow()) : Instant::min();
  for (const std::unique_ptr<load::Sweep>& sweep : MakeSweeps(options, plan)) {
    while (!setup.stop->received()) {
      const std::optional<load::Probe> probe = sweep->Next();
      if (!probe) break;
      run::Level level = MeasureLevel(options, plan, setup, *sweep, *probe,
                                      std::exchange(start_at, Instant::min()), progress);
      if (!setup.stop->received()) sweep->Report(level);
      if (setup.run_file) outcome.Keep(setup.run_file->Append(level));
      setup.reporter->EndLevel(level);
      outcome.levels.push_back(std::move(level));
    }
    if (auto conclusion = sweep->Conclude()) {
      if (setup.run_file) outcome.Keep(setup.run_file->AppendSearch(conclusion->record));
      outcome.conclusions.push_back(*std::move(conclusion));
    }
  }
  return outcome;
}

// What is said and written when all is measured; returns the exit code.
int Conclude(const PerfOptions& options, const Plan& plan, Setup& setup, Outcome& outcome) {
  setup.reporter->End(outcome.levels);
  for (const load::Conclusion& conclusion : outcome.conclusions)
    setup.reporter->Conclude(conclusion);
  int exit_code = Judge(options, outcome.levels, outcome.conclusions);
  outcome.Keep(WriteCsvFiles(options, plan, outcome.levels));
  if (setup.profile_export) outcome.Keep(setup.profile_export->fault());
  const std::optional<int> signal = setup.stop->received();
  if (signal) exit_code = ExitCodeForSignal(*signal);
  if (setup.run_file)
    outcome.Keep(setup.run_file->Finish(signal ? "interrupted" : "complete", exit_code));
  if (outcome.lost) {
    PrintError("perf", *outcome.lost);
    if (exit_code == kExitOk) exit_code = kExitFailure;
  }
  return setup.reporter->ExitCode(exit_code, outcome.levels);
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

  Setup setup;
  if (const Result<void> prepared = Prepare(options, plan, setup); !prepared.has_value()) {
    PrintError("perf", prepared.error());
    return prepared.error().code() == ErrorCode::kInvalidArgument ? kExitUsage : kExitFailure;
  }
  Outcome outcome = MeasureLevels(options, plan, setup);
  // A server does not let go of regions that a request in flight still refers to: Triton keeps one
  // for ever when its connection ends first.
  if (setup.shared) {
    setup.generator->Drain(std::min<Nanos>(plan.measure.drain_limit, 10s));
    setup.shared->ReportFault();
  }
  reported = true;
  return Conclude(options, plan, setup, outcome);
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
