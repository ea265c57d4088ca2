#include "cli/perf_plan.h"

#include <algorithm>
#include <random>

#include "base/files.h"
#include "base/host.h"

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

}  // namespace

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
  std::vector<std::string> target_mistakes;
  plan.target = ParseTarget(options, target_mistakes);
  for (std::string& mistake : target_mistakes) add(std::move(mistake));
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

}  // namespace sextant::cli
