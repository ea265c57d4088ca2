// Do the intervals hold what they claim? Thousands of short runs on a simulated clock, with known
// truth, recorded and summed up by the code that real runs use.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <queue>

#include "load/level_math.h"

namespace sextant::load {
namespace {

const Instant kStart{std::chrono::seconds(1000)};
constexpr Nanos kBlock = 100ms;

struct Law {
  std::function<double(Random&)> draw;  // seconds
  double mean = 0;
  std::function<double(double)> quantile;  // seconds
};

Law Lognormal(double median, double sigma) {
  return {[=](Random& r) { return median * std::exp(sigma * r.Normal()); },
          median * std::exp(sigma * sigma / 2),
          [=](double p) {
            return median * std::exp(sigma * std::sqrt(2.0) * [p] {
                     // Inverse of erf by bisection; exactness is all that matters.
                     double low = -6, high = 6;
                     for (int i = 0; i < 80; ++i)
                       (std::erf((low + high) / 2) < 2 * p - 1 ? low : high) = (low + high) / 2;
                     return low;
                   }());
          }};
}

Law Exponential(double mean) {
  return {[=](Random& r) { return r.Exponential(mean); }, mean,
          [=](double p) { return -mean * std::log1p(-p); }};
}

// One run, recorded; the window is [1 s, 1 s + window) after the start.
run::Level Measure(const std::function<void(Recorder&, Random&, Instant until)>& simulate,
                   Nanos window, uint64_t seed) {
  static BlockExchange exchange;  // its blocks go round from run to run
  Recorder recorder(exchange);
  recorder.StartBlocks(kStart, kBlock);
  recorder.OpenWindow();
  recorder.SetWindow({kStart + 1s, kStart + 1s + window});
  Random random(seed);
  simulate(recorder, random, kStart + 1s + window + 1s);
  recorder.Advance(kStart + 1s + window + 1s);
  BlockSeries series(kBlock);
  const int64_t first = 1s / kBlock, last = (1s + window) / kBlock - 1;
  for (auto& block : exchange.TakeFull()) {
    if (block->index >= first && block->index <= last) {
      block->index -= first;
      series.Add(*block);
    }
    exchange.GiveBack(std::move(block));
  }
  const auto record = recorder.TakeWindow();
  run::Level level;
  ComputeLevel({.record = record.get(),
                .blocks = &series.blocks(),
                .block_length = series.length(),
                .window = window},
               MeasureOptions(), level);
  return level;
}

// A closed loop of c requests, each served at once.
auto ClosedLoop(int c, const Law& law) {
  return [c, law](Recorder& recorder, Random& random, Instant until) {
    struct Flying {
      Instant due, done;
      bool in_window;
      bool operator>(const Flying& o) const { return done > o.done; }
    };
    std::priority_queue<Flying, std::vector<Flying>, std::greater<>> flying;
    const auto issue = [&](Instant at) {
      const bool in_window = recorder.OnScheduled(at);
      flying.push({at, at + FromSeconds(law.draw(random)), in_window});
    };
    for (int i = 0; i < c; ++i) issue(kStart);
    while (flying.top().done < until) {
      const Flying f = flying.top();
      flying.pop();
      recorder.OnSuccess({f.due, f.due, f.done}, f.in_window);
      issue(f.done);
    }
  };
}

// Poisson arrivals at one server with exponential service: M/M/1, whose latencies follow each
// other.
auto Mm1(double rate, double service_mean) {
  return [=](Recorder& recorder, Random& random, Instant until) {
    Instant due = kStart, free = kStart;
    while (true) {
      due += FromSeconds(random.Exponential(1 / rate));
      if (due >= until - 500ms) break;
      const bool in_window = recorder.OnScheduled(due);
      free = std::max(free, due) + FromSeconds(random.Exponential(service_mean));
      recorder.OnSuccess({due, due, free}, in_window);
    }
  };
}

struct Coverage {
  struct Held {
    int given = 0, held = 0;
    double share() const { return given == 0 ? 0 : static_cast<double>(held) / given; }
    void Add(bool is_given, bool holds) { given += is_given, held += is_given && holds; }
  };
  Held throughput, mean, p50, p90, p99;
};

Coverage Count(const std::function<void(Recorder&, Random&, Instant)>& simulate, Nanos window,
               double rate, double mean, const std::function<double(double)>& quantile, int runs) {
  Coverage out;
  for (int run = 0; run < runs; ++run) {
    const run::Level level = Measure(simulate, window, static_cast<uint64_t>(run) + 1);
    out.throughput.Add(level.throughput.known,
                       std::abs(level.throughput.value - rate) <= level.throughput.half_width);
    out.mean.Add(level.latency.mean.known,
                 std::abs(level.latency.mean.value - mean * 1e9) <= level.latency.mean.half_width);
    const auto add = [&](size_t i, Coverage::Held& to) {
      const stats::QuantileEstimate& q = level.latency.percentiles[i];
      const double truth = quantile(q.p) * 1e9;
      to.Add(q.lower.has_value(), q.lower && *q.lower <= truth && truth <= *q.upper);
    };
    add(0, out.p50), add(1, out.p90), add(3, out.p99);
  }
  return out;
}

void ExpectNominal(const char* name, const Coverage::Held& held) {
  std::printf("    %-28s %.3f of %d given\n", name, held.share(), held.given);
  EXPECT_GE(held.share(), 0.93) << name;
  EXPECT_LE(held.share(), 0.97) << name;
}

TEST(Coverage, ClosedLoopWithLognormalService) {
  const Law law = Lognormal(0.010, 0.5);
  const Coverage c = Count(ClosedLoop(8, law), 5s, 8 / law.mean, law.mean, law.quantile, 1000);
  ExpectNominal("throughput", c.throughput);
  ExpectNominal("mean latency", c.mean);
  ExpectNominal("p50", c.p50);
  ExpectNominal("p90", c.p90);
  ExpectNominal("p99", c.p99);
}

TEST(Coverage, ClosedLoopWithExponentialService) {
  const Law law = Exponential(0.005);
  const Coverage c = Count(ClosedLoop(1, law), 5s, 1 / law.mean, law.mean, law.quantile, 1000);
  ExpectNominal("throughput", c.throughput);
  ExpectNominal("mean latency", c.mean);
  ExpectNominal("p50", c.p50);
  ExpectNominal("p99", c.p99);
}

// Autocorrelated: a long queue delays many requests in a row. Latency of M/M/1 is exponential with
// mean 1 / (service rate - arrival rate).
TEST(Coverage, OpenLoopWithAQueue) {
  const double rate = 300, service = 1.0 / 600, mean = 1 / (600.0 - 300.0);
  const Coverage c = Count(
      Mm1(rate, service), 30s, rate, mean, [=](double p) { return -mean * std::log1p(-p); }, 1000);
  ExpectNominal("throughput", c.throughput);
  ExpectNominal("mean latency", c.mean);
  ExpectNominal("p50", c.p50);
  ExpectNominal("p90", c.p90);
  ExpectNominal("p99", c.p99);
}

TEST(LittlesLaw, HoldsForAQueue) {
  const run::Level level = Measure(Mm1(300, 1.0 / 400), 60s, 3);
  EXPECT_NEAR(*level.little_ratio, 1, 0.01);
  EXPECT_NEAR(level.throughput.value, 300, 300 * 0.03);
}

// A server that stands still for 25 s at 20 arrivals a second: everything due in the stall waits
// for its end, so latencies from schedule are spread evenly up to 25 s. Latency from send would
// show nothing.
TEST(CoordinatedOmission, AStallIsInThePercentilesAsQueueingTheorySays) {
  const auto stalled = [](Recorder& recorder, Random&, Instant until) {
    const Instant stall = kStart + 20s, stall_end = stall + 25s;
    for (Instant due = kStart; due < until - 500ms; due += 50ms) {
      const bool in_window = recorder.OnScheduled(due);
      const Instant done = (due >= stall && due < stall_end ? stall_end : due) + 1ms;
      recorder.OnSuccess({due, due, done}, in_window);
    }
  };
  const run::Level level = Measure(stalled, 99s, 1);
  EXPECT_NEAR(static_cast<double>(level.latency.histogram.max()) / 1e9, 25, 0.06);
  // A share of 25/99 of the arrivals waits, uniformly between 0 and 25 s: 1 % of all waits longer
  // than 25 * (1 - 0.01 * 99/25) s.
  EXPECT_NEAR(level.latency.histogram.Quantile(0.99) / 1e9, 25 * (1 - 0.01 * 99 / 25), 0.1);
  EXPECT_NEAR(level.latency.histogram.Quantile(0.9) / 1e9, 25 * (1 - 0.1 * 99 / 25), 0.1);
  EXPECT_NEAR(level.latency.histogram.Quantile(0.5) / 1e9, 0.001, 0.0001);
}

TEST(ClientLimits, AreSentencesWithFigures) {
  run::Level level;
  for (int i = 0; i < 1000; ++i)
    level.service.histogram.Record(100'000), level.slip.Record(2'000'000);
  level.client.cpu_share_max = 0.97;
  level.client.loop_lag_p99_us = 60;
  level.client.run_queue_share = 0.3;
  EXPECT_EQ(FindClientLimits(level, false).size(), 4u);
  EXPECT_EQ(FindClientLimits(level, false)[0], "the busiest worker used 97 % of its core");
  EXPECT_EQ(FindClientLimits(level, true).size(), 3u) << "a spinning worker always uses its core";
  EXPECT_TRUE(FindClientLimits(run::Level(), false).empty());
}

}  // namespace
}  // namespace sextant::load
