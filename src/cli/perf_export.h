// `sextant perf` with every request written to a file (--profile-export-file), and the load whose
// only result that is in perf_analyzer (--periodic-concurrency-range).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "load/profile_export.h"
#include "options/table.h"
#include "run/level.h"

namespace sextant::cli {

class ProgressPrinter;
struct PerfOptions;
struct Plan;
struct Subject;

struct ExportOptions {
  std::string profile_export_file;
  load::ExportTensors profile_export_tensors = load::ExportTensors::kAll;
  std::string periodic_concurrency_range;
  std::optional<uint64_t> request_period;
};
void AddExportRows(options::Table<PerfOptions>& table);

// Checks these options and makes the periodic load of them. All mistakes at once; what comes after
// the other options' measurement is settled, because the load decides the window.
std::vector<std::string> PlanExport(const PerfOptions& options, Plan& plan);

class ExportFile {
 public:
  // Null when none is asked for.
  static Result<std::unique_ptr<ExportFile>> Create(const PerfOptions& options,
                                                    const Subject& subject);

  load::RequestSpill& spill() { return exporter_->spill(); }
  bool needs_bodies() const { return exporter_->needs_bodies(); }
  // For load::MeasureHooks::windows.
  std::function<void(std::span<const Instant>)> TakeWindows() {
    return [this](std::span<const Instant> edges) { edges_.assign(edges.begin(), edges.end()); };
  }
  // Writes the level. What is missing is said in its notes.
  void EndLevel(const run::LoadPoint& load, const load::RequestSet& requests,
                ProgressPrinter& progress, run::Level& level);
  // What first went wrong with that.
  Result<void> fault() const;

 private:
  explicit ExportFile(std::unique_ptr<load::ProfileExporter> exporter)
      : exporter_(std::move(exporter)) {}
  std::unique_ptr<load::ProfileExporter> exporter_;
  std::vector<Instant> edges_;
  std::optional<Error> fault_;
};

}  // namespace sextant::cli
