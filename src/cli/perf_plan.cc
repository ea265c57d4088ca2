#include "cli/perf_plan.h"

#include <algorithm>
#include <random>

#include "base/files.h"
#include "base/host.h"
#include "cli/perf_arrivals.h"
#include "cli/perf_compat.h"
#include "cli/perf_composing.h"
#include "cli/perf_data.h"
#include "cli/perf_metrics.h"
#include "cli/perf_mix.h"
#include "cli/perf_shard.h"
#include "cli/perf_shared_memory.h"
#include "cli/perf_sweep.h"
#include "cli/perf_trace.h"

namespace sextant::cli {
namespace {

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

}  // namespace

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
  if (!low || !high) return fault();
  if (*high <= *low) {
    return InvalidArgument(
        Format("--random-range '{}': LOW, {}, is {} HIGH, {}, which is not included: write "
               "LOW:HIGH with the smaller number first",
               Printable(text, 60), *low, *high < *low ? "above" : "the same as", *high));
  }
  ranges[name] = {*low, *high};
  return {};
}

namespace {

// A file that two options write, or that one of them reads, would lose what was in it.
std::vector<std::string> CheckOutputFiles(const PerfOptions& options) {
  struct Named {
    std::string_view option, file;
  };
  std::vector<Named> written{{"--output", options.output_file},
                             {"--latency-report-file", options.csv_file},
                             {"--profile-export-file", options.profile_export_file}};
  std::vector<Named> read{{"--trace", options.trace_file},
                          {"--request-intervals", options.intervals_file}};
  for (const std::string& file : options.input_data) read.push_back({"--input-data", file});
  for (const std::string& file : options.merge) read.push_back({"--merge", file});
  std::vector<std::string> mistakes;
  for (size_t i = 0; i < written.size(); ++i) {
    std::vector<Named> others(written.begin() + static_cast<ptrdiff_t>(i) + 1, written.end());
    others.insert(others.end(), read.begin(), read.end());
    for (const Named& other : others) {
      if (!SameFile(std::string(written[i].file), std::string(other.file))) continue;
      mistakes.push_back(Format("{} and {} name the same file, '{}': give each its own",
                                written[i].option, other.option, Printable(other.file)));
    }
  }
  return mistakes;
}

}  // namespace

std::vector<options::Mistake> MakePlan(const PerfOptions& options, Plan& plan) {
  if (!options.mix.empty()) return MakeMixPlan(options, plan);
  std::vector<options::Mistake> mistakes;
  const auto add = [&](std::string text) { mistakes.push_back({"command line", std::move(text)}); };
  const auto check = [&](const Result<void>& result) {
    if (!result.has_value()) add(result.error().message());
  };
  if (options.model.empty() && !options.self_test && options.merge.empty())
    mistakes.push_back(
        {"command line",
         "-m, --model-name NAME is required: the model to measure, or --mix for several", true});
  for (std::string& text : PlanArrivals(options, plan)) add(std::move(text));
  if (options.requests && options.duration.time)
    add("--requests and --duration exclude each other");
  if (options.precision && (options.requests || options.duration.time || options.windows())) {
    add("--precision says when an automatic window ends: it goes neither with --requests nor "
        "--duration, nor with perf_analyzer's windows");
  }
  CheckCompat(options, add);
  for (std::string& text : CheckOutputFiles(options)) add(std::move(text));
  for (const std::string& file : {options.csv_file, options.output_file}) {
    const std::string directory =
        file.find('/') == std::string::npos ? "." : file.substr(0, file.rfind('/') + 1);
    if (!file.empty() && !IsDirectory(directory))
      add(Format("'{}': the directory does not exist", file));
  }
  std::vector<std::string> target_mistakes;
  plan.target = ParseTarget(options, AnySecureMetrics(options), target_mistakes);
  for (std::string& mistake : target_mistakes) add(std::move(mistake));
  if (const auto models = ParseComposingModels(options.bls_composing_models); !models.has_value())
    add(models.error().message());
  for (std::string& mistake : CheckMetricsOptions(options)) add(std::move(mistake));
  for (std::string& mistake : CheckTraceOptions(options)) add(std::move(mistake));
  for (std::string& mistake : CheckSharedMemoryOptions(options)) add(std::move(mistake));
  for (const std::string& shape : options.shapes) check(ParseShape(shape, plan.shapes));
  for (const std::string& range : options.random_ranges)
    check(ParseRandomRange(range, plan.ranges));
  if (Result<std::vector<double>> percentiles = ParsePercentiles(options.percentiles);
      percentiles.has_value()) {
    plan.percentiles = *std::move(percentiles);
  } else {
    add(percentiles.error().message());
  }
  for (std::string& text : PlanSearch(options, plan)) add(std::move(text));
  PlanData(options, plan, add);
  plan.seed = options.seed ? *options.seed : std::random_device()();
  double most = 1;
  const bool open_loop = IsOpenLoop(options);
  const std::optional<double> own_rate = plan.arrivals.mean_rate();
  for (const double batch : options.batch.values) {
    for (const double value : own_rate ? std::vector{*own_rate} : ListedLoads(options)) {
      plan.points.push_back(
          {.mode = open_loop ? run::LoadMode::kRequestRate : run::LoadMode::kConcurrency,
           .value = value,
           .batch_size = static_cast<int64_t>(batch),
           .arrivals = open_loop ? plan.arrivals.Describe() : "closed"});
      most = std::max(most, value);
    }
  }
  for (std::string& text : PlanShard(options, plan)) add(std::move(text));
  plan.workers = options.workers;
  if (plan.workers == 0) {
    plan.workers = static_cast<size_t>(std::max(1, ReadHostFacts().cores_usable / 2));
    if (!open_loop && !IsSearch(options))
      plan.workers = std::min(plan.workers, static_cast<size_t>(most));
    if (options.connections > 0) plan.workers = std::min(plan.workers, options.connections);
  } else if (options.connections > 0 && options.connections < plan.workers) {
    add(
        Format("--connections {0}: --workers {1} needs at least {1}, because a load thread shares "
               "its connections with no other; give more of these or fewer of those",
               options.connections, plan.workers));
  }
  std::vector<std::string> stream_mistakes;
  MakeStreamPlan(options, options.rate ? options.sequences : static_cast<size_t>(most),
                 plan.streams, stream_mistakes);
  for (std::string& text : stream_mistakes) add(std::move(text));

  if (options.max_threads)
    plan.workers = std::min(plan.workers, static_cast<size_t>(*options.max_threads));

  load::MeasureOptions& m = plan.measure;
  m.percentiles = plan.percentiles;
  m.spin = options.spin;
  if (options.precision) {
    // The width goes with the root of the time.
    const double factor = m.window.relative_half_width / options.precision->value;
    m.window.relative_half_width = options.precision->value;
    if (factor > 1) m.window.longest = FromSeconds(Seconds(m.window.longest) * factor * factor);
  }
  if (options.windows()) m.window = WindowsOf(options);
  if (options.requests)
    m.window = {.kind = load::WindowRule::Kind::kRequests, .requests = *options.requests};
  if (options.duration.time)
    m.window = {.kind = load::WindowRule::Kind::kTime, .time = *options.duration.time};
  if (options.warmup.requests)
    m.warmup = {.kind = load::WarmupRule::Kind::kRequests, .requests = *options.warmup.requests};
  if (options.warmup.time)
    m.warmup = {.kind = load::WarmupRule::Kind::kTime, .time = *options.warmup.time};
  for (std::string& text : PlanExport(options, plan)) add(std::move(text));
  m.drain_limit = options.timeout > Nanos(0) ? options.timeout + 1s : Nanos(60s);
  return mistakes;
}

}  // namespace sextant::cli
