// Model Analyzer's model_config_parameters: fields of config.pbtxt in YAML, of which any may be a
// list of values to sweep over. Pure.
//
//   max_batch_size: [6, 8]                          two values
//   dynamic_batching:
//     max_queue_delay_microseconds: [200, 300]      two values, in a message of its own
//   instance_group: [{kind: KIND_GPU, count: [1, 2]}]
//
// What takes a list by itself is swept by a list of lists. A message replaces the model's own one,
// as Model Analyzer does it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "analyze/space.h"
#include "text/json.h"

namespace sextant::analyze {

// Where it stands and what is wrong.
using SweepFault = std::function<void(const text::Json& at, const std::string& what)>;

// Numbers swept over within messages become axes of their own, so that searches see numbers.
std::vector<AxisSpec> SweepAxes(const text::Json& parameters, const SweepFault& fault);

}  // namespace sextant::analyze
