// What metrics endpoints told over a level, as text. Pure.
#pragma once

#include <array>
#include <string>

#include "run/level.h"

namespace sextant::run {

// The report's lines: per endpoint, a line per GPU, one of the machine, one per further metric, and
// what failed. Empty without metrics.
std::string FormatMetrics(const Level& level);

// The heads of perf_analyzer's GPU columns, and a level's cells: "uuid:value;uuid:value;", of the
// GPUs that told it. Fraction, watts, bytes, bytes.
constexpr std::array<const char*, 4> kGpuCsvColumns{"Avg GPU Utilization", "Avg GPU Power Usage",
                                                    "Max GPU Memory Usage", "Total GPU Memory"};
std::array<std::string, 4> GpuCsvCells(const Level& level);
bool HasGpuFigures(const Level& level);

}  // namespace sextant::run
