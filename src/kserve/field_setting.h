// A field of config.pbtxt, by its dotted path, and what it is to be. Apart from config_fields.h, so
// that what only carries settings about does not see protobuf.
#pragma once

#include <string>

#include "text/json.h"

namespace sextant::kserve {

struct FieldSetting {
  std::string path;  // of config.pbtxt
  text::Json
      value;  // a scalar, or an object or array for a message or a repeated field; null: gone
};

}  // namespace sextant::kserve
