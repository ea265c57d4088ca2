// What the options of `sextant perf` amount to: where requests go, which levels, measured how.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/perf_options.h"
#include "load/measurement.h"

namespace sextant::cli {

// What the options amount to, beyond what the table checks.
struct Plan {
  std::vector<double> percentiles;
  std::map<std::string, kserve::Shape> shapes;
  std::map<std::string, load::Range> ranges;
  uint64_t seed = 0;
  size_t workers = 1;
  load::MeasureOptions measure;
  std::vector<run::LoadPoint> points;
  Target target;
};

// All mistakes that the option table cannot see, at once. Pure but for what it asks of this
// machine: directories, cores, and a seed where none is given.
std::vector<options::Mistake> MakePlan(const PerfOptions& options, Plan& plan);

}  // namespace sextant::cli
