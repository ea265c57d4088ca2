// What perf_analyzer's options amount to, and what `sextant perf` says and does in its place.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/perf_options.h"
#include "load/measurement.h"

namespace sextant::cli {

// The program was started under perf_analyzer's name: "/usr/bin/perf_analyzer", "perf_client".
bool IsPerfAnalyzerName(std::string_view program);

// --version among the arguments: prints the version as the tool does that is asked for it.
bool PrintPerfVersion(std::span<const std::string_view> arguments);

// Rewrites options that are another spelling, or a default of perf_analyzer's, before they are
// looked at: deprecated ranges, no warm-up unless one is asked for.
void ApplyCompat(PerfOptions& options);

// The mistakes of the rows of perf_compat_options.cc.
void CheckCompat(const PerfOptions& options, const std::function<void(std::string)>& add);

// The rule of perf_analyzer's windows.
load::WindowRule WindowsOf(const PerfOptions& options);

}  // namespace sextant::cli
