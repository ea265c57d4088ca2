// What a level's options come to, before it begins. Pure.
#pragma once

#include <optional>

#include "load/measurement.h"

namespace sextant::load {

// Blocks short enough that the shortest windows have some fifty of them.
Nanos BlockLengthFor(const MeasureOptions& options);
// Those of perf_analyzer's windows.
Nanos TrialBlockLength(const TrialRule& rule);

// A schedule that ends is measured whole: from its first arrival, unless a warm-up was asked for,
// and to its end, unless the window is shorter.
MeasureOptions AdaptToSchedule(MeasureOptions options, const std::optional<Nanos>& length);

}  // namespace sextant::load
