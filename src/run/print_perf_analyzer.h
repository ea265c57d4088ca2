// Levels in perf_analyzer's own forms: its report, line for line and space for space, and its CSV.
// The forms are those of the golden files in tests/golden; the figures are the engine's. Pure.
//
// What its forms have no place for (failed requests, notes, levels that are not stable) is given
// apart, for stderr. Times are microseconds, cut to whole ones as it does.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "run/level.h"

namespace sextant::run {

// What was asked for, as far as it shows.
struct PerfAnalyzerForm {
  bool grpc = false;
  bool verbose = false, verbose_csv = false;
  bool asynchronous = false;
  std::optional<int> percentile;  // that must agree; otherwise the average
  // The banner.
  int64_t batch_size = 1;
  uint64_t window_ms = 5000;
  std::optional<uint64_t> window_requests;  // of count_windows
  std::optional<uint64_t> requests;         // in all: then there are no windows
  uint64_t warmup_requests = 0;
  uint64_t latency_limit_ms = 0;
  uint64_t trials = 10;
  std::vector<LoadPoint> points;
};

std::string PerfAnalyzerBanner(const PerfAnalyzerForm& form);
// The line over a level.
std::string PerfAnalyzerHeading(const LoadPoint& load);
// -v: a window's line; `number` counts from 1.
std::string PerfAnalyzerPass(const PerfAnalyzerForm& form, size_t number, double infer_per_s,
                             double latency_ns, double standard_deviation_ns);
std::string PerfAnalyzerLevel(const PerfAnalyzerForm& form, const Level& level);
// What is to be said of a level that its form has no place for: lines for stderr.
std::string PerfAnalyzerWarnings(const PerfAnalyzerForm& form, const Level& level);
// The lines at the end.
std::string PerfAnalyzerSummary(const PerfAnalyzerForm& form, std::span<const Level> levels);
// A row per level, ascending throughput.
std::string PerfAnalyzerCsv(const PerfAnalyzerForm& form, std::span<const Level> levels);
// Of a model that the measured one calls; empty when no level knows it.
std::string PerfAnalyzerComposingCsv(std::span<const Level> levels, std::string_view model,
                                     std::string_view version);
// The level's windows never agreed.
bool PerfAnalyzerUnstable(const Level& level);

}  // namespace sextant::run
