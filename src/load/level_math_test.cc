#include "load/level_math.h"

#include <gtest/gtest.h>

namespace sextant::load {
namespace {

const Instant kStart{std::chrono::seconds(1000)};

// A window of 5 s in blocks of 100 ms. Successes of 10 ms end at the given times, in microseconds
// since its start.
run::Level Measure(const std::vector<int64_t>& successes, Nanos latency = 10ms) {
  constexpr Nanos kBlock = 100ms, kWindow = 5s;
  BlockExchange exchange;
  Recorder recorder(exchange);
  recorder.StartBlocks(kStart, kBlock);
  recorder.OpenWindow();
  recorder.SetWindow({kStart, kStart + kWindow});
  for (const int64_t us : successes) {
    const Instant done = kStart + std::chrono::microseconds(us), due = done - latency;
    const bool in_window = recorder.OnScheduled(due);
    recorder.OnSuccess({due, due, done}, in_window);
  }
  recorder.Advance(kStart + kWindow);
  BlockSeries series(kBlock);
  for (auto& block : exchange.TakeFull()) series.Add(*block);
  const auto record = recorder.TakeWindow();
  run::Level level;
  ComputeLevel({.record = record.get(),
                .blocks = &series.blocks(),
                .block_length = series.length(),
                .window = kWindow},
               MeasureOptions(), level);
  return level;
}

TEST(ComputeLevel, AStallIsToldThoughNoPercentileShowsIt) {
  std::vector<int64_t> successes;
  for (int64_t us = 10'000; us < 1'500'000; us += 10'000) successes.push_back(us);
  for (int64_t us = 3'500'000; us < 5'000'000; us += 10'000) successes.push_back(us);
  const run::Level level = Measure(successes);
  ASSERT_EQ(level.notes.size(), 1u);
  EXPECT_EQ(level.notes[0], "no request succeeded for 2.0 s, from second 1.5 of the window on");
  EXPECT_LT(level.latency.histogram.max(), 11'000'000u);
}

TEST(ComputeLevel, AServerThatEndsIsToldLikeAStall) {
  std::vector<int64_t> successes;
  for (int64_t us = 10'000; us < 2'000'000; us += 10'000) successes.push_back(us);
  const run::Level level = Measure(successes);
  ASSERT_EQ(level.notes.size(), 1u);
  EXPECT_EQ(level.notes[0], "no request succeeded for 3.0 s, from second 2.0 of the window on");
}

TEST(ComputeLevel, NeitherSlowAnswersNorThoseThatComeInStepAreAStall) {
  std::vector<int64_t> slow, in_step;
  for (int64_t us = 900'000; us < 5'000'000; us += 900'000) {
    slow.push_back(us);
    in_step.insert(in_step.end(), 64, us);
  }
  EXPECT_TRUE(Measure(slow, 10ms).notes.empty());
  EXPECT_TRUE(Measure(in_step, 890ms).notes.empty());
  EXPECT_TRUE(Measure({}).notes.empty());
}

}  // namespace
}  // namespace sextant::load
