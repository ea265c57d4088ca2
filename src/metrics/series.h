// What was observed at an endpoint over time, and what a window of it amounts to. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "metrics/recipes.h"

namespace sextant::metrics {

// One quantity of one device over a window. Missing is an empty optional, never zero.
struct Summary {
  std::string quantity, family, device, labels, unit;
  bool cumulative = false;
  uint64_t samples = 0;
  // Of what is not cumulative. The mean is over time: a value stands for the time since the one
  // before it, which is exact for exporters that give means since they were last asked.
  std::optional<double> min, mean, max;
  // Of what is: how much was added, a restart of the source from zero included, within how long.
  std::optional<double> increase;
  double span_s = 0;
};

class SeriesStore {
 public:
  void Add(Instant at, const std::vector<Observation>& observations);
  // Over [begin, end]: from the first observation at or after the one edge to the first at or after
  // the other; where there is none, to the last before it.
  std::vector<Summary> Summarize(Instant begin, Instant end) const;
  // Forgets what is older, but the last observation before it.
  void Forget(Instant before);

 private:
  struct Point {
    Instant at;
    double value;
  };
  struct Series {
    Observation what;  // without its value
    std::deque<Point> points;
  };
  std::map<std::tuple<std::string, std::string, std::string>, Series> series_;
};

}  // namespace sextant::metrics
