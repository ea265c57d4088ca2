// The driver of an analysis: asks the search for the next trial, has it measured (or takes it from
// the journal), writes it down, and tells the search.
//
// Threads: one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "analyze/journal.h"
#include "analyze/search.h"
#include "analyze/stand.h"

namespace sextant::analyze {

// What is told of it while it runs.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void Loading(const std::string& /*configuration*/) {}
  virtual void Begins(const PointRecord& /*point, not measured yet*/) {}
  // Done, with what is known by now and what is still to come.
  virtual void Ended(const PointRecord& /*point*/, bool /*from_journal*/,
                     const Search& /*search*/) {}
  virtual void Note(const std::string& /*text*/) {}
};

struct AnalysisPlan {
  std::string model;
  std::vector<std::string> names;  // of the configurations of the space
  std::function<bool()> stop;      // true: somebody wants it to end
  std::function<Instant()> now = SteadyNow;
};

struct AnalysisResult {
  Conclusion conclusion;
  // In the order in which they were asked for; without levels, which are in the journal.
  std::vector<PointRecord> points;
  uint64_t measured = 0, reused = 0, loads = 0;
  bool interrupted = false;  // before the search knew
  // There was no server any more (kUnavailable): what is concluded is of what was measured before.
  std::optional<Error> lost;
};

// Errors: of the journal. Points that were measured are in it.
Result<AnalysisResult> RunAnalysis(const Space& space, const AnalysisPlan& plan, Search& search,
                                   Stand& stand, Journal& journal, Watcher& watcher);

}  // namespace sextant::analyze
