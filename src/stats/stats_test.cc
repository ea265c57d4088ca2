#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "stats/goodness.h"
#include "stats/histogram.h"
#include "stats/interval.h"
#include "stats/quantile.h"
#include "stats/steady_state.h"

namespace sextant::stats {
namespace {

TEST(Histogram, RelativeErrorIsBelowATenthOfAPercent) {
  Random random(1);
  Histogram h;
  std::vector<double> values;
  for (int i = 0; i < 20'000; ++i) {
    const auto v = static_cast<int64_t>(std::exp(random.Uniform() * 28));  // 1 ns .. 20 min
    h.Record(v);
    values.push_back(static_cast<double>(v));
  }
  std::sort(values.begin(), values.end());
  for (uint64_t k = 1; k <= values.size(); k += 7) {
    EXPECT_NEAR(h.ValueAtRank(k), values[k - 1], values[k - 1] * 0.001) << k;
  }
  EXPECT_EQ(h.min(), static_cast<uint64_t>(values.front()));
  EXPECT_EQ(h.max(), static_cast<uint64_t>(values.back()));
}

TEST(Histogram, EveryValueLiesInItsBucket) {
  for (const int precision : {1, 6, 9, 14}) {
    Histogram h(precision);
    for (int64_t v :
         {0L, 1L, 1023L, 1024L, 1025L, 123456789L, (1L << 41) + 12345, (1L << 42) - 1}) {
      Histogram one(precision);
      one.Record(v);
      const auto buckets = one.NonEmptyBuckets();
      ASSERT_EQ(buckets.size(), 1u);
      const auto [low, high] = one.BucketBounds(buckets[0].first);
      EXPECT_LE(low, static_cast<uint64_t>(v));
      EXPECT_LT(static_cast<uint64_t>(v), high);
      EXPECT_EQ(one.clamped(), 0u);
    }
  }
}

TEST(Histogram, BeyondTheRangeIsClampedAndCounted) {
  Histogram h;
  h.Record(-5);
  h.Record(int64_t{1} << 50);
  EXPECT_EQ(h.count(), 2u);
  EXPECT_EQ(h.clamped(), 1u);
  EXPECT_EQ(h.min(), 0u);
  EXPECT_EQ(h.max(), uint64_t{1} << 50);
  EXPECT_EQ(h.Quantile(1), static_cast<double>(uint64_t{1} << 50));
}

// perf_analyzer's standard deviation overflows 64 bits from about 18 samples of 1 s deviation (D3).
TEST(Histogram, StandardDeviationSurvivesLongLatencies) {
  Histogram h;
  for (int i = 0; i < 100'000; ++i) h.Record(i % 2 == 0 ? 1'000'000'000 : 61'000'000'000);
  EXPECT_NEAR(h.standard_deviation(), 30e9, 1e6);
  EXPECT_NEAR(h.mean(), 31e9, 1);
}

TEST(Histogram, StandardDeviationOfNearlyEqualValuesIsExact) {
  Histogram h;
  for (int i = 0; i < 1'000'000; ++i) h.Record(1'000'000'000'000 + i % 2);
  EXPECT_NEAR(h.standard_deviation(), 0.5, 0.05);
}

TEST(Histogram, MergeAndPartsAreExact) {
  Random random(2);
  Histogram a, b, both;
  for (int i = 0; i < 1000; ++i) {
    const auto v = static_cast<int64_t>(random.Below(1'000'000'000));
    (i % 3 == 0 ? a : b).Record(v);
    both.Record(v);
  }
  a.Merge(b);
  EXPECT_EQ(a.NonEmptyBuckets(), both.NonEmptyBuckets());
  const Result<Histogram> read =
      Histogram::FromParts(a.precision_bits(), a.NonEmptyBuckets(), a.exact());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->standard_deviation(), both.standard_deviation());
  EXPECT_EQ(read->Quantile(0.99), both.Quantile(0.99));
  EXPECT_EQ(read->mean(), both.mean());
  Histogram::Exact wrong = a.exact();
  wrong.max = uint64_t{1} << 41;
  EXPECT_FALSE(Histogram::FromParts(9, a.NonEmptyBuckets(), wrong).has_value());
  EXPECT_FALSE(Histogram::FromParts(9, {{99'999'999, 1}}, wrong).has_value());
}

TEST(Quantile, NeedsAreTheTextbookOnes) {
  EXPECT_EQ(QuantileNeeds(0.5), 6u);
  EXPECT_EQ(QuantileNeeds(0.9), 36u);
  EXPECT_EQ(QuantileNeeds(0.99), 368u);
  EXPECT_FALSE(QuantileRanks(367, 0.99));
  EXPECT_TRUE(QuantileRanks(368, 0.99));
}

// Share of `runs` samples of n exponentials whose interval holds the true quantile.
double QuantileCoverage(uint64_t n, double p, int runs) {
  const double truth = -std::log1p(-p) * 1e6;
  int held = 0;
  Random random(n);
  Histogram h;
  for (int run = 0; run < runs; ++run) {
    h.Reset();
    for (uint64_t i = 0; i < n; ++i) h.Record(static_cast<int64_t>(random.Exponential(1e6)));
    const QuantileEstimate q = EstimateQuantile(h, p);
    held += q.lower && *q.lower <= truth && truth <= *q.upper;
  }
  return static_cast<double>(held) / runs;
}

TEST(Quantile, IntervalsCoverWhatTheyClaim) {
  for (const auto& [n, p] : {std::pair{200, 0.5}, {400, 0.9}, {1000, 0.95}, {2000, 0.99}}) {
    const double coverage = QuantileCoverage(static_cast<uint64_t>(n), p, 2000);
    EXPECT_GE(coverage, 0.935) << n << " " << p;
    EXPECT_LE(coverage, 0.97) << n << " " << p;
  }
}

TEST(Quantile, TooFewValuesAreSaidAndNotGuessed) {
  Histogram h;
  for (int i = 0; i < 100; ++i) h.Record(i);
  const QuantileEstimate q = EstimateQuantile(h, 0.99);
  EXPECT_FALSE(q.lower);
  EXPECT_EQ(q.needs, 368u);
}

TEST(Quantile, DependentValuesWidenTheInterval) {
  // Every batch is all fast or all slow: 40 batches are worth about 40 values.
  Random random(3);
  Histogram all;
  std::vector<Histogram> parts;
  for (int b = 0; b < 40; ++b) {
    Histogram part(Histogram::kCoarsePrecisionBits);
    const bool slow = random.Uniform() < 0.5;
    for (int i = 0; i < 100; ++i) {
      const auto v = static_cast<int64_t>((slow ? 2e6 : 1e6) + random.Uniform() * 1e5);
      part.Record(v), all.Record(v);
    }
    parts.push_back(part);
  }
  std::vector<const Histogram*> pointers;
  for (const Histogram& part : parts) pointers.push_back(&part);
  const QuantileEstimate independent = EstimateQuantile(all, 0.5);
  const QuantileEstimate honest =
      EstimateQuantile(all, 0.5, QuantileDesignEffect(all.Quantile(0.5), pointers));
  EXPECT_GT(honest.design_effect, 20);
  EXPECT_GT(*honest.upper - *honest.lower, 3 * (*independent.upper - *independent.lower));
}

// A series with the given lag-1 correlation (AR(1)), mean 10, cut into intervals.
double BatchMeansCoverage(double correlation, int intervals, int runs) {
  Random random(static_cast<uint64_t>(1 + correlation * 1000 + intervals));
  int held = 0;
  std::vector<double> y(static_cast<size_t>(intervals)), x(y.size(), 1.0);
  for (int run = 0; run < runs; ++run) {
    double v = random.Normal();
    for (double& value : y) {
      v = correlation * v + std::sqrt(1 - correlation * correlation) * random.Normal();
      value = 10 + v;
    }
    const IntervalEstimate e = BatchMeans(y, x);
    held += std::abs(e.value - 10) <= e.half_width;
  }
  return static_cast<double>(held) / runs;
}

TEST(BatchMeans, CoversIndependentAndCorrelatedSeries) {
  for (const auto& [correlation, intervals] :
       {std::pair{0.0, 20}, {0.0, 100}, {0.3, 50}, {0.3, 100}, {0.6, 100}, {0.8, 200}}) {
    const double coverage = BatchMeansCoverage(correlation, intervals, 3000);
    EXPECT_GE(coverage, 0.93) << correlation << " " << intervals;
    EXPECT_LE(coverage, 0.975) << correlation << " " << intervals;
    std::printf("correlation %.1f, %d intervals: coverage %.3f\n", correlation, intervals,
                coverage);
  }
}

TEST(BatchMeans, FewIntervalsGiveNoInterval) {
  const std::vector<double> y{1, 2, 3, 4}, x(4, 1);
  EXPECT_FALSE(BatchMeans(y, x).known);
  EXPECT_DOUBLE_EQ(BatchMeans(y, x).value, 2.5);
}

TEST(BatchMeans, StudentQuantilesAreTheTables) {
  EXPECT_NEAR(StudentQuantile(9, 0.025), 2.262, 0.001);
  EXPECT_NEAR(StudentQuantile(1e9, 0.025), 1.960, 0.001);
}

TEST(ShareInterval, IsWilsons) {
  const IntervalEstimate e = ShareInterval(0, 100);
  EXPECT_NEAR(e.lower(), 0, 1e-9);
  EXPECT_NEAR(e.upper(), 0.0370, 0.0002);
}

TEST(Mser, FindsTheEndOfATransient) {
  Random random(4);
  std::vector<double> v;
  for (int i = 0; i < 200; ++i) v.push_back(10 + 20 * std::exp(-i / 8.0) + 0.5 * random.Normal());
  const size_t cut = MserTruncation(v);
  EXPECT_GE(cut, 15u);
  EXPECT_LE(cut, 50u);
  std::vector<double> rising;
  for (int i = 0; i < 100; ++i) rising.push_back(i + random.Normal());
  EXPECT_EQ(MserTruncation(rising), rising.size());
  EXPECT_EQ(MserTruncation(std::vector<double>(50, 3.0)), 0u);
}

TEST(LevelState, IsTheRightWord) {
  Random random(5);
  std::vector<double> flat, rising, wild, latency;
  for (int i = 0; i < 60; ++i) {
    flat.push_back(100 + random.Normal());
    rising.push_back(100 + 0.5 * i + random.Normal());
    wild.push_back(100 + 60 * random.Normal());
    latency.push_back(5 + 0.1 * random.Normal());
  }
  const std::vector<double> x(60, 1.0);
  const auto judge = [&](const std::vector<double>& series, uint64_t requests) {
    return LevelStateName(JudgeLevel({}, requests, BatchMeans(series, x), series, latency));
  };
  EXPECT_EQ(judge(flat, 6000), "stable");
  EXPECT_EQ(judge(rising, 6000), "drifting");
  EXPECT_EQ(judge(wild, 6000), "noisy");
  EXPECT_EQ(judge(flat, 50), "short");
}

TEST(LevelState, FlatSeriesAreSeldomCalledDrifting) {
  Random random(6);
  int drifting = 0;
  for (int run = 0; run < 500; ++run) {
    std::vector<double> v;
    for (int i = 0; i < 50; ++i) v.push_back(100 + 10 * random.Normal());
    const Trend trend = FindTrend(v);
    drifting += std::abs(trend.z) > 2.576;
  }
  EXPECT_LE(drifting, 15);
}

TEST(TestLaw, AcceptsTheLawAndRejectsAnother) {
  Random random(7);
  std::vector<double> gaps;
  for (int i = 0; i < 5000; ++i) gaps.push_back(random.Exponential(2));
  EXPECT_GT(TestLaw(gaps, [](double t) { return 1 - std::exp(-t / 2); }).probability, 0.01);
  EXPECT_LT(TestLaw(gaps, [](double t) { return 1 - std::exp(-t / 2.2); }).probability, 1e-4);
}

TEST(ExactShare, HasTheBoundsOfTheTables) {
  // Clopper and Pearson's for 4 in 20 and the rule of three's exact form.
  EXPECT_NEAR(ExactShare(4, 20).lower, 0.0573, 5e-5);
  EXPECT_NEAR(ExactShare(4, 20).upper, 0.4366, 5e-5);
  EXPECT_EQ(ExactShare(0, 368).lower, 0);
  EXPECT_LE(ExactShare(0, 368).upper, 0.01);
  EXPECT_GT(ExactShare(0, 367).upper, 0.01);
  EXPECT_EQ(ExactShare(5, 5).upper, 1);
  EXPECT_NEAR(ExactShare(5, 5).lower, 0.4782, 5e-5);
}

}  // namespace
}  // namespace sextant::stats
