// What reflection on a model's configuration shares: reading values and maps. Internal to this
// folder.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <utility>
#include <vector>

#include "text/json.h"

namespace sextant::kserve {

// A value that is no message; enums by name. `index` < 0: the field is not repeated.
text::Json ScalarOf(const google::protobuf::Message& message,
                    const google::protobuf::FieldDescriptor& field, int index);

// A map's entries by key: its own order changes from run to run.
std::vector<std::pair<std::string, const google::protobuf::Message*>> SortedEntries(
    const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field);

}  // namespace sextant::kserve
