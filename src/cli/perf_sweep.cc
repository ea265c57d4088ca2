#include "cli/perf_sweep.h"

#include <algorithm>

#include "cli/perf_arrivals.h"

namespace sextant::cli {
namespace {

constexpr double kLeastRate = 1e-6;

// The range of loads, when there is exactly one.
std::optional<load::LevelRange> Range(const PerfOptions& options) {
  if (options.rate) return options.rate->range;
  if (options.concurrency) return options.concurrency->range;
  return load::LevelRange{.single = true};
}

bool IsOpenRange(const PerfOptions& options) {
  const auto range = Range(options);
  return range && range->open();
}

std::string_view RangeOption(const PerfOptions& options) {
  return options.rate ? "--request-rate-range" : "--concurrency-range";
}

std::vector<std::string> ModelLabels(const Plan& plan) {
  std::vector<std::string> out;
  for (const MixEntry& entry : plan.mix) out.push_back(entry.label);
  return out;
}

void PlanFindMax(const PerfOptions& options, Plan& plan, std::vector<std::string>& mistakes) {
  load::FindMaxRules rules;
  if (options.slo.empty()) {
    mistakes.emplace_back("--find-max needs --slo, such as --slo 'p99<50ms,errors<0.1%'");
  } else if (Result<load::Slo> slo = load::ParseSlo(options.slo, ModelLabels(plan));
             slo.has_value()) {
    rules.slo = *std::move(slo);
    // The percentiles that are judged are reported too.
    for (const load::SloTerm& term : rules.slo.terms) {
      if (term.metric == load::SloTerm::Metric::kQuantile) plan.percentiles.push_back(term.p);
    }
    std::sort(plan.percentiles.begin(), plan.percentiles.end());
    const auto same = [](double a, double b) { return b - a < 1e-9; };
    plan.percentiles.erase(std::unique(plan.percentiles.begin(), plan.percentiles.end(), same),
                           plan.percentiles.end());
  } else {
    mistakes.push_back("--slo: " + slo.error().message());
  }
  rules.search.precision = options.find_max_precision.value;
  if (plan.arrivals.mean_rate()) {
    mistakes.emplace_back(
        "--find-max varies the load: it takes --request-rate-range or --concurrency-range");
  }
  if (options.latency_threshold > 0 || options.binary_search)
    mistakes.emplace_back(
        "--find-max and --latency-threshold exclude each other: write the limit "
        "into --slo, such as avg<50ms");
  if (options.max_error_rate)
    mistakes.emplace_back(
        "--find-max and --max-error-rate exclude each other: write the limit into "
        "--slo, such as errors<1%");
  const auto range = Range(options);
  if (!range) {
    return mistakes.push_back(
        Format("--find-max takes a start, or START:END, in {}", RangeOption(options)));
  }
  rules.search.start = range->start;
  rules.search.whole = !options.rate;
  if (!range->single && !range->open()) {
    rules.search.least = range->start;
    rules.search.most = range->end;
  }
  rules.longest = options.find_max_longest;
  plan.find_max = std::move(rules);
}

}  // namespace

bool IsSearch(const PerfOptions& options) {
  return options.find_max || options.binary_search || IsOpenRange(options);
}

std::vector<double> ListedLoads(const PerfOptions& options) {
  if (IsSearch(options)) {
    const auto range = Range(options);
    return {range ? range->start : 1};
  }
  if (options.rate) return options.rate->values;
  if (options.concurrency) return options.concurrency->values;
  return {1};
}

std::vector<std::string> PlanSearch(const PerfOptions& options, Plan& plan) {
  std::vector<std::string> mistakes;
  if (options.find_max) {
    PlanFindMax(options, plan, mistakes);
  } else if (!options.slo.empty()) {
    mistakes.emplace_back("--slo belongs to --find-max");
  }
  const bool threshold = options.latency_threshold > 0;
  if (options.binary_search) {
    const auto range = Range(options);
    if (!threshold) mistakes.emplace_back("--binary-search needs --latency-threshold");
    if (!range || range->single || range->open() || range->factor) {
      mistakes.push_back(
          Format("--binary-search needs START:END:STEP in {}, with an end", RangeOption(options)));
    }
  }
  // As a list, the range must have an end and not too many values.
  const bool walked = !options.find_max && !options.binary_search;
  if (walked && !(IsOpenRange(options) && threshold)) {
    Result<std::vector<double>> list =
        options.rate          ? load::ParseLevels(options.rate->text, kLeastRate)
        : options.concurrency ? load::ParseLevels(options.concurrency->text, 1)
                              : std::vector<double>{1};
    if (!list.has_value())
      mistakes.push_back(Format("{}: {}", RangeOption(options), list.error().message()));
  }
  if (Result<std::vector<double>> list = load::ParseLevels(options.batch.text, 1);
      !list.has_value())
    mistakes.push_back("--batch-size: " + list.error().message());
  return mistakes;
}

std::vector<std::unique_ptr<load::Sweep>> MakeSweeps(const PerfOptions& options, const Plan& plan) {
  const load::ThresholdRule rule{
      .limit = std::chrono::milliseconds(static_cast<int64_t>(options.latency_threshold)),
      .percentile = options.percentile.value_or(-1) > 0
                        ? std::optional(static_cast<double>(*options.percentile) / 100)
                        : std::nullopt};
  std::vector<std::unique_ptr<load::Sweep>> out;
  for (const double batch : options.batch.values) {
    std::vector<run::LoadPoint> points;
    for (const run::LoadPoint& point : plan.points) {
      if (point.batch_size == static_cast<int64_t>(batch)) points.push_back(point);
    }
    if (plan.find_max) {
      load::FindMaxRules rules = *plan.find_max;
      rules.load = points.front();
      out.push_back(std::make_unique<load::FindMaxSweep>(std::move(rules)));
    } else if (options.binary_search) {
      out.push_back(load::MakeBinarySweep(points.front(), *Range(options), rule));
    } else if (IsOpenRange(options)) {
      out.push_back(load::MakeOpenSweep(points.front(), *Range(options), rule));
    } else {
      out.push_back(load::MakeListSweep(std::move(points), rule));
    }
  }
  return out;
}

load::MeasureOptions MeasureFor(const load::Probe& probe, const Plan& plan) {
  load::MeasureOptions options = plan.measure;
  if (probe.window) options.window = {.kind = load::WindowRule::Kind::kTime, .time = *probe.window};
  return options;
}

}  // namespace sextant::cli
