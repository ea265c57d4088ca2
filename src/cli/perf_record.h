// What `sextant perf` says of a run before its first level: the run file's header and the banner.
#pragma once

#include "cli/perf_subject.h"
#include "text/json.h"

namespace sextant::cli {

// "name", "version", "metadata" and "config" of a model.
text::Json ModelJson(const PerfOptions& options, const Subject& subject);

text::Json MakeHeader(const PerfOptions& options, const Plan& plan, const Connection& connection,
                      const Subject& subject, const load::DataSet& data);

// What is to be said of inputs whose shape nobody gave.
std::vector<std::string> OpenDimensionNotes(const PerfOptions& options, const Plan& plan,
                                            const Subject& subject);

void PrintBanner(const PerfOptions& options, const Plan& plan, const Subject& subject,
                 const load::DataSet& data);

}  // namespace sextant::cli
