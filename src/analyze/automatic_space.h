// What is tried when nobody says what to try: axes from what a model and its machine allow. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "analyze/space.h"
#include "kserve/model_config.h"

namespace sextant::analyze {

// Model Analyzer's bounds of its automatic search.
struct SearchBounds {
  int64_t min_concurrency = 1, max_concurrency = 1024;
  int64_t min_rate = 16, max_rate = 8192;
  int64_t min_instances = 1, max_instances = 5;
  int64_t min_batch = 1, max_batch = 128;  // of max_batch_size
  // Given by somebody, so that no rule of ours makes it smaller.
  bool exact_concurrency = false;
};

struct AutomaticOptions {
  int cores = 1;  // of the machine of the server
  int gpus = 0;   // that the server may use
  SearchBounds bounds;
  bool cpu_only = false;      // the model is to run on the CPU, whatever it says itself
  bool can_configure = true;  // the server loads configurations that it is given
  bool rates = false;         // load is a rate of requests, not a number in flight
};

struct AutomaticSpace {
  SpaceSpec spec;
  std::vector<std::string> why;  // a sentence per axis that was added or left out
};

// Adds what `given` lacks: axes of the configuration when it has none, a load when it has none.
AutomaticSpace CompleteSpace(SpaceSpec given, const kserve::ModelConfig& config,
                             const AutomaticOptions& options);

// One of the models that are served together, or the only one.
struct NamedConfig {
  std::string name;
  kserve::ModelConfig config;
};
// Of several models: axes of each, under its name ("resnet:max_batch_size"), and one load.
AutomaticSpace CompleteSpace(SpaceSpec given, std::span<const NamedConfig> models,
                             const AutomaticOptions& options);

// The model as MakeSpace wants to know it. The configuration is copied.
SpaceModel ModelOf(const kserve::ModelConfig& config);
SpaceModel ModelOf(std::span<const NamedConfig> models);

}  // namespace sextant::analyze
