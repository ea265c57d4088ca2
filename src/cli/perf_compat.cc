#include "cli/perf_compat.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "base/version.h"

namespace sextant::cli {
namespace {

constexpr uint64_t kDefaultIntervalMs = 5000, kDefaultRequests = 50;

// -t and -c as --concurrency-range spells them; empty without them.
std::string DeprecatedRange(const PerfOptions& options) {
  if (!options.concurrent_requests && !options.max_concurrency) return {};
  const uint64_t start = options.concurrent_requests.value_or(1),
                 end = options.max_concurrency.value_or(start);
  return start == end ? Format("{}", start) : Format("{}:{}:1", start, end);
}

}  // namespace

bool IsPerfAnalyzerName(std::string_view program) {
  if (const size_t slash = program.rfind('/'); slash != std::string_view::npos)
    program.remove_prefix(slash + 1);
  return program == "perf_analyzer" || program == "perf_client";
}

bool PrintPerfVersion(std::span<const std::string_view> arguments) {
  if (std::find(arguments.begin(), arguments.end(), "--version") == arguments.end()) return false;
  const bool compat = std::any_of(arguments.begin(), arguments.end(), [](std::string_view a) {
    return a == "perf_analyzer" || a == "--compat=perf_analyzer";
  });
  if (compat) {
    std::fputs(Format("Perf Analyzer Version {} (commit sextant)\n", Version()).c_str(), stderr);
  } else {
    std::fputs(Format("sextant {}\n", Version()).c_str(), stdout);
  }
  return true;
}

void ApplyCompat(PerfOptions& options) {
  if (options.zero_input && options.input_data.empty()) options.input_data = {"zero"};
  options.input_data.insert(options.input_data.end(), options.data_directories.begin(),
                            options.data_directories.end());
  if (const std::string range = DeprecatedRange(options); !range.empty() && !options.concurrency) {
    if (Result<std::vector<double>> values = load::ParseLevels(range, 1); values.has_value())
      options.concurrency = load::CountList{*std::move(values), range};
  }
  static const PerfOptions defaults;
  if (options.compat != Compat::kNone) {
    if (options.warmup.text == defaults.warmup.text) options.warmup = {.text = "0", .requests = 0};
    if (options.percentiles == defaults.percentiles) options.percentiles = "50,90,95,99";
  }
  if (options.percentile.value_or(-1) > 0)
    options.percentiles += Format(",{}", *options.percentile);
}

void CheckCompat(const PerfOptions& options, const std::function<void(std::string)>& add) {
  if (options.async && options.sync) add("--async and --sync exclude each other");
  const auto zero = std::find(options.input_data.begin(), options.input_data.end(), "zero");
  if (options.zero_input && (zero == options.input_data.end() || options.input_data.size() > 1))
    add("-z is an old form of --input-data zero: it excludes other input data");
  if (options.percentile && (*options.percentile == 0 || *options.percentile < -1))
    add(Format("--percentile {}: must be from 1 to 99, or -1 for the average",
               *options.percentile));
  const bool own_window = options.duration.time || options.requests;
  if (own_window && options.compat == Compat::kNone && options.windows())
    add("--duration and --requests measure one window: --measurement-interval, --measurement-mode, "
        "--measurement-request-count, --stability-percentage and --max-trials measure several");
  if (const std::string range = DeprecatedRange(options);
      !range.empty() && options.concurrency && options.concurrency->text != range)
    add("-t and -c are old forms of --concurrency-range, which is given too");
  if (options.max_concurrency && *options.max_concurrency < options.concurrent_requests.value_or(1))
    add(Format("-c {}: the end of the range is below its start", *options.max_concurrency));
  if (options.protocol == kserve::Protocol::kGrpc &&
      (options.input_format == TensorFormat::kJson || options.output_format == TensorFormat::kJson))
    add("--input-tensor-format and --output-tensor-format json belong to HTTP (-i http)");
}

load::WindowRule WindowsOf(const PerfOptions& options) {
  load::WindowRule rule{.kind = load::WindowRule::Kind::kTrials};
  load::TrialRule& trials = rule.trials;
  if (options.measurement_mode == MeasurementMode::kCountWindows)
    trials.requests = options.measurement_request_count.value_or(kDefaultRequests);
  const uint64_t interval_ms = options.measurement_interval_ms.value_or(kDefaultIntervalMs);
  trials.window = Nanos(static_cast<int64_t>(interval_ms) * 1'200'000);
  trials.stability = options.stability_percentage.value_or(10) / 100;
  trials.most = options.max_trials.value_or(10);
  if (options.percentile.value_or(-1) > 0)
    trials.percentile = static_cast<double>(*options.percentile) / 100;
  trials.throughput_suffices = options.async;
  trials.latency_limit = std::chrono::milliseconds(options.latency_threshold);
  return rule;
}

}  // namespace sextant::cli
