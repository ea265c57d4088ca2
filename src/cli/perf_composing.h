// The models behind a model: the steps of an ensemble, and those that --bls-composing-models names.
// Their statistics are asked for together with the model's own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/perf_options.h"
#include "kserve/control_client.h"

namespace sextant::cli {

struct ModelRef {
  std::string name, version;  // an empty version: all that have worked
  auto operator<=>(const ModelRef&) const = default;
};

// Lists such as "A,B:2": names, each with a version if one is meant. kInvalidArgument.
Result<std::vector<ModelRef>> ParseComposingModels(const std::vector<std::string>& lists);

// In the order of the steps, ensembles within ensembles resolved, none twice. A step whose
// configuration cannot be had is there without its own steps. kNotFound for a named model that the
// server does not have.
Result<std::vector<ModelRef>> FindComposingModels(const PerfOptions& options,
                                                  const std::optional<kserve::ModelConfig>& config,
                                                  kserve::ControlClient& client);

// The model's, then those of its composing models.
Result<std::vector<kserve::ModelStatistics>> FetchAllStatistics(
    kserve::ControlClient& client, const ModelRef& model, const std::vector<ModelRef>& composing);

}  // namespace sextant::cli
