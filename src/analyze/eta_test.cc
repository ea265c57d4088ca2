// The time still to come as a search announces it, against what then really came, on simulated
// surfaces.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "analyze/search.h"
#include "analyze/simulated_surface.h"

namespace sextant::analyze {
namespace {

using SearchKind = SearchOptions::Kind;

struct Announced {
  double at_s = 0;
  Search::Remaining remaining;
};

class TheTimeStillToCome : public testing::TestWithParam<SurfaceKind> {
 protected:
  // After each trial.
  void Run(SearchOptions options) {
    SimulatedSurface surface({.kind = GetParam(), .instances = 4, .batches = 4, .loads = 5});
    const auto search = MakeSearch(surface.space(), options);
    announced_ = {{0, search->Estimate()}};
    while (const auto trial = search->Next()) {
      search->Report(surface.Measure(*trial));
      announced_.push_back({surface.elapsed_s(), search->Estimate()});
    }
    total_s_ = surface.elapsed_s();
    EXPECT_EQ(search->Estimate().time, Nanos(0)) << "nothing comes any more";
    EXPECT_EQ(search->Estimate().trials, 0u);
  }
  // Where more than so many seconds really came, the announcement is within that factor of them.
  void ExpectWithin(double factor, double seconds) const {
    for (const Announced& a : announced_) {
      const double truth = total_s_ - a.at_s, said = Seconds(a.remaining.time);
      if (truth < seconds) continue;
      EXPECT_GE(said, truth / factor) << "at " << a.at_s << " of " << total_s_;
      if (a.remaining.upper_bound) continue;
      EXPECT_LE(said, truth * factor) << "at " << a.at_s << " of " << total_s_;
    }
  }
  std::vector<Announced> announced_;
  double total_s_ = 0;
};
INSTANTIATE_TEST_SUITE_P(All, TheTimeStillToCome,
                         testing::Values(SurfaceKind::kPeaked, SurfaceKind::kRidge,
                                         SurfaceKind::kCliff, SurfaceKind::kFlat),
                         [](const auto& of) { return SurfaceName(of.param); });

TEST_P(TheTimeStillToCome, OfAnExhaustiveSearchIsAnnouncedWithinAHalf) {
  Run({.kind = SearchKind::kExhaustive});
  ExpectWithin(1.5, total_s_ / 3);
  ExpectWithin(3, 20);
  for (const Announced& a : announced_) EXPECT_FALSE(a.remaining.upper_bound);
}

TEST_P(TheTimeStillToCome, OfASearchWithABudgetIsWhatIsLeftOfIt) {
  Run({.kind = SearchKind::kExhaustive, .budget = 200s});
  ExpectWithin(1.5, total_s_ / 3);
}

// How soon an adaptive search has seen enough nobody knows before, and it says so ("at most"); then
// whether more rivals than the nearest must be measured again depends on that one.
TEST_P(TheTimeStillToCome, OfAnAdaptiveSearchIsABoundUntilItConfirmsAndThenNeverNothing) {
  Run({.kind = SearchKind::kAdaptive});
  EXPECT_TRUE(announced_.front().remaining.upper_bound);
  announced_.pop_back();
  for (const Announced& a : announced_) {
    const double truth = total_s_ - a.at_s, said = Seconds(a.remaining.time);
    if (a.remaining.upper_bound) {
      EXPECT_GE(said, truth) << "at " << a.at_s;
    } else {
      EXPECT_GT(said, 0) << "at " << a.at_s;
      EXPECT_LE(said, std::max(60.0, 3 * truth)) << "at " << a.at_s;
    }
  }
}

}  // namespace
}  // namespace sextant::analyze
