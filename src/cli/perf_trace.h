// `sextant perf --trace-level`: the server's trace settings of the measured model, set for the run
// and put back after it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/perf_options.h"
#include "kserve/control_client.h"

namespace sextant::cli {

// What is wrong with the options about traces.
std::vector<std::string> CheckTraceOptions(const PerfOptions& options);

// Settings in force for the model as long as it lives.
class TraceSettings {
 public:
  // Null when no option asks for any. Errors: what the server says to it. The client must outlive
  // it.
  static Result<std::unique_ptr<TraceSettings>> Set(const PerfOptions& options,
                                                    kserve::ControlClient& client);
  ~TraceSettings();
  TraceSettings(const TraceSettings&) = delete;
  TraceSettings& operator=(const TraceSettings&) = delete;

 private:
  TraceSettings(kserve::ControlClient& client, std::string model)
      : client_(client), model_(std::move(model)) {}
  kserve::ControlClient& client_;
  const std::string model_;
  kserve::TraceChanges before_;
};

}  // namespace sextant::cli
