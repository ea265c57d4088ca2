// Whether there are the models that `sextant analyze` is asked for.
#pragma once

#include "base/result.h"
#include "cli/analyze_plan.h"

namespace sextant::cli {

// A name that nobody has is told before anything runs, not when its turn comes: all of them, each
// with the nearest one that there is. `options`: of the server, which all models share.
Result<void> CheckModelNames(const AnalyzeOptions& options, const AnalyzePlan& plan);

}  // namespace sextant::cli
