// The options of `sextant perf` that say when requests are due, and with which data.
#pragma once

#include <string>
#include <vector>

#include "cli/perf_plan.h"

namespace sextant::cli {

// Whether requests are due at times of their own.
bool IsOpenLoop(const PerfOptions& options);

// Fills the plan's arrivals and order of data; reads the files that they are in. All mistakes at
// once.
std::vector<std::string> PlanArrivals(const PerfOptions& options, Plan& plan);

// What the schedule takes from the data: the times of --fixed-schedule. Errors: those, and rows
// that a trace names and that are not there.
Result<void> FollowData(const PerfOptions& options, const load::DataSet& data, Plan& plan);

}  // namespace sextant::cli
