// What the points of a journal depend on beside configuration and load.
#pragma once

#include <string>

#include "analyze/journal.h"
#include "cli/analyze_options.h"
#include "cli/analyze_stand.h"

namespace sextant::cli {

// Tool, server, protocol, the models' files, data, and the machine that the load comes from; of a
// remote server its URL.
analyze::Identity MakeIdentity(const AnalyzeOptions& options, const ModelStand& stand, bool remote);

}  // namespace sextant::cli
