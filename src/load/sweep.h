// Which levels are measured, one after the other, and when enough is known. Pure: a sweep is told
// what was measured and says what to measure next.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "load/measurement.h"
#include "load/range.h"
#include "run/level.h"
#include "text/json.h"

namespace sextant::load {

struct Probe {
  run::LoadPoint load;
  std::optional<Nanos> window;  // instead of what the options say
};

// What a search found, for people and for the run file.
struct Conclusion {
  bool satisfied = true;
  std::string text;   // a few lines
  text::Json record;  // an object
};

class Sweep {
 public:
  virtual ~Sweep() = default;
  // The next level; nothing when enough is known.
  virtual std::optional<Probe> Next() = 0;
  // That level, measured; what is to be said of it is added to its notes.
  virtual void Report(run::Level& level) = 0;
  // Told about four times a second what the level looks like; true: it is not worth going on with.
  virtual bool GiveUp(const LiveFigures&) { return false; }
  virtual std::optional<Conclusion> Conclude() const { return std::nullopt; }
};

// perf_analyzer's --latency-threshold: the latency, from when requests were due, that ends a sweep.
// The level over it is reported.
struct ThresholdRule {
  Nanos limit{0};                                   // 0: none
  std::optional<double> percentile;                 // 0.99: judges by that instead of the mean
  double LatencyOf(const run::Level& level) const;  // nanoseconds
  bool Over(const run::Level& level) const;
  std::string Describe(const run::Level& level) const;
};

// The levels of a list, in order, until one is over the threshold.
std::unique_ptr<Sweep> MakeListSweep(std::vector<run::LoadPoint> points, ThresholdRule rule);

// A range without an end (perf_analyzer's START:0:STEP): until a level is over the threshold, which
// is needed, or nothing succeeds.
std::unique_ptr<Sweep> MakeOpenSweep(run::LoadPoint first, LevelRange range, ThresholdRule rule);

// perf_analyzer's --binary-search: the range's start must be within the threshold; if its end is
// too, that is all; else the middle is measured, and the half that holds the edge goes on, until it
// is no wider than the step. A level that drifts counts as over.
std::unique_ptr<Sweep> MakeBinarySweep(run::LoadPoint first, LevelRange range, ThresholdRule rule);

}  // namespace sextant::load
