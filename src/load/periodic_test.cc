#include "load/periodic.h"

#include <gtest/gtest.h>

namespace sextant::load {
namespace {

TEST(PeriodicSteps, GoOnWhenAllOfTheLastStepHaveHadTheirResponses) {
  PeriodicSteps steps({.start = 2, .end = 6, .step = 2, .responses = 2});
  steps.OnStart(0);
  steps.OnStart(1);
  EXPECT_EQ(steps.OnResponse(0), 2u);
  EXPECT_EQ(steps.OnResponse(0), 2u);
  EXPECT_EQ(steps.OnResponse(0), 2u) << "more than it needs count for nobody else";
  EXPECT_EQ(steps.OnResponse(1), 2u);
  EXPECT_EQ(steps.OnResponse(1), 4u);
  steps.OnStart(2);
  steps.OnStart(3);
  EXPECT_EQ(steps.OnResponse(0), 4u) << "requests of earlier steps go on";
  for (const uint32_t slot : {2u, 3u, 2u}) EXPECT_EQ(steps.OnResponse(slot), 4u);
  EXPECT_EQ(steps.OnResponse(3), 6u);
}

TEST(PeriodicSteps, ARequestThatEndsEarlyIsNotWaitedFor) {
  PeriodicSteps steps({.start = 2, .end = 4, .step = 1, .responses = 10});
  steps.OnStart(0);
  steps.OnStart(1);
  EXPECT_EQ(steps.OnResponse(0), 2u);
  EXPECT_EQ(steps.OnEnd(0), 2u);
  EXPECT_EQ(steps.OnEnd(1), 3u);
  steps.OnStart(0);  // the slot is used again
  EXPECT_EQ(steps.OnEnd(0), 4u);
  steps.OnStart(1);
  EXPECT_EQ(steps.OnEnd(1), 4u) << "the end is never passed";
}

TEST(PeriodicSteps, AStepThatIsLargerThanWhatIsLeftEndsThere) {
  PeriodicSteps steps({.start = 1, .end = 3, .step = 5, .responses = 1});
  steps.OnStart(0);
  EXPECT_EQ(steps.OnResponse(0), 3u);
}

}  // namespace
}  // namespace sextant::load
