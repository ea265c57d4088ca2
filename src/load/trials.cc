#include "load/trials.h"

#include <algorithm>
#include <span>

namespace sextant::load {
namespace {

std::span<const TrialFigures> LastThree(const std::vector<TrialFigures>& figures) {
  return std::span(figures).last(std::min(figures.size(), Trials::kJudged));
}

bool Agree(std::span<const TrialFigures> windows, double TrialFigures::* member, double share) {
  const auto [low, high] = std::minmax_element(
      windows.begin(), windows.end(),
      [member](const TrialFigures& a, const TrialFigures& b) { return a.*member < b.*member; });
  return (*high).*member <= (*low).*member * (1 + share);
}

}  // namespace

bool Trials::ThroughputAgrees() const {
  const auto last = LastThree(figures_);
  return std::all_of(last.begin(), last.end(), [](const auto& f) { return f.answered > 0; }) &&
         Agree(last, &TrialFigures::infer_per_s, rule_.stability);
}

bool Trials::LatencyAgrees() const {
  return Agree(LastThree(figures_), &TrialFigures::latency_ns, rule_.stability);
}

TrialVerdict Trials::Add(const TrialFigures& figures) {
  figures_.push_back(figures);
  const bool enough = figures_.size() >= kJudged;
  const bool throughput = enough && ThroughputAgrees();
  if (throughput && LatencyAgrees()) return TrialVerdict::kStable;
  if (enough && rule_.latency_limit > Nanos(0)) {
    const auto last = LastThree(figures_);
    if (std::any_of(last.begin(), last.end(), [&](const TrialFigures& f) {
          return f.answered > 0 && f.latency_ns >= static_cast<double>(rule_.latency_limit.count());
        }))
      return TrialVerdict::kOverLimit;
  }
  if (figures_.size() < rule_.most) return TrialVerdict::kMore;
  return throughput && rule_.throughput_suffices ? TrialVerdict::kStableThroughput
                                                 : TrialVerdict::kUnstable;
}

}  // namespace sextant::load
