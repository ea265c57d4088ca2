#include "cli/perf_trace.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "cli/command.h"

namespace sextant::cli {
namespace {

// The server's names and values of what the options ask for.
kserve::TraceChanges Asked(const PerfOptions& options) {
  kserve::TraceChanges out;
  if (!options.trace_levels.empty()) out["trace_level"] = options.trace_levels;
  const auto number = [&](const char* name, const std::optional<int64_t>& value) {
    if (value) out[name] = std::vector<std::string>{Format("{}", *value)};
  };
  number("trace_rate", options.trace_rate);
  number("trace_count", options.trace_count);
  number("log_frequency", options.log_frequency);
  return out;
}

}  // namespace

std::vector<std::string> CheckTraceOptions(const PerfOptions& options) {
  std::vector<std::string> mistakes;
  for (const std::string& level : options.trace_levels) {
    if (level != "OFF" && level != "TIMESTAMPS" && level != "TENSORS") {
      mistakes.push_back(
          Format("--trace-level '{}': must be OFF, TIMESTAMPS or TENSORS", Printable(level, 40)));
    }
  }
  const bool off = std::find(options.trace_levels.begin(), options.trace_levels.end(), "OFF") !=
                   options.trace_levels.end();
  if (off && options.trace_levels.size() > 1)
    mistakes.emplace_back("--trace-level OFF excludes other levels");
  if (options.trace_levels.empty() &&
      (options.trace_rate || options.trace_count || options.log_frequency)) {
    mistakes.emplace_back(
        "--trace-rate, --trace-count and --log-frequency need --trace-level TIMESTAMPS");
  }
  return mistakes;
}

Result<std::unique_ptr<TraceSettings>> TraceSettings::Set(const PerfOptions& options,
                                                          kserve::ControlClient& client) {
  const kserve::TraceChanges asked = Asked(options);
  if (asked.empty()) return std::unique_ptr<TraceSettings>();
  SEXTANT_ASSIGN(const kserve::TraceValues model, client.FetchTraceSettings(options.model),
                 "--trace-level");
  SEXTANT_ASSIGN(const kserve::TraceValues server, client.FetchTraceSettings(""), "--trace-level");
  std::unique_ptr<TraceSettings> out(new TraceSettings(client, options.model));
  for (const auto& [name, value] : asked) {
    const auto mine = model.find(name), all = server.find(name);
    if (mine == model.end()) continue;
    // What the model has from the server's settings goes on following them afterwards.
    if (all != server.end() && all->second == mine->second) {
      out->before_[name] = std::nullopt;
    } else {
      out->before_[name] = mine->second;
    }
  }
  SEXTANT_TRY(client.SetTraceSettings(options.model, asked), "--trace-level");
  return out;
}

TraceSettings::~TraceSettings() {
  if (const auto restored = client_.SetTraceSettings(model_, before_); !restored.has_value()) {
    PrintWarning(
        "perf", "the server's trace settings could not be put back: " + restored.error().message());
  }
}

}  // namespace sextant::cli
