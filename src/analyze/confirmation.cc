#include "analyze/confirmation.h"

#include <algorithm>
#include <cmath>

#include "analyze/figures.h"
#include "stats/interval.h"

namespace sextant::analyze {
namespace {

// How many rounds the pooled variance is worth beside a pair's own, and what was expected beside
// the pooled.
constexpr double kPooledWorth = 4, kExpectedWorth = 4;
// Wang and Tsiatis' constant for eight looks at 5 % is 2.2; a little more because moving far
// differences nearer takes from the variance, too (the test has the share of errors). The bound at
// look n of N is that times the fourth root of N / n.
constexpr double kBound = 2.4;
constexpr double kClip = 2.5;
// Of the standard deviation of what is still to come, so much may change a pair's difference.
constexpr double kHope = 1.0;

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

double Squares(const std::vector<double>& values) {
  const double mean = Mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - mean) * (v - mean);
  return sum;
}

void Clip(std::vector<double>& values, double reach) {
  if (values.size() < kLeastRounds) return;
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  const double median =
      sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  for (double& v : values) v = std::clamp(v, median - reach, median + reach);
}

}  // namespace

void Confirmation::Join(Contender contender) {
  if (Has(contender.configuration)) return;
  contenders_.push_back(contender);
  series_.emplace(contender.configuration, Series());
}

void Confirmation::Drop(size_t configuration) {
  const auto is = [&](const Contender& c) { return c.configuration == configuration; };
  std::erase_if(contenders_, is);
  std::erase_if(pending_, is);
  series_.erase(configuration);
}

void Confirmation::Miss(size_t configuration) {
  if (missed_[configuration]++ > 0 || pending_.empty()) return Drop(configuration);
  std::rotate(pending_.begin(), std::prev(pending_.end()), pending_.end());
}

std::vector<double> Confirmation::Differences(size_t first, size_t second) const {
  std::vector<double> out;
  const auto a = series_.find(first), b = series_.find(second);
  if (a == series_.end() || b == series_.end()) return out;
  for (const auto& [round, utility] : a->second) {
    const auto other = b->second.find(round);
    if (other != b->second.end()) out.push_back(utility - other->second);
  }
  return out;
}

void Confirmation::Pool() {
  double squares = kExpectedWorth * expected_, freedom = kExpectedWorth;
  for (size_t i = 0; i < contenders_.size(); ++i) {
    // Neighbours in the list: pairs that share no more than one contender.
    if (i + 1 == contenders_.size()) break;
    std::vector<double> differences =
        Differences(contenders_[i].configuration, contenders_[i + 1].configuration);
    if (differences.size() < 2) continue;
    Clip(differences, kClip * std::sqrt(expected_));
    squares += Squares(differences), freedom += static_cast<double>(differences.size()) - 1;
  }
  pooled_ = squares / freedom;
}

Paired Confirmation::Compare(size_t first, size_t second) const {
  std::vector<double> differences = Differences(first, second);
  Paired out;
  out.rounds = differences.size();
  if (differences.empty()) return out;
  Clip(differences, kClip * std::sqrt(pooled_));
  const auto n = static_cast<double>(differences.size());
  const auto most = static_cast<double>(kMostRounds);
  out.difference = Mean(differences);
  const double freedom = n - 1 + kPooledWorth;
  const double deviation = std::sqrt((Squares(differences) + kPooledWorth * pooled_) / freedom);
  const double student = stats::StudentQuantile(freedom, 0.025) / kNormal95;
  out.half_width =
      kBound * student * std::pow(std::max(1.0, most / n), 0.25) / std::sqrt(n) * deviation;
  using Verdict = Paired::Verdict;
  const double size = std::abs(out.difference);
  if (differences.size() < kLeastRounds) {
    const bool clear = differences.size() == kClearRounds && size > out.half_width &&
                       std::all_of(differences.begin(), differences.end(), [&](double d) {
                         return std::abs(d) > kClear * deviation && (d > 0) == (out.difference > 0);
                       });
    if (clear) out.verdict = out.difference > 0 ? Verdict::kBetter : Verdict::kWorse;
    return out;
  }
  if (size > out.half_width) {
    out.verdict = out.difference > 0 ? Verdict::kBetter : Verdict::kWorse;
    return out;
  }
  const double final = kBound * student * deviation / std::sqrt(most);
  const double to_come = deviation * std::sqrt(std::max(0.0, 1 / n - 1 / most));
  const bool hopeless = size + kHope * to_come < final;
  if (hopeless || size + out.half_width < kResolution || differences.size() >= kMostRounds)
    out.verdict = Verdict::kTie;
  return out;
}

std::optional<size_t> Confirmation::Leader() const {
  std::optional<size_t> leader;
  for (const Contender& contender : contenders_) {
    if (!leader) {
      leader = contender.configuration;
      continue;
    }
    const Paired paired = Compare(contender.configuration, *leader);
    if (paired.known() && paired.difference > 0) leader = contender.configuration;
  }
  return leader;
}

// The leader, and all that are not decided against it.
void Confirmation::StartRound(std::optional<size_t> loaded) {
  const auto leader = Leader();
  if (!leader) return;
  std::vector<Contender> open;
  for (const Contender& contender : contenders_) {
    if (contender.configuration == *leader) continue;
    if (Compare(*leader, contender.configuration).verdict == Paired::Verdict::kOpen)
      open.push_back(contender);
  }
  if (open.empty()) return;
  const auto of_leader =
      std::find_if(contenders_.begin(), contenders_.end(),
                   [&](const Contender& c) { return c.configuration == *leader; });
  // In the middle: the time between two takes that are compared is shortest there.
  open.insert(open.begin() + static_cast<ptrdiff_t>(open.size() / 2), *of_leader);
  ++round_;
  pending_ = std::move(open);
  // Who was last in a round is first in the next.
  const bool first = pending_.front().configuration == loaded;
  const bool last = pending_.back().configuration == loaded;
  if (first != last ? first : round_ % 2 == 1) std::reverse(pending_.begin(), pending_.end());
}

std::optional<Confirmation::Contender> Confirmation::Next(double expected,
                                                          std::optional<size_t> loaded) {
  expected_ = 2 * expected;
  if (pending_.empty()) {
    Pool();
    StartRound(loaded);
  }
  return pending_.empty() ? std::nullopt : std::optional(pending_.back());
}

void Confirmation::Report(size_t configuration, double utility) {
  if (pending_.empty() || pending_.back().configuration != configuration) return;
  pending_.pop_back();
  series_[configuration][round_] = utility;
}

}  // namespace sextant::analyze
