// What `sextant perf` says on stderr while it measures.
#pragma once

#include <string>

#include "base/clock.h"
#include "cli/perf_options.h"
#include "load/measurement.h"
#include "run/level.h"

namespace sextant::cli {

class ProgressPrinter {
 public:
  // kAuto: a line if stderr is a terminal, else nothing. `levels` 0: not known.
  ProgressPrinter(Progress how, size_t levels);

  void StartLevel(const run::LoadPoint& point);
  void Show(const load::LiveFigures& figures);
  void EndLevel(const run::Level& level);

 private:
  void ClearLine();
  double Eta(const load::LiveFigures& figures) const;  // seconds, negative: unknown

  Progress how_;
  const size_t levels_;
  size_t done_ = 0;
  run::LoadPoint point_;
  Instant begin_ = SteadyNow(), level_begin_ = SteadyNow();
  bool line_shown_ = false;
};

}  // namespace sextant::cli
