// What the points of a journal depend on beside configuration and load.
#pragma once

#include <string>

#include "analyze/journal.h"
#include "cli/analyze_options.h"
#include "cli/analyze_stand.h"

namespace sextant::cli {

struct Circumstances {
  const AnalyzeOptions& options;
  const std::vector<std::string>& models;
  const ModelStand& stand;
  const std::vector<std::string>& devices;  // Meter::FindDevices
  std::string gpu_source;
  bool remote = false;
};
// Tool, server, protocol, the models' files, data, GPUs, how requests are made, and the machine
// that they come from; of a remote server its URL.
analyze::Identity MakeIdentity(const Circumstances& circumstances);

}  // namespace sextant::cli
