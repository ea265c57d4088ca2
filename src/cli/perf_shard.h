// The options of `sextant perf` for load from many machines: the part that this one takes, and when
// all begin.
#pragma once

#include <string>
#include <vector>

#include "cli/perf_plan.h"

namespace sextant::cli {

// "INDEX/COUNT", INDEX from 0.
Result<load::Part> ParseShard(std::string_view text);

// Fills the plan's shard and start, and checks its points. All mistakes at once.
std::vector<std::string> PlanShard(const PerfOptions& options, Plan& plan);

// This machine's share of a load: of a rate its part, of a concurrency a whole number.
run::LoadPoint ShareOf(run::LoadPoint whole, const load::Part& shard);

}  // namespace sextant::cli
