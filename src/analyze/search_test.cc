// Searches against simulated surfaces whose truth is known, and against servers as they are on bad
// days. bench/search_surfaces.cc has the same over hundreds of seeds.
#include "analyze/search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "analyze/peer_searches.h"
#include "analyze/search_driver.h"
#include "analyze/simulated_surface.h"

namespace sextant::analyze {
namespace {

using Kind = Standing::Kind;
using Status = Outcome::Status;
constexpr auto kAdaptive = SearchOptions::Kind::kAdaptive;
constexpr auto kExhaustive = SearchOptions::Kind::kExhaustive;

// A space of so many configurations without axes, each at so many loads.
Space Plain(size_t configurations, size_t loads) {
  Space space;
  space.configurations.resize(configurations);
  std::vector<uint32_t> all;
  for (size_t i = 0; i < loads; ++i) {
    space.loads.emplace_back().point.value = std::exp2(i);
    all.push_back(static_cast<uint32_t>(i));
  }
  space.loads_of.assign(configurations, all);
  return space;
}

std::vector<Trial> Drive(Search& search, SimulatedSurface& surface) {
  return Drive(search, [&](const Trial& trial) { return surface.Measure(trial); });
}

class Surfaces : public testing::TestWithParam<SurfaceKind> {};
INSTANTIATE_TEST_SUITE_P(All, Surfaces,
                         testing::Values(SurfaceKind::kPeaked, SurfaceKind::kRidge,
                                         SurfaceKind::kCliff, SurfaceKind::kFlat),
                         [](const auto& of) { return SurfaceName(of.param); });

TEST_P(Surfaces, AdaptiveFindsTheBestInATenthOfBruteForceAndHalfOfQuickSearch) {
  std::vector<double> ours, brute, quick;
  int near = 0, wrong = 0;
  for (uint64_t seed = 1; seed <= 9; ++seed) {
    const SurfaceOptions of{.kind = GetParam(), .seed = seed};
    SimulatedSurface a(of), b(of), c(of);
    const auto search = MakeSearch(a.space(), {.kind = kAdaptive, .seed = seed});
    double explored = 0;
    while (const auto trial = search->Next()) {
      if (explored == 0 && trial->reason.starts_with("confirms")) explored = a.measured_s();
      search->Report(a.Measure(*trial));
    }
    ours.push_back(explored);
    brute.push_back(BruteForce(b, {}).measured_s);
    quick.push_back(QuickSearch(c, {}).measured_s);
    const Standing first = search->Conclude().ranking.front();
    const double value = a.Throughput(first.configuration, *first.load) / BestThroughput(a, {});
    near += value > 0.97 ? 1 : 0;
    wrong += first.kind == Kind::kWins && value < 0.98 ? 1 : 0;
    EXPECT_TRUE(GetParam() != SurfaceKind::kFlat || first.kind == Kind::kTies);
  }
  const auto median = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  EXPECT_LE(median(ours), median(brute) / 10);
  EXPECT_LE(median(ours), median(quick) / 2);
  EXPECT_GE(near, 8);
  EXPECT_LE(wrong, 1);
}

SearchOptions Within50ms(uint64_t seed) {
  SearchOptions options{.kind = kAdaptive, .seed = seed};
  options.goal.constraints = *ParseConstraints("p99<50ms");
  return options;
}

Standing FirstOf(SimulatedSurface& surface, const SearchOptions& options) {
  const auto search = MakeSearch(surface.space(), options);
  Drive(*search, surface);
  return search->Conclude().ranking.front();
}

TEST_P(Surfaces, AConstraintLeadsToNoFalseWinners) {
  int wrong = 0, near = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SimulatedSurface surface({.kind = GetParam(), .seed = seed});
    const SearchOptions options = Within50ms(seed);
    const Standing first = FirstOf(surface, options);
    ASSERT_TRUE(first.load.has_value());
    const Figures truth = surface.Truth(first.configuration, *first.load);
    const double best = BestThroughput(surface, options.goal);
    const bool holds = CheckAll(options.goal.constraints, truth) == Holds::kYes;
    near += holds && truth.at("throughput").value > 0.97 * best ? 1 : 0;
    wrong +=
        first.kind == Kind::kWins && !(holds && truth.at("throughput").value > 0.98 * best) ? 1 : 0;
  }
  EXPECT_LE(wrong, 2);
  EXPECT_GE(near, 37);
}

TEST_P(Surfaces, ExhaustiveLoadsEachConfigurationOnceUntilItConfirms) {
  SimulatedSurface surface({.kind = GetParam(), .batches = 3, .loads = 5});
  const auto search = MakeSearch(surface.space(), {.kind = kExhaustive});
  const std::vector<Trial> trials = Drive(*search, surface);
  EXPECT_EQ(trials.front().configuration, 0U);
  std::vector<size_t> order;
  size_t points = 0;
  for (const Trial& trial : trials) {
    if (trial.reason != "every point") break;
    ++points;
    if (order.empty() || order.back() != trial.configuration) order.push_back(trial.configuration);
  }
  EXPECT_EQ(points, surface.space().configurations.size() * 5);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(order.size(), surface.space().configurations.size());
  EXPECT_EQ(search->Conclude().ranking.size(), surface.space().configurations.size());
}

TEST(Search, GivesTheSameTrialsForTheSameSeedAndOutcomes) {
  std::vector<Trial> runs[2];
  for (auto& trials : runs) {
    SimulatedSurface surface({.kind = SurfaceKind::kRidge, .seed = 4});
    const auto search = MakeSearch(surface.space(), {.kind = kAdaptive, .seed = 9});
    trials = Drive(*search, surface);
  }
  ASSERT_EQ(runs[0].size(), runs[1].size());
  for (size_t i = 0; i < runs[0].size(); ++i) {
    EXPECT_EQ(runs[0][i].configuration, runs[1][i].configuration);
    EXPECT_EQ(runs[0][i].load, runs[1][i].load);
    EXPECT_EQ(runs[0][i].window, runs[1][i].window);
  }
}

TEST(Search, AsksForTheSameTrialUntilItIsToldItsOutcome) {
  const Space space = Plain(3, 2);
  const auto search = MakeSearch(space, {});
  const auto first = search->Next(), again = search->Next();
  EXPECT_EQ(first->configuration, again->configuration);
  EXPECT_EQ(first->load, again->load);
}

TEST(Search, CanBeConcludedAtAnyTime) {
  SimulatedSurface surface({.kind = SurfaceKind::kCliff, .seed = 2});
  const auto search = MakeSearch(surface.space(), {.kind = kAdaptive});
  EXPECT_EQ(search->Conclude().verdict, "nothing was measured");
  EXPECT_TRUE(search->Conclude().ranking.empty());
  while (const auto trial = search->Next()) {
    EXPECT_GE(search->Estimate().trials, 0U);
    search->Report(surface.Measure(*trial));
    const Conclusion now = search->Conclude();
    ASSERT_FALSE(now.ranking.empty());
    EXPECT_FALSE(now.verdict.empty());
    for (const size_t position : now.pareto) ASSERT_LT(position, now.ranking.size());
  }
}

TEST(Search, NamesTheWinnerOfThreeConfigurationsAtOneLoadAndItsGain) {
  const Space space = Plain(3, 1);
  Random random(1);
  for (const auto kind : {kAdaptive, kExhaustive}) {
    const auto search = MakeSearch(space, {.kind = kind});
    const double truth[] = {100, 120, 90};
    Drive(*search, [&](const Trial& trial) {
      return Measured(Throughput(truth[trial.configuration] * (1 + 0.01 * random.Normal())));
    });
    const Conclusion end = search->Conclude();
    const Standing& first = end.ranking.front();
    EXPECT_EQ(first.configuration, 1U) << end.verdict;
    EXPECT_EQ(first.kind, Kind::kWins) << end.verdict;
    EXPECT_NEAR(first.gain.value, 0.2, 0.05);
    EXPECT_LE(*first.gain.lower, 0.2);
    EXPECT_GE(*first.gain.upper, 0.2);
    EXPECT_TRUE(end.verdict.starts_with("config_1 wins: ")) << end.verdict;
  }
}

TEST(Search, TiesWhereNoiseIsLargerThanDifferences) {
  int wins = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Space space = Plain(4, 1);
    Random random(seed);
    const auto search = MakeSearch(space, {.seed = seed});
    Drive(*search, [&](const Trial& trial) {
      const double truth = 100 + static_cast<double>(trial.configuration) * 0.1;
      return Measured(Throughput(truth * (1 + 0.08 * random.Normal())));
    });
    wins += search->Conclude().ranking.front().kind == Kind::kWins ? 1 : 0;
  }
  EXPECT_LE(wins, 2);
}

TEST(Search, FindsTheLowestLatencyAtTheLowestLoad) {
  SimulatedSurface surface({.kind = SurfaceKind::kPeaked, .seed = 3});
  SearchOptions options{.kind = kAdaptive};
  options.goal.objectives = *ParseObjectives("p99");
  const auto search = MakeSearch(surface.space(), options);
  const std::vector<Trial> trials = Drive(*search, surface);
  const Standing first = search->Conclude().ranking.front();
  EXPECT_EQ(first.load, 0U);
  double best = 1e9;
  for (size_t c = 0; c < surface.space().configurations.size(); ++c)
    best = std::min(best, surface.P99(c, 0));
  EXPECT_LT(surface.P99(first.configuration, 0), 1.1 * best);
  EXPECT_LT(trials.size(), 200U);
}

TEST(Search, FindsTheHighestLoadWithinAConstraintWithFewLooks) {
  // One configuration, 200 loads: bisection and not a sweep.
  Space space = Plain(1, 0);
  for (uint32_t i = 0; i < 200; ++i) {
    space.loads.emplace_back().point.value = 10.0 * (i + 1);
    space.loads_of[0].push_back(i);
  }
  SearchOptions options{.kind = kAdaptive};
  options.goal.constraints = *ParseConstraints("p99<50ms");
  const auto search = MakeSearch(space, options);
  const std::vector<Trial> trials = Drive(*search, [&](const Trial& trial) {
    const double rate = space.loads[trial.load].point.value;
    Figures figures = Throughput(rate);
    figures["latency_p99"] = {0.005 + 0.06 * std::pow(rate / 1234, 4), {}, {}};
    return Measured(figures);
  });
  const Standing first = search->Conclude().ranking.front();
  EXPECT_EQ(space.loads[*first.load].point.value, 1140);
  EXPECT_EQ(first.load_within, 1140);
  EXPECT_EQ(first.load_beyond, 1150);
  EXPECT_LT(trials.size(), 25U);
}

TEST(Search, FindsTheBatchSizeThatIsBestAndKeepsToIt) {
  Space space = Plain(20, 0);
  for (const int64_t batch : {1, 8}) {
    for (uint32_t i = 0; i < 8; ++i) {
      Load& load = space.loads.emplace_back();
      load.point.value = std::exp2(i), load.point.batch_size = batch;
    }
  }
  for (auto& of : space.loads_of) {
    for (uint32_t i = 0; i < 16; ++i) of.push_back(i);
  }
  const auto search = MakeSearch(space, {.kind = kAdaptive});
  const std::vector<Trial> trials = Drive(*search, [&](const Trial& trial) {
    const Load& load = space.loads[trial.load];
    const double most = 100 * std::sqrt(static_cast<double>(load.point.batch_size));
    return Measured(Throughput(std::min(most, 20 * load.point.value)));
  });
  const Standing first = search->Conclude().ranking.front();
  EXPECT_EQ(space.loads[*first.load].point.batch_size, 8);
  EXPECT_GE(space.loads[*first.load].point.value, 16);
  for (const Trial& trial : trials)
    EXPECT_TRUE(trial.configuration == 0 || space.loads[trial.load].point.batch_size == 8);
}

TEST(Search, ComesBackFromLoadsThatFail) {
  // Beyond 16 in flight nothing succeeds.
  const Space space = Plain(2, 11);
  const auto search = MakeSearch(space, {.kind = kAdaptive});
  Drive(*search, [&](const Trial& trial) {
    const double load = space.loads[trial.load].point.value;
    if (load > 16) return Outcome{{}, Status::kFailed, {}, 1, 0};
    return Measured(Throughput(10 * load * (trial.configuration == 1 ? 1.3 : 1)));
  });
  const Standing first = search->Conclude().ranking.front();
  EXPECT_EQ(first.configuration, 1U);
  EXPECT_EQ(space.loads[*first.load].point.value, 16);
  EXPECT_EQ(first.load_beyond, 32);
}

TEST(Search, SurvivesFiguresThatComeAndGoAndTakesThatFailNowAndThen) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimulatedSurface surface({.kind = SurfaceKind::kRidge, .seed = seed});
    Random random(seed);
    SearchOptions options{.kind = kAdaptive, .seed = seed};
    options.goal.constraints = *ParseConstraints("p99<30ms");
    const auto search = MakeSearch(surface.space(), options);
    Drive(*search, [&](const Trial& trial) {
      Outcome outcome = surface.Measure(trial);
      if (random.Uniform() < 0.1) outcome.figures.erase("throughput");
      if (random.Uniform() < 0.1) outcome.figures.erase("latency_p99");
      if (random.Uniform() < 0.1) outcome.status = Status::kFailed;
      if (random.Uniform() < 0.03) outcome.status = Status::kRefused;
      return outcome;
    });
    EXPECT_FALSE(search->Conclude().verdict.empty());
  }
}

TEST(Search, SaysInfeasibleWhereNoLoadMeetsTheConstraints) {
  SimulatedSurface surface({.kind = SurfaceKind::kPeaked});
  SearchOptions options{.kind = kAdaptive};
  options.goal.constraints = *ParseConstraints("p99<1ms");
  const auto search = MakeSearch(surface.space(), options);
  Drive(*search, surface);
  const Conclusion end = search->Conclude();
  for (const Standing& standing : end.ranking) {
    EXPECT_NE(standing.kind, Kind::kWins);
    EXPECT_NE(standing.kind, Kind::kTies);
  }
  EXPECT_TRUE(end.verdict.starts_with("infeasible: no configuration meets p99<1ms; "))
      << end.verdict;
  EXPECT_TRUE(end.verdict.ends_with(" comes nearest")) << end.verdict;
}

TEST(Search, ShowsWhatMissesTheConstraintsByLeast) {
  const Space space = Plain(2, 3);
  for (const auto kind : {kAdaptive, kExhaustive}) {
    SearchOptions options{.kind = kind};
    options.goal.constraints = *ParseConstraints("p99<50ms");
    const auto search = MakeSearch(space, options);
    Drive(*search, [&](const Trial& trial) {
      const auto at = static_cast<double>(trial.load);
      Figures figures = Throughput(100 * (1 + at));
      const double slow = 2.0 - 0.5 * static_cast<double>(trial.configuration);
      figures["latency_p99"] = {slow * (1 + at), {}, {}};
      return Measured(figures);
    });
    const Conclusion end = search->Conclude();
    ASSERT_GE(end.ranking.size(), 2U);
    // The nearest first, each with the figures of its lowest load, which is none that may win.
    double before = 0;
    for (const Standing& standing : end.ranking) {
      EXPECT_EQ(standing.kind, Kind::kInfeasible);
      EXPECT_FALSE(standing.load.has_value());
      EXPECT_EQ(standing.nearest_load, 0U);
      EXPECT_GE(standing.takes, 1U);
      EXPECT_GE(standing.figures.at("latency_p99").value, before);
      before = standing.figures.at("latency_p99").value;
    }
    EXPECT_TRUE(end.pareto.empty());
  }
}

TEST(Search, NeverLetsAnInfeasibleConfigurationWin) {
  const Space space = Plain(3, 1);
  SearchOptions options;
  options.goal.constraints = *ParseConstraints("p99<50ms");
  const auto search = MakeSearch(space, options);
  Drive(*search, [&](const Trial& trial) {
    Figures figures = Throughput(trial.configuration == 2 ? 1000 : 100.0 + trial.configuration);
    figures["latency_p99"] = {trial.configuration == 2 ? 5.0 : 0.01, {}, {}};
    return Measured(figures);
  });
  const Conclusion end = search->Conclude();
  EXPECT_NE(end.ranking.front().configuration, 2U);
  EXPECT_EQ(end.ranking.back().configuration, 2U);
  EXPECT_EQ(end.ranking.back().kind, Kind::kInfeasible);
}

TEST(Search, TakesAMissingFigureForUnknownAndNeverForSatisfied) {
  const Space space = Plain(3, 2);
  for (const auto kind : {kAdaptive, kExhaustive}) {
    SearchOptions options{.kind = kind};
    options.goal.constraints = *ParseConstraints("gpu_memory_used<8GiB");
    const auto search = MakeSearch(space, options);
    Drive(*search, [](const Trial&) { return Measured(Throughput(100)); });
    const Conclusion end = search->Conclude();
    for (const Standing& standing : end.ranking) {
      EXPECT_EQ(standing.kind, Kind::kUnknown);
      EXPECT_TRUE(standing.nearest_load.has_value());
      EXPECT_EQ(standing.figures.at("throughput").value, 100);
    }
    EXPECT_NE(end.verdict.find("gpu_memory_used is missing"), std::string::npos) << end.verdict;
  }
}

TEST(Search, TakesAMissingObjectiveForUnknown) {
  const Space space = Plain(2, 1);
  SearchOptions options;
  options.goal.objectives = *ParseObjectives("gpu_power");
  const auto search = MakeSearch(space, options);
  Drive(*search, [](const Trial&) { return Measured(Throughput(100)); });
  EXPECT_EQ(search->Conclude().ranking.front().kind, Kind::kUnknown);
}

TEST(Search, EndsWhereNothingCanBeMeasured) {
  SimulatedSurface surface({.kind = SurfaceKind::kFlat});
  for (const Status status : {Status::kFailed, Status::kRefused}) {
    for (const auto kind : {kAdaptive, kExhaustive}) {
      const auto search = MakeSearch(surface.space(), {.kind = kind});
      Drive(*search, [&](const Trial&) { return Outcome{{}, status, {}, 1, 3}; });
      const Conclusion end = search->Conclude();
      EXPECT_EQ(end.verdict, "no configuration could be measured");
      EXPECT_EQ(end.ranking.front().kind, Kind::kFailed);
      EXPECT_TRUE(end.pareto.empty());
    }
  }
}

TEST(Search, AsksARefusedConfigurationOnceMoreInTheEndAndNoMore) {
  const Space space = Plain(4, 6);
  for (const auto kind : {kAdaptive, kExhaustive}) {
    const auto search = MakeSearch(space, {.kind = kind});
    std::vector<bool> refused;
    Drive(*search, [&](const Trial& trial) {
      refused.push_back(trial.configuration == 2);
      if (trial.configuration != 2) return Measured(Throughput(100));
      return Outcome{{}, Status::kRefused, {}, 0, 3};
    });
    EXPECT_EQ(std::count(refused.begin(), refused.end(), true), 2);
    EXPECT_EQ(search->Conclude().ranking.back().kind, Kind::kFailed);
  }
}

TEST(Search, KeepsItsBudgetAndTheTimeToConfirm) {
  for (const auto kind : {kAdaptive, kExhaustive}) {
    for (const int seconds : {20, 120, 300}) {
      SimulatedSurface surface({.kind = SurfaceKind::kPeaked, .seed = 5});
      const auto search =
          MakeSearch(surface.space(), {.kind = kind, .budget = std::chrono::seconds(seconds)});
      const std::vector<Trial> trials = Drive(*search, surface);
      EXPECT_LE(surface.elapsed_s(), seconds);
      const Conclusion end = search->Conclude();
      EXPECT_TRUE(end.budget_spent || seconds == 300) << seconds;
      EXPECT_TRUE(end.ranking.front().load.has_value());
      const bool confirmed = trials.back().reason.starts_with("confirms");
      EXPECT_TRUE(confirmed || seconds < 120 || kind != kAdaptive) << trials.back().reason;
      EXPECT_EQ(end.verdict.find("budget") != std::string::npos, end.budget_spent);
    }
  }
}

TEST_P(Surfaces, TimesThatAreAnnouncedAreNearWhatSearchesTake) {
  // Spaces of 10, 41 and 201 configurations.
  struct Size {
    uint32_t instances, batches, delays, loads;
  };
  for (const Size& size : {Size{3, 3, 1, 7}, Size{5, 8, 1, 11}, Size{5, 8, 5, 7}}) {
    std::vector<double> took;
    Search::Remaining told;
    int beyond = 0;
    for (uint64_t seed = 1; seed <= 15; ++seed) {
      SimulatedSurface surface({.kind = GetParam(),
                                .seed = seed,
                                .instances = size.instances,
                                .batches = size.batches,
                                .delays = size.delays,
                                .loads = size.loads});
      const auto search =
          MakeSearch(surface.space(), {.kind = kAdaptive, .seed = seed, .warmup_cost = 500ms});
      told = search->Estimate();
      const size_t trials = Drive(*search, surface).size();
      took.push_back(surface.elapsed_s());
      beyond += trials > told.most_trials || surface.elapsed_s() > Seconds(told.most_time) ? 1 : 0;
      EXPECT_GT(told.most_trials, told.trials);
    }
    std::sort(took.begin(), took.end());
    const double ratio = Seconds(told.time) / took[took.size() / 2];
    EXPECT_GT(ratio, 0.6);
    // What is the same everywhere is known sooner.
    EXPECT_LT(ratio, GetParam() == SurfaceKind::kFlat ? 2.5 : 1.6);
    EXPECT_LE(beyond, 2);
  }
}

TEST(Search, TimeToComeFallsToNothing) {
  SimulatedSurface surface({.kind = SurfaceKind::kPeaked, .seed = 3});
  const auto search = MakeSearch(surface.space(), {.kind = kAdaptive});
  const uint64_t told = search->Estimate().trials;
  const std::vector<Trial> trials = Drive(*search, surface);
  EXPECT_GT(told, trials.size() / 2);
  EXPECT_EQ(search->Estimate().trials, 0U);
  EXPECT_EQ(search->Estimate().most_time, 0ns);
}

TEST(Search, MeasuresTheDefaultFirstAndItNeedNotBeBeaten) {
  SimulatedSurface surface({.kind = SurfaceKind::kFlat});
  const auto search = MakeSearch(surface.space(), {.kind = kAdaptive});
  EXPECT_EQ(search->Next()->configuration, 0U);
  const Space one = Plain(1, 4);
  const auto alone = MakeSearch(one, {.kind = kAdaptive});
  Drive(*alone, [&](const Trial& trial) {
    return Measured(Throughput(100 + static_cast<double>(trial.load)));
  });
  EXPECT_EQ(alone->Conclude().ranking.front().kind, Kind::kWins);
}

TEST(Search, ReachesAPeakInSpacesOfThousandsOfConfigurations) {
  SimulatedSurface surface(
      {.kind = SurfaceKind::kPeaked, .seed = 1, .instances = 50, .batches = 14, .delays = 13});
  const auto search = MakeSearch(surface.space(), {});
  const std::vector<Trial> trials = Drive(*search, surface);
  const Standing first = search->Conclude().ranking.front();
  EXPECT_GT(surface.Throughput(first.configuration, *first.load),
            0.95 * BestThroughput(surface, {}));
  EXPECT_LT(trials.size(), 500U);
}

TEST(Search, FindsItsWayToWhatKeepsTheConstraintsInASpaceWhereHardlyAnythingDoes) {
  int near = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SimulatedSurface surface(
        {.kind = SurfaceKind::kPeaked, .seed = seed, .instances = 50, .batches = 14, .delays = 13});
    const SearchOptions options = Within50ms(seed);
    const Standing first = FirstOf(surface, options);
    ASSERT_TRUE(first.load.has_value());
    near += surface.Throughput(first.configuration, *first.load) >
                    0.95 * BestThroughput(surface, options.goal)
                ? 1
                : 0;
  }
  EXPECT_GE(near, 9);
}

TEST(Search, OnItsOwnIsExhaustiveForFewPointsAndWhereTheBudgetAllowsIt) {
  const auto looks = [](const Space& space, const SearchOptions& options) {
    return MakeSearch(space, options)->Next()->reason;
  };
  EXPECT_EQ(looks(Plain(4, 4), {}), "every point");
  EXPECT_NE(looks(Plain(4, 5), {}), "every point");
  EXPECT_EQ(looks(Plain(4, 5), {.budget = 10min}), "every point");
  EXPECT_NE(looks(Plain(400, 5), {.budget = 10min}), "every point");
}

}  // namespace
}  // namespace sextant::analyze
