// The search for the highest load, against a simulated server whose answer is known; and the
// verdicts that it rests on.
#include "load/find_max.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/strings.h"
#include "load/level_math.h"

namespace sextant::load {
namespace {

const Instant kStart{std::chrono::seconds(1000)};
constexpr Nanos kBlock = 100ms;

// M/D/1: Poisson arrivals, a fixed service time, one server.
class Md1 {
 public:
  Md1(double rate, Nanos service, uint64_t seed) : rate_(rate), service_(service), random_(seed) {}
  // Due and done of the next request.
  std::pair<Instant, Instant> Next() {
    due_ += FromSeconds(random_.Exponential(1 / rate_));
    free_ = std::max(free_, due_) + service_;
    return {due_, free_};
  }

 private:
  const double rate_;
  const Nanos service_;
  Random random_;
  Instant due_ = kStart, free_ = kStart;
};

// A measured level of it, by the code of real ones: one second of warm-up, then the window.
run::Level MeasureMd1(double rate, Nanos service, Nanos window, uint64_t seed,
                      double error_share = 0) {
  BlockExchange exchange;
  Recorder recorder(exchange);
  recorder.StartBlocks(kStart, kBlock);
  recorder.OpenWindow();
  const Instant begin = kStart + 1s, end = begin + window;
  recorder.SetWindow({begin, end});
  Md1 server(rate, service, seed);
  Random errors(seed + 1);
  for (auto [due, done] = server.Next(); due < end; std::tie(due, done) = server.Next()) {
    const bool in_window = recorder.OnScheduled(due);
    if (errors.Uniform() < error_share) {
      recorder.OnFailure({due, due, done}, in_window, {OutcomeKind::kHttp, 503}, "");
    } else {
      recorder.OnSuccess({due, due, done}, in_window);
    }
  }
  recorder.Advance(end + 1s);
  BlockSeries series(kBlock);
  for (auto& block : exchange.TakeFull()) {
    block->index -= 1s / kBlock;
    if (block->index >= 0 && block->index < window / kBlock) series.Add(*block);
  }
  run::Level level;
  level.load = {.mode = run::LoadMode::kRequestRate, .value = rate};
  MeasureOptions options;
  options.percentiles = {0.5, 0.99};
  ComputeLevel({.record = recorder.TakeWindow().get(),
                .blocks = &series.blocks(),
                .block_length = series.length(),
                .window = window},
               options, level);
  return level;
}

// The share of a long run's requests that take longer than the limit.
double ShareOver(double rate, Nanos service, Nanos limit) {
  Md1 server(rate, service, 99);
  int over = 0;
  constexpr int kRequests = 1'000'000;
  for (int i = 0; i < kRequests; ++i) {
    const auto [due, done] = server.Next();
    over += done - due > limit ? 1 : 0;
  }
  return static_cast<double>(over) / kRequests;
}

struct Found {
  Conclusion conclusion;
  std::vector<double> probes;
  double passes = 0, fails = 0;
};

Found Search(FindMaxRules rules,
             const std::function<run::Level(double load, double window_s)>& at) {
  FindMaxSweep sweep(std::move(rules));
  Found out;
  while (const auto probe = sweep.Next()) {
    // An undecided load is measured again.
    if (out.probes.empty() || out.probes.back() != probe->load.value)
      out.probes.push_back(probe->load.value);
    run::Level level = at(probe->load.value, probe->window ? Seconds(*probe->window) : 5);
    sweep.Report(level);
    EXPECT_FALSE(level.notes.empty());
    if (out.probes.size() > 100) {
      ADD_FAILURE() << "the search does not end";
      break;
    }
  }
  out.conclusion = *sweep.Conclude();
  const text::Json& json = out.conclusion.record;
  if (json.Find("passes") != nullptr) out.passes = *json.Find("passes")->AsDouble();
  if (json.Find("fails") != nullptr) out.fails = *json.Find("fails")->AsDouble();
  return out;
}

FindMaxRules Rules(std::string_view slo, SearchRules search) {
  return {
      .slo = *ParseSlo(slo),
      .search = search,
      .load = {.mode = search.whole ? run::LoadMode::kConcurrency : run::LoadMode::kRequestRate}};
}

TEST(FindMax, FindsTheEdgeOfAnMd1QueueFromBelowAndFromAbove) {
  // p99 of M/D/1 with 1 ms of service is 8 ms at some 870 per second; no formula is needed.
  double low = 100, high = 1000;
  while (high - low > 2) {
    const double middle = (low + high) / 2;
    (ShareOver(middle, 1ms, 8ms) > 0.01 ? high : low) = middle;
  }
  const double truth = low;
  for (const double start : {50.0, 4000.0}) {
    uint64_t seed = 0;
    const Found found =
        Search(Rules("p99<8ms", {.start = start}), [&](double load, double window_s) {
          return MeasureMd1(load, 1ms, FromSeconds(window_s), ++seed);
        });
    EXPECT_TRUE(found.conclusion.satisfied);
    EXPECT_LE(found.passes, truth * 1.02) << "what passes is within the limit";
    EXPECT_GE(found.passes, truth * 0.93) << truth;
    EXPECT_LE(found.fails - found.passes, found.passes * 0.02);
    EXPECT_LE(found.probes.size(), 30u);
    EXPECT_TRUE(found.conclusion.text.starts_with("VALID: ")) << found.conclusion.text;
    EXPECT_EQ(found.conclusion.record.Find("start_failed")->AsBool(), start > 1000);
  }
}

TEST(FindMax, SpendsNoTimeFarBelowTheAnswerAndConfirmsTheAnswer) {
  // 1 % of errors allowed takes 368 requests to see: at 2 per second that is three minutes.
  std::vector<std::pair<double, double>> windows;
  const Found found =
      Search(Rules("errors<1%", {.start = 2, .most = 100}), [&](double load, double window_s) {
        windows.emplace_back(load, window_s);
        return MeasureMd1(load, 1ms, FromSeconds(window_s), 1);
      });
  EXPECT_TRUE(found.conclusion.satisfied);
  EXPECT_EQ(found.passes, 100);
  for (const auto& [load, window_s] : windows) EXPECT_EQ(window_s, 5) << load;
  // The end of the range is too slow a load for five seconds, so it is measured again.
  windows.clear();
  Search(Rules("errors<1%", {.start = 2, .most = 20}), [&](double load, double window_s) {
    windows.emplace_back(load, window_s);
    return MeasureMd1(load, 1ms, FromSeconds(window_s), 1);
  });
  ASSERT_GE(windows.size(), 6u);
  EXPECT_EQ(windows[4], std::pair(20.0, 5.0));
  EXPECT_EQ(windows[5].first, 20);
  EXPECT_GT(windows[5].second, 18);
}

TEST(FindMax, AnAnswerThatDoesNotHoldIsGivenUp) {
  LoadSearch search({.start = 10});
  search.Report(true);
  search.Report(true);
  search.Report(false);
  EXPECT_EQ(search.passes(), 20);
  search.Refute();
  EXPECT_EQ(search.passes(), 10);
  EXPECT_EQ(search.fails(), 20);
  EXPECT_EQ(search.Next(), 15);
}

TEST(FindMax, SaysWhenNoLoadWillDo) {
  const Found found = Search(Rules("p50<0.5ms", {.start = 256}), [](double load, double window_s) {
    return MeasureMd1(load, 1ms, FromSeconds(window_s), 1);
  });
  EXPECT_FALSE(found.conclusion.satisfied);
  EXPECT_EQ(found.probes, (std::vector<double>{256, 64}))
      << "with 64 per second, a request is alone";
  EXPECT_EQ(found.fails, 64);
  EXPECT_TRUE(found.conclusion.text.starts_with("INVALID: no load satisfies 'p50<0.5ms'"))
      << found.conclusion.text;
}

TEST(FindMax, WhatCannotBeToldIsUndecidedAndLowerLoadsTellLess) {
  // 0.1 % of errors takes some 3000 requests to rule out: 30 s of 100 per second.
  FindMaxRules rules = Rules("errors<0.1%", {.start = 100, .most = 200});
  rules.longest = 10s;
  const Found found = Search(rules, [](double load, double window_s) {
    return MeasureMd1(load, 1ms, FromSeconds(window_s), 1);
  });
  EXPECT_FALSE(found.conclusion.satisfied);
  EXPECT_TRUE(found.conclusion.text.starts_with("UNDECIDED: ")) << found.conclusion.text;
  EXPECT_NE(found.conclusion.text.find("--find-max-longest"), std::string::npos);
  for (const double load : found.probes) EXPECT_GE(load, 100) << "lower loads have fewer requests";
}

TEST(FindMax, EndsAtTheRangesEnd) {
  const Found found = Search(
      Rules("p99<8ms", {.start = 100, .most = 300}),
      [](double load, double window_s) { return MeasureMd1(load, 1ms, FromSeconds(window_s), 1); });
  EXPECT_TRUE(found.conclusion.satisfied);
  EXPECT_EQ(found.probes, (std::vector<double>{100, 200, 300}));
  EXPECT_NE(found.conclusion.text.find("more was not tried"), std::string::npos);
}

TEST(FindMax, AThroughputThatIsNotReachedIsInvalid) {
  const auto at = [](double load, double window_s) {
    return MeasureMd1(load, 1ms, FromSeconds(window_s), 3);
  };
  EXPECT_TRUE(Search(Rules("p99<8ms,throughput>=500", {.start = 50}), at).conclusion.satisfied);
  const Found found = Search(Rules("p99<8ms,throughput>=950", {.start = 50}), at);
  EXPECT_FALSE(found.conclusion.satisfied);
  EXPECT_TRUE(found.conclusion.text.starts_with("INVALID: ")) << found.conclusion.text;
}

TEST(FindMax, AConcurrencyIsAWholeNumber) {
  // A closed loop on 4 servers of 10 ms: latency is 10 ms up to 4, then it grows.
  const Found found =
      Search(Rules("p99<26ms", {.start = 1, .whole = true}), [](double load, double) {
        run::Level level;
        level.load = {.value = load};
        level.window_s = 10;
        const auto ns = static_cast<int64_t>(10e6 * std::max(1.0, load / 4));
        for (int i = 0; i < 5000; ++i) level.latency.histogram.Record(ns);
        level.scheduled = level.succeeded = 5000;
        return level;
      });
  EXPECT_EQ(found.probes, (std::vector<double>{1, 2, 4, 8, 16, 12, 10, 11}));
  EXPECT_EQ(found.passes, 10);
  EXPECT_EQ(found.fails, 11);
}

TEST(FindMax, AnOverloadIsGivenUpAfterTwoSeconds) {
  FindMaxSweep sweep(Rules("p99<50ms", {.start = 1000}));
  ASSERT_TRUE(sweep.Next().has_value());
  int looks = 0;
  int64_t in_flight = 0;
  while (!sweep.GiveUp({.requests_per_s = 400, .in_flight = in_flight += 150})) ++looks;
  EXPECT_EQ(looks, 7) << "a queue of 200 ms is there from the first look on";
  run::Level level = MeasureMd1(1000, 2500us, 1s, 1);
  sweep.Report(level);
  EXPECT_EQ(level.window_rule, "overloaded");
  EXPECT_EQ(sweep.Next()->load.value, 250);
  for (int i = 0; i < 20; ++i)
    EXPECT_FALSE(sweep.GiveUp({.requests_per_s = 250, .in_flight = 20})) << "steady";
}

TEST(SloVerdicts, AreDecidedByBoundsAndNotByTheFigure) {
  const auto level = [](int under, int over) {
    run::Level out;
    out.window_s = 10;
    for (int i = 0; i < under; ++i) out.latency.histogram.Record(10'000'000);
    for (int i = 0; i < over; ++i) out.latency.histogram.Record(90'000'000);
    out.scheduled = out.succeeded = static_cast<uint64_t>(under + over);
    return out;
  };
  const auto verdict = [](std::string_view slo, const run::Level& l) {
    return JudgeSlo(*ParseSlo(slo), l).ceilings;
  };
  EXPECT_EQ(verdict("p99<50ms", level(367, 0)), Verdict::kUndecided);
  EXPECT_EQ(verdict("p99<50ms", level(368, 0)), Verdict::kPass) << "as few as theory allows";
  EXPECT_EQ(verdict("p99<50ms", level(10'000, 70)), Verdict::kPass);
  EXPECT_EQ(verdict("p99<50ms", level(10'000, 100)), Verdict::kUndecided);
  EXPECT_EQ(verdict("p99<50ms", level(10'000, 140)), Verdict::kFail);
  EXPECT_EQ(verdict("p99<50ms", level(0, 3)), Verdict::kFail) << "three are enough to see that";
  EXPECT_EQ(verdict("max<50ms", level(1000, 1)), Verdict::kFail);
  EXPECT_EQ(verdict("max<91ms", level(1000, 1)), Verdict::kPass);
  run::Level errors = level(9990, 0);
  errors.failed = 10, errors.scheduled = 10'000;
  EXPECT_EQ(verdict("errors<0.1%", errors), Verdict::kUndecided);
  EXPECT_EQ(verdict("errors<0.2%", errors), Verdict::kPass);
  EXPECT_EQ(verdict("errors<0.04%", errors), Verdict::kFail);
  EXPECT_EQ(verdict("errors<=0", errors), Verdict::kFail);
  EXPECT_EQ(verdict("p99.9<50ms", errors), Verdict::kUndecided)
      << "without a word on errors, a failed request is over every latency";
  EXPECT_EQ(verdict("p99.9<50ms,errors<1%", errors), Verdict::kPass);
}

TEST(SloVerdicts, AServerThatDoesNotKeepUpFailsHoweverShortTheWindow) {
  run::Level level = MeasureMd1(1500, 1ms, 2s, 5);
  const SloVerdict verdict = JudgeSlo(*ParseSlo("p99<60s"), level);
  EXPECT_EQ(verdict.ceilings, Verdict::kFail);
  EXPECT_NE(verdict.Describe().find("does not keep up"), std::string::npos) << verdict.Describe();
}

TEST(SloTexts, AreReadWithTheirUnits) {
  const Slo slo = *ParseSlo("p99 < 50ms, p99.99<=1s,avg<10ms,max<2s,errors<0.1%,throughput>=100/s");
  ASSERT_EQ(slo.terms.size(), 6u);
  EXPECT_DOUBLE_EQ(slo.terms[0].p, 0.99);
  EXPECT_EQ(slo.terms[0].limit, 50e6);
  EXPECT_DOUBLE_EQ(slo.terms[1].p, 0.9999);
  EXPECT_TRUE(slo.terms[1].inclusive);
  EXPECT_DOUBLE_EQ(slo.terms[4].limit, 0.001);
  EXPECT_EQ(slo.terms[5].limit, 100);
  EXPECT_EQ(slo.longest_latency(), 2s);
}

TEST(SloTexts, ListTheirFaultsAtOnce) {
  EXPECT_EQ(
      ParseSlo("p99<50,q9<1s,errors<200%,throughput<5,p50>1ms,fast").error().message(),
      "'p99<50': its limit is a time with its unit, such as 50ms; 'q9<1s': there are p50 to "
      "p99.99, avg, max, errors and throughput; 'errors<200%': its limit is a share from 0 to "
      "1 or a percentage, such as 0.1%; 'throughput<5': a throughput has a lower limit: "
      "throughput>=100; 'p50>1ms': it has an upper limit: write < or <=; 'fast': write "
      "METRIC<LIMIT, such as p99<50ms, or throughput>=100");
  EXPECT_FALSE(ParseSlo("throughput>=5").has_value());
  EXPECT_FALSE(ParseSlo("").has_value());
}

TEST(Objectives, MayBeOfOneModelOfSeveral) {
  const std::vector<std::string> models{"bert", "bert.large@2"};
  const Slo slo = *ParseSlo("p99<1s,bert.p99.9<50ms,bert.large@2.errors<1%", models);
  ASSERT_EQ(slo.terms.size(), 3u);
  EXPECT_EQ(slo.terms[0].model, "");
  EXPECT_EQ(slo.terms[1].model, "bert");
  EXPECT_NEAR(slo.terms[1].p, 0.999, 1e-12);
  EXPECT_EQ(slo.terms[1].text, "bert.p99.9<50ms");
  EXPECT_EQ(slo.terms[2].model, "bert.large@2");
  EXPECT_EQ(slo.terms[2].metric, SloTerm::Metric::kErrors);
  EXPECT_NE(ParseSlo("resnet.p99<1s", models)
                .error()
                .message()
                .find("in front of one may stand a model and a dot: bert, bert.large@2"),
            std::string::npos);

  run::Level level;
  level.scheduled = level.succeeded = 20'000;
  for (int i = 0; i < 20'000; ++i)
    level.latency.histogram.Record(i < 10'000 ? 1'000'000 : 80'000'000);
  for (const auto& [model, latency] :
       {std::pair("bert", 80'000'000), {"bert.large@2", 1'000'000}}) {
    run::Level& part = level.models.emplace_back();
    part.scheduled = part.succeeded = 10'000;
    for (int i = 0; i < 10'000; ++i) part.latency.histogram.Record(latency);
    part.part = {.name = model, .version = "", .share = 0.5, .concurrency = {}};
  }
  const SloVerdict verdict = JudgeSlo(slo, level);
  EXPECT_EQ(verdict.ceilings, Verdict::kFail);
  ASSERT_EQ(verdict.terms.size(), 3u);
  EXPECT_EQ(verdict.terms[0].verdict, Verdict::kPass);
  EXPECT_EQ(verdict.terms[1].verdict, Verdict::kFail);
  EXPECT_EQ(verdict.terms[2].verdict, Verdict::kPass);
}

// perf_analyzer's rules.
run::Level WithMean(double load, double ms) {
  run::Level level;
  level.load.value = load;
  level.state = stats::LevelState::kStable;
  level.latency.histogram.Record(static_cast<int64_t>(ms * 1e6));
  level.scheduled = level.succeeded = 1;
  return level;
}

std::vector<double> Walk(Sweep& sweep, const std::function<double(double)>& mean_ms) {
  std::vector<double> out;
  while (const auto probe = sweep.Next()) {
    out.push_back(probe->load.value);
    run::Level level = WithMean(probe->load.value, mean_ms(probe->load.value));
    sweep.Report(level);
    if (out.size() > 50) break;
  }
  return out;
}

TEST(LatencyThreshold, EndsASweepWithTheLevelThatIsOverIt) {
  const auto mean = [](double load) { return load * 5; };
  std::vector<run::LoadPoint> points;
  for (const double v : {1., 2., 3., 4., 5., 6.}) points.push_back({.value = v});
  EXPECT_EQ(Walk(*MakeListSweep(points, {.limit = 20ms}), mean), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(Walk(*MakeListSweep(points, {}), mean).size(), 6u);
  EXPECT_EQ(Walk(*MakeOpenSweep({}, {.start = 2, .end = 0, .step = 3}, {.limit = 50ms}), mean),
            (std::vector<double>{2, 5, 8, 11}));
}

TEST(BinarySearch, HalvesTheRangeDownToItsStep) {
  const auto mean = [](double load) { return load; };
  const auto walk = [&](LevelRange range) {
    return Walk(*MakeBinarySweep({}, range, {.limit = 40ms}), mean);
  };
  EXPECT_EQ(walk({.start = 1, .end = 64, .step = 4}), (std::vector<double>{1, 64, 32, 48, 40, 36}));
  EXPECT_EQ(walk({.start = 1, .end = 30, .step = 4}), (std::vector<double>{1, 30}));
  EXPECT_EQ(walk({.start = 50, .end = 90, .step = 4}), (std::vector<double>{50}));
  EXPECT_EQ(walk({.start = 5, .end = 5, .step = 1}), (std::vector<double>{5}));
}

}  // namespace
}  // namespace sextant::load
