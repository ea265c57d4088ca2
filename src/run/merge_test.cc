#include "run/merge.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "base/strings.h"

namespace sextant::run {
namespace {

// A shard's run of one level: so many requests with latencies of its own.
RunPart Shard(std::string name, std::string_view shard, int requests, uint64_t seed,
              Nanos begins = Nanos(0)) {
  RunPart part{.name = std::move(name)};
  text::Json options{text::Json::Object()};
  options.Set("shard", shard);
  options.Set("timeout", "60s");
  part.run.header.Set("options", std::move(options));
  part.run.header.Set("seed", uint64_t{7});
  part.run.end_reason = "complete";
  Level level;
  level.load = {.mode = LoadMode::kRequestRate, .value = 50, .arrivals = "poisson"};
  level.started = WallTime(std::chrono::seconds(1'763'700'000)) + begins;
  level.window_s = 10;
  level.client.workers = 2;
  Random random(seed);
  for (int i = 0; i < requests; ++i) {
    const auto ns = static_cast<int64_t>(random.Exponential(10e6));
    level.latency.histogram.Record(ns);
    level.service.histogram.Record(ns - 1000);
    level.slip.Record(1000);
  }
  level.latency.percentiles = {stats::EstimateQuantile(level.latency.histogram, 0.9, 2)};
  level.latency.mean = {.value = level.latency.histogram.mean(), .half_width = 1e6, .known = true};
  level.scheduled = static_cast<uint64_t>(requests) + 3;
  level.completed = level.succeeded = static_cast<uint64_t>(requests);
  level.failed = 3;
  level.outcomes.push_back({.name = "timeout", .count = 3, .latency = stats::Histogram()});
  level.throughput = level.request_rate = {
      .value = requests / 10.0, .half_width = 3, .known = true, .batches = 20};
  level.state = stats::LevelState::kStable;
  for (int s = 0; s < 10; ++s) {
    level.series.push_back({.start_s = static_cast<double>(s),
                            .answered = static_cast<uint64_t>(requests) / 10,
                            .p99_ns = static_cast<double>(s + requests)});
  }
  level.server.push_back({.model = "m", .version = "1", .inference_count = 1000});
  part.run.levels.push_back(std::move(level));
  return part;
}

std::string Fault(const std::vector<RunPart>& parts) {
  const auto merged = MergeRuns(parts);
  return merged.has_value() ? std::string() : merged.error().message();
}

TEST(MergedRuns, HaveTheSumsOfTheirPartsExactly) {
  const std::vector<RunPart> parts{Shard("a.json", "0/2", 500, 1), Shard("b.json", "1/2", 700, 2)};
  const Result<MergedRun> merged = MergeRuns(parts);
  ASSERT_TRUE(merged.has_value()) << merged.error().message();
  const Level& level = merged->run.levels[0];
  EXPECT_EQ(level.load.value, 100);
  EXPECT_EQ(level.scheduled, 1206u);
  EXPECT_EQ(level.succeeded, 1200u);
  EXPECT_EQ(level.failed, 6u);
  EXPECT_EQ(level.outcomes.size(), 1u);
  EXPECT_EQ(level.outcomes[0].count, 6u);
  stats::Histogram sum = parts[0].run.levels[0].latency.histogram;
  sum.Merge(parts[1].run.levels[0].latency.histogram);
  EXPECT_EQ(level.latency.histogram.NonEmptyBuckets(), sum.NonEmptyBuckets());
  EXPECT_EQ(level.latency.histogram.mean(), sum.mean());
  EXPECT_EQ(level.latency.mean.value, sum.mean());
  EXPECT_EQ(level.latency.percentiles[0].value, sum.Quantile(0.9));
  EXPECT_EQ(level.latency.percentiles[0].design_effect, 2);
  EXPECT_DOUBLE_EQ(level.throughput.value, 120);
  EXPECT_DOUBLE_EQ(level.throughput.half_width, std::sqrt(18.0));
  ASSERT_EQ(level.series.size(), 10u);
  EXPECT_EQ(level.series[4].answered, 120u);
  EXPECT_EQ(level.series[4].p99_ns, 704);
  EXPECT_EQ(level.client.workers, 4);
  ASSERT_EQ(level.server.size(), 1u) << "the server has counted both";
  EXPECT_TRUE(merged->notes.empty()) << merged->notes[0];
}

TEST(MergedRuns, ThatBeganSecondsApartAddUpByTheClock) {
  const std::vector<RunPart> parts{Shard("a.json", "0/2", 500, 1, 2s),
                                   Shard("b.json", "1/2", 700, 2)};
  const Result<MergedRun> merged = MergeRuns(parts);
  ASSERT_TRUE(merged.has_value());
  const Level& level = merged->run.levels[0];
  ASSERT_EQ(level.series.size(), 12u);
  EXPECT_EQ(level.series[0].answered, 70u);
  EXPECT_EQ(level.series[2].answered, 120u);
  EXPECT_EQ(level.series[11].answered, 50u);
  ASSERT_EQ(merged->notes.size(), 1u);
  EXPECT_EQ(merged->notes[0], "level 1: the windows have only 8.0 of 10.0 s in common");
}

TEST(MergedRuns, MustHaveBeenOneLoad) {
  const RunPart a = Shard("a.json", "0/2", 500, 1);
  EXPECT_EQ(Fault({a}), "needs two run files or more");
  EXPECT_EQ(Fault({a, Shard("b.json", "0/2", 1, 1)}), "'a.json' and 'b.json' are both shard 0/2");
  EXPECT_EQ(Fault({a, Shard("b.json", "1/2", 1, 1, 11s)}),
            "the windows of level 1 do not overlap: the load was never whole (start the machines "
            "with --start-at)");
  EXPECT_EQ(Fault({Shard("a.json", "", 500, 1), Shard("b.json", "", 700, 2)}),
            "'a.json', 'b.json' are runs of a whole load, not shards of one, so their figures do "
            "not add up: give each machine its part with --shard INDEX/COUNT and all the same "
            "--seed");
  RunPart other = Shard("b.json", "1/2", 1, 1);
  other.run.header.Set("seed", uint64_t{8});
  other.run.levels[0].load.arrivals = "constant";
  EXPECT_EQ(
      Fault({a, other}),
      "the shards have different seeds: their arrivals are not parts of one schedule; level 1 "
      "is not the same load in 'a.json' (Request Rate: 50, batch 1, poisson) and 'b.json' "
      "(Request Rate: 50, batch 1, constant)");
  other = Shard("b.json", "1/2", 1, 1);
  other.run.levels.clear();
  EXPECT_EQ(Fault({a, other}), "'a.json' has 1 level, 'b.json' has 0");
}

TEST(MergedRuns, NameTheOptionsThatDifferAndTheShardsThatAreMissing) {
  std::vector<RunPart> parts{Shard("a.json", "0/3", 500, 1), Shard("b.json", "2/3", 700, 2)};
  parts[1].run.header.Set("options", [] {
    text::Json options{text::Json::Object()};
    options.Set("shard", "2/3");
    options.Set("timeout", "5s");
    return options;
  }());
  parts[1].run.end_reason.reset();
  const Result<MergedRun> merged = MergeRuns(parts);
  ASSERT_TRUE(merged.has_value());
  EXPECT_EQ(merged->notes,
            (std::vector<std::string>{"'b.json' is not complete",
                                      "2 of 3 shards are here: the load was larger than this",
                                      "--timeout differs: \"60s\", \"5s\""}));
}

}  // namespace
}  // namespace sextant::run
