// What the options of `sextant perf` amount to: where requests go, which levels, measured how.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/perf_composing.h"
#include "cli/perf_options.h"
#include "load/find_max.h"
#include "load/generate.h"
#include "load/measurement.h"

namespace sextant::cli {

// One of several models (--mix).
struct MixEntry {
  std::string label;  // "resnet", "resnet@2"
  ModelRef model;
  double share = 0;        // of the requests; all shares add up to 1
  size_t concurrency = 0;  // instead: so many of its own in flight
};

// What the options amount to, beyond what the table checks.
struct Plan {
  std::vector<MixEntry> mix;  // empty: one model
  std::vector<double> percentiles;
  std::map<std::string, kserve::Shape> shapes;
  std::map<std::string, load::Range> ranges;
  std::map<std::string, load::ValueRule> value_rules;
  std::vector<load::DimRule> dims;
  uint64_t seed = 0;
  size_t workers = 1;
  load::MeasureOptions measure;
  load::ArrivalPlan arrivals;  // of an open loop
  load::DataOrder order = load::DataOrder::kSequential;
  std::vector<run::LoadPoint> points;
  load::Part shard;  // of them, this machine's
  std::optional<WallTime> start_at;
  std::optional<load::FindMaxRules> find_max;  // its load is set for each batch size
  std::optional<load::PeriodicPlan> periodic;
  Target target;
  StreamPlan streams;
};

// All mistakes that the option table cannot see, at once. Pure but for what it asks of this
// machine: directories, cores, and a seed where none is given.
std::vector<options::Mistake> MakePlan(const PerfOptions& options, Plan& plan);

// --shape NAME:D1,D2 and --random-range [NAME=]LOW:HIGH.
Result<void> ParseShape(std::string_view text, std::map<std::string, kserve::Shape>& shapes);
Result<void> ParseRandomRange(std::string_view text, std::map<std::string, load::Range>& ranges);

}  // namespace sextant::cli
