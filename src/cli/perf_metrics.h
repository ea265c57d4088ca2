// `sextant perf --collect-metrics`: from the options to the endpoints, from what they told to the
// level's record.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/perf_plan.h"
#include "metrics/collector.h"
#include "run/level.h"

namespace sextant::cli {

// What is wrong with the options about metrics.
std::vector<std::string> CheckMetricsOptions(const PerfOptions& options);
// Whether an endpoint is reached over https.
bool AnySecureMetrics(const PerfOptions& options);

// Begins to read the endpoints; null without --collect-metrics. An endpoint that gives nothing is a
// warning: it may come later, and what is measured does not depend on it.
Result<std::unique_ptr<metrics::Collector>> StartMetrics(const PerfOptions& options,
                                                         const Target& target);

// What was read since the level's window began.
void RecordMetrics(metrics::Collector& collector, run::Level& level);

}  // namespace sextant::cli
