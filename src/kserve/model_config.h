// A model's configuration: config.pbtxt, its JSON form, and what is in it.
//
// The message is protobuf's (proto/model_config.proto), whose library does the parsing; reflection
// gives the JSON form and the list of what has been set.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model_config.pb.h"

namespace sextant::kserve {

using inference::ModelConfig;

// Parses the text form. Errors: kInvalidArgument, with line and column and protobuf's words.
Result<ModelConfig> ParseModelConfig(std::string_view pbtxt);
std::string FormatModelConfig(const ModelConfig& config);

// The JSON form that Triton's HTTP endpoint gives: original field names, numbers as numbers, enums
// by name, unset scalars with their defaults, unset messages left out.
std::string ModelConfigToJson(const ModelConfig& config);
// Reads it, or any part of it. Errors: kInvalidArgument.
Result<ModelConfig> ParseModelConfigJson(std::string_view json);

// Dotted paths of every field that is set, without indices:
// "dynamic_batching.max_queue_delay_microseconds", "input.name", each once, in field order.
std::vector<std::string> SetFields(const ModelConfig& config);

// Of a model in a repository; nothing: there is no config.pbtxt. Errors name the file.
Result<std::optional<ModelConfig>> ReadModelConfig(const std::string& model_directory);

}  // namespace sextant::kserve
