// analyze_sweep JOURNAL KIND SEED RESULTS: a sweep over a simulated stand that goes on with the
// journal, as `sextant analyze --resume` does, for analyze_kill_test.cc. KIND is a search:
// "adaptive" or "exhaustive". The results are written whole or not at all, without the times at
// which points began.
#include <cstdio>

#include "analyze/results.h"
#include "analyze/simulated_stand.h"
#include "base/files.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

text::Json WithoutTimes(text::Json json) {
  for (auto& [name, value] : json.object()) {
    if (name != "points") continue;
    for (text::Json& point : value.array())
      std::erase_if(point.object(), [](const auto& member) { return member.first == "started"; });
  }
  return json;
}

Result<void> Sweep(const std::string& path, bool adaptive, uint64_t seed,
                   const std::string& results) {
  const auto surface = static_cast<SurfaceKind>(seed % 4);
  SimulatedStand stand({.surface = {.kind = surface,
                                    .instances = adaptive ? 5U : 4U,
                                    .batches = adaptive ? 8U : 4U,
                                    .delays = adaptive ? 3U : 1U,
                                    .loads = adaptive ? 10U : 6U},
                        .seed = seed,
                        .point_time = 1ms});
  const Identity identity{{"server", "simulated"}, {"seed", Format("{}", seed)}};
  SEXTANT_ASSIGN(Journal journal,
                 Journal::Open({.path = path, .resume = true, .also = {}}, identity));
  using Kind = SearchOptions::Kind;
  SearchOptions options{.kind = adaptive ? Kind::kAdaptive : Kind::kExhaustive, .seed = seed};
  // Half of them end by their budget, in which every second counts.
  if (seed % 2 == 0) options.budget = 1200s;
  SEXTANT_ASSIGN(options.goal.constraints, ParseConstraints("p99<200ms"));
  const auto search = MakeSearch(stand.space(), options);
  const std::vector<std::string> names = stand.names();
  // No wall clock: what a refusal took would differ.
  SEXTANT_ASSIGN(const AnalysisResult result, RunAnalysis(stand.space(),
                                                          {.model = "simulated",
                                                           .names = names,
                                                           .stop = [] { return false; },
                                                           .now = [] { return Instant{}; }},
                                                          *search, stand, journal, stand));
  SEXTANT_TRY(journal.Finish("complete"));
  const Report report{.space = stand.space(),
                      .names = names,
                      .result = result,
                      .goal = options.goal,
                      .model = "simulated",
                      .gpu_source = {},
                      .identity = identity,
                      .baselines = {},
                      .base = {}};
  return WriteFileAtomic(results, text::FormatJson(WithoutTimes(ResultsJson(report)), 1));
}

}  // namespace
}  // namespace sextant::analyze

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const auto seed = sextant::ParseUint(argv[3]);
  const auto done = sextant::analyze::Sweep(argv[1], std::string_view(argv[2]) == "adaptive",
                                            seed.value_or(1), argv[4]);
  if (!done.has_value()) std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return done.has_value() ? 0 : 1;
}
