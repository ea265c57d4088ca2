// What an analysis is written into: the ranking for people, tidy CSV, JSON, and the files of the
// tools that it replaces. Pure: values to text.
//
// Missing is an empty cell or an absent member, never zero.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/analysis.h"
#include "analyze/objective.h"
#include "text/json.h"

namespace sextant::analyze {

// All that is known in the end. The references outlive it.
struct Report {
  const Space& space;
  const std::vector<std::string>& names;  // of the configurations
  const AnalysisResult& result;
  const Goal& goal;
  std::string model;
  std::string gpu_source;
  Identity identity;
  std::vector<Baseline> baselines;
  std::vector<Setting> base;  // fields that the default has without being set, for tables
  // Several models: those whose configurations are set, as they stand before the names of fields
  // (empty: the one that is measured), and those whose parts of a load have figures. None: one
  // model.
  std::vector<std::string> models = {}, parts = {};
};

// Of each configuration and load the last take that was measured, or, where none was, the first
// attempt; in the order in which they were first asked for.
std::vector<const PointRecord*> LastTakes(const Report& report);

// One aligned table, best first, with the verdict below it.
std::string FormatRanking(const Report& report, bool color);

// A line per load, of an analysis of one configuration.
std::string FormatLoads(const Report& report);

// One row per point and device, or per point where there are no devices: every field in a column of
// its own, with the ends of its interval where there are some.
std::string FormatPointsCsv(const Report& report);

// Everything, for programs: format "sextant-analysis", version 1 (docs/analyze.md).
text::Json ResultsJson(const Report& report);

// What the tools that this replaces write into a file and print as a table.
struct PeerTable {
  std::string title;
  std::vector<std::vector<std::string>> rows;  // the first is the header
};
// The two of the first Model Analyzer (seed 000), with its header; the maxima are maxima.
PeerTable SeedModels(const Report& report);
PeerTable SeedServer(const Report& report);
// Today's Model Analyzer's three.
PeerTable InferenceTable(const Report& report);
PeerTable GpuTable(const Report& report);
PeerTable ServerOnlyTable(const Report& report);

std::string FormatCsv(const PeerTable& table);
// The title and aligned columns.
std::string FormatText(const PeerTable& table);

// The first line of Helm values, by which they are known.
inline constexpr std::string_view kHelmHead =
    "# Written by sextant analyze: values of a Helm chart that serves this configuration.\n";
// Helm values of a configuration: the model (or models) with config.pbtxt, what they need and what
// they give.
struct ModelText {
  std::string model, config_pbtxt;
};
std::string HelmValues(const Report& report, const Standing& standing,
                       std::span<const ModelText> models);

}  // namespace sextant::analyze
