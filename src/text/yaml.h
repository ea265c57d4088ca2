// YAML into the same values as JSON (text/json.h).
//
// Plain scalars follow the YAML 1.2 core schema (null, true/false, integers, floats; everything
// else is a string, also yes/no/on/off); quoted scalars are strings. Errors: kCorrupt with line and
// column; duplicate keys, non-scalar keys and documents that expand beyond a bound are errors.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/json.h"

namespace sextant::text {

// One document; an empty text is null.
Result<Json> ParseYaml(std::string_view source);

// Block style, two spaces, strings quoted where a plain scalar would read back as something else.
std::string FormatYaml(const Json& value);

}  // namespace sextant::text
