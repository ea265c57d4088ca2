// What a search has seen so far: takes by point, what they are worth, what things cost.
//
// Points are compared by their utility: the weighted mean of the logarithms of the objectives'
// figures, signed so that more is better. A difference of 0.05 is 5 %, the same scale as
// Advantage() for small differences, and additive over any range.
//
// A take's variance is what its own interval says plus what takes of one point differ by; the
// whole is scaled by how much repeated takes really scatter, pooled over all points, so that
// a noisy server widens every interval. Now and then a take is slow by a tenth (another tenant, a
// collection, a clock that drops): a single take's upper bound leaves room for that.
// Threads: plain values.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analyze/search.h"
#include "analyze/takes.h"

namespace sextant::analyze {

// How much a single take may lie below what the point is worth, beyond its noise.
inline constexpr double kSlowTake = 0.12;
// An undecided constraint gets so many takes until it counts as one that does not hold.
inline constexpr size_t kDecidingTakes = 12;
// A configuration that was measured and is refused so often is given up.
inline constexpr uint64_t kMostRefusals = 3;

struct Point {
  size_t load = 0;
  std::vector<Take> takes;
  std::vector<double> utilities;  // per take; empty: an objective's figure is missing
  std::vector<double> variances;  // of them, before the pooled scale
  uint64_t failures = 0;
  Figures figures;  // of all takes
  Holds holds = Holds::kUnknown;
  double utility = 0;   // of all takes, robust from the third on
  double variance = 0;  // of it, before the pooled scale

  bool measured() const { return !takes.empty(); }
  bool ranked() const { return !utilities.empty(); }
  // Looks that told nothing.
  size_t misses() const { return failures + takes.size() - utilities.size(); }
};

struct Tried {
  std::map<size_t, Point> points;  // by load
  // It cannot be had: it was refused before anything of it was measured, or too often afterwards.
  bool refused = false;
  uint64_t refusals = 0;
  size_t refused_at = 0;  // the load that was to be measured then
  uint64_t looks = 0;     // outcomes, failures included

  bool measured() const {
    return std::any_of(points.begin(), points.end(),
                       [](const auto& entry) { return entry.second.measured(); });
  }
};

class Evidence {
 public:
  explicit Evidence(const SearchOptions& options) : options_(options) {}
  void Add(const Outcome& outcome);

  const std::map<size_t, Tried>& tried() const { return tried_; }
  const Tried* Find(size_t configuration) const;
  const Point* Find(size_t configuration, size_t load) const;
  // Of the points whose constraints hold, or may hold while that can still be found out (strict:
  // hold), the one with the highest utility.
  const Point* Best(size_t configuration, bool strict) const;
  bool Usable(const Point& point, bool strict) const;

  // Its constraints seem violated, but by no more than a slow take or two explain.
  bool Doubtful(const Point& point) const;
  // They are missed by no more than this share of the limit.
  bool NearMiss(const Point& point, double share) const;

  // By how much its constraints are missed in all, as logarithms; nothing where a figure is
  // missing.
  std::optional<double> Violation(const Point& point) const;

  // Less so many standard errors.
  double Lower(const Point& point, double z) const;
  // How much more than its utility the configuration's best point may be worth because the takes
  // that it rests on may have been slow ones: looks that agree, at this load or at others, exclude
  // that.
  double Slack(size_t configuration, const Point& best) const;
  double Error(const Point& point) const;
  // Of one take of this length, expected.
  double TakeVariance(Nanos window) const;
  // Of the utility from figures; nothing when one is missing.
  std::optional<double> Utility(const Figures& figures) const;

  double spent() const { return spent_; }  // seconds
  double load_cost() const;                // seconds, of one configuration
  double warmup_cost() const;              // seconds, of one take
  std::optional<size_t> loaded() const { return loaded_; }
  double TakeCost(Nanos window) const;    // seconds, of a take with its warm-up
  double Cost(const Trial& trial) const;  // seconds, expected

 private:
  void Refresh(Point& point);
  Holds HoldsAt(const Point& point) const;
  double Within(const Figures& figures, Nanos window) const;

  const SearchOptions& options_;
  std::map<size_t, Tried> tried_;
  std::optional<size_t> loaded_;
  double spent_ = 0;
  // Squared residuals over their variances, of points with several takes.
  double residuals_ = 0, freedom_ = 0;
  double load_seconds_ = 0, loads_ = 0, warmup_seconds_ = 0, warmups_ = 0;
};

}  // namespace sextant::analyze
