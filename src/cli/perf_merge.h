// sextant perf --merge.
#pragma once

#include "cli/perf_options.h"

namespace sextant::cli {

// Merges the run files that the options name, prints the whole and writes what is asked for.
// Returns the exit code.
int RunMerge(const PerfOptions& options);

}  // namespace sextant::cli
