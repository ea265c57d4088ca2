// When does a series settle, and did it stay settled?
#pragma once

#include <span>
#include <string_view>

#include "stats/interval.h"

namespace sextant::stats {

// MSER (White, "An effective truncation heuristic for bias reduction in simulation output", 1997):
// the number of leading values to leave out so that the standard error of the mean of the rest is
// smallest. A result in the second half of the series means that it has not settled yet; the rule
// then returns values.size().
size_t MserTruncation(std::span<const double> values);

struct Trend {
  double relative_change = 0;  // over the whole series, of its median (Theil-Sen slope)
  double z = 0;                // Mann-Kendall statistic, standard normal without a trend
};
// Mann-Kendall trend test with the Theil-Sen slope (Mann 1945, Sen 1968); at most 128 values are
// looked at (neighbours are averaged).
Trend FindTrend(std::span<const double> values);

// What can be said of a measured level. Every level is reported, whatever its state.
enum class LevelState {
  kStable,    // no trend, interval narrow enough
  kDrifting,  // throughput or latency moved steadily during the window
  kNoisy,     // no trend, but the interval is wider than the target
  kShort,     // too few requests or intervals to say anything else
};
std::string_view LevelStateName(LevelState state);

struct StateRule {
  double max_relative_half_width = 0.05;
  double max_relative_drift = 0.05;
  double trend_z = 2.576;  // two-sided 1 %
  uint64_t min_requests = 100;
  size_t min_intervals = 10;
};
// `throughput` and `latency` are per-interval series of the window; `rate` their interval estimate.
LevelState JudgeLevel(const StateRule& rule, uint64_t requests, const IntervalEstimate& rate,
                      std::span<const double> throughput, std::span<const double> latency);

}  // namespace sextant::stats
