#include "stats/steady_state.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace sextant::stats {
namespace {

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(middle), values.end());
  return values[middle];
}

std::vector<double> AtMost(std::span<const double> values, size_t most) {
  const size_t group = (values.size() + most - 1) / std::max<size_t>(most, 1);
  std::vector<double> out;
  for (size_t i = 0; i < values.size(); i += group) {
    const size_t n = std::min(group, values.size() - i);
    double sum = 0;
    for (size_t j = 0; j < n; ++j) sum += values[i + j];
    out.push_back(sum / static_cast<double>(n));
  }
  return out;
}

}  // namespace

size_t MserTruncation(std::span<const double> values) {
  const size_t n = values.size();
  if (n < 4) return n;
  // From the back, so that the sums of every tail come out in one pass. The last few tails are so
  // short that their variance means nothing.
  double sum = 0, squares = 0, best = std::numeric_limits<double>::infinity();
  size_t best_at = 0;
  const double shift = values[n - 1];  // keeps the squares small
  for (size_t d = n; d-- > 0;) {
    const double v = values[d] - shift;
    sum += v;
    squares += v * v;
    const auto left = static_cast<double>(n - d);
    if (n - d < 4) continue;
    const double error = (squares - sum * sum / left) / (left * left);
    if (error <= best) best = error, best_at = d;
  }
  return best_at > n / 2 ? n : best_at;
}

Trend FindTrend(std::span<const double> values) {
  const std::vector<double> v = AtMost(values, 128);
  const auto n = static_cast<double>(v.size());
  if (v.size() < 4) return {};
  double s = 0;
  std::vector<double> slopes;
  slopes.reserve(v.size() * v.size() / 2);
  for (size_t i = 0; i < v.size(); ++i) {
    for (size_t j = i + 1; j < v.size(); ++j) {
      s += v[j] > v[i] ? 1 : v[j] < v[i] ? -1 : 0;
      slopes.push_back((v[j] - v[i]) / static_cast<double>(j - i));
    }
  }
  const double variance = n * (n - 1) * (2 * n + 5) / 18;
  const double median = Median(v);
  Trend out;
  out.z = s == 0 ? 0 : (s - (s > 0 ? 1 : -1)) / std::sqrt(variance);
  out.relative_change = median == 0 ? 0 : Median(std::move(slopes)) * (n - 1) / median;
  return out;
}

std::string_view LevelStateName(LevelState state) {
  switch (state) {
    case LevelState::kStable:
      return "stable";
    case LevelState::kDrifting:
      return "drifting";
    case LevelState::kNoisy:
      return "noisy";
    case LevelState::kShort:
      return "short";
  }
  return "unknown";
}

LevelState JudgeLevel(const StateRule& rule, uint64_t requests, const IntervalEstimate& rate,
                      std::span<const double> throughput, std::span<const double> latency) {
  if (requests < rule.min_requests || throughput.size() < rule.min_intervals || !rate.known)
    return LevelState::kShort;
  for (const std::span<const double> series : {throughput, latency}) {
    const Trend trend = FindTrend(series);
    if (std::abs(trend.z) > rule.trend_z &&
        std::abs(trend.relative_change) > rule.max_relative_drift) {
      return LevelState::kDrifting;
    }
  }
  return rate.relative() <= rule.max_relative_half_width ? LevelState::kStable : LevelState::kNoisy;
}

}  // namespace sextant::stats
