// Arrivals as they reach the server: what was written down is what comes, when and with which data.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

const ModelText kQuick{.instances = 16, .parameters = {{"service_time", "1ms"}}};

// When the requests came, in seconds from the first.
std::vector<double> Came(Serve& serve) {
  std::vector<double> out;
  for (const Truth& t : serve.StopAndReadTruth()) out.push_back(t.arrived);
  std::sort(out.begin(), out.end());
  for (size_t i = out.size(); i-- > 0;) out[i] -= out[0];
  return out;
}

// The median distance between what came and what was due, wherever their beginnings are: the first
// request may be late, and a busy machine makes others so.
double Off(const std::vector<double>& came, const std::vector<double>& due) {
  std::vector<double> off;
  for (size_t i = 0; i < std::min(came.size(), due.size()); ++i) off.push_back(came[i] - due[i]);
  const double offset = Quantile(off, 0.5);
  for (double& distance : off) distance = std::abs(distance - offset);
  return Quantile(off, 0.5);
}

TEST(ATrace, IsReplayedOnceAtItsTimesAndSpeed) {
  std::string text = "timestamp_ms,user\n";
  std::vector<double> due;
  for (int i = 0; i < 120; ++i) {
    const int ms = i * 20 + i % 7 * 3;
    AppendFormat(text, "{},someone\n", 1'700'000'000'000 + ms);
    due.push_back(ms / 2e3);
  }
  TempDirectory files;
  for (const char* protocol : {"http", "grpc"}) {
    Serve serve({{"m", kQuick.Config()}});
    const PerfResult result = RunPerf(Against(
        serve, protocol, "m", {"--trace", files.Write("trace.csv", text), "--trace-speed=2"}));
    ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_EQ(result.level().scheduled, 120U);
    EXPECT_EQ(result.level().window_rule, "schedule");
    EXPECT_EQ(result.level().load.arrivals, "trace");
    const auto came = Came(serve);
    ASSERT_EQ(came.size(), 120U);
    EXPECT_LT(Off(came, due), 3e-3);
  }
}

TEST(AFixedSchedule, SendsEachRowOnceAtItsTimestamp) {
  TempDirectory files;
  std::string text = "{\"data\":[";
  for (int i = 0; i < 40; ++i) {
    AppendFormat(text, "{}{{\"X\":[{}", i > 0 ? "," : "", i);
    for (int k = 1; k < 16; ++k) text += ",0";
    AppendFormat(text, "],\"timestamp\":[{}]}}", (39 - i) * 25);
  }
  Serve serve({{"m", kQuick.Config()}});
  const PerfResult result =
      RunPerf(Against(serve, "http", "m",
                      {"--fixed-schedule", "--input-data", files.Write("d.json", text + "]}")}));
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_EQ(result.level().succeeded, 40U);
  const auto came = Came(serve);
  std::vector<double> due;
  for (int i = 0; i < 40; ++i) due.push_back(i * 0.025);
  ASSERT_EQ(came.size(), 40U);
  EXPECT_LT(Off(came, due), 3e-3);
}

TEST(RequestIntervals, RepeatAndTheirRateIsNoWholeNumber) {
  TempDirectory files;
  Serve serve({{"m", kQuick.Config()}});
  const PerfResult result =
      RunPerf(Against(serve, "http", "m",
                      {"--request-intervals", files.Write("i.txt", "10000\n20000\n45000\n"),
                       "--warmup=0", "--duration=2250ms"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().load.value, 40);
  EXPECT_NEAR(static_cast<double>(result.level().scheduled), 90, 2);
}

TEST(ARamp, EndsWithAsManyRequestsAsItsLineHas) {
  Serve serve({{"m", kQuick.Config()}});
  const PerfResult result = RunPerf(Against(serve, "http", "m", {"--rate-profile=50..250/2s"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().scheduled, 300U);
  EXPECT_EQ(Came(serve).size(), 300U);
}

// Two processes that share a seeded schedule, and the one that has it alone.
TEST(TwoShards, MakeTheLoadOfOneProcessTogetherAndMergeIntoOneRun) {
  TempDirectory files;
  const auto run = [&](std::vector<std::string> own, Serve& serve) {
    std::vector<std::string> arguments{"--request-rate-range=200",
                                       "--request-distribution=poisson",
                                       "--seed=11",
                                       "--duration=3s",
                                       "--warmup=0",
                                       "--workers=1"};
    arguments.insert(arguments.end(), own.begin(), own.end());
    std::vector<std::string> all = Against(serve, "http", "m", arguments);
    all.insert(all.begin(), "perf");
    return std::make_unique<Command>(all);
  };
  Serve one({{"m", kQuick.Config()}}), two({{"m", kQuick.Config()}});
  const std::string at = FormatWallTime(WallNow() + 4s);
  const auto whole = run({"--start-at=" + at}, one);
  const auto first = run({"--start-at=" + at, "--shard=0/2", "-o", files.File("a.json")}, two);
  const auto second = run({"--start-at=" + at, "--shard=1/2", "-o", files.File("b.json")}, two);
  for (Command* command : {whole.get(), first.get(), second.get()}) {
    const PerfResult result = command->Finish();
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  }
  // What reached the servers is the same schedule. The load goes on until the last answer.
  std::vector<double> alone = Came(one), together = Came(two);
  for (std::vector<double>* came : {&alone, &together}) {
    ASSERT_GT(came->size(), 500U);
    while (came->back() > 2.8) came->pop_back();
  }
  EXPECT_NEAR(static_cast<double>(alone.size()), static_cast<double>(together.size()), 10);
  EXPECT_LT(Off(together, alone), 5e-3);

  const PerfResult merged =
      RunSextant({"perf", "--merge", files.File("a.json"), files.File("b.json"), "-o",
                  files.File("m.json"), "-f", files.File("m.csv")});
  ASSERT_EQ(merged.exit_code, 0) << merged.out << merged.err;
  const auto read = [&](const char* name) { return *run::ParseRun(*ReadFile(files.File(name))); };
  const run::Run a = read("a.json"), b = read("b.json"), sum = read("m.json");
  ASSERT_EQ(sum.levels.size(), 1U);
  EXPECT_EQ(sum.levels[0].scheduled, a.levels[0].scheduled + b.levels[0].scheduled);
  EXPECT_EQ(sum.levels[0].succeeded, a.levels[0].succeeded + b.levels[0].succeeded);
  EXPECT_EQ(sum.levels[0].latency.histogram.count(), sum.levels[0].succeeded);
  EXPECT_EQ(sum.levels[0].load.value, 200);
  EXPECT_TRUE(ReadFile(files.File("m.csv"))->starts_with("Request Rate,"));
  const PerfResult twice =
      RunSextant({"perf", "--merge", files.File("a.json"), files.File("a.json")});
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_NE(twice.err.find("are one file, whose figures would count twice"), std::string::npos)
      << twice.err;
}

TEST(MistakesAboutShards, AreReportedAllAtOnce) {
  const PerfResult result =
      RunSextant({"perf", "-m", "m", "--shard=2/2", "--start-at=2020-01-01T00:00:00Z"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("INDEX from 0 to COUNT - 1"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("it is past"), std::string::npos) << result.err;
  const PerfResult more = RunSextant({"perf", "-m", "m", "--shard=1/2"});
  EXPECT_NE(more.err.find("--shard needs --seed"), std::string::npos) << more.err;
  EXPECT_NE(more.err.find("leaves nothing for it"), std::string::npos) << more.err;
}

TEST(MistakesAboutArrivals, AreReportedAllAtOnce) {
  TempDirectory files;
  const PerfResult result = RunSextant(
      {"perf", "-m", "m", "--concurrency-range=4", "--rate-profile=0s:1,x", "--trace",
       files.Write("t", "1\n2\n"), "--request-distribution=gamma:0", "--data-order=trace", "-b2"});
  EXPECT_EQ(result.exit_code, 2);
  for (const char* text :
       {"--concurrency-range and --rate-profile and --trace exclude each other",
        "'x' is not TIME:RATE", "--trace-unit", "gamma:CV needs the coefficient of variation"})
    EXPECT_NE(result.err.find(text), std::string::npos) << text << "\n" << result.err;
}

}  // namespace
}  // namespace sextant::e2e
