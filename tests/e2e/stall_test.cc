// A server that stands still while requests keep coming: what an open loop must show of it.
//
// Arrivals come at a constant rate r, n instances take s each, and nothing moves for a time L. The
// request that is due t into the stall then waits for the stall's rest and for those before it:
//   latency(t) = L - t + r t s / n + s, until the queue is empty at t = L / (1 - r s / n).
// Every figure of the report follows from that.
#include <gtest/gtest.h>

#include <cmath>

#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

struct Stall {
  double rate = 100, service_s = 0.04, instances = 16;
  double begin_s = 5, length_s = 25, window_s = 60;

  double slope() const { return 1 - rate * service_s / instances; }
  // The p-quantile of latency over the window.
  double Quantile(double p) const {
    const double late_s = length_s / slope();
    const double share_on_time = 1 - late_s / window_s;
    if (p <= share_on_time) return service_s;
    // The share 1 - p is above it: those of the stall's first seconds.
    return length_s - slope() * window_s * (1 - p) + service_s;
  }
  double Mean() const { return service_s + length_s * length_s / slope() / 2 / window_s; }
};

void ExpectTheory(const Stall& stall, const PerfResult& result, const std::string& what) {
  SCOPED_TRACE(what);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const run::Level& level = result.level();
  EXPECT_EQ(level.scheduled, static_cast<uint64_t>(std::llround(stall.rate * stall.window_s)));
  EXPECT_EQ(level.succeeded, level.scheduled) << result.out;
  const auto& latency = level.latency.histogram;
  const double gap = 1 / stall.rate;
  // The stall begins between two arrivals; which, the server's first request decides.
  EXPECT_NEAR(static_cast<double>(latency.max()) / 1e9, stall.length_s + stall.service_s,
              gap + 0.02 * stall.service_s + 0.02);
  for (const double p : {0.6, 0.75, 0.9, 0.95, 0.99}) {
    const double theory = stall.Quantile(p);
    EXPECT_NEAR(latency.Quantile(p) / 1e9, theory, 0.01 * theory + gap + stall.service_s)
        << "p" << p * 100;
  }
  EXPECT_NEAR(latency.mean() / 1e9, stall.Mean(), 0.01 * stall.Mean() + gap + stall.service_s / 2);
  // What was due before the stall and after the queue had gone was on time.
  const double on_time = latency.Quantile(0.3) / 1e9;
  EXPECT_NEAR(on_time, stall.service_s, 0.1 * stall.service_s);
  // The client went on sending on time, and said where the latency is.
  EXPECT_NEAR(level.send_rate, stall.rate, 0.005 * stall.rate);
  EXPECT_LT(level.slip.Quantile(0.99) / 1e9, 0.02);
  EXPECT_NEAR(static_cast<double>(level.in_flight_max), stall.rate * stall.length_s,
              0.01 * stall.rate * stall.length_s + 4);
  // Not one answer came in the stall's seconds.
  for (const run::SecondRecord& second : level.series) {
    const bool within = second.start_s > stall.begin_s + 0.5 &&
                        second.start_s + second.length_s < stall.begin_s + stall.length_s - 0.1;
    EXPECT_TRUE(!within || second.answered == 0) << "second " << second.start_s;
  }
}

void Measure(const Stall& stall) {
  PreferThisProcess();
  ModelText model{.instances = static_cast<int>(stall.instances),
                  .max_batch_size = 0,
                  .batching = "",
                  .parameters = {{"service_time", Format("fixed({}s)", stall.service_s)},
                                 {"stalls", Format("{}s+{}s", stall.begin_s, stall.length_s)}}};
  Serve serve({{"http", model.Config()}, {"grpc", model.Config()}});
  const std::vector<std::string> load{Format("--request-rate-range={}", stall.rate),
                                      Format("--duration={}s", stall.window_s), "--warmup=0s",
                                      "--timeout=60s"};
  Perf http(Against(serve, "http", "http", load));
  Perf grpc(Against(serve, "grpc", "grpc", load));
  ExpectTheory(stall, http.Finish(), "http");
  ExpectTheory(stall, grpc.Finish(), "grpc");
}

TEST(AStallOfTwentyFiveSeconds, MovesPercentilesAndMaximumAsQueueingTheorySays) { Measure({}); }

TEST(AStallOfThreeSeconds, MovesPercentilesAndMaximumAsQueueingTheorySays) {
  Measure({.begin_s = 1.5, .length_s = 3, .window_s = 8});
}

}  // namespace
}  // namespace sextant::e2e
