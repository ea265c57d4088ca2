// The levels of `sextant perf`: which sweep or search the options ask for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/perf_plan.h"
#include "load/sweep.h"

namespace sextant::cli {

// Whether the number of levels is known only when they are measured.
bool IsSearch(const PerfOptions& options);

// The loads of --concurrency-range or --request-rate-range; of a search, where it starts.
std::vector<double> ListedLoads(const PerfOptions& options);

// Checks what belongs together, and reads the objective. All mistakes at once.
std::vector<std::string> PlanSearch(const PerfOptions& options, Plan& plan);

// One for each batch size.
std::vector<std::unique_ptr<load::Sweep>> MakeSweeps(const PerfOptions& options, const Plan& plan);

// How a level is measured.
load::MeasureOptions MeasureFor(const load::Probe& probe, const Plan& plan);

}  // namespace sextant::cli
