// What perf reports against what the server knows: for every law of service time, over both
// protocols, with the loop closed and open.
//
// The truth is the server's own log of the same requests, so that a busy machine that makes the
// server late makes the truth late too. What is left is what lies between client and server, to
// which other processes only ever add: each law has three attempts, and one must be within the
// tolerances. How late the server's own sleepers woke tells whether the machine could have been
// within them at all, and so does a report that calls itself client-limited; where it never could,
// the test is skipped and says so.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/strings.h"
#include "harness.h"
#include "serve/service_law.h"
#include "stats/quantile.h"

namespace sextant::e2e {
namespace {

struct Case {
  std::string name;
  ModelText model;
  int concurrency = 32;
  int rate = 200;
  // Whether a request's time at the server is the law's, with nothing added by queue or batch.
  bool bare = true;
};

// For gtest, which would print the bytes.
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// One level: which of the case's models, how.
struct Way {
  std::string protocol, loop;
  std::string name() const { return protocol + "_" + loop; }
};
const std::vector<Way> kWays{
    {"http", "closed"}, {"grpc", "closed"}, {"http", "open"}, {"grpc", "open"}};

std::string Off(std::string_view what, double got, double want, double tolerance) {
  const double off = got / want - 1;
  if (std::abs(off) <= tolerance) return {};
  return Format("  {}: {:.6g}, the truth is {:.6g}: {:+.2f} %\n", what, got, want, off * 100);
}

// What is wrong with a level, in words; empty when nothing is.
std::string Faults(const Case& c, const Way& way, const run::Level& level,
                   const std::vector<Truth>& log) {
  const Window window = SteadyWindow(level);
  std::vector<double> latencies;
  double answered_least = 1e18, answered_most = 0;
  // An answer that leaves the server just before an edge may reach the client just after it: the
  // truth's own count depends on how long the way takes.
  for (const double way_s : {0.0, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3}) {
    double answered = 0;
    for (const Truth& t : log)
      answered += t.ended + way_s >= window.begin && t.ended + way_s < window.end ? 1 : 0;
    answered_least = std::min(answered_least, answered);
    answered_most = std::max(answered_most, answered);
  }
  for (const Truth& t : log) {
    if (t.arrived >= window.begin && t.arrived < window.end)
      latencies.push_back(t.ended - t.arrived);
  }
  std::string faults;
  const auto& histogram = level.latency.histogram;
  faults += Off("p50", histogram.Quantile(0.5) / 1e9, Quantile(latencies, 0.5), 0.01);
  faults += Off("p99", histogram.Quantile(0.99) / 1e9, Quantile(latencies, 0.99), 0.02);
  const double rate = level.throughput.value;
  const double truth =
      std::clamp(rate, answered_least / level.window_s, answered_most / level.window_s);
  faults += Off("throughput", rate, truth, 0.005);
  // Little's law, from three figures of the report that are counted apart.
  faults += Off("in flight", level.in_flight_mean,
                level.request_rate.value * histogram.mean() / 1e9, 0.01);
  if (!level.little_ratio) {
    faults += "  no ratio for Little's law\n";
  } else {
    faults += Off("Little's law", *level.little_ratio, 1, 0.01);
  }
  if (way.loop == "closed") {
    faults += Off("in flight", level.in_flight_mean, c.concurrency, 0.01);
  } else if (way.protocol == "grpc") {
    faults += Off("send rate", level.send_rate, c.rate, 0.005);
  }
  if (level.failed + level.unfinished > 0) faults += "  requests failed\n";
  if (!faults.empty()) {
    // Where it was lost, as the report itself has it.
    AppendFormat(faults, "  (slip p99 {:.3f} ms, loop lag p99 {:.3f} ms, core awaited {:.2f} %)\n",
                 level.slip.Quantile(0.99) / 1e6, level.client.loop_lag_p99_us / 1e3,
                 level.client.run_queue_share.value_or(0) * 100);
    for (const std::string& limit : level.client.limits) AppendFormat(faults, "  ({})\n", limit);
  }
  return faults;
}

// The server's draws follow the declared law: its quantiles lie between the order statistics that
// enclose them with a probability of 1 - 1e-6.
void ExpectDrawsOf(const std::string& law_text, const std::vector<Truth>& log) {
  const auto law = serve::ServiceLaw::Parse(law_text);
  std::vector<double> drawn;
  for (const Truth& t : log) drawn.push_back(t.service);
  std::sort(drawn.begin(), drawn.end());
  for (const double p : {0.1, 0.5, 0.9}) {
    const auto ranks = stats::QuantileRanks(drawn.size(), p, 1 - 1e-6);
    ASSERT_TRUE(ranks.has_value());
    const double exact = Seconds(law->Quantile(p));
    EXPECT_LE(drawn[ranks->lower - 1], exact * (1 + 1e-9)) << law_text << " " << p;
    EXPECT_GE(drawn[ranks->upper - 1], exact * (1 - 1e-9)) << law_text << " " << p;
  }
}

struct Findings {
  std::map<size_t, std::string> faults;  // what is wrong, by the way's index
  double late_s = 0;  // at p99, of the server's sleepers: beyond the service time that they slept
  bool all_limited = true;  // every level with a fault says itself that the client was the limit
};

// Measures in these ways, all at once, because they sleep most of the time.
Findings Attempt(const Case& c, const std::vector<size_t>& ways) {
  std::map<std::string, std::string> models;
  for (const size_t i : ways) models[kWays[i].name()] = c.model.Config();
  Serve serve(models);
  std::vector<std::unique_ptr<Perf>> perfs;
  for (const size_t i : ways) {
    const Way& way = kWays[i];
    std::vector<std::string> arguments = Against(
        serve, way.protocol, way.name(),
        {"--duration", "12s", "--warmup", "1s", "--workers", "1", "--seed", "7", "--quiet"});
    if (way.loop == "closed") {
      arguments.push_back(Format("--concurrency-range={}", c.concurrency));
    } else {
      arguments.push_back(Format("--request-rate-range={}", c.rate));
      arguments.push_back(way.protocol == "http" ? "--request-distribution=poisson"
                                                 : "--request-distribution=constant");
    }
    perfs.push_back(std::make_unique<Perf>(arguments));
  }
  std::map<size_t, run::Level> levels;
  for (size_t i = 0; i < ways.size(); ++i) {
    const PerfResult result = perfs[i]->Finish();
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    levels[ways[i]] = result.level();
  }
  std::map<std::string, std::vector<Truth>> logs;
  for (Truth& truth : serve.StopAndReadTruth()) logs[truth.model].push_back(std::move(truth));
  Findings out;
  std::vector<double> late;
  for (const auto& [i, level] : levels) {
    const std::vector<Truth>& log = logs[kWays[i].name()];
    for (const Truth& t : log) late.push_back(t.ended - t.started - t.service);
    EXPECT_GT(log.size(), 1000U);
    if (std::string text = Faults(c, kWays[i], level, log); !text.empty())
      out.faults[i] = Format("{}:\n{}", kWays[i].name(), text),
      out.all_limited &= level.client.limited;
    if (c.bare) ExpectDrawsOf(c.model.parameters.at("service_time"), log);
  }
  out.late_s = Quantile(late, 0.99);
  return out;
}

class Laws : public testing::TestWithParam<Case> {};

// The tolerance of p99 is 2 ms; a machine that wakes one sleeper in a hundred half of that late has
// spent it, because on its way a request is waited for four times.
constexpr double kTooLate = 1e-3;

TEST_P(Laws, PercentilesThroughputAndLittlesLawAreThoseOfTheServer) {
  PreferThisProcess();
  std::vector<size_t> left{0, 1, 2, 3};
  std::string text;
  bool quiet = false;  // in an attempt that failed
  for (int attempt = 1; attempt <= 3 && !left.empty() && !HasFailure(); ++attempt) {
    const Findings findings = Attempt(GetParam(), left);
    left.clear();
    text.clear();
    for (const auto& [way, what] : findings.faults) {
      left.push_back(way);
      text += what;
    }
    if (text.empty()) break;
    quiet |= findings.late_s < kTooLate && !findings.all_limited;
    std::printf("attempt %d (the server woke %.3f ms late at p99):\n%s", attempt,
                findings.late_s * 1e3, text.c_str());
  }
  if (!left.empty() && !quiet && !HasFailure())
    GTEST_SKIP() << "the machine is too busy to tell:\n" << text;
  EXPECT_TRUE(left.empty()) << text;
}

// Times are long enough that what a busy machine adds to each is a small part of them.
ModelText Bare(std::string law) {
  return {.instances = 96,
          .max_batch_size = 0,
          .batching = "",
          .parameters = {{"service_time", std::move(law)}}};
}

INSTANTIATE_TEST_SUITE_P(
    All, Laws,
    testing::Values(
        Case{.name = "Fixed", .model = Bare("fixed(100ms)")},
        Case{.name = "Normal", .model = Bare("normal(100ms, 12ms)")},
        Case{.name = "Lognormal", .model = Bare("lognormal(90ms, 0.3)")},
        Case{.name = "Exponential", .model = Bare("exponential(100ms)")},
        Case{.name = "Bimodal", .model = Bare("bimodal(80ms, 240ms, 0.1)")},
        Case{.name = "Batched",
             .model = {.instances = 8,
                       .max_batch_size = 8,
                       .batching = "preferred_batch_size: [ 8 ] max_queue_delay_microseconds: 8000",
                       .parameters = {{"service_time", "normal(60ms, 4ms)"}, {"per_item", "6ms"}}},
             .concurrency = 48,
             .bare = false},
        Case{.name = "Contended",
             .model = {.instances = 64,
                       .max_batch_size = 0,
                       .batching = "",
                       .parameters = {{"service_time", "fixed(60ms)"}, {"contention", "0.02"}}},
             .bare = false},
        Case{.name = "BeyondTheCliff",
             .model = {.instances = 96,
                       .max_batch_size = 0,
                       .batching = "",
                       .parameters = {{"service_time", "lognormal(60ms, 0.2)"},
                                      {"memory_base", "100MiB"},
                                      {"memory_per_item", "10MiB"},
                                      {"memory_limit", "340MiB"},
                                      {"cliff", "2"}}},
             .bare = false}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace sextant::e2e
