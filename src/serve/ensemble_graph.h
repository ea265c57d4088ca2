// What an ensemble is made of: steps, each a model, and the tensors between them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model_config.pb.h"

namespace sextant::serve {

// Faults of an ensemble that can be seen without its models. Nothing when it is none.
void CheckEnsemble(const inference::ModelConfig& config, std::vector<std::string>& faults);

struct EnsembleGraph {
  // A tensor of a step's model, and the ensemble's tensor that it is.
  struct Mapping {
    std::string name;
    size_t tensor = 0;
  };
  struct Step {
    std::string model;
    int64_t version = -1;  // -1: the latest
    std::vector<Mapping> inputs, outputs;

    std::string VersionText() const { return version < 0 ? "" : std::to_string(version); }
  };

  std::vector<std::string> tensors;
  std::vector<size_t> inputs, outputs;  // tensors, in the order of the configuration
  std::vector<Step> steps;

  // The configuration is taken as validated.
  explicit EnsembleGraph(const inference::ModelConfig& config);
  // Which steps these outputs (positions in the configuration) need.
  std::vector<bool> StepsFor(const std::vector<int>& wanted) const;
};

// Whether an ensemble and the models of its steps fit each other; `models[i]` is that of step i.
// kInvalidArgument with all faults, in Triton's words where it has them.
Result<void> CheckSteps(const inference::ModelConfig& config,
                        const std::vector<const inference::ModelConfig*>& models);

}  // namespace sextant::serve
