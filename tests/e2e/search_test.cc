// The search for the highest load, and perf_analyzer's rules, against servers whose capacity is
// declared.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

// 400 requests per second: four at once, 10 ms each.
const ModelText kFour{.instances = 4, .parameters = {{"service_time", "10ms"}}};

std::vector<std::string> Quickly(std::vector<std::string> more) {
  more.insert(more.end(), {"--duration=2s", "--warmup=200ms", "--find-max-longest=8s",
                           "--find-max-precision=10%"});
  return more;
}

double Member(const PerfResult& result, std::string_view name) {
  EXPECT_TRUE(result.run.has_value() && result.run->searches.size() == 1) << result.out;
  if (!result.run || result.run->searches.empty()) return -1;
  const text::Json* member = result.run->searches[0].Find(name);
  return member == nullptr ? -1 : member->AsDouble().value_or(-1);
}

// What a busy machine adds makes the capacity smaller than declared, never larger.
TEST(TheHighestRate, IsTheServersCapacity) {
  Serve serve({{"m", kFour.Config()}});
  const PerfResult result =
      RunPerf(Against(serve, "http", "m",
                      Quickly({"--find-max", "--slo=p99<50ms,errors<1%,throughput>=200",
                               "--request-rate-range=100"})));
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_GE(Member(result, "passes"), 280);
  EXPECT_LE(Member(result, "passes"), 408);
  EXPECT_LE(Member(result, "fails"), 800);
  EXPECT_EQ(Member(result, "levels"), static_cast<double>(result.run->levels.size()));
  EXPECT_NE(result.out.find("\nVALID: "), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("  cost: "), std::string::npos);
  for (const run::Level& level : result.run->levels) {
    bool judged = false;
    for (const std::string& note : level.notes) judged |= note.starts_with("SLO: p99 ");
    for (const std::string& note : level.notes) judged |= note.starts_with("SLO: overloaded");
    EXPECT_TRUE(judged) << "each level has its verdict";
  }
}

TEST(TheHighestConcurrency, IsTheLastThatIsServedInTwoRounds) {
  Serve serve({{"m", kFour.Config()}});
  const PerfResult result = RunPerf(Against(
      serve, "grpc", "m", Quickly({"--find-max", "--slo=p90<25ms", "--concurrency-range=1:64"})));
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  // Eight wait for at most one other: 20 ms. The ninth takes 30 ms.
  EXPECT_GE(Member(result, "passes"), 4);
  EXPECT_LE(Member(result, "passes"), 9);
}

TEST(AnObjectiveThatNothingSatisfies, IsExitCode3) {
  Serve serve({{"m", kFour.Config()}});
  const PerfResult result = RunPerf(Against(
      serve, "http", "m", Quickly({"--find-max", "--slo=p50<5ms", "--request-rate-range=64"})));
  EXPECT_EQ(result.exit_code, 3) << result.out << result.err;
  EXPECT_NE(result.out.find("INVALID: no load satisfies 'p50<5ms'"), std::string::npos)
      << result.out;
}

TEST(MistakesAboutASearch, AreReportedAllAtOnce) {
  const PerfResult result =
      RunSextant({"perf", "-m", "m", "--find-max", "--slo=p99<50,speed>3", "--find-max-precision=2",
                  "--request-rate-range=1,5", "--latency-threshold=5"});
  EXPECT_EQ(result.exit_code, 2);
  for (const char* text : {"'p99<50': its limit is a time with its unit", "'speed>3'",
                           "--find-max-precision '2'", "exclude each other", "takes a start"})
    EXPECT_NE(result.err.find(text), std::string::npos) << text << "\n" << result.err;
  const PerfResult open = RunSextant({"perf", "-m", "m", "--concurrency-range=4:0:2"});
  EXPECT_EQ(open.exit_code, 2);
  EXPECT_NE(open.err.find("has no end, which takes --latency-threshold"), std::string::npos)
      << open.err;
}

// perf_analyzer with -a never raises the concurrency of such a sweep, so that it never ends (D1).
TEST(ARangeWithoutAnEnd, GoesOnUntilTheThresholdAndReportsTheLevelOverIt) {
  Serve serve({{"m", kFour.Config()}});
  const PerfResult result = RunPerf(
      Against(serve, "http", "m",
              {"--concurrency-range=2:0:4", "-l", "25", "--duration=500ms", "--warmup=100ms"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_TRUE(result.run.has_value());
  const std::vector<run::Level>& levels = result.run->levels;
  // 2, 6, 10 in flight: 10, 15 and 25 ms.
  ASSERT_GE(levels.size(), 2U);
  ASSERT_LE(levels.size(), 4U);
  EXPECT_GE(levels.back().latency.histogram.mean(), 25e6);
  for (size_t i = 0; i < levels.size(); ++i) {
    EXPECT_EQ(levels[i].load.value, 2 + 4 * static_cast<double>(i));
    EXPECT_EQ(static_cast<double>(levels[i].in_flight_max), levels[i].load.value);
  }
}

}  // namespace
}  // namespace sextant::e2e
