#include "cli/perf_export.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/files.h"
#include "base/strings.h"
#include "base/version.h"
#include "cli/perf_arrivals.h"
#include "cli/perf_plan.h"
#include "cli/perf_progress.h"
#include "cli/perf_subject.h"

namespace sextant::options {

template <>
struct EnumNames<load::ExportTensors> {
  static constexpr std::pair<std::string_view, load::ExportTensors> kNames[] = {
      {"all", load::ExportTensors::kAll},
      {"inputs", load::ExportTensors::kInputs},
      {"none", load::ExportTensors::kNone}};
};

}  // namespace sextant::options

namespace sextant::cli {
namespace {

// START:END[:STEP] of whole numbers.
Result<load::PeriodicPlan> ParsePeriodic(const std::string& text) {
  std::vector<uint64_t> numbers;
  for (const std::string_view part : Split(text, ':')) {
    const auto number = ParseUint(TrimSpace(part));
    if (!number || *number < 1 || *number > 1'000'000) {
      numbers.clear();
      break;
    }
    numbers.push_back(*number);
  }
  const auto fault = [&](std::string_view what) {
    return InvalidArgument(
        Format("--periodic-concurrency-range '{}': {}", Printable(text, 60), what));
  };
  if (numbers.size() != 2 && numbers.size() != 3)
    return fault("write START:END or START:END:STEP, whole numbers from 1 to 1000000");
  load::PeriodicPlan plan{.start = numbers[0], .end = numbers[1]};
  if (numbers.size() == 3) plan.step = numbers[2];
  if (plan.start > plan.end) return fault("its start is above its end");
  if ((plan.end - plan.start) % plan.step != 0)
    return fault(Format("steps of {} from {} do not meet {}", plan.step, plan.start, plan.end));
  return plan;
}

void CheckWhatPeriodicNeeds(const PerfOptions& options, std::vector<std::string>& mistakes) {
  constexpr std::string_view kOption = "--periodic-concurrency-range";
  if (!options.streaming || options.protocol != kserve::Protocol::kGrpc)
    mistakes.push_back(
        Format("{} counts the responses of streams: it needs --streaming and -i grpc", kOption));
  if (options.profile_export_file.empty())
    mistakes.push_back(
        Format("{} needs --profile-export-file: when each response came is what it "
               "is for",
               kOption));
  const std::pair<std::string_view, bool> others[] = {
      {"--concurrency-range", options.concurrency.has_value()},
      {"an open loop, such as --request-rate-range,", IsOpenLoop(options)},
      {"--find-max", options.find_max},
      {"--binary-search", options.binary_search},
      {"--request-count", options.requests.has_value()},
      {"--duration", options.duration.time.has_value()},
      {"--shard", !options.shard.empty()},
      {"--warmup", options.warmup.time.has_value() || options.warmup.requests.value_or(0) > 0}};
  for (const auto& [other, given] : others) {
    if (given)
      mistakes.push_back(
          Format("{} and {} exclude each other: its load and its end are its own", kOption, other));
  }
  if (options.batch.values.size() > 1)
    mistakes.push_back(Format("{} makes one load: give one --batch-size", kOption));
}

void PlanPeriodic(const PerfOptions& options, Plan& plan, std::vector<std::string>& mistakes) {
  CheckWhatPeriodicNeeds(options, mistakes);
  Result<load::PeriodicPlan> periodic = ParsePeriodic(options.periodic_concurrency_range);
  if (!periodic.has_value()) return mistakes.push_back(periodic.error().message());
  periodic->responses = options.request_period.value_or(periodic->responses);
  for (run::LoadPoint& point : plan.points) point.value = static_cast<double>(periodic->end);
  // Whose turn it is depends on all requests, so one thread has them all.
  plan.workers = 1;
  plan.measure.warmup = {.kind = load::WarmupRule::Kind::kRequests, .requests = 0};
  plan.measure.window = {.kind = load::WindowRule::Kind::kRequests, .requests = periodic->end};
  plan.periodic = *periodic;
}

}  // namespace

void AddExportRows(options::Table<PerfOptions>& t) {
  using O = PerfOptions;
  t.Group("Every single request");
  t.Add(&O::profile_export_file,
        {.name = "profile-export-file",
         .value = "FILE",
         .help = "Writes every request of the measured windows that succeeded, with the time of "
                 "each response and its tensors: perf_analyzer's profile export (JSON). The file "
                 "must not exist.",
         .is_file = true});
  t.Add(&O::profile_export_tensors,
        {.name = "profile-export-tensors",
         .value = "WHICH",
         .help = "Of the tensors, --profile-export-file has all, the inputs, or none."});
  t.Add(&O::periodic_concurrency_range,
        {.name = "periodic-concurrency-range",
         .value = "START:END[:STEP]",
         .help = "Sends START requests and, each time that all of the last step have had "
                 "--request-period responses, STEP (1) more, until END are answered. Each is sent "
                 "once. With --streaming and --profile-export-file."});
  t.Add(&O::request_period, {.name = "request-period",
                             .value = "N",
                             .help = "Responses of each request before "
                                     "--periodic-concurrency-range goes on.",
                             .limits = {1, 1e9},
                             .default_text = "10"});
}

std::vector<std::string> PlanExport(const PerfOptions& options, Plan& plan) {
  std::vector<std::string> mistakes;
  const std::string& file = options.profile_export_file;
  if (!file.empty() && FileExists(file)) {
    mistakes.push_back(Format(
        "--profile-export-file '{}': it exists; give another name, or remove it first", file));
  } else if (!file.empty() && !IsDirectory(DirectoryOf(file))) {
    mistakes.push_back(Format("--profile-export-file '{}': the directory does not exist", file));
  }
  if (file.empty() && options.profile_export_tensors != load::ExportTensors::kAll)
    mistakes.emplace_back("--profile-export-tensors belongs to --profile-export-file");
  if (!options.periodic_concurrency_range.empty()) {
    PlanPeriodic(options, plan, mistakes);
  } else if (options.request_period) {
    mistakes.emplace_back("--request-period belongs to --periodic-concurrency-range");
  }
  return mistakes;
}

Result<std::unique_ptr<ExportFile>> ExportFile::Create(const PerfOptions& options,
                                                       const Subject& subject) {
  if (options.profile_export_file.empty()) return std::unique_ptr<ExportFile>();
  SEXTANT_ASSIGN(
      auto exporter,
      load::ProfileExporter::Create(
          {.path = options.profile_export_file,
           .tensors = options.profile_export_tensors,
           .outputs = subject.signature.outputs,
           .text_sequence_ids = subject.streams.patch.sequence == load::SequenceIdType::kString,
           .version = std::string(Version()),
           .service_kind = "triton",
           .endpoint = options.endpoint}),
      "--profile-export-file");
  return std::unique_ptr<ExportFile>(new ExportFile(std::move(exporter)));
}

void ExportFile::EndLevel(const run::LoadPoint& load, const load::RequestSet& requests,
                          ProgressPrinter& progress, run::Level& level) {
  const Instant begin = SteadyNow();
  Result<uint64_t> lost = exporter_->EndLevel(load, requests, edges_, [&](uint64_t written) {
    progress.Show(
        {.phase = "exporting", .elapsed_s = Seconds(SteadyNow() - begin), .answered = written});
  });
  if (!lost.has_value()) {
    level.notes.push_back("not in the profile export: " + lost.error().message());
    if (!fault_) fault_ = std::move(lost).error().In("--profile-export-file");
  } else if (*lost > 0) {
    level.notes.push_back(
        Format("{} requests are not in the profile export: the disk was too slow "
               "(--profile-export-tensors inputs leaves out what takes most)",
               *lost));
  }
}

Result<void> ExportFile::fault() const {
  if (fault_) return *fault_;
  return {};
}

}  // namespace sextant::cli
