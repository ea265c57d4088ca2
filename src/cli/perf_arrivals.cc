#include "cli/perf_arrivals.h"

#include <algorithm>

#include "base/files.h"
#include "load/trace.h"

namespace sextant::cli {
namespace {

struct Source {
  std::string_view option;
  bool given;
};

std::vector<Source> OpenLoopSources(const PerfOptions& options) {
  return {{"--request-rate-range", options.rate.has_value()},
          {"--rate-profile", !options.rate_profile.empty()},
          {"--trace", !options.trace_file.empty()},
          {"--request-intervals", !options.intervals_file.empty()},
          {"--fixed-schedule", options.fixed_schedule}};
}

// What the arrivals are made from is one thing; every option that was given is named.
void CheckSources(const PerfOptions& options, std::vector<std::string>& mistakes) {
  std::vector<std::string> given;
  if (options.concurrency) given.emplace_back("--concurrency-range");
  for (const Source& source : OpenLoopSources(options)) {
    if (source.given) given.emplace_back(source.option);
  }
  if (given.size() > 1) {
    mistakes.push_back(Format(
        "{} exclude each other: --concurrency-range closes the loop, each of the others says when "
        "requests are due",
        Join(given, " and ")));
  }
  const auto belongs = [&](bool is_given, std::string_view option, bool to, std::string_view what) {
    if (is_given && !to) mistakes.push_back(Format("{} belongs to {}", option, what));
  };
  belongs(options.max_in_flight > 0, "--max-in-flight", IsOpenLoop(options),
          "an open loop, such as --request-rate-range");
  belongs(options.distribution != load::ArrivalLaw(), "--request-distribution",
          options.rate || !options.rate_profile.empty(), "--request-rate-range or --rate-profile");
  belongs(options.rate_profile_shape != load::RateProfile::Shape::kLinear, "--rate-profile-shape",
          !options.rate_profile.empty(), "--rate-profile");
  belongs(!options.trace_unit.empty(), "--trace-unit", !options.trace_file.empty(), "--trace");
  belongs(options.trace_speed != 1, "--trace-speed", !options.trace_file.empty(), "--trace");
}

Result<load::Replay> ReadTrace(const PerfOptions& options) {
  const auto unit = load::ParseTimeUnit(options.trace_unit);
  if (!options.trace_unit.empty() && !unit) {
    return InvalidArgument(
        Format("--trace-unit '{}': must be s, ms, us or ns", Printable(options.trace_unit, 20)));
  }
  SEXTANT_ASSIGN(const MappedFile file, MappedFile::Open(options.trace_file), "--trace");
  SEXTANT_ASSIGN(load::Replay replay,
                 load::ParseTrace(file.bytes(), {.unit = unit, .speed = options.trace_speed}),
                 "--trace " + options.trace_file);
  return replay;
}

Result<load::Replay> ReadIntervals(const PerfOptions& options) {
  SEXTANT_ASSIGN(const MappedFile file, MappedFile::Open(options.intervals_file),
                 "--request-intervals");
  SEXTANT_ASSIGN(load::Replay replay, load::ParseIntervals(file.bytes()),
                 "--request-intervals " + options.intervals_file);
  return replay;
}

// A fixed schedule is part of the input data, which is read later.
void CheckFixedSchedule(const PerfOptions& options, std::vector<std::string>& mistakes) {
  if (!options.fixed_schedule) return;
  const std::string source = options.input_data.empty() ? "random" : options.input_data.front();
  if (source == "random" || source == "zero") {
    mistakes.emplace_back(
        "--fixed-schedule needs --input-data FILE, in which each row has \"timestamp\": "
        "[milliseconds]");
  }
}

std::optional<std::string> CheckLength(const PerfOptions& options, const Plan& plan) {
  const auto length = plan.arrivals.length();
  if (!length || !options.warmup.time || *options.warmup.time < *length ||
      *options.warmup.time == Nanos(0))
    return std::nullopt;
  return Format("--warmup {} leaves nothing of a schedule of {}",
                FormatDuration(*options.warmup.time), FormatDuration(*length));
}

// The order of the data, which a trace may decide.
void PlanOrder(const PerfOptions& options, Plan& plan, std::vector<std::string>& mistakes) {
  const bool rows = options.fixed_schedule ||
                    (plan.arrivals.replay != nullptr && !plan.arrivals.replay->rows.empty());
  plan.order =
      options.data_order.value_or(rows ? load::DataOrder::kTrace : load::DataOrder::kSequential);
  if (options.fixed_schedule && plan.order != load::DataOrder::kTrace)
    mistakes.emplace_back("--fixed-schedule sends each row at its time: leave --data-order out");
  if (plan.order != load::DataOrder::kTrace) return;
  if (!rows && plan.arrivals.replay != nullptr && !options.trace_file.empty())
    mistakes.push_back(Format("--data-order trace: '{}' names no rows", options.trace_file));
  if (options.trace_file.empty() && !options.fixed_schedule)
    mistakes.emplace_back("--data-order trace belongs to --trace");
  if (std::any_of(options.batch.values.begin(), options.batch.values.end(),
                  [](double batch) { return batch != 1; }))
    mistakes.emplace_back("--data-order trace sends one row per request: it needs --batch-size 1");
}

}  // namespace

bool IsOpenLoop(const PerfOptions& options) {
  const auto sources = OpenLoopSources(options);
  return std::any_of(sources.begin(), sources.end(), [](const Source& s) { return s.given; });
}

std::vector<std::string> PlanArrivals(const PerfOptions& options, Plan& plan) {
  std::vector<std::string> mistakes;
  CheckSources(options, mistakes);
  plan.arrivals.law = options.distribution;
  const auto replay = [&](Result<load::Replay> read) {
    if (!read.has_value()) return mistakes.push_back(read.error().message());
    plan.arrivals.replay = std::make_shared<load::Replay>(*std::move(read));
  };
  if (!options.rate_profile.empty()) {
    auto profile = load::RateProfile::Parse(options.rate_profile, options.rate_profile_shape);
    if (profile.has_value()) {
      plan.arrivals.profile = std::make_shared<load::RateProfile>(*std::move(profile));
    } else {
      mistakes.push_back(Format("--rate-profile '{}': {}", Printable(options.rate_profile, 80),
                                profile.error().message()));
    }
  }
  if (!options.trace_file.empty()) replay(ReadTrace(options));
  if (!options.intervals_file.empty()) replay(ReadIntervals(options));
  CheckFixedSchedule(options, mistakes);
  PlanOrder(options, plan, mistakes);
  if (const auto mistake = CheckLength(options, plan)) mistakes.push_back(*mistake);
  return mistakes;
}

Result<void> FollowData(const PerfOptions& options, const load::DataSet& data, Plan& plan) {
  if (options.fixed_schedule) {
    if (data.timestamps().empty())
      return InvalidArgument(
          "--fixed-schedule: each row of --input-data needs \"timestamp\": "
          "[milliseconds]");
    SEXTANT_ASSIGN(load::Replay replay, load::MakeFixedSchedule(data.timestamps()),
                   "--fixed-schedule");
    plan.arrivals.replay = std::make_shared<load::Replay>(std::move(replay));
    if (const auto mistake = CheckLength(options, plan)) return InvalidArgument(*mistake);
  }
  const size_t rows = data.rows();
  if (plan.order != load::DataOrder::kTrace || plan.arrivals.replay == nullptr) return {};
  const std::vector<uint32_t>& named = plan.arrivals.replay->rows;
  const auto most = std::max_element(named.begin(), named.end());
  if (most != named.end() && *most >= rows) {
    return InvalidArgument(Format(
        "the trace names row {}, and the input data has {} rows, counted from 0", *most, rows));
  }
  return {};
}

}  // namespace sextant::cli
