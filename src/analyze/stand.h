// What an analysis measures on, as its driver sees it: something that can be given a configuration
// and then a load.
//
// Threads: all calls from the driver's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analyze/search.h"
#include "run/level.h"

namespace sextant::analyze {

// Figures of one device, with where they come from and what they cover.
struct DeviceFigures {
  std::string device;  // "GPU-...", "MIG-..."
  std::string name;    // "NVIDIA H200"
  std::string source;  // "nvml", "dcgm-exporter", "server"
  std::string scope;   // "device", "mig_instance", "process"
  Figures figures;
};

// What was seen while no load of ours ran: the server alone, a model loaded and idle, after it was
// unloaded.
struct Baseline {
  std::string kind;                // "server_only", "loaded", "unloaded"
  std::string configuration = {};  // that is loaded, or about to be; empty: of the server
  Figures figures;
  std::vector<DeviceFigures> devices;
};

struct LoadReport {
  double cost_s = 0;
  std::vector<std::string> notes;  // "the server was restarted: its memory did not return ..."
  std::vector<Baseline> baselines;
};

struct Measured {
  Outcome::Status status = Outcome::Status::kMeasured;
  Figures figures;
  std::vector<DeviceFigures> devices;
  std::optional<run::Level> level;  // absent where the load never ran
  std::vector<std::string>
      flags;          // "gpu throttled: sw_power_cap", "foreign processes on GPU-...", ...
  std::string error;  // why it was not measured, with the server's last words
  double cost_s = 0;
};

class Stand {
 public:
  virtual ~Stand() = default;
  // Makes the server serve this configuration and nothing else of ours. An error is the
  // configuration's refusal, in the server's words; the next call finds a working server again, or
  // says kUnavailable when there is none and none can be had.
  virtual Result<LoadReport> LoadConfiguration(size_t configuration) = 0;
  // Of the configuration that was loaded last.
  virtual Measured Measure(const Trial& trial) = 0;
};

}  // namespace sextant::analyze
