// Schedules: the law of their arrivals, by Kolmogorov-Smirnov tests with fixed seeds, and that
// dealing them out loses and doubles nothing.
#include "load/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "load/trace.h"
#include "stats/goodness.h"

namespace sextant::load {
namespace {

// The first `count` arrivals of the stream, or all.
std::vector<Nanos> Stream(const ArrivalPlan& plan, double rate, size_t count, uint64_t seed = 5,
                          Part part = {}) {
  const auto schedule = MakeSchedule(plan, rate, part, Random(seed));
  std::vector<Nanos> out;
  while (out.size() < count) {
    const Nanos due = schedule->Next();
    if (due == Schedule::kNever) break;
    out.push_back(due);
  }
  return out;
}

std::vector<double> Gaps(const std::vector<Nanos>& due) {
  std::vector<double> out;
  for (size_t i = 1; i < due.size(); ++i) out.push_back(Seconds(due[i] - due[i - 1]));
  return out;
}

ArrivalPlan Law(std::string_view text) { return {.law = *ParseArrivalLaw(text)}; }

ArrivalPlan Profile(std::string_view law, std::string_view text,
                    RateProfile::Shape shape = RateProfile::Shape::kLinear) {
  return {.law = *ParseArrivalLaw(law),
          .profile = std::make_shared<RateProfile>(*RateProfile::Parse(text, shape))};
}

ArrivalPlan Trace(std::vector<Nanos> due, Nanos period = Nanos(0)) {
  return {.replay = std::make_shared<Replay>(
              Replay{.kind = "trace", .due = std::move(due), .period = period})};
}

TEST(Arrivals, ConstantOnesAreEvenAndNothingDrifts) {
  const auto due = Stream(Law("constant"), 3000, 3000);
  for (size_t i = 0; i < due.size(); ++i)
    EXPECT_NEAR(static_cast<double>(due[i].count()), static_cast<double>(i) / 3000 * 1e9, 1);
}

TEST(Arrivals, PoissonDistancesAreExponential) {
  const auto gaps = Gaps(Stream(Law("poisson"), 1000, 10'000));
  EXPECT_GT(stats::TestLaw(gaps, [](double t) { return 1 - std::exp(-1000 * t); }).probability,
            0.01);
}

TEST(Arrivals, GammaDistancesHaveTheirMeanAndVariation) {
  // Shape 4: Erlang. Distances of mean 1/1000 s are gamma with rate 4000.
  const auto even = Gaps(Stream(Law("gamma:0.5"), 1000, 10'000));
  EXPECT_GT(stats::TestLaw(even,
                           [](double t) {
                             const double x = 4000 * t;
                             return 1 - std::exp(-x) * (1 + x + x * x / 2 + x * x * x / 6);
                           })
                .probability,
            0.01);
  // Shape 1/2: half a squared normal.
  const auto bursty = Gaps(Stream(Law("gamma:1.4142135623730951"), 1000, 10'000));
  EXPECT_GT(
      stats::TestLaw(bursty, [](double t) { return std::erf(std::sqrt(500 * t)); }).probability,
      0.01);
  // Shape 1 is Poisson.
  const auto one = Gaps(Stream(Law("gamma:1"), 1000, 10'000));
  EXPECT_GT(stats::TestLaw(one, [](double t) { return 1 - std::exp(-1000 * t); }).probability,
            0.01);
}

TEST(Arrivals, BurstsComeAtOnceAndKeepTheRate) {
  const auto due = Stream(Law("burst:8"), 400, 800);
  for (size_t i = 0; i < due.size(); ++i)
    EXPECT_EQ(due[i], 20ms * static_cast<int64_t>(i / 8)) << i;
}

TEST(Arrivals, ARampHasTheNumberOfArrivalsUnderItsLine) {
  // 100 to 500 per second in 30 s: 9000 arrivals; after t seconds 100 t + 400/60 t^2.
  const auto due = Stream(Profile("constant", "100..500/30s"), 0, 1'000'000);
  ASSERT_EQ(due.size(), 9000u);
  for (size_t i = 0; i < due.size(); i += 100) {
    const double t = Seconds(due[i]);
    EXPECT_NEAR(100 * t + 400.0 / 60 * t * t, static_cast<double>(i), 1e-3);
  }
}

TEST(Arrivals, AProfileMayRestAndJump) {
  const auto due = Stream(Profile("constant", "0s:0,10s:100,10s:50,20s:50,30s:0", {}), 0, 100'000);
  EXPECT_EQ(due.size(), 500u + 500u + 250u);
  const auto count = [&](Nanos from, Nanos to) {
    return std::count_if(due.begin(), due.end(), [&](Nanos t) { return t >= from && t < to; });
  };
  EXPECT_EQ(count(10s, 20s), 500);
  EXPECT_NEAR(static_cast<double>(count(0s, 5s)), 125, 1);
  const auto steps = Stream(
      Profile("constant", "0s:100,10s:0,20s:10,30s:999", RateProfile::Shape::kStep), 0, 9999);
  EXPECT_EQ(steps.size(), 1100u) << "the last point only ends it";
  EXPECT_GE(steps[1000], 20s);
}

TEST(Arrivals, PoissonOverAProfileIsPoissonWithThatRate) {
  // In the unit of expected arrivals, distances are exponential with mean 1.
  const auto due = Stream(Profile("poisson", "0s:100,30s:500,60s:100"), 0, 1'000'000);
  EXPECT_NEAR(static_cast<double>(due.size()), 18'000, 4 * std::sqrt(18'000));
  std::vector<double> units;
  double before = 0;
  for (const Nanos at : due) {
    const double t = Seconds(at), u = std::max(0.0, t - 30), d = std::min(t, 30.0);
    const double expected = 100 * d + 400.0 / 60 * d * d + 500 * u - 400.0 / 60 * u * u;
    units.push_back(expected - before);
    before = expected;
  }
  EXPECT_GT(stats::TestLaw(units, [](double u) { return 1 - std::exp(-u); }).probability, 0.01);
}

TEST(Arrivals, IntervalsRepeatAndATraceEnds) {
  const Replay intervals = *ParseIntervals("1000\n2000\n 7000 \n\n");
  EXPECT_EQ(intervals.mean_rate(), 300);
  const auto due = Stream({.replay = std::make_shared<Replay>(intervals)}, 0, 7);
  EXPECT_EQ(due, (std::vector<Nanos>{0ms, 1ms, 3ms, 10ms, 11ms, 13ms, 20ms}));
  // A rate below one per second is no 0.
  EXPECT_EQ(ParseIntervals("2000000")->mean_rate(), 0.5);
  const ArrivalPlan trace = Trace({0ms, 5ms, 5ms, 90ms});
  EXPECT_EQ(Stream(trace, 0, 99), (std::vector<Nanos>{0ms, 5ms, 5ms, 90ms}));
  EXPECT_EQ(trace.length(), 90ms);
  EXPECT_FALSE(Law("poisson").length().has_value());
}

// Whoever shares a stream, together they have it.
TEST(DealingOut, EveryArrivalIsTakenExactlyOnce) {
  std::vector<Nanos> uneven;
  for (int i = 0; i < 1000; ++i) uneven.push_back(1ms * (i * i % 977) + 1s * i);
  for (const ArrivalPlan& plan :
       {Law("constant"), Law("poisson"), Law("gamma:2"), Law("burst:7"),
        Profile("poisson", "0s:10,5s:300,20s:30"), Profile("gamma:0.3", "50..90/20s"),
        Trace(uneven), Trace({0ms, 1ms, 4ms}, 9ms)}) {
    const auto whole = Stream(plan, 123, 900);
    for (const uint64_t machines : {1u, 2u, 3u}) {
      for (const uint64_t workers : {1u, 2u, 5u}) {
        std::vector<Nanos> dealt;
        for (uint64_t machine = 0; machine < machines; ++machine) {
          for (uint64_t worker = 0; worker < workers; ++worker) {
            const Part part = Part{}.Of(machine, machines).Of(worker, workers);
            const auto own = Stream(plan, 123, 900 / (machines * workers), 5, part);
            dealt.insert(dealt.end(), own.begin(), own.end());
          }
        }
        std::sort(dealt.begin(), dealt.end());
        EXPECT_EQ(dealt, whole) << plan.Describe() << " " << machines << " x " << workers;
      }
    }
  }
}

TEST(DealingOut, TheSeedDecidesAndNothingElse) {
  EXPECT_EQ(Stream(Law("gamma:2"), 50, 100, 7), Stream(Law("gamma:2"), 50, 100, 7));
  EXPECT_NE(Stream(Law("gamma:2"), 50, 100, 7), Stream(Law("gamma:2"), 50, 100, 8));
  EXPECT_NE(Stream(Law("poisson"), 50, 100, 7), Stream(Law("poisson"), 50, 100, 8));
}

TEST(ArrivalLaws, AreReadAsTheyAreWritten) {
  for (const char* text : {"constant", "poisson", "gamma:0.5", "gamma:2", "burst:16"})
    EXPECT_EQ(ArrivalLawName(*ParseArrivalLaw(text)), text);
  for (const char* text : {"", "gamma", "gamma:0", "gamma:1000", "gamma:x", "burst:0", "burst:1.5",
                           "burst", "poisson:3", "uniform"})
    EXPECT_FALSE(ParseArrivalLaw(text).has_value()) << text;
}

TEST(RateProfiles, ListTheirFaultsAtOnce) {
  const auto fault = [](std::string_view text) {
    const auto profile = RateProfile::Parse(text, {});
    return profile.has_value() ? std::string() : profile.error().message();
  };
  EXPECT_EQ(fault("1s:100,x,0s:-5"),
            "'x' is not TIME:RATE, such as 30s:500; the rate -5 must be from 0 to 1e9 per second; "
            "0s comes after 1s; the first point must be at 0s");
  EXPECT_EQ(fault("0s:100"), "it needs two points: the last one says when it ends");
  EXPECT_EQ(fault("0s:0,1s:1"), "not one request would be due");
  EXPECT_NE(fault(""), "");
  EXPECT_EQ(RateProfile::Parse("0s:100,30s:500,60s:100", {})->mean_rate(), 300);
}

}  // namespace
}  // namespace sextant::load
