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

TEST(MergedRuns, AddResponsesSequencesServersAndMetrics) {
  std::vector<RunPart> parts{Shard("a.json", "0/2", 100, 1), Shard("b.json", "1/2", 100, 2)};
  for (size_t i = 0; i < 2; ++i) {
    Level& level = parts[i].run.levels[0];
    const auto n = static_cast<uint64_t>(i + 1);
    stats::Histogram values;
    for (uint64_t k = 0; k < n; ++k) values.Record(static_cast<int64_t>(1000 * n));
    level.responses = ResponseRecord{.arrived = 10 * n,
                                     .rate = {.value = 5.0 * static_cast<double>(n)},
                                     .requests_without = n,
                                     .first = values,
                                     .between = values,
                                     .per_request = values};
    level.sequences = SequenceRecord{.completed = 3 * n,
                                     .abandoned = n,
                                     .rate = static_cast<double>(n),
                                     .latency = values,
                                     .requests = values};
    level.endpoints = {{.name = "x:1", .succeeded = n, .request_rate = 1.5, .latency = values}};
    // Both read the server's endpoint, and each one of its own.
    for (const std::string& source : {std::string("s"), "own" + std::to_string(i)}) {
      level.metric_sources.push_back({.source = source});
      level.metrics.push_back({.source = source, .quantity = "q"});
    }
  }
  parts[1].run.levels[0].endpoints.push_back(
      {.name = "y:1", .succeeded = 9, .latency = stats::Histogram()});
  const Result<MergedRun> merged = MergeRuns(parts);
  ASSERT_TRUE(merged.has_value()) << merged.error().message();
  const Level& level = merged->run.levels[0];
  EXPECT_EQ(level.responses->arrived, 30u);
  EXPECT_EQ(level.responses->rate.value, 15);
  EXPECT_EQ(level.responses->requests_without, 3u);
  EXPECT_EQ(level.responses->first.count(), 3u);
  EXPECT_EQ(level.sequences->completed, 9u);
  EXPECT_EQ(level.sequences->rate, 3);
  EXPECT_EQ(level.sequences->latency.count(), 3u);
  ASSERT_EQ(level.endpoints.size(), 2u);
  EXPECT_EQ(level.endpoints[0].succeeded, 3u);
  EXPECT_EQ(level.endpoints[0].request_rate, 3);
  EXPECT_EQ(level.endpoints[0].p50_ns, level.endpoints[0].latency.Quantile(0.5));
  EXPECT_EQ(level.endpoints[1].succeeded, 9u);
  EXPECT_EQ(level.metric_sources.size(), 3u);
  EXPECT_EQ(level.metrics.size(), 3u);
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

// The same, as the whole of two models: the first has the shard's even latencies.
RunPart MixedShard(std::string name, std::string_view shard, int requests, uint64_t seed) {
  RunPart part = Shard(std::move(name), shard, requests, seed);
  Level& level = part.run.levels[0];
  for (const auto& [model, share] : {std::pair("a", 0.7), std::pair("b", 0.3)}) {
    const auto count = static_cast<int>(std::lround(requests * share));
    Level own = Shard("", shard, count, seed + static_cast<uint64_t>(*model)).run.levels[0];
    own.server[0].model = model;
    own.part = {.name = model,
                .version = "",
                .share = share,
                .concurrency = {},
                .seen = static_cast<double>(own.scheduled) / static_cast<double>(level.scheduled)};
    level.models.push_back(std::move(own));
  }
  return part;
}

TEST(MergedRuns, OfSeveralModelsHaveEachOnesSums) {
  const std::vector<RunPart> parts{MixedShard("a.json", "0/2", 500, 1),
                                   MixedShard("b.json", "1/2", 700, 2)};
  const Result<MergedRun> merged = MergeRuns(parts);
  ASSERT_TRUE(merged.has_value()) << merged.error().message();
  const Level& level = merged->run.levels[0];
  ASSERT_EQ(level.models.size(), 2u);
  for (size_t m = 0; m < 2; ++m) {
    const Level &a = parts[0].run.levels[0].models[m], &b = parts[1].run.levels[0].models[m],
                &sum = level.models[m];
    EXPECT_EQ(sum.scheduled, a.scheduled + b.scheduled);
    EXPECT_EQ(sum.failed, 6u);
    stats::Histogram histogram = a.latency.histogram;
    histogram.Merge(b.latency.histogram);
    EXPECT_EQ(sum.latency.histogram.NonEmptyBuckets(), histogram.NonEmptyBuckets());
    EXPECT_EQ(sum.latency.percentiles[0].value, histogram.Quantile(0.9));
    EXPECT_DOUBLE_EQ(sum.part->seen,
                     static_cast<double>(sum.scheduled) / static_cast<double>(level.scheduled));
    EXPECT_EQ(sum.part->share, a.part->share);
    EXPECT_EQ(sum.load.value, 100);
    EXPECT_EQ(sum.server.size(), 1u) << "one server, which has counted everyone's";
  }
}

TEST(MergedRuns, OfDifferentMixesAreRefused) {
  std::vector<RunPart> parts{MixedShard("a.json", "0/2", 500, 1),
                             MixedShard("b.json", "1/2", 700, 2)};
  parts[1].run.levels[0].models[0].part->share = 0.6;
  EXPECT_NE(Fault(parts).find("level 1 is not of the same models in 'a.json' (a:0.7,b:0.3) and "
                              "'b.json' (a:0.6,b:0.3)"),
            std::string::npos)
      << Fault(parts);
  parts[1].run.levels[0].models.clear();
  EXPECT_NE(Fault(parts).find("and 'b.json' (no --mix)"), std::string::npos) << Fault(parts);
}

}  // namespace
}  // namespace sextant::run
