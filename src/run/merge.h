// Runs of one load that many machines made together, merged into one. Pure.
//
// Counts and histograms are added exactly, and everything that is computed from them is computed
// anew. Rates are sums. Of what cannot be added: intervals of sums are combined as those of
// independent machines (the root of the sum of squares), a percentile's design effect is the
// largest of the parts', and the p50 and p99 of a second are the largest of the parts', which bound
// those of all.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "run/run_file.h"

namespace sextant::run {

struct RunPart {
  std::string name;  // of its file
  Run run;
};

struct MergedRun {
  Run run;
  // Sentences for people: options that differ, shards that are missing.
  std::vector<std::string> notes;
};

// Errors: fewer than two parts; a run that is no shard; levels that are not the same ones in all;
// windows that do not overlap; one shard twice; shards of different seeds. All at once.
Result<MergedRun> MergeRuns(std::span<const RunPart> parts);

}  // namespace sextant::run
