// Which point of a space is measured next, for how long, and what is known in the end.
//
// A search is asked for a trial and told its outcome, again and again; it neither measures nor
// waits. The same seed and the same outcomes give the same trials.
// Threads: plain values; one search at a time per object.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analyze/figures.h"
#include "analyze/objective.h"
#include "analyze/space.h"
#include "base/clock.h"

namespace sextant::analyze {

struct Trial {
  size_t configuration = 0;  // of the space
  size_t load = 0;           // of the space
  Nanos window{0};           // how long the load is to be measured, warm-up not included
  std::string reason;        // "first look", "extends the leader", "confirms against #3", ...
};

struct Outcome {
  enum class Status : uint8_t {
    kMeasured,
    kFailed,   // this point could not be measured (no request succeeded, a time limit)
    kRefused,  // the configuration could not be loaded, or the server died of it: none of its
               // points
  };
  Trial trial;
  Status status = Status::kMeasured;
  Figures figures;
  double cost_s = 0;  // the time that it took, warm-up included, loading not
  double load_cost_s =
      0;  // the time that loading the configuration took before it, 0: it was loaded
};

// What is known of a configuration in the end.
struct Standing {
  enum class Kind : uint8_t {
    kWins,        // better than every other, the paired interval excludes zero
    kTies,        // cannot be told from the best
    kLoses,       // worse than the best, or dropped because it was dominated
    kInfeasible,  // no load at which its constraints hold
    kUnknown,     // a constraint's figure is missing: never taken as satisfied
    kFailed,      // could not be loaded or measured
    kUnmeasured,  // the search ended before it, or did without it
  };
  size_t configuration = 0;
  Kind kind = Kind::kUnmeasured;
  std::optional<size_t> load;  // the one at which it does best within its constraints
  Figures figures;             // there (or at `nearest_load`), of all takes together
  uint64_t takes = 0;          // on which they rest
  Figure gain;                 // the score's relative difference to the default, 0.1: 10 % better
  // The highest load measured within the constraints, and the lowest one beyond, where there is
  // one.
  std::optional<double> load_within, load_beyond;
  // Where between them, or thereabouts, the constraints break (breaking_load.h).
  std::optional<Figure> breaking_load = {};
  std::optional<size_t> knee;  // the load beyond which throughput no longer grows
  std::string why;             // a sentence
  // Where it was judged over several data sets or takes: what their loads have in common (`load` is
  // that of the first), and the figures there by data set; `figures` are the means of these.
  std::optional<Load> shared_load = {};
  std::map<std::string, Figures> by_data = {};
  // Where there is no load within its constraints: the one that misses them by least.
  std::optional<size_t> nearest_load = {};
};
// The one that its figures are of, which it must have, as it is told.
const Load& LoadOf(const Space& space, const Standing& standing);
std::string_view StandingName(Standing::Kind kind);

struct Conclusion {
  std::vector<Standing> ranking;  // best first; every configuration that was tried
  std::vector<size_t> pareto;     // positions in `ranking` that nothing dominates
  std::string verdict;            // "config_3 wins: ...", "config_1, config_3 and the default tie"
  bool budget_spent = false;
};

struct SearchOptions {
  enum class Kind : uint8_t { kAuto, kExhaustive, kAdaptive } kind = Kind::kAuto;
  Goal goal;
  uint64_t seed = 1;
  std::optional<Nanos> budget;
  Nanos shortest_window{1s}, longest_window{10s};
  // Of the configurations, for sentences; may be empty.
  std::vector<std::string> names;
  // What is expected before anything was measured; then what was.
  Nanos load_cost{3s}, warmup_cost{1s};
  // Measurements of that length that make one trial (joint_search.h).
  size_t parts = 1;
  // Fields of the Pareto set, two or three.
  std::vector<std::string> pareto_fields{"throughput", "latency_p99"};
};

class Search {
 public:
  virtual ~Search() = default;
  virtual std::optional<Trial> Next() = 0;
  virtual void Report(const Outcome& outcome) = 0;
  virtual Conclusion Conclude() const = 0;
  // Trials and time still to come as far as can be said now: what is expected, and what nine of ten
  // searches do not exceed, by what searches of such spaces took (bench/search_surfaces.cc, sizes).
  struct Remaining {
    uint64_t trials = 0, most_trials = 0;
    Nanos time{0}, most_time{0};
    Nanos least_budget{0};  // with less nothing is measured
  };
  virtual Remaining Estimate() const = 0;
};

// `space` must outlive the search. With kAuto: exhaustive when its estimate fits the budget, else
// adaptive; without a budget, exhaustive up to 16 points. Several data sets are conditions under
// which a configuration is judged, not choices (joint_search.h).
std::unique_ptr<Search> MakeSearch(const Space& space, const SearchOptions& options);

}  // namespace sextant::analyze
