// What is wanted of a configuration: objectives, weighted, and constraints. Pure.
//
// A constraint fails closed: where its figure is missing, it is not known to hold, and what is not
// known to hold cannot win. Where the figure has an interval, a constraint holds or is violated
// only when the whole interval is on one side; in between it is undecided and more time may tell.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/figures.h"
#include "base/result.h"

namespace sextant::analyze {

struct Objective {
  std::string field;  // a name of Fields()
  double weight = 1;  // > 0
  Better better = Better::kHigher;
};

struct Constraint {
  std::string field;
  bool at_most = true;  // or at least
  double limit = 0;     // in the field's unit
  std::string text;     // as it was written
};

enum class Holds : uint8_t { kYes, kNo, kUndecided, kUnknown };  // unknown: the figure is missing

struct Goal {
  std::vector<Objective> objectives{{"throughput", 1, Better::kHigher}};
  std::vector<Constraint> constraints;
};

// "throughput", "latency_p99:2,gpu_memory:1", "resnet:throughput:2,bert:throughput": fields, of all
// models or of one, with weights. All mistakes at once.
Result<std::vector<Objective>> ParseObjectives(std::string_view text);
// "p99<50ms,errors<0.1%,gpu_memory_used<=8GiB,throughput>=100": as the SLOs of `sextant perf`, of
// any field. All mistakes at once.
Result<std::vector<Constraint>> ParseConstraints(std::string_view text);

Holds Check(const Constraint& constraint, const Figures& figures);
Holds CheckAll(std::span<const Constraint> constraints, const Figures& figures);

// How much better `a` is than `b`: the weighted mean of the relative differences, each divided by
// the mean of the two (as Model Analyzer does), positive when `a` is better. Nothing when a figure
// of an objective is missing in one of them. The interval is that of independent estimates.
std::optional<Figure> Advantage(std::span<const Objective> objectives, const Figures& a,
                                const Figures& b);

// Of points with these figures, those that no other dominates: at least as good in every field and
// better in one. What lacks a figure is not in the set. At most a few fields; O(n log n) for two.
std::vector<size_t> ParetoSet(std::span<const std::string> fields,
                              std::span<const Figures* const> points);

}  // namespace sextant::analyze
