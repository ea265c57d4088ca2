// Run files; what reads back is written again the same.
#include "run/run_file.h"
#include "run/print.h"
#include "run/print_perf_analyzer.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const auto run = run::ParseRun(AsText(data, size));
  if (!run.has_value()) return 0;
  for (const run::Level& level : run->levels) {
    run::FormatLevel(level);
    Require(run::LevelFromJson(run::LevelToJson(level)).has_value());
  }
  run::FormatTable(run->levels);
  run::PerfAnalyzerCsv({}, run->levels);
  return 0;
}
