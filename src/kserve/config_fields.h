// Fields of a model's configuration by their dotted paths, through protobuf's reflection. Pure.
//
// "dynamic_batching.max_queue_delay_microseconds": messages on the way are created. A repeated
// message without an index means all its elements, and creates one when there is none
// ("instance_group.count"); "instance_group[0].count" is of one, and an index one past the end adds
// one. Keys of maps stand in brackets or behind a dot: "parameters[threads]", "parameters.threads"
// (a scalar there is its string_value). An object or an array replaces a whole message, map or
// repeated field; {} makes an empty message, null removes the field.
// Errors: kInvalidArgument; they name the path, the part that is wrong, what there is in its place
// and the type that is wanted.
// Threads: plain functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kserve/field_setting.h"
#include "kserve/model_config.h"
#include "text/json.h"

namespace sextant::kserve {

// After an error the configuration is as it was.
Result<void> SetField(ModelConfig& config, std::string_view path, const text::Json& value);

// What the field is now; null where it is absent. Messages as objects of what is set in them; of a
// field in several elements the one value that all have, or an array of all.
Result<text::Json> GetField(const ModelConfig& config, std::string_view path);

// The value as GetField would give it if it were set: one form for each meaning (a number for a
// parameter's text, a single number for a list of one). Errors: as of SetField for any model.
Result<text::Json> CanonicalValue(std::string_view path, const text::Json& value);

// The settings in the order in which they are to be made: what is around before what is within,
// removals before the rest; what lies within something that another removes is left out.
std::vector<FieldSetting> InOrder(std::span<const FieldSetting> settings);

// All mistakes at once, one a line.
Result<ModelConfig> WithSettings(const ModelConfig& config, std::span<const FieldSetting> settings);

// What Triton would refuse, a sentence each: dynamic batching without a batch dimension, preferred
// batches larger than the largest, ...
std::vector<std::string> CheckSense(const ModelConfig& config);

}  // namespace sextant::kserve
