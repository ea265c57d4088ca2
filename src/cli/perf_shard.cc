#include "cli/perf_shard.h"

#include "base/units.h"
#include "cli/perf_arrivals.h"
#include "cli/perf_sweep.h"

namespace sextant::cli {

Result<load::Part> ParseShard(std::string_view text) {
  const size_t slash = text.find('/');
  const auto index = ParseUint(text.substr(0, slash));
  const auto count =
      slash == std::string_view::npos ? std::nullopt : ParseUint(text.substr(slash + 1));
  if (!index || !count || *index >= *count || *count > 100'000) {
    return InvalidArgument(Format(
        "--shard '{}': write INDEX/COUNT with INDEX from 0 to COUNT - 1, such as 0/2 and 1/2",
        Printable(text, 40)));
  }
  return load::Part{*index, *count};
}

std::vector<std::string> PlanShard(const PerfOptions& options, Plan& plan) {
  std::vector<std::string> mistakes;
  if (!options.start_at.empty()) {
    const Result<WallTime> at = ParseWallTime(options.start_at);
    if (!at.has_value()) {
      mistakes.push_back("--start-at: " + at.error().message());
    } else if (*at <= WallNow()) {
      mistakes.push_back(Format("--start-at {}: it is past; now is {}", FormatWallTime(*at),
                                FormatWallTime(WallNow())));
    } else {
      plan.start_at = *at;
    }
  }
  if (options.shard.empty()) return mistakes;
  const Result<load::Part> shard = ParseShard(options.shard);
  if (!shard.has_value()) {
    mistakes.push_back(shard.error().message());
    return mistakes;
  }
  plan.shard = *shard;
  if (!options.seed)
    mistakes.emplace_back("--shard needs --seed, the same for all shards: they share one schedule");
  if (IsSearch(options) || options.latency_threshold > 0)
    mistakes.emplace_back(
        "--shard measures given loads: a search would go another way on each machine");
  for (const run::LoadPoint& point : plan.points) {
    if (ShareOf(point, plan.shard).value == 0) {
      mistakes.push_back(Format("--shard {}: a concurrency of {} leaves nothing for it",
                                options.shard, point.value));
    }
  }
  return mistakes;
}

run::LoadPoint ShareOf(run::LoadPoint whole, const load::Part& shard) {
  if (whole.mode == run::LoadMode::kRequestRate) {
    whole.value /= static_cast<double>(shard.step);
  } else {
    const auto total = static_cast<uint64_t>(whole.value);
    const uint64_t share = total / shard.step + (shard.first < total % shard.step ? 1 : 0);
    whole.value = static_cast<double>(share);
  }
  return whole;
}

}  // namespace sextant::cli
