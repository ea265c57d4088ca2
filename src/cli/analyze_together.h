// Several models on one server at once: what `--mix` and Model Analyzer's
// run_config_profile_models_concurrently_enable say of an analysis.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "analyze/model_analyzer_yaml.h"
#include "cli/analyze_plan.h"

namespace sextant::cli {

using AddMistake = std::function<void(const std::string&)>;

// The mix's models, each once, in its order: their configurations are set. None where the mix is
// wrong, which MakePlan() says.
std::vector<std::string> MixModels(const AnalyzeOptions& options);

// What does not go with --mix.
void CheckTogether(const AnalyzeOptions& options, const AddMistake& add);

// The load of a mix whose models each have a concurrency of their own: that one.
void AddOwnLoad(const AnalyzeOptions& options, analyze::SpaceSpec& space);

// Goals may speak of parts of the mix, and of nothing else.
void CheckOwners(const AnalyzeOptions& options, const analyze::SearchOptions& search,
                 const AddMistake& add);

// One plan of the plans of a file's models: fields and goals under their models' names, equal
// shares of the requests. Notes say what cannot be kept apart.
ModelPlan JoinPlans(std::vector<ModelPlan> plans, const analyze::ModelAnalyzerConfig& file,
                    std::vector<std::string>& notes);

}  // namespace sextant::cli
