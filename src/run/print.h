// Levels as text for people and as perf_analyzer's CSV. Pure.
//
// The words are perf_analyzer's, so that its users and their scripts find their way; beside each
// figure stands its 95 % interval, or what is missing for one.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "run/level.h"

namespace sextant::run {

// A level's report, several lines. `grpc` names the protocol's line.
std::string FormatLevel(const Level& level);

// One aligned table over all levels, a line each, with a heading.
std::string FormatTable(std::span<const Level> levels);

// perf_analyzer's CSV (microseconds, one row per level, ascending throughput). With more than one
// batch size among the levels, a last column says which.
std::string FormatPerfAnalyzerCsv(std::span<const Level> levels);

}  // namespace sextant::run
