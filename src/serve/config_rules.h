// Which parts of a model configuration the server honours. Everything else is refused by name: a
// setting that is silently ignored makes a measurement of something else.
#pragma once

#include "base/result.h"
#include "model_config.pb.h"

namespace sextant::serve {

// Sets what Triton sets when it is absent: version policy, one instance, batching defaults.
void NormalizeConfig(inference::ModelConfig& config);

// Checks a normalised configuration: kUnsupported for fields that are not honoured,
// kInvalidArgument for values that make no sense. All faults at once, one a line.
Result<void> CheckConfig(const inference::ModelConfig& config);

}  // namespace sextant::serve
