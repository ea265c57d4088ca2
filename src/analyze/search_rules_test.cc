// What searches owe their users beside the best configuration: time that is not wasted, nothing
// left behind on too little, conditions that hold everywhere. Against servers that are functions.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "analyze/search.h"
#include "base/random.h"

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

Figures Throughput(double value) {
  return {{"throughput", {value, value * 0.98, value * 1.02}}, {"latency_p99", {0.01, {}, {}}}};
}

Outcome Measured(Figures figures) { return {{}, Status::kMeasured, std::move(figures), 0, 0}; }

using Server = std::function<Outcome(const Trial&)>;

std::vector<Trial> Drive(Search& search, const Server& server) {
  std::vector<Trial> trials;
  while (const auto trial = search.Next()) {
    trials.push_back(*trial);
    Outcome outcome = server(*trial);
    outcome.trial = *trial;
    if (outcome.cost_s == 0) outcome.cost_s = Seconds(trial->window);
    search.Report(outcome);
    if (trials.size() > 2000) {
      ADD_FAILURE() << "does not end";
      break;
    }
  }
  return trials;
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

}  // namespace
}  // namespace sextant::analyze
