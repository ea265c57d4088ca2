// What `sextant perf` says on stderr while it measures.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "cli/perf_options.h"
#include "load/measurement.h"
#include "run/level.h"

namespace sextant::cli {

// kAuto made definite: a line if stderr is a terminal, else nothing.
Progress ResolveProgress(Progress how);

// A line on stderr that is kept current.
class StatusLine {
 public:
  // At most so many bytes of it, so that it stays one line.
  void Show(std::string_view text, size_t most);
  void Clear();

 private:
  bool shown_ = false;
};

class ProgressPrinter {
 public:
  // kAuto: a line if stderr is a terminal, else nothing. `levels` 0: not known.
  ProgressPrinter(Progress how, size_t levels);

  void StartLevel(const run::LoadPoint& point);
  void Show(const load::LiveFigures& figures);
  void EndLevel(const run::Level& level);

 private:
  double Eta(const load::LiveFigures& figures) const;  // seconds, negative: unknown

  const Progress how_;
  const size_t levels_;
  size_t done_ = 0;
  run::LoadPoint point_;
  Instant begin_ = SteadyNow(), level_begin_ = SteadyNow();
  StatusLine line_;
};

}  // namespace sextant::cli
