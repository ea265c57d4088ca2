// perf_analyzer's rule for when a level has been measured: windows one after the other, until the
// last three agree. Pure: the windows' figures go in, a verdict comes out.
//
// Times are nanoseconds, rates per second. Threads: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace sextant::load {

struct TrialRule {
  Nanos window{6s};        // of a window of time
  uint64_t requests = 0;   // > 0: a window of so many answers, and of a second at least
  double stability = 0.1;  // the highest of three may be so much above the lowest: 0.1 is 10 %
  size_t most = 10;        // windows in all
  // In (0, 1): that percentile of latency must agree; otherwise the mean must.
  std::optional<double> percentile;
  // After the last window, throughputs that agree are enough.
  bool throughput_suffices = false;
  Nanos latency_limit{0};  // > 0: a latency at or above it ends the level
};

// Of one window.
struct TrialFigures {
  double infer_per_s = 0;
  uint64_t answered = 0;
  double latency_ns = 0;             // mean, or the rule's percentile
  double standard_deviation_ns = 0;  // of the latencies
};

enum class TrialVerdict : uint8_t {
  kMore,              // another window is needed
  kStable,            // the last three agree
  kStableThroughput,  // of the last three only the throughputs agree, and that suffices
  kUnstable,          // no more windows are allowed
  kOverLimit,         // a latency was at or above the limit
};

class Trials {
 public:
  static constexpr size_t kJudged = 3;
  explicit Trials(const TrialRule& rule) : rule_(rule) {}

  TrialVerdict Add(const TrialFigures& figures);
  const std::vector<TrialFigures>& figures() const { return figures_; }

 private:
  bool ThroughputAgrees() const;
  bool LatencyAgrees() const;

  const TrialRule rule_;
  std::vector<TrialFigures> figures_;
};

}  // namespace sextant::load
