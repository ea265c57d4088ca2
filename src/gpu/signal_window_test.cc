#include "gpu/signal_window.h"

#include <gtest/gtest.h>

#include "gpu/unit_window.h"

namespace sextant::gpu {
namespace {

Instant At(double seconds) { return Instant(FromSeconds(1000 + seconds)); }

TEST(SignalWindow, NothingSeenIsNothingSaid) {
  SignalWindow window;
  window.Begin(At(0));
  const Signal signal = window.Close(At(1));
  EXPECT_EQ(signal.samples, 0u);
  EXPECT_EQ(signal.mean, std::nullopt);
  EXPECT_EQ(signal.max, std::nullopt);
}

TEST(SignalWindow, AMeanWeighsByTimeAndNotBySamples) {
  SignalWindow window;
  window.Begin(At(0));
  for (int i = 0; i <= 100; ++i) window.Add(At(i * 0.01), 1, 10s);  // the first second
  window.Add(At(1.0), 0, 10s);
  window.Add(At(4.0), 0, 10s);
  EXPECT_NEAR(*window.Close(At(4)).mean, 0.25, 1e-9);
}

TEST(SignalWindow, WhatNobodySawDoesNotCount) {
  SignalWindow window;
  window.Begin(At(0));
  window.Add(At(0.1), 4, 100ms);
  window.Add(At(0.2), 4, 100ms);
  window.Add(At(9.9), 0, 100ms);
  window.Add(At(10.0), 0, 100ms);
  // 0.2 s of 4, at most 0.1 s on the way, 0.2 s of 0.
  EXPECT_NEAR(*window.Close(At(100)).mean, (0.2 * 4 + 0.1 * 2) / 0.5, 1e-9);
}

TEST(SignalWindow, BeginningAgainForgets) {
  SignalWindow window;
  window.Begin(At(0));
  window.Add(At(0.5), 100, 1s);
  window.Begin(At(1));
  window.Add(At(1.5), 1, 1s);
  const Signal signal = window.Close(At(2));
  EXPECT_EQ(signal.samples, 1u);
  EXPECT_EQ(signal.max, 1);
  EXPECT_EQ(signal.mean, 1);
}

TEST(SignalWindow, PercentilesOfLongWindowsKeepTheirShape) {
  SignalWindow window;
  window.Begin(At(0));
  for (int i = 1; i <= 100'000; ++i) window.Add(At(i * 0.1), i % 1000, 1s);
  const Signal signal = window.Close(At(10'000));
  EXPECT_EQ(signal.samples, 100'000u);
  EXPECT_NEAR(*signal.p95, 950, 10);
}

TEST(CounterWindow, GrowthIsThatBetweenTheEdges) {
  CounterWindow window;
  window.Begin(At(0));
  window.Add(At(0.5), 1000, 2s);
  window.Begin(At(1));  // 1100 then
  window.Add(At(1.5), 1200, 2s);
  window.Add(At(2.5), 1400, 2s);
  EXPECT_NEAR(*window.Close(At(3)), 400, 1e-6);
}

TEST(CounterWindow, ACounterThatBeganAgainOrWasNotReadTellsNothing) {
  CounterWindow window;
  window.Begin(At(0));
  EXPECT_EQ(window.Close(At(1)), std::nullopt);
  window.Add(At(0.1), 1000, 1s);
  EXPECT_EQ(window.Close(At(1)), std::nullopt) << "one reading is no difference";
  window.Add(At(0.2), 1010, 1s);
  EXPECT_TRUE(window.Close(At(1)).has_value());
  EXPECT_EQ(window.Close(At(5)), std::nullopt) << "the last reading is too old";
  window.Add(At(0.3), 5, 1s);
  window.Add(At(0.4), 6, 1s);
  EXPECT_EQ(window.Close(At(0.5)), std::nullopt) << "the driver was loaded anew";
  window.Begin(At(0.5));
  window.Add(At(0.6), 8, 1s);
  window.Add(At(0.7), 9, 1s);
  EXPECT_TRUE(window.Close(At(0.8)).has_value()) << "and counts from then on";
}

TEST(UnitWindow, ThrottlingIsTheTimeSinceTheSampleBefore) {
  UnitWindow unit;
  unit.Begin(At(0));
  DeviceWindow none;
  unit.Close(At(1), none);
  EXPECT_TRUE(none.throttled_s.empty()) << "nobody said that there was none";
  unit.AddThrottling(At(0.5), 0, 2s);
  unit.AddThrottling(At(1.0), 0x44, 2s);
  unit.AddThrottling(At(2.0), 0x04, 2s);
  DeviceWindow window;
  unit.Close(At(2.5), window);
  EXPECT_NEAR(window.throttled_s.at("sw_power_cap"), 0.5 + 1 + 0.5, 1e-9);
  EXPECT_NEAR(window.throttled_s.at("hw_thermal_slowdown"), 0.5, 1e-9);
  EXPECT_EQ(window.throttled_s.at("sync_boost"), 0);
  EXPECT_FALSE(window.throttled_s.contains("gpu_idle"));
}

}  // namespace
}  // namespace sextant::gpu
