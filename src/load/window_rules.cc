#include "load/window_rules.h"

#include <algorithm>

namespace sextant::load {

Nanos BlockLengthFor(const MeasureOptions& options) {
  Nanos length = 100ms;
  if (options.window.kind == WindowRule::Kind::kTime)
    length = std::clamp<Nanos>(options.window.time / 50, 2ms, 100ms);
  if (options.window.kind == WindowRule::Kind::kRequests) length = 20ms;
  if (options.window.kind == WindowRule::Kind::kTrials)
    length = TrialBlockLength(options.window.trials);
  return length;
}

MeasureOptions AdaptToSchedule(MeasureOptions options, const std::optional<Nanos>& length) {
  if (!length) return options;
  if (options.warmup.kind == WarmupRule::Kind::kAuto)
    options.warmup = {.kind = WarmupRule::Kind::kTime, .time = Nanos(0)};
  if (options.window.kind == WindowRule::Kind::kAuto)
    options.window = {.kind = WindowRule::Kind::kTime, .time = *length + 1s};
  return options;
}

}  // namespace sextant::load
