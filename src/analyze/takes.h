// Several measurements of one point as one: figures with what varies between takes in the interval.
//
// Each take has an interval of its own, which knows only what varied within it. Takes minutes apart
// differ by more: clocks, temperature, neighbours. So they are combined as in a meta-analysis with
// random effects (DerSimonian and Laird, "Meta-analysis in clinical trials", 1986): the variance
// between takes is estimated from how much more they scatter than their own intervals allow,
// together with what was expected before, because two or three takes say little of it.
// Maxima stay maxima, minima minima. Pure.
#pragma once

#include <span>
#include <string_view>

#include "analyze/figures.h"
#include "base/clock.h"

namespace sextant::analyze {

// Relative standard deviation between takes that is expected before there are many, and on how
// many degrees of freedom's worth.
inline constexpr double kBetweenTakes = 0.01, kBetweenTakesWorth = 4;

struct Take {
  Nanos window{0};
  Figures figures;
};

// Figures that only some takes have rest on those. One take: its figures, as they are.
Figures CombineTakes(std::span<const Take> takes);

// Of several values that are largest or smallest ones (maxima, memory), the one that is so of all
// of them; null: the field is no such extreme.
const Figure* Extreme(const Field* field, std::span<const Figure* const> figures);

// Of a figure that has no interval of its own (a percentile of too few requests), the relative
// standard error of its mean over the takes: by how much they differ, blended with what a second's
// take is believed to vary by, a belief that is worth so many degrees of freedom.
double SpreadOfTakes(std::span<const Take> takes, std::string_view field, double worth);

}  // namespace sextant::analyze
