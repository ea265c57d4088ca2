// What searches owe their users beside the best configuration: time that is not wasted, nothing
// left behind on too little, conditions that hold everywhere. Against servers that are functions.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include "analyze/search.h"
#include "analyze/search_driver.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/units.h"

namespace sextant::analyze {
namespace {

using Kind = Standing::Kind;
using Status = Outcome::Status;
constexpr auto kAdaptive = SearchOptions::Kind::kAdaptive;

// So many configurations on one axis beside the default, each at loads 1, 2, 4, ...
Space Row(size_t configurations, size_t loads) {
  Space space;
  space.axes.push_back({"instance_group.count", {}});
  space.configurations.emplace_back();
  for (size_t c = 0; c < configurations; ++c) {
    space.axes[0].values.emplace_back(static_cast<int64_t>(c + 1));
    space.configurations.push_back({{static_cast<uint32_t>(c)}, {}});
  }
  std::vector<uint32_t> all;
  for (size_t i = 0; i < loads; ++i) {
    space.loads.emplace_back().point.value = std::exp2(i);
    all.push_back(static_cast<uint32_t>(i));
  }
  space.loads_of.assign(space.configurations.size(), all);
  return space;
}

size_t LoadsOf(const std::vector<Trial>& trials) {
  size_t loads = 0;
  for (size_t i = 0; i < trials.size(); ++i)
    loads += i == 0 || trials[i].configuration != trials[i - 1].configuration ? 1 : 0;
  return loads;
}

TEST(Searching, FindsConfigurationsThatComeToTheirOwnFarBeyondTheDefaultsKnee) {
  // The default does all it can with one request in flight; the others are worse than it there, and
  // ten times better with 64.
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Space space = Row(9, 7);
    const auto search = MakeSearch(space, {.kind = kAdaptive, .seed = seed});
    Random random(seed);
    const std::vector<Trial> trials = Drive(*search, [&](const Trial& trial) {
      const double n = space.loads[trial.load].point.value;
      const double most = 200 + 40.0 * static_cast<double>(trial.configuration);
      const double value = trial.configuration == 0 ? 44 : std::min(14 * n, most);
      return Measured(Throughput(value * (1 + 0.01 * random.Normal())));
    });
    const Standing first = search->Conclude().ranking.front();
    EXPECT_EQ(first.configuration, 9U);
    EXPECT_EQ(first.kind, Kind::kWins);
    // The nine, then the rounds.
    EXPECT_LE(trials.size(), 40U);
  }
}

TEST(Searching, DoesNotLetOneSlowTakeDecideHoweverSlowItWas) {
  // What is measured first, the default, has 40 % of what it has later.
  for (const size_t configurations : {1, 3}) {
    const Space space = Row(configurations, 1);
    const auto search = MakeSearch(space, {.kind = kAdaptive});
    Random random(1);
    bool first = true;
    Drive(*search, [&](const Trial&) {
      const double slow = std::exchange(first, false) ? 0.4 : 1;
      return Measured(Throughput(slow * 500 * (1 + 0.01 * random.Normal())));
    });
    const Conclusion conclusion = search->Conclude();
    EXPECT_EQ(conclusion.ranking.at(0).kind, Kind::kTies) << configurations;
    EXPECT_EQ(conclusion.ranking.at(1).kind, Kind::kTies) << configurations;
  }
}

TEST(Searching, LoadsLittleMoreThanOnceWhereOneIsFarAhead) {
  const Space space = Row(9, 7);
  const auto search = MakeSearch(space, {.kind = kAdaptive});
  Random random(1);
  const std::vector<Trial> trials = Drive(*search, [&](const Trial& trial) {
    const double n = space.loads[trial.load].point.value;
    const double best =
        600 * std::pow(0.85, std::abs(static_cast<double>(trial.configuration) - 4));
    const double value = trial.configuration == 0 ? 44 : std::min(14 * n, best);
    return Measured(Throughput(value * (1 + 0.005 * random.Normal())));
  });
  const Conclusion end = search->Conclude();
  EXPECT_EQ(end.ranking.front().configuration, 4U);
  EXPECT_EQ(end.ranking.front().kind, Kind::kWins) << end.verdict;
  EXPECT_LE(trials.size(), 25U);
  EXPECT_LE(LoadsOf(trials), 16U);
}

TEST(Constraints, NearTheirLimitAreNotDecidedByASingleTakeWithoutAnInterval) {
  // Configuration 2 is better and just too slow: a lucky take must not let it win. 1 is well below.
  int false_winners = 0, single = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Space space = Row(3, 1);
    SearchOptions options{.seed = seed};
    options.goal.constraints = *ParseConstraints("p99<50ms");
    const auto search = MakeSearch(space, options);
    Random random(seed);
    std::map<size_t, size_t> takes;
    Drive(*search, [&](const Trial& trial) {
      ++takes[trial.configuration];
      const double value = trial.configuration == 2 ? 130 : 100 + 10.0 * trial.configuration;
      const double p99 = trial.configuration == 2 ? 0.053 : 0.03;
      Figures figures = Throughput(value * (1 + 0.01 * random.Normal()));
      const double noise = 0.06 / std::sqrt(Seconds(trial.window)) * random.Normal();
      figures["latency_p99"] = {p99 * std::exp(noise), {}, {}};
      return Measured(figures);
    });
    const Standing first = search->Conclude().ranking.front();
    false_winners += first.configuration == 2 ? 1 : 0;
    single += takes[2] < 2 ? 1 : 0;
  }
  EXPECT_LE(single, 5);
  EXPECT_LE(false_winners, 6);
}

TEST(Constraints, OfMemoryWithRoomToSpareNeedNoSecondTake) {
  const Space space = Row(1, 1);
  SearchOptions options;
  options.goal.constraints = *ParseConstraints("gpu_memory<8GiB");
  const auto search = MakeSearch(space, options);
  std::map<size_t, size_t> takes;
  Drive(*search, [&](const Trial& trial) {
    ++takes[trial.configuration];
    Figures figures = Throughput(trial.configuration == 0 ? 100 : 200);
    figures["gpu_memory_used"] = {(trial.configuration == 0 ? 12 : 7.8) * 1073741824, {}, {}};
    return Measured(figures);
  });
  EXPECT_EQ(search->Conclude().ranking.front().kind, Kind::kWins);
  EXPECT_EQ(takes[1], 1U);
}

TEST(Refusals, OfTheBestConfigurationByChanceDoNotKeepItFromWinning) {
  for (const auto kind : {kAdaptive, SearchOptions::Kind::kExhaustive}) {
    for (const size_t refused_look : {0U, 1U, 2U, 3U}) {
      const Space space = Row(4, 3);
      const auto search = MakeSearch(space, {.kind = kind});
      size_t looks = 0;
      Random random(refused_look);
      Drive(*search, [&](const Trial& trial) {
        if (trial.configuration == 3 && looks++ == refused_look)
          return Outcome{.trial = trial, .status = Status::kRefused, .load_cost_s = 3};
        const double value = trial.configuration == 3 ? 150 : 100;
        return Measured(Throughput(value * (1 + 0.01 * random.Normal())));
      });
      const Standing first = search->Conclude().ranking.front();
      EXPECT_EQ(first.configuration, 3U) << refused_look;
      EXPECT_EQ(first.kind, Kind::kWins) << refused_look;
    }
  }
}

TEST(Refusals, OfALoadThatKillsTheServerLeaveTheOtherLoads) {
  const Space space = Row(3, 7);
  const auto search = MakeSearch(space, {.kind = kAdaptive});
  Drive(*search, [&](const Trial& trial) {
    const double n = space.loads[trial.load].point.value;
    if (trial.configuration == 2 && n > 4)
      return Outcome{.trial = trial, .status = Status::kRefused, .cost_s = 2, .load_cost_s = 3};
    return Measured(Throughput(std::min(40 * n, trial.configuration == 2 ? 1000.0 : 100.0)));
  });
  const Standing first = search->Conclude().ranking.front();
  EXPECT_EQ(first.configuration, 2U);
  EXPECT_EQ(space.loads[*first.load].point.value, 4);
  EXPECT_EQ(first.load_beyond, 8);
}

TEST(Refusals, OfWhatAsksForMoreThanWhatWasRefusedTwiceAreBelieved) {
  // Eight of nine cannot be loaded; two loads are enough to know that.
  const Space space = Row(9, 3);
  const auto search = MakeSearch(space, {.kind = kAdaptive});
  size_t again = 0;
  Drive(*search, [&](const Trial& trial) {
    again += trial.reason.starts_with("tries again") ? 1 : 0;
    if (trial.configuration > 1)
      return Outcome{.trial = trial, .status = Status::kRefused, .load_cost_s = 3};
    return Measured(Throughput(100));
  });
  EXPECT_EQ(again, 1U);
}

TEST(Budgets, ThatEndASearchAreSaidWithoutTakingTheVerdictBack) {
  const Space space = Row(9, 7);
  for (const int seconds : {15, 30, 60, 90, 150}) {
    const auto search =
        MakeSearch(space, {.kind = kAdaptive, .budget = std::chrono::seconds(seconds)});
    Random random(1);
    Drive(*search, [&](const Trial& trial) {
      const double value = 100 + 20.0 * static_cast<double>(trial.configuration);
      Outcome out = Measured(Throughput(value * (1 + 0.01 * random.Normal())));
      out.cost_s = Seconds(trial.window) + 0.5, out.load_cost_s = 2;
      return out;
    });
    const Conclusion end = search->Conclude();
    if (end.ranking.size() < 10) {
      EXPECT_NE(
          end.verdict.find(Format("; the budget ended the search with {} of 10 configurations "
                                  "tried",
                                  end.ranking.size())),
          std::string::npos)
          << end.verdict;
    }
    EXPECT_EQ(end.verdict.find("could be told"), std::string::npos) << end.verdict;
    EXPECT_EQ(end.verdict.find("budget") != std::string::npos, end.budget_spent) << end.verdict;
  }
}

// Each load of the space once for each of these.
Space WithData(Space space, const std::vector<std::string>& names) {
  const std::vector<Load> loads = std::move(space.loads);
  space.loads.clear();
  std::vector<uint32_t> all;
  for (const std::string& name : names) {
    for (Load load : loads) {
      load.data = name;
      all.push_back(static_cast<uint32_t>(space.loads.size()));
      space.loads.push_back(std::move(load));
    }
  }
  space.loads_of.assign(space.configurations.size(), all);
  return space;
}

// Configuration 1 is excellent with short data and dreadful with long; 2 is good with both.
Outcome ShortAndLong(const Space& space, const Trial& trial, Random& random) {
  const Load& load = space.loads[trial.load];
  const bool is_long = load.data == "long";
  double value = is_long ? 20 : 100;
  if (trial.configuration == 1) value = is_long ? 4 : 200;
  if (trial.configuration == 2) value = is_long ? 30 : 130;
  Figures figures =
      Throughput(value * std::min(1.0, load.point.value / 4) * (1 + 0.01 * random.Normal()));
  figures["latency_p99"] = {(is_long ? 0.04 : 0.004) * load.point.value, {}, {}};
  return Measured(figures);
}

TEST(DataSets, AreConditionsAndNotChoices) {
  for (const auto kind : {kAdaptive, SearchOptions::Kind::kExhaustive}) {
    const Space space = WithData(Row(3, 4), {"short", "long"});
    const auto search = MakeSearch(space, {.kind = kind});
    Random random(1);
    const std::vector<Trial> trials =
        Drive(*search, [&](const Trial& trial) { return ShortAndLong(space, trial, random); });
    const Conclusion end = search->Conclude();
    const Standing& first = end.ranking.front();
    EXPECT_EQ(first.configuration, 2U) << end.verdict;
    EXPECT_EQ(first.kind, Kind::kWins) << end.verdict;
    EXPECT_NE(end.verdict.find("over the data sets long and short together"), std::string::npos)
        << end.verdict;
    EXPECT_NEAR(first.figures.at("throughput").value, std::sqrt(30 * 130), 3);
    EXPECT_NEAR(first.by_data.at("long").at("throughput").value, 30, 1);
    EXPECT_NEAR(first.by_data.at("short").at("throughput").value, 130, 4);
    EXPECT_NEAR(first.gain.value, std::sqrt(1.5 * 1.3) - 1, 0.05);
    EXPECT_EQ(LoadOf(space, first).data, "");
    // Every load was measured with both, one after the other.
    ASSERT_EQ(trials.size() % 2, 0U);
    for (size_t i = 0; i < trials.size(); i += 2) {
      EXPECT_EQ(trials[i].configuration, trials[i + 1].configuration);
      EXPECT_EQ(space.loads[trials[i].load].point.value,
                space.loads[trials[i + 1].load].point.value);
      EXPECT_NE(space.loads[trials[i].load].data, space.loads[trials[i + 1].load].data);
    }
  }
}

TEST(DataSets, MustAllKeepTheConstraints) {
  const Space space = WithData(Row(3, 4), {"short", "long"});
  SearchOptions options{.kind = kAdaptive};
  // With long data that is up to 4 in flight, with short ones all are well below.
  options.goal.constraints = *ParseConstraints("p99<200ms");
  const auto search = MakeSearch(space, options);
  Random random(1);
  Drive(*search, [&](const Trial& trial) { return ShortAndLong(space, trial, random); });
  const Conclusion end = search->Conclude();
  EXPECT_EQ(end.ranking.front().configuration, 2U) << end.verdict;
  EXPECT_EQ(LoadOf(space, end.ranking.front()).point.value, 4);
  EXPECT_FALSE(end.ranking.front().figures.contains("long:latency_p99"));
  options.goal.constraints = *ParseConstraints("p99<10ms");
  const auto none = MakeSearch(space, options);
  Drive(*none, [&](const Trial& trial) { return ShortAndLong(space, trial, random); });
  const Standing beyond = none->Conclude().ranking.front();
  EXPECT_EQ(beyond.kind, Kind::kInfeasible);
  EXPECT_TRUE(beyond.figures.contains("latency_p99"));
  EXPECT_EQ(LoadOf(space, beyond).data, "") << "of all data sets";
}

TEST(DataSets, OfWhichOneLacksAFigureLeaveTheConstraintUnknown) {
  const Space space = WithData(Row(2, 2), {"short", "long"});
  SearchOptions options;
  options.goal.constraints = *ParseConstraints("p99<1s");
  const auto search = MakeSearch(space, options);
  Drive(*search, [&](const Trial& trial) {
    Figures figures = Throughput(100);
    if (space.loads[trial.load].data == "long") figures.erase("latency_p99");
    return Measured(figures);
  });
  const Conclusion end = search->Conclude();
  EXPECT_EQ(end.ranking.front().kind, Kind::kUnknown);
  EXPECT_NE(end.verdict.find("long:latency_p99 is missing"), std::string::npos) << end.verdict;
}

TEST(Budgets, ThatAreTooSmallSayWhichOneWouldDo) {
  // A configuration or several, with one load or with two data sets; loading takes 3 s, warming up
  // one and measuring another.
  for (const size_t configurations : {0, 1, 9}) {
    for (const bool sets : {false, true}) {
      const Space row = Row(configurations, 3);
      const Space space = sets ? WithData(row, {"short", "long"}) : row;
      for (const auto kind : {kAdaptive, SearchOptions::Kind::kExhaustive}) {
        const auto measured = [&](Nanos budget, std::string& verdict) {
          const auto search = MakeSearch(space, {.kind = kind, .budget = budget});
          const size_t trials = Drive(*search, [&](const Trial& trial) {
                                  Outcome out = Measured(Throughput(100));
                                  out.cost_s = Seconds(trial.window) + 1, out.load_cost_s = 3;
                                  return out;
                                }).size();
          verdict = search->Conclude().verdict;
          return trials;
        };
        const auto small = MakeSearch(space, {.kind = kind, .budget = 1s});
        EXPECT_EQ(small->Estimate().trials, 0U);
        const Nanos least = small->Estimate().least_budget;
        EXPECT_GE(least, sets ? 7s : 5s);
        EXPECT_LE(least, sets ? 11s : 8s);
        std::string verdict;
        EXPECT_EQ(measured(1s, verdict), 0U);
        EXPECT_NE(
            verdict.find("; a first point needs a --budget of at least " + HumanDuration(least)),
            std::string::npos)
            << verdict;
        EXPECT_EQ(measured(least - 1s, verdict), 0U) << verdict;
        EXPECT_GE(measured(least, verdict), 1U) << verdict;
        EXPECT_EQ(verdict.find("needs a"), std::string::npos) << verdict;
      }
    }
  }
}

TEST(DataSets, KeepTheBudget) {
  for (const auto kind : {kAdaptive, SearchOptions::Kind::kExhaustive}) {
    const Space space = WithData(Row(9, 7), {"a", "b", "c"});
    const auto search = MakeSearch(space, {.kind = kind, .budget = 120s});
    Random random(1);
    double spent = 0;
    size_t loaded = 99;
    Drive(*search, [&](const Trial& trial) {
      Outcome out = Measured(Throughput(100 * (1 + 0.01 * random.Normal())));
      out.cost_s = Seconds(trial.window) + 1;
      out.load_cost_s = loaded == trial.configuration ? 0 : 3;
      loaded = trial.configuration;
      spent += out.cost_s + out.load_cost_s;
      return out;
    });
    EXPECT_LE(spent, 120);
  }
}

TEST(Takes, OfTheSpaceAreTakesAndNotPointsOfWhichTheLuckiestCounts) {
  Space space = Row(2, 1);
  for (int take = 2; take <= 5; ++take) {
    Load load = space.loads[0];
    load.take = take;
    for (auto& of : space.loads_of) of.push_back(static_cast<uint32_t>(space.loads.size()));
    space.loads.push_back(load);
  }
  space.loads[0].take = 1;
  const auto search = MakeSearch(space, {.kind = SearchOptions::Kind::kExhaustive});
  Random random(1);
  Drive(*search, [&](const Trial& trial) {
    const bool lucky = trial.configuration == 1 && space.loads[trial.load].take == 3;
    return Measured(Throughput((lucky ? 150 : 100) * (1 + 0.01 * random.Normal())));
  });
  for (const Standing& standing : search->Conclude().ranking)
    EXPECT_LT(standing.figures.at("throughput").value, 120);
}

}  // namespace
}  // namespace sextant::analyze
