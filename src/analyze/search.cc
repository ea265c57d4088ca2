#include "analyze/search.h"

#include "analyze/joint_search.h"
#include "analyze/racing_search.h"
#include "analyze/space.h"

namespace sextant::analyze {
namespace {

// Without a budget, as many points are all looked at.
constexpr size_t kFew = 16;

bool Fits(const Space& space, const SearchOptions& options) {
  if (!options.budget) return space.points() <= kFew;
  const double least =
      static_cast<double>(space.configurations.size()) * Seconds(options.load_cost) +
      static_cast<double>(space.points() * options.parts) *
          Seconds(options.warmup_cost + options.shortest_window);
  // The confirmation wants its part.
  return least <= 0.6 * Seconds(*options.budget);
}

}  // namespace

std::string_view StandingName(Standing::Kind kind) {
  switch (kind) {
    case Standing::Kind::kWins:
      return "wins";
    case Standing::Kind::kTies:
      return "ties";
    case Standing::Kind::kLoses:
      return "loses";
    case Standing::Kind::kInfeasible:
      return "infeasible";
    case Standing::Kind::kUnknown:
      return "unknown";
    case Standing::Kind::kFailed:
      return "failed";
    case Standing::Kind::kUnmeasured:
      return "unmeasured";
  }
  return "?";
}

const Load& LoadOf(const Space& space, const Standing& standing) {
  if (standing.shared_load) return *standing.shared_load;
  return space.loads[standing.load ? *standing.load : *standing.nearest_load];
}

std::unique_ptr<Search> MakeSearch(const Space& space, const SearchOptions& options) {
  using Kind = SearchOptions::Kind;
  if (auto joint = MakeJointSearch(space, options)) return joint;
  const bool all =
      options.kind == Kind::kExhaustive || (options.kind == Kind::kAuto && Fits(space, options));
  return all ? MakeExhaustiveSearch(space, options) : MakeAdaptiveSearch(space, options);
}

}  // namespace sextant::analyze
