#include "load/recorder.h"

#include <gtest/gtest.h>

#include "base/host.h"
#include "load/level_math.h"
#include "load/schedule.h"
#include "stats/goodness.h"

namespace sextant::load {
namespace {

const Instant kStart{std::chrono::seconds(1000)};

TEST(Recorder, WhenARequestWasDueDecidesWhetherItCounts) {
  BlockExchange blocks;
  Recorder recorder(blocks);
  recorder.StartBlocks(kStart, 100ms);
  recorder.OpenWindow();
  recorder.SetWindow({kStart + 1s, kStart + 2s});
  const auto request = [&](Nanos due, Nanos sent, Nanos done) {
    const bool in_window = recorder.OnScheduled(kStart + due);
    recorder.OnSuccess({kStart + due, kStart + sent, kStart + done}, in_window);
  };
  request(900ms, 900ms, 1100ms);    // due before
  request(1000ms, 1010ms, 1200ms);  // inside
  request(1900ms, 1900ms, 2400ms);  // due inside, done after
  request(2000ms, 2000ms, 2100ms);  // due after
  const auto record = recorder.TakeWindow();
  EXPECT_EQ(record->scheduled, 2u);
  EXPECT_EQ(record->succeeded, 2u);
  EXPECT_EQ(record->completed, 2u) << "answers within the window: the first and the second";
  EXPECT_EQ(record->latency.max(), 500'000'000u);
  EXPECT_EQ(record->slip.max(), 10'000'000u);
  EXPECT_EQ(record->service.max(), 500'000'000u);
  // Within the window the four were in flight for 100, 200, 100 and 0 ms.
  EXPECT_DOUBLE_EQ(record->in_flight_ns, 400e6);
}

TEST(Recorder, PartsOfAWindowAreToldApartByWhenRequestsWereDue) {
  BlockExchange blocks;
  Recorder recorder(blocks);
  recorder.StartBlocks(kStart, 100ms);
  recorder.OpenWindow();
  recorder.SetWindow({kStart, Instant::max()});
  const auto part = [&](int i) { return kStart + 100ms * i; };
  // Part i has i + 1 requests, each in flight for 150 ms: all end in the part behind theirs.
  std::vector<std::pair<Instant, bool>> due;
  for (int i = 0; i < 6; ++i) {
    recorder.Advance(part(i));
    recorder.SplitWindow(part(i + 1));
    for (const auto& [at, in_window] : due) recorder.OnSuccess({at, at, at + 150ms}, in_window);
    due.clear();
    for (int j = 0; j <= i; ++j) due.emplace_back(part(i), recorder.OnScheduled(part(i)));
  }
  recorder.Advance(part(6));
  for (const auto& [at, in_window] : due) recorder.OnSuccess({at, at, at + 150ms}, in_window);
  // The end is that of part 4, and of the finished parts the last three are kept: 3, 4 and 5.
  recorder.SetWindow({kStart, part(5)});
  const auto record = recorder.TakeWindow();
  EXPECT_EQ(record->scheduled, 4u + 5u);
  EXPECT_EQ(record->succeeded, 4u + 5u);
  EXPECT_EQ(record->completed, 3u + 4u) << "those of parts 2 and 3 end in parts 3 and 4";
  EXPECT_EQ(record->sent, 4u + 5u);
  // Part 3 sees its own four for 100 ms and three of part 2 for 50 ms, part 4 likewise.
  EXPECT_DOUBLE_EQ(record->in_flight_ns, (4 * 100 + 3 * 50 + 5 * 100 + 4 * 50) * 1e6);
  EXPECT_EQ(record->in_flight_max, 5) << "of one part, not of both together";
}

TEST(Recorder, EveryPartOfAWindowCountsResponsesAndSequences) {
  BlockExchange blocks;
  Recorder recorder(blocks, {.responses = true, .sequences = true});
  recorder.StartBlocks(kStart, 100ms);
  recorder.OpenWindow();
  recorder.SetWindow({kStart, kStart + 10s});
  for (int part = 0; part < 6; ++part) {
    const Instant at = kStart + part * 100ms;
    const bool in_window = recorder.OnScheduled(at);
    recorder.SplitWindow(at + 100ms);
    recorder.OnResponse(at + 10ms);
    recorder.OnGap(1ms, in_window);
    recorder.OnSuccess({at, at, at + 20ms}, in_window);
    recorder.OnResponses(at, in_window, 1, at + 10ms);
    recorder.OnSequence(at, at + 20ms, true, 1);
  }
  recorder.SetWindow({kStart, kStart + 600ms});
  const auto record = recorder.TakeWindow();
  // The last part, and the three before it that are kept.
  EXPECT_EQ(record->responses->arrived, 4u);
  EXPECT_EQ(record->responses->first.count(), 4u);
  EXPECT_EQ(record->sequences->completed, 4u);
}

TEST(Recorder, FailuresHaveTheirClassAndTheirOwnLatency) {
  BlockExchange blocks;
  Recorder recorder(blocks);
  recorder.StartBlocks(kStart, 100ms);
  recorder.OpenWindow();
  recorder.SetWindow({kStart, kStart + 1s});
  for (int i = 0; i < 3; ++i) {
    const bool in_window = recorder.OnScheduled(kStart);
    recorder.OnFailure({kStart, kStart, kStart + 5ms}, in_window, {OutcomeKind::kHttp, 503},
                       "overloaded\x1b");
  }
  const bool in_window = recorder.OnScheduled(kStart);
  recorder.OnUnfinished(kStart, kStart + 7ms, in_window);
  const auto record = recorder.TakeWindow();
  EXPECT_EQ(record->failures.at({OutcomeKind::kHttp, 503}).count, 3u);
  EXPECT_EQ(record->failures.at({OutcomeKind::kHttp, 503}).example, "overloaded\\x1b");
  EXPECT_EQ(record->failures.at({OutcomeKind::kUnfinished}).latency.max(), 7'000'000u);
  EXPECT_EQ(record->latency.count(), 0u);
  EXPECT_EQ(OutcomeName({OutcomeKind::kGrpc, 14}), "gRPC UNAVAILABLE");
}

TEST(Recorder, BlocksCoverTimeWithoutGaps) {
  BlockExchange exchange;
  Recorder recorder(exchange);
  recorder.StartBlocks(kStart, 100ms);
  for (const Nanos done : {Nanos(10ms), Nanos(99ms), Nanos(100ms), Nanos(350ms)}) {
    recorder.OnScheduled(kStart);
    recorder.OnSuccess({kStart, kStart, kStart + done}, false);
  }
  recorder.Advance(kStart + 400ms);
  const auto blocks = exchange.TakeFull();
  ASSERT_EQ(blocks.size(), 4u);
  const uint64_t expected[] = {2, 1, 0, 1};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(blocks[i]->index, static_cast<int64_t>(i));
    EXPECT_EQ(blocks[i]->answered, expected[i]);
  }
}

// A worker that was kept from its core reads the clocks late. Were the first block given all of it,
// a window of a few blocks could cost more than its own time.
TEST(Recorder, WhatWasUsedIsSpreadOverTheBlocksThatEndTogether) {
  BlockExchange blocks;
  Recorder recorder(blocks);
  const Instant begin = SteadyNow();
  recorder.StartBlocks(begin, 5ms);
  const Nanos before = ThreadCpuTime();
  while (ThreadCpuTime() - before < 40ms) {
  }
  recorder.Advance(SteadyNow());
  const auto ended = blocks.TakeFull();
  ASSERT_GE(ended.size(), 8u);
  Nanos cpu{0};
  for (const auto& block : ended) {
    EXPECT_LE(block->cpu, 5ms);
    EXPECT_EQ(block->cpu, ended[0]->cpu);
    EXPECT_LE(block->run_queue.value_or(Nanos(0)), 5ms);
    cpu += block->cpu;
  }
  EXPECT_GT(cpu, 30ms) << "but for what belongs to the block that has begun";
}

TEST(BlockSeries, JoinsNeighboursInsteadOfGrowing) {
  BlockSeries series(10ms);
  uint64_t total = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    Block block;
    block.Reset(i);
    block.answered = static_cast<uint64_t>(i % 7);
    block.in_flight = i;
    total += block.answered;
    series.Add(block);
  }
  EXPECT_EQ(series.length(), 40ms);
  EXPECT_EQ(series.blocks().size(), 250u);
  uint64_t sum = 0;
  for (const Block& block : series.blocks()) sum += block.answered;
  EXPECT_EQ(sum, total);
  EXPECT_EQ(series.blocks().back().in_flight, 999);
}

}  // namespace
}  // namespace sextant::load
