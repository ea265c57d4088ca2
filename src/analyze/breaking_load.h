// The load at which a configuration's constraints break, with an interval.
//
// Over the logarithm of the load stands the logarithm of a constraint's figure over its limit, made
// monotone (isotonic.h), and where it passes zero is asked. Between two measured loads it is no
// line: latency is flat while nothing queues, grows with the load when all is busy, and bends
// upwards in between. So what lies between is bounded: by the chord from below (a function that
// bends upwards lies under its chords), by the lines through the neighbouring pairs, which it lies
// above, and in a closed loop by Little's law (Little, "A proof for the queuing formula L = lambda
// W", Operations Research 1961): latency grows at most as fast as the load where throughput does
// not fall.
//
// The interval is a parametric bootstrap (Efron and Tibshirani, "An introduction to the bootstrap",
// 1993, chapter 6): the figures are drawn again, each by what its interval or the spread of its
// takes says and with a slow take now and then; each draw is fitted; and the place between the
// bounds is drawn as well. With several constraints the first that breaks counts in each draw.
//
// Only limits from above say that a load is too much; where one from below breaks (a least
// throughput) is not asked. Pure but for the evidence that it reads. Tens of microseconds.
#pragma once

#include <optional>

#include "analyze/evidence.h"
#include "analyze/load_search.h"

namespace sextant::analyze {

// In the load's unit; nothing where no measured load of the chain breaks a constraint, or none
// keeps them all.
std::optional<Figure> BreakingLoad(const Space& space, const SearchOptions& options,
                                   const Evidence& evidence, size_t configuration,
                                   const Chain& chain);

}  // namespace sextant::analyze
