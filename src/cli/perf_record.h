// What `sextant perf` says of a run before its first level: the run file's header and the banner.
#pragma once

#include "cli/perf_subject.h"
#include "text/json.h"

namespace sextant::cli {

text::Json MakeHeader(const PerfOptions& options, const Plan& plan, const Connection& connection,
                      const Subject& subject, const load::DataSet& data);

void PrintBanner(const PerfOptions& options, const Plan& plan, const Subject& subject,
                 const load::DataSet& data);

}  // namespace sextant::cli
