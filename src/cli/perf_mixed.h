// What `sextant perf --mix` learns of its models, and what it sends them.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "cli/perf_mix.h"
#include "cli/perf_subject.h"
#include "text/json.h"

namespace sextant::cli {

struct MixedModel {
  MixEntry entry;
  ModelOptions as;
  Subject subject;
  std::optional<load::DataSet> data;
  std::map<int64_t, std::unique_ptr<load::RequestSet>> requests;  // by batch size
};
// They do not move: requests refer to their data.
using MixedModels = std::vector<std::unique_ptr<MixedModel>>;

// Asks the server for each model, and makes its data. What is wrong with any of them is said at
// once.
Result<MixedModels> LearnMix(const PerfOptions& options, const Plan& plan,
                             kserve::ControlClient& client);

// The server, and what is to be said of all models; it has no signature or metadata.
Subject DescribeMixed(const MixedModels& models);

Result<void> EncodeMix(const Plan& plan, const Connection& connection,
                       const Credentials& credentials, MixedModels& models);

// The level's models.
void FillMix(const MixedModels& models, load::LevelPlan& level);

// Of all models and of those behind them.
Result<std::vector<kserve::ModelStatistics>> FetchMixStatistics(kserve::ControlClient& client,
                                                                const MixedModels& models);

// For the run file's header, in place of "model" and "data".
text::Json MixJson(const MixedModels& models);

}  // namespace sextant::cli
