#include "serve/simulated_gpus.h"

#include <gtest/gtest.h>

namespace sextant::serve {
namespace {

constexpr Instant kStart{1000s};

TEST(SimulatedGpus, ThatNothingExecutesOnAreIdle) {
  SimulatedGpus gpus;
  EXPECT_TRUE(gpus.Read(kStart).empty());
  gpus.Add({.utilization = 0.8, .memory_bytes = 100, .busy_watts = 200}, kStart);
  const auto readings = gpus.Read(kStart + 10s);
  ASSERT_EQ(readings.size(), 1U);
  EXPECT_EQ(readings[0].utilization, 0);
  EXPECT_EQ(readings[0].memory_used_bytes, 100U);
  EXPECT_EQ(readings[0].memory_total_bytes, uint64_t{16} << 30);
  EXPECT_DOUBLE_EQ(*readings[0].power_watts, 25);
  EXPECT_DOUBLE_EQ(*readings[0].power_limit_watts, 225);
  EXPECT_DOUBLE_EQ(*readings[0].energy_joules, 250);
}

TEST(SimulatedGpus, ShowMeansSinceTheLastReadingAndEnergySinceTheirFirst) {
  SimulatedGpus gpus;
  const int load = gpus.Add(
      {.utilization = 0.8, .memory_bytes = 100, .busy_memory_bytes = 10, .busy_watts = 200},
      kStart);
  gpus.Begin(load, kStart + 2s);
  auto reading = gpus.Read(kStart + 4s).at(0);
  EXPECT_DOUBLE_EQ(*reading.utilization, 0.4);  // busy half of the time
  EXPECT_DOUBLE_EQ(*reading.power_watts, 125);
  EXPECT_EQ(reading.memory_used_bytes, 110U);
  gpus.End(load, kStart + 5s);
  reading = gpus.Read(kStart + 8s).at(0);
  EXPECT_DOUBLE_EQ(*reading.utilization, 0.2);  // a quarter of these four seconds
  EXPECT_DOUBLE_EQ(*reading.energy_joules, 25 * 8 + 200 * 3);
  EXPECT_EQ(reading.memory_used_bytes, 100U);
}

TEST(SimulatedGpus, AddUpTheLoadsOfADeviceAndAreNeverMoreThanBusy) {
  SimulatedGpus gpus;
  const int first = gpus.Add(
      {.device = 1, .utilization = 0.7, .memory_bytes = 100, .busy_memory_bytes = 5}, kStart);
  const int second = gpus.Add({.device = 1, .utilization = 0.6, .memory_bytes = 30}, kStart);
  const int other = gpus.Add({.device = 0, .utilization = 0.1, .memory_bytes = 7}, kStart);
  gpus.Begin(first, kStart);
  gpus.Begin(first, kStart);
  gpus.Begin(second, kStart);
  gpus.Begin(other, kStart);
  const auto readings = gpus.Read(kStart + 1s);
  ASSERT_EQ(readings.size(), 2U);
  EXPECT_DOUBLE_EQ(*readings[0].utilization, 0.1);
  EXPECT_EQ(readings[0].memory_used_bytes, 7U);
  EXPECT_DOUBLE_EQ(*readings[1].utilization, 1);
  EXPECT_EQ(readings[1].memory_used_bytes, 140U);
  EXPECT_NE(readings[0].uuid, readings[1].uuid);
}

TEST(SimulatedGpus, LoseTheMemoryOfAModelThatGoes) {
  SimulatedGpus gpus;
  const int load = gpus.Add({.memory_bytes = 100}, kStart);
  gpus.Remove(load, kStart + 1s);
  EXPECT_EQ(gpus.Read(kStart + 2s).at(0).memory_used_bytes, 0U);
}

TEST(SimulatedGpus, GiveTheLastMeansAgainWhenReadTwiceAtOnce) {
  SimulatedGpus gpus;
  const int load = gpus.Add({.utilization = 0.5}, kStart);
  gpus.Begin(load, kStart);
  EXPECT_DOUBLE_EQ(*gpus.Read(kStart + 1s).at(0).utilization, 0.5);
  EXPECT_DOUBLE_EQ(*gpus.Read(kStart + 1s).at(0).utilization, 0.5);
}

}  // namespace
}  // namespace sextant::serve
