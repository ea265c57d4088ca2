#include "gpu/budget_guard.h"

#include <gtest/gtest.h>

namespace sextant::gpu {
namespace {

constexpr std::array<Nanos, kTiers> kPeriods = {2s, 500ms, 102ms, 100ms};

void Runs(BudgetGuard& guard, Tier tier, Nanos cost, int times = 200) {
  for (int i = 0; i < times; ++i) guard.Ran(tier, cost, 0.005);
}

TEST(BudgetGuard, WhatIsCheapIsLeftAlone) {
  BudgetGuard guard(kPeriods);
  Runs(guard, Tier::kFast, 100us);
  Runs(guard, Tier::kSlow, 4ms);
  for (const Tier tier : {Tier::kSlow, Tier::kMedium, Tier::kGpm, Tier::kFast})
    EXPECT_FALSE(guard.stretched(tier));
  EXPECT_NEAR(guard.Share(), 0.001 + 0.002, 1e-4);
}

TEST(BudgetGuard, SlowCallsGoFirstAndFastOnesLast) {
  BudgetGuard guard(kPeriods);
  Runs(guard, Tier::kFast, 100us);
  Runs(guard, Tier::kMedium, 1ms);
  Runs(guard, Tier::kSlow, 20ms);
  EXPECT_TRUE(guard.stretched(Tier::kSlow));
  EXPECT_FALSE(guard.stretched(Tier::kMedium));
  EXPECT_FALSE(guard.stretched(Tier::kFast));
  EXPECT_LE(guard.Share(), 0.005);
  Runs(guard, Tier::kMedium, 20ms);
  EXPECT_TRUE(guard.stretched(Tier::kMedium));
  EXPECT_FALSE(guard.stretched(Tier::kFast));
  Runs(guard, Tier::kFast, 10ms);
  EXPECT_TRUE(guard.stretched(Tier::kFast));
  EXPECT_GT(guard.ShareUnguarded(), 0.1);
}

TEST(BudgetGuard, ATierThatCostsNothingIsNotBlamed) {
  BudgetGuard guard(kPeriods);
  Runs(guard, Tier::kSlow, 10us);
  Runs(guard, Tier::kFast, 1900us);
  EXPECT_FALSE(guard.stretched(Tier::kSlow));
  EXPECT_EQ(guard.Period(Tier::kFast), 400ms);
}

TEST(BudgetGuard, OneSlowFirstCallIsNoReason) {
  BudgetGuard guard(kPeriods);
  guard.Ran(Tier::kFast, 1s, 0.005);
  Runs(guard, Tier::kFast, 100us);
  EXPECT_FALSE(guard.stretched(Tier::kFast));
}

TEST(BudgetGuard, OneSlowCallAmongManyIsNone) {
  BudgetGuard guard(kPeriods);
  for (int i = 0; i < 50; ++i) {
    guard.Ran(Tier::kFast, i % 25 == 5 ? 4ms : 20us, 0.005);
    EXPECT_FALSE(guard.stretched(Tier::kFast)) << i;
  }
}

TEST(BudgetGuard, CallsThatBecomeSlowAreNoticedWithinSeconds) {
  BudgetGuard guard(kPeriods);
  Runs(guard, Tier::kFast, 20us);
  Runs(guard, Tier::kFast, 5ms, 20);
  EXPECT_TRUE(guard.stretched(Tier::kFast));
}

TEST(BudgetGuard, WhenCallsAreCheapAgainPeriodsAreShortAgain) {
  BudgetGuard guard(kPeriods);
  Runs(guard, Tier::kFast, 5ms);
  EXPECT_TRUE(guard.stretched(Tier::kFast));
  Runs(guard, Tier::kFast, 100us, 2000);
  EXPECT_FALSE(guard.stretched(Tier::kFast));
}

}  // namespace
}  // namespace sextant::gpu
