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

// Whether the rows that a trace names are there.
Result<void> CheckRows(const Plan& plan, size_t rows);

}  // namespace sextant::cli
