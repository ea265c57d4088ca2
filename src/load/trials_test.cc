#include "load/trials.h"

#include <gtest/gtest.h>

namespace sextant::load {
namespace {

TrialFigures At(double infer_per_s, double latency_ns) {
  return {.infer_per_s = infer_per_s,
          .answered = static_cast<uint64_t>(infer_per_s),
          .latency_ns = latency_ns};
}

TEST(Trials, ThreeWindowsThatAgreeEndALevel) {
  Trials trials({});
  EXPECT_EQ(trials.Add(At(100, 10)), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add(At(109, 10.9)), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add(At(105, 10.5)), TrialVerdict::kStable);
}

TEST(Trials, OnlyTheLastThreeAreJudged) {
  Trials trials({});
  for (const double rate : {10.0, 50.0, 100.0, 100.0})
    EXPECT_EQ(trials.Add(At(rate, 10)), TrialVerdict::kMore) << rate;
  EXPECT_EQ(trials.Add(At(100, 10)), TrialVerdict::kStable);
  EXPECT_EQ(trials.figures().size(), 5u);
}

TEST(Trials, LatencyMustAgreeToo) {
  Trials trials({.most = 4});
  for (const double latency : {10.0, 20.0, 10.0})
    EXPECT_EQ(trials.Add(At(100, latency)), TrialVerdict::kMore) << latency;
  EXPECT_EQ(trials.Add(At(100, 10)), TrialVerdict::kUnstable);
}

TEST(Trials, AgreeingThroughputCanSufficeAtTheEnd) {
  Trials trials({.most = 3, .throughput_suffices = true});
  EXPECT_EQ(trials.Add(At(100, 10)), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add(At(100, 20)), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add(At(100, 40)), TrialVerdict::kStableThroughput);
}

TEST(Trials, WindowsWithoutAnAnswerNeverAgree) {
  Trials trials({.stability = 9.99, .most = 3});
  EXPECT_EQ(trials.Add({}), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add({}), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add({}), TrialVerdict::kUnstable);
}

TEST(Trials, ALatencyAboveTheLimitEndsALevelThatIsNotStable) {
  Trials trials({.latency_limit = 15ns});
  EXPECT_EQ(trials.Add(At(100, 10)), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add(At(100, 12)), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add(At(100, 15)), TrialVerdict::kOverLimit);
}

TEST(Trials, NoToleranceMeansEqual) {
  Trials trials({.stability = 0, .most = 3});
  EXPECT_EQ(trials.Add(At(100, 10)), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add(At(100, 10)), TrialVerdict::kMore);
  EXPECT_EQ(trials.Add(At(100, 10)), TrialVerdict::kStable);
}

}  // namespace
}  // namespace sextant::load
