// Service level objectives: what is asked of a level, and whether a measured one satisfies it.
// Pure.
//
// A verdict is statistical. The share of requests over a latency's limit, and the share that
// failed, have exact binomial bounds (95 %, on the number of independent requests that the sample
// is worth); a mean and a throughput have their intervals. A bound on the right side of the limit
// passes, one on the wrong side fails, and in between the sample is too small to say. A maximum is
// what was seen.
//
// A request without an answer when its level ended counts as over every latency's limit; so does
// one that failed, when the objective says nothing of errors.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "run/level.h"

namespace sextant::load {

struct SloTerm {
  enum class Metric : uint8_t { kQuantile, kMean, kMax, kErrors, kThroughput };
  Metric metric = Metric::kQuantile;
  double p = 0;            // of a quantile, 0 to 1
  bool inclusive = false;  // <= or >=
  double limit = 0;        // nanoseconds, a share, or inferences per second
  std::string text;        // as it was written
  std::string model;       // of one of several models alone; empty: of the level
};

struct Slo {
  std::vector<SloTerm> terms;
  std::string text;
  bool limits_errors() const;
  // The largest latency that a term allows, 0: none does.
  Nanos longest_latency() const;
};
// Terms separated by commas: p50<20ms, p99.9<=1s, avg<10ms, max<2s, errors<0.1%, throughput>=100.
// Where there are several models (run::ModelPart::label()), a term may be of one of them:
// bert.p99<50ms. All mistakes at once.
Result<Slo> ParseSlo(std::string_view text, std::span<const std::string> models = {});

enum class Verdict : uint8_t { kPass, kFail, kUndecided };
std::string_view VerdictName(Verdict verdict);

struct TermVerdict {
  Verdict verdict = Verdict::kUndecided;
  std::string text;  // "p99 12.3 ms [11.9, 12.8] (p99<50ms): passes"
};

struct SloVerdict {
  // Of the terms that a higher load can only make worse: latencies, errors, and with the loop open
  // that the server keeps up with the arrivals.
  Verdict ceilings = Verdict::kPass;
  // Of those that a higher load can make better: throughput.
  Verdict floors = Verdict::kPass;
  std::vector<TermVerdict> terms;
  double longer = 1;  // undecided: a window so many times as long may decide
  bool leans = true;  // undecided: what was seen is well within the limits

  // "p99 ...: passes; errors ...: fails"
  std::string Describe() const;
};
SloVerdict JudgeSlo(const Slo& slo, const run::Level& level);

}  // namespace sextant::load
