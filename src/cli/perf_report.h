// What `sextant perf` prints on stdout: its own report, or perf_analyzer's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cli/perf_subject.h"
#include "load/measurement.h"
#include "load/sweep.h"
#include "run/level.h"
#include "run/print_perf_analyzer.h"

namespace sextant::cli {

// Called in the order of the members; each prints what is due. Not thread-safe.
class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void Banner() = 0;
  virtual void StartLevel(const run::LoadPoint& point) = 0;
  // One of perf_analyzer's windows has ended.
  virtual void Trial(const load::TrialFigures& figures) = 0;
  virtual void EndLevel(const run::Level& level) = 0;
  virtual void End(std::span<const run::Level> levels) = 0;
  // What a search found.
  virtual void Conclude(const load::Conclusion& conclusion) = 0;
  // The code to end with, where the engine's own is `own`.
  virtual int ExitCode(int own, std::span<const run::Level> levels) const = 0;
};

// The arguments must outlive it.
std::unique_ptr<Reporter> MakeReporter(const PerfOptions& options, const Plan& plan,
                                       const Subject& subject, const load::DataSet& data);

// Writes --latency-report-file, and beside it one for each of several models and for each model
// that a measured one calls.
Result<void> WriteCsvFiles(const PerfOptions& options, const Plan& plan,
                           std::span<const run::Level> levels);

// A file for each of several models, beside the whole's.
Result<void> WriteModelCsvs(const std::string& file, const run::PerfAnalyzerForm& form,
                            std::span<const run::Level> levels);

// Where perf_analyzer ends with a code of its own for what is `own` here.
int PerfAnalyzerExitCode(int own, std::span<const run::Level> levels);

}  // namespace sextant::cli
