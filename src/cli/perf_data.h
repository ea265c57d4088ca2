// The input data of `sextant perf`: what its options ask for, and the rows that come of it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/perf_plan.h"
#include "load/requests.h"

namespace sextant::cli {

// Reads --data and --dim into the plan; `add` takes each mistake in these and in what goes with
// what.
void PlanData(const PerfOptions& options, Plan& plan, const std::function<void(std::string)>& add);

// Whether rows come from files, and not from rules.
bool FromFiles(const PerfOptions& options);

// All rows, checked against the model. Says on stderr what takes long, unless --progress is none.
Result<load::DataSet> MakeData(const PerfOptions& options, const Plan& plan,
                               const load::ModelSignature& model);

// --atol and --rtol; nothing when neither is given.
std::optional<load::Tolerance> OutputTolerance(const PerfOptions& options);

}  // namespace sextant::cli
