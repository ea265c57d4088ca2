// SIMULATION, for tests and bench/search_surfaces.cc; not part of the program.
//
// What Model Analyzer 1.54 does on a simulated surface, as its sources have it: which points it
// measures and in what order, when it stops, and how long perf_analyzer measures each. Where its
// rules are known not to work (the concurrency sweep after the quick search never gets results),
// they are taken as meant.
#pragma once

#include "analyze/simulated_surface.h"

namespace sextant::analyze {

struct PeerResult {
  size_t configuration = 0, load = 0;  // what it names the best
  double measured_s = 0;               // windows alone
  uint64_t launches = 0, starts = 0;   // of perf_analyzer, of the server
  bool found = false;
};

// Every instance count and batch size, concurrency doubled until the last four gain 5 % at most,
// batch size doubled while throughput is above all before.
PeerResult BruteForce(SimulatedSurface& surface, const Goal& goal);
// Hill climbing on (batch size, instances) with concurrency 2 x batch x instances, then
// a concurrency sweep of the best three and the default.
PeerResult QuickSearch(SimulatedSurface& surface, const Goal& goal);

}  // namespace sextant::analyze
