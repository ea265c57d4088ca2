// What is known in the end, or whenever one asks: standings, the Pareto set, the verdict. Pure.
#pragma once

#include "analyze/confirmation.h"
#include "analyze/evidence.h"
#include "analyze/load_search.h"

namespace sextant::analyze {

// All that a search knows.
struct Knowledge {
  const Space& space;
  const SearchOptions& options;
  const Evidence& evidence;
  const Confirmation& confirmation;
};

// So many standard errors hold all of `configurations` intervals together with 95 % (Bonferroni).
double RacingBound(size_t configurations);
// The point is worse than the leader's by more than `bound` standard errors of their difference,
// even if it were better by `hope`.
bool Below(const Evidence& evidence, const Point& point, const Point& leader, double bound,
           double hope);
// So is the configuration's best, even if its takes were slow ones and with what other loads may
// still bring.
bool Dominated(const Evidence& evidence, size_t configuration, const Point& leader, double bound,
               double potential = 0);
// The configuration that leads, by the confirmation where there was one.
std::optional<size_t> Leader(const Knowledge& knowledge, bool strict);
// The configurations that the leader was not yet shown to beat, best first.
std::vector<size_t> Rivals(const Knowledge& knowledge, size_t leader);

// What the budget cut short, if anything.
enum class Cut : uint8_t { kNothing, kSearch, kRounds };
Conclusion Conclude(const Knowledge& knowledge, Cut cut);

}  // namespace sextant::analyze
