// What the options of `sextant analyze` amount to, model by model.
#pragma once

#include <string>
#include <vector>

#include "analyze/automatic_space.h"
#include "analyze/search.h"
#include "cli/analyze_options.h"

namespace sextant::cli {

struct ModelPlan {
  std::string name;                 // several: "resnet+bert"
  std::vector<std::string> models;  // whose configurations are set: one, or several together
  AnalyzeOptions options;           // with what a configuration file says of this model
  analyze::SpaceSpec space;  // as it was given; what it lacks is chosen when the model is known
  analyze::SearchBounds bounds;
  bool rates = false;  // load is a rate
  analyze::SearchOptions search;
};

struct AnalyzePlan {
  std::vector<ModelPlan> models;
  std::vector<std::string> notes;  // of a configuration file: what means nothing here
};

// All mistakes at once. Completes the options: how the server is had, a seed. Reads the files that
// they name.
std::vector<options::Mistake> MakeAnalyzePlan(AnalyzeOptions& options, AnalyzePlan& plan);

}  // namespace sextant::cli
