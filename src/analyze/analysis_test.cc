// The driver with a simulated stand.
#include "analyze/analysis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "analyze/results.h"
#include "analyze/simulated_stand.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

using Status = Outcome::Status;

// A stand of which each test says what happens; unless it does, all is measured.
class ScriptedStand : public Stand {
 public:
  Result<LoadReport> LoadConfiguration(size_t configuration) override {
    loads.push_back(configuration);
    return load ? load(configuration) : LoadReport{.cost_s = 2, .notes = {}, .baselines = {}};
  }
  Measured Measure(const Trial& trial) override {
    ++measured;
    return measure ? measure(trial) : Good(trial);
  }
  static Measured Good(const Trial& trial) {
    const double x = 100 + 10 * static_cast<double>(trial.configuration);
    return {.status = Status::kMeasured,
            .figures = {{"throughput", {x, x - 1, x + 1}}, {"latency_p99", {0.01, {}, {}}}},
            .devices = {},
            .level = run::Level(),
            .flags = {},
            .error = {},
            .cost_s = 1.5};
  }

  std::function<Result<LoadReport>(size_t)> load;
  std::function<Measured(const Trial&)> measure;
  std::vector<size_t> loads;
  int measured = 0;
};

// What the driver tells it, in order.
class WrittenWatcher : public Watcher {
 public:
  void Loading(const std::string& configuration) override {
    lines.push_back("load " + configuration);
  }
  void Begins(const PointRecord& point) override {
    lines.push_back("begin " + point.configuration);
  }
  void Ended(const PointRecord& point, bool from_journal, const Search&) override {
    lines.push_back(Format("{} {}{}", StatusName(point.measured.status), point.configuration,
                           from_journal ? " again" : ""));
  }
  void Note(const std::string& text) override { lines.push_back("note " + text); }
  std::vector<std::string> lines;
};

// A search that asks for a list, and remembers what it is told.
class ListSearch : public Search {
 public:
  explicit ListSearch(std::vector<Trial> trials) : trials_(std::move(trials)) {}
  std::optional<Trial> Next() override {
    return told.size() < trials_.size() ? std::optional(trials_[told.size()]) : std::nullopt;
  }
  void Report(const Outcome& outcome) override { told.push_back(outcome); }
  Conclusion Conclude() const override { return {}; }
  Remaining Estimate() const override { return {}; }
  std::vector<Outcome> told;

 private:
  const std::vector<Trial> trials_;
};

Trial Ask(size_t configuration, size_t load = 0, Nanos window = 1s) {
  return {.configuration = configuration, .load = load, .window = window, .reason = "a reason"};
}

class Analyses : public testing::Test {
 protected:
  Analyses() {
    for (int i = 0; i < 3; ++i) {
      space.configurations.push_back(
          {.coordinates = {}, .settings = {{"instance_group.count", i}}});
      space.loads_of.push_back({0, 1});
    }
    space.loads.resize(2);
    space.loads[1].point.value = 2;
  }
  ~Analyses() override { [[maybe_unused]] const auto gone = RemoveAll(directory_); }

  std::string Path() const { return JoinPath(directory_, "journal.jsonl"); }
  Journal Open(const Identity& identity = {{"server", "s"}}) const {
    auto journal = Journal::Open({.path = Path(), .resume = true, .also = {}}, identity);
    SEXTANT_CHECK(journal.has_value(), journal.error().message());
    return *std::move(journal);
  }
  Result<AnalysisResult> Run(Search& search, const std::function<bool()>& stop = {}) {
    Journal journal = Open();
    AnalysisPlan plan{.model = "m",
                      .names = {"m_config_default", "m_config_0", "m_config_1"},
                      .stop = stop ? stop : [] { return false; }};
    plan.now = [this] { return now; };
    return RunAnalysis(space, plan, search, stand, journal, watcher);
  }
  size_t PointsInJournal() const {
    const auto read = ParseJournal(*ReadFile(Path()));
    SEXTANT_CHECK(read.has_value() && read->faults.empty(), "the journal is whole");
    size_t points = 0;
    for (const Session& session : read->sessions) points += session.points.size();
    return points;
  }

  Space space;
  ScriptedStand stand;
  WrittenWatcher watcher;
  Instant now{};
  const std::string directory_ = *MakeTempDirectory("analysis_test");
};

TEST_F(Analyses, LoadsEachConfigurationOnceForItsPoints) {
  ListSearch search({Ask(0), Ask(0, 1), Ask(1), Ask(1, 1), Ask(0)});
  const auto result = Run(search);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(stand.loads, (std::vector<size_t>{0, 1, 0}));
  EXPECT_EQ(result->loads, 3U);
  EXPECT_EQ(result->measured, 5U);
  EXPECT_FALSE(result->interrupted);
  std::vector<double> load_costs;
  for (const Outcome& outcome : search.told) load_costs.push_back(outcome.load_cost_s);
  EXPECT_EQ(load_costs, (std::vector<double>{2, 0, 2, 0, 2}));
  EXPECT_EQ(result->points[4].take, 2) << "of the same configuration and load";
  EXPECT_EQ(watcher.lines[0], "load m_config_default");
  EXPECT_EQ(watcher.lines[1], "begin m_config_default");
  EXPECT_EQ(watcher.lines[2], "measured m_config_default");
  // Half a megabyte each.
  for (const PointRecord& point : result->points) EXPECT_FALSE(point.measured.level.has_value());
}

TEST_F(Analyses, WhatIsRefusedFailsOrDiesIsARowAndTheRestIsMeasured) {
  stand.load = [&](size_t configuration) -> Result<LoadReport> {
    now += 7s;
    if (configuration == 1) return Internal("out of memory");
    return LoadReport{.cost_s = 2, .notes = {"a note"}, .baselines = {}};
  };
  stand.measure = [&](const Trial& trial) -> Measured {
    if (trial.configuration == 0 && trial.load == 1)
      return {.status = Status::kFailed, .error = "no request succeeded", .cost_s = 3};
    if (trial.configuration == 2 && stand.measured == 3)
      return {.status = Status::kRefused, .error = "the server died", .cost_s = 1};
    return ScriptedStand::Good(trial);
  };
  ListSearch search({Ask(0), Ask(0, 1), Ask(1), Ask(2), Ask(2, 1)});
  const auto result = Run(search);
  ASSERT_TRUE(result.has_value());
  std::vector<std::string> rows;
  for (const PointRecord& point : result->points)
    rows.push_back(Format("{} {}", StatusName(point.measured.status), point.measured.error));
  EXPECT_EQ(rows, (std::vector<std::string>{"measured ", "failed no request succeeded",
                                            "refused out of memory", "refused the server died",
                                            "measured "}));
  EXPECT_EQ(stand.loads, (std::vector<size_t>{0, 1, 2, 2})) << "what died is loaded again";
  EXPECT_EQ(search.told[2].load_cost_s, 7) << "a refusal takes time as well";
  EXPECT_EQ(search.told[4].load_cost_s, 2);
  EXPECT_EQ(PointsInJournal(), 5U);
}

TEST_F(Analyses, NoServerAnyMoreEndsItWithTheJournalWhole) {
  stand.load = [](size_t configuration) -> Result<LoadReport> {
    if (configuration == 2) return Unavailable("connection refused");
    return LoadReport{.cost_s = 2, .notes = {}, .baselines = {{.kind = "loaded"}}};
  };
  ListSearch search({Ask(0), Ask(1), Ask(2), Ask(1)});
  const auto result = Run(search);
  ASSERT_TRUE(result.has_value());
  ASSERT_TRUE(result->lost.has_value());
  EXPECT_EQ(result->lost->message(), "connection refused");
  EXPECT_TRUE(result->interrupted);
  EXPECT_EQ(result->points.size(), 2U) << "what was measured is concluded from";
  EXPECT_EQ(PointsInJournal(), 2U);
  EXPECT_EQ(Open().baselines().size(), 2U);
}

TEST_F(Analyses, StoppingLosesOnlyThePointInProgress) {
  bool stop = false;
  stand.measure = [&](const Trial& trial) {
    stop = stand.measured == 3;
    return ScriptedStand::Good(trial);
  };
  ListSearch search({Ask(0), Ask(0, 1), Ask(1), Ask(1, 1)});
  const auto result = Run(search, [&] { return stop; });
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->interrupted);
  EXPECT_EQ(result->points.size(), 2U);
  EXPECT_EQ(search.told.size(), 2U);
  EXPECT_EQ(PointsInJournal(), 2U);
}

TEST_F(Analyses, AServerThatIsStoppedWithUsIsAnInterruptionAndNoFailure) {
  bool stop = false;
  for (const Error& error : {Unavailable("connection refused"), Internal("it was told to stop")}) {
    stop = false;
    stand.load = [&](size_t configuration) -> Result<LoadReport> {
      if (configuration == 0) return LoadReport{.cost_s = 2, .notes = {}, .baselines = {}};
      stop = true;
      return error;
    };
    ListSearch search({Ask(0), Ask(1)});
    const auto result = Run(search, [&] { return stop; });
    ASSERT_TRUE(result.has_value()) << result.error().message();
    EXPECT_TRUE(result->interrupted);
    EXPECT_EQ(PointsInJournal(), 1U);
  }
}

TEST_F(Analyses, ResumingAsksNothingAgainThatIsKnown) {
  const std::vector<Trial> all{Ask(0), Ask(0, 1), Ask(1), Ask(0), Ask(1)};
  ListSearch first({all.begin(), all.begin() + 3});
  ASSERT_TRUE(Run(first).has_value());
  ListSearch second(all);
  const auto result = Run(second);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->reused, 3U);
  EXPECT_EQ(result->measured, 2U);
  EXPECT_EQ(stand.measured, 5);
  EXPECT_EQ(watcher.lines.back(), "measured m_config_0");
  EXPECT_EQ(second.told[2].load_cost_s, 2);
  EXPECT_EQ(second.told[2].cost_s, 1.5);
}

TEST_F(Analyses, LoadingAgainWhatWasLoadedBeforeAnInterruptionIsNotTheSearchsCost) {
  ListSearch first({Ask(0)});
  ASSERT_TRUE(Run(first).has_value());
  ListSearch second({Ask(0), Ask(0, 1)});
  ASSERT_TRUE(Run(second).has_value());
  EXPECT_EQ(stand.loads.size(), 2U);
  EXPECT_EQ(second.told[1].load_cost_s, 0);
}

TEST_F(Analyses, ThePointsOfAJournalHaveThePresentNumbersAndTheirOwnWindows) {
  ListSearch first({Ask(1, 0, 3s)});
  ASSERT_TRUE(Run(first).has_value());
  // The same configuration has another number in another space.
  std::swap(space.configurations[1], space.configurations[2]);
  ListSearch second({Ask(2, 0, 1s)});
  const auto result = Run(second);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->reused, 1U);
  EXPECT_EQ(result->points[0].configuration, "m_config_1");
  EXPECT_EQ(result->points[0].window, 3s);
  EXPECT_EQ(second.told[0].trial.window, 3s) << "so long it was measured";
  EXPECT_EQ(second.told[0].trial.configuration, 2U);
}

TEST_F(Analyses, FiguresThatAreNoNumbersAreMissingForTheSearchToo) {
  stand.measure = [](const Trial&) -> Measured {
    return {.figures = {{"throughput", {NAN, {}, {}}}, {"latency_p99", {0.1, 0.05, INFINITY}}}};
  };
  ListSearch search({Ask(0)});
  const auto result = Run(search);
  ASSERT_TRUE(result.has_value());
  EXPECT_FALSE(search.told[0].figures.contains("throughput"));
  EXPECT_TRUE(search.told[0].figures.at("latency_p99").lower.has_value());
  EXPECT_FALSE(search.told[0].figures.at("latency_p99").upper.has_value());
}

// The whole with a real search: what was interrupted after any point ends as what was not.
class Resumed : public testing::TestWithParam<SearchOptions::Kind> {};
INSTANTIATE_TEST_SUITE_P(Searches, Resumed,
                         testing::Values(SearchOptions::Kind::kAdaptive,
                                         SearchOptions::Kind::kExhaustive));

std::string Conclusions(const std::string& path, SearchOptions::Kind kind, uint64_t most_points) {
  SimulatedStand stand(
      {.surface = {.kind = SurfaceKind::kCliff, .instances = 4, .batches = 4, .loads = 5}});
  auto journal = Journal::Open({.path = path, .resume = true, .also = {}}, {{"server", "s"}});
  SEXTANT_CHECK(journal.has_value(), journal.error().message());
  SearchOptions options{.kind = kind, .budget = 900s};
  const auto search = MakeSearch(stand.space(), options);
  const std::vector<std::string> names = stand.names();
  const auto result = RunAnalysis(stand.space(),
                                  {.model = "simulated",
                                   .names = names,
                                   .stop = [&] { return stand.measured() > most_points; },
                                   .now = [] { return Instant{}; }},
                                  *search, stand, *journal, stand);
  SEXTANT_CHECK(result.has_value(), result.error().message());
  if (result->interrupted) return "";
  const Report report{.space = stand.space(),
                      .names = names,
                      .result = *result,
                      .goal = options.goal,
                      .model = "simulated",
                      .gpu_source = {},
                      .identity = {},
                      .baselines = {},
                      .base = {}};
  text::Json json = ResultsJson(report);
  for (auto& [name, value] : json.object()) {
    if (name != "points") continue;
    for (text::Json& point : value.array()) point.Set("started", "");
  }
  return text::FormatJson(json, 1);
}

TEST_P(Resumed, ComesToTheSameResultsInPieces) {
  const std::string directory = *MakeTempDirectory("analysis_test");
  const std::string whole = Conclusions(JoinPath(directory, "whole"), GetParam(), UINT64_MAX);
  const std::string path = JoinPath(directory, "pieces");
  int pieces = 1;
  std::string end;
  while ((end = Conclusions(path, GetParam(), 7)).empty()) ++pieces;
  EXPECT_EQ(end, whole);
  EXPECT_GE(pieces, 5);
  [[maybe_unused]] const auto gone = RemoveAll(directory);
}

}  // namespace
}  // namespace sextant::analyze
