// Which request of which sequence comes next.
#include "load/sequences.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace sextant::load {
namespace {

std::shared_ptr<const SequencePlan> Plan(SequencePlan plan) {
  return std::make_shared<const SequencePlan>(std::move(plan));
}

constexpr Instant kNow{};

TEST(Sequences, ALaneSendsStartThenTheMiddleThenTheEndAndBeginsAnew) {
  Sequences sequences(Plan({.length = 3, .variation = 0}), 0, 1);
  sequences.SetLanes(1, Sequences::Turn::kLast);
  std::set<uint64_t> ids;
  for (int round = 0; round < 3; ++round) {
    uint64_t id = 0;
    for (int step = 0; step < 3; ++step) {
      ASSERT_TRUE(sequences.HasLane());
      const Sequences::Step s = sequences.Next(kNow);
      EXPECT_FALSE(sequences.HasLane()) << "one request at a time";
      EXPECT_EQ(s.start, step == 0);
      EXPECT_EQ(s.end, step == 2);
      if (step == 0) id = s.id;
      EXPECT_EQ(s.id, id);
      const auto ended = sequences.Done(s.run, true);
      EXPECT_EQ(ended.has_value(), step == 2);
      if (ended) {
        EXPECT_TRUE(ended->completed);
        EXPECT_EQ(ended->requests, 3u);
      }
    }
    EXPECT_TRUE(ids.insert(id).second) << "each sequence has an id of its own";
  }
}

TEST(Sequences, AFailureEndsTheSequenceAndTheNextOneStarts) {
  Sequences sequences(Plan({.length = 10, .variation = 0}), 0, 1);
  sequences.SetLanes(1, Sequences::Turn::kLast);
  const Sequences::Step first = sequences.Next(kNow);
  const auto ended = sequences.Done(first.run, false);
  ASSERT_TRUE(ended.has_value());
  EXPECT_FALSE(ended->completed);
  EXPECT_FALSE(ended->closed);
  const Sequences::Step next = sequences.Next(kNow);
  EXPECT_TRUE(next.start);
  EXPECT_NE(next.id, first.id);
}

TEST(Sequences, RequestsInFlightOfAFailedSequenceStillBelongToIt) {
  Sequences sequences(Plan({.length = 10, .variation = 0}), 0, 1);
  sequences.SetLanes(1, Sequences::Turn::kRound);
  const Sequences::Step a = sequences.Next(kNow), b = sequences.Next(kNow);
  EXPECT_EQ(a.run, b.run);
  EXPECT_FALSE(sequences.Done(a.run, false).has_value()) << "one is still out";
  const Sequences::Step c = sequences.Next(kNow);
  EXPECT_TRUE(c.start);
  EXPECT_NE(c.run, b.run);
  const auto ended = sequences.Done(b.run, true);
  ASSERT_TRUE(ended.has_value());
  EXPECT_FALSE(ended->completed);
}

TEST(Sequences, LengthsSpreadEvenlyAroundTheirMean) {
  Sequences sequences(Plan({.length = 100, .variation = 20}), 0, 1);
  sequences.SetLanes(1, Sequences::Turn::kLast);
  uint64_t total = 0, least = UINT64_MAX, most = 0;
  constexpr int kRounds = 500;
  for (int round = 0; round < kRounds;) {
    const auto ended = sequences.Done(sequences.Next(kNow).run, true);
    if (!ended) continue;
    ++round;
    total += ended->requests;
    least = std::min(least, ended->requests);
    most = std::max(most, ended->requests);
  }
  EXPECT_NEAR(static_cast<double>(total) / kRounds, 100, 2);
  EXPECT_GE(least, 80u);
  EXPECT_LE(most, 120u);
  EXPECT_LT(least, 84u);
  EXPECT_GT(most, 116u);
}

TEST(Sequences, TheDatasStreamsGiveRowsAndLengths) {
  Sequences sequences(Plan({.streams = {{0, 2}, {2, 3}}}), 0, 1);
  sequences.SetLanes(1, Sequences::Turn::kLast);
  std::vector<size_t> rows;
  for (int i = 0; i < 7; ++i) {
    const Sequences::Step s = sequences.Next(kNow);
    rows.push_back(s.row.value());
    EXPECT_EQ(s.end, i == 1 || i == 4 || i == 6);
    sequences.Done(s.run, true);
  }
  EXPECT_EQ(rows, (std::vector<size_t>{0, 1, 2, 3, 4, 0, 1}));
}

TEST(Sequences, WhatIsOpenIsClosedByOneRequestWithTheEndFlag) {
  Sequences sequences(Plan({.length = 10, .variation = 0}), 0, 1);
  sequences.SetLanes(3, Sequences::Turn::kLast);
  const Sequences::Step a = sequences.Next(kNow), b = sequences.Next(kNow);
  sequences.Done(a.run, true);
  const auto closing = sequences.Close();
  ASSERT_TRUE(closing.has_value());
  EXPECT_EQ(closing->id, a.id);
  EXPECT_TRUE(closing->end);
  EXPECT_FALSE(sequences.Close().has_value()) << "the other has a request in flight";
  EXPECT_TRUE(sequences.Done(closing->run, true)->closed);
  sequences.Done(b.run, true);
  EXPECT_EQ(sequences.Close()->id, b.id);
}

TEST(SequenceIds, WorkersShareNoIdAndNeitherDoRuns) {
  std::set<uint64_t> all;
  for (const uint64_t seed : {1u, 2u}) {
    const SequencePlan plan{.seed = seed};
    for (size_t worker = 0; worker < 3; ++worker) {
      SequenceIds ids(plan, worker, 3);
      for (int i = 0; i < 1000; ++i) {
        const uint64_t id = ids.Next([](uint64_t) { return false; });
        EXPECT_TRUE(all.insert(id).second);
        EXPECT_GT(id, 0u);
        EXPECT_LE(id, uint64_t{INT64_MAX});
      }
    }
  }
}

TEST(SequenceIds, ARangeIsKeptAndIdsInUseArePassedOver) {
  const SequencePlan plan{.first_id = 10, .ids = 5};
  std::set<uint64_t> seen;
  for (size_t worker = 0; worker < 2; ++worker) {
    SequenceIds ids(plan, worker, 2);
    const uint64_t kept = ids.Next([](uint64_t) { return false; });
    seen.insert(kept);
    for (int i = 0; i < 20; ++i) {
      const uint64_t id = ids.Next([&](uint64_t candidate) { return candidate == kept; });
      EXPECT_NE(id, kept);
      seen.insert(id);
    }
  }
  EXPECT_EQ(seen, (std::set<uint64_t>{10, 11, 12, 13, 14}));
}

}  // namespace
}  // namespace sextant::load
