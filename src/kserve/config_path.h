// Dotted paths of config.pbtxt: "instance_group[0].count", "parameters[threads]". Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sextant::kserve {

struct PathStep {
  std::string name;
  std::optional<std::string> key;  // what stood in brackets: an index, or a key of a map
  size_t column = 1;               // where the name begins
};

// Errors: kInvalidArgument, with the column.
Result<std::vector<PathStep>> ParseFieldPath(std::string_view path);

}  // namespace sextant::kserve
