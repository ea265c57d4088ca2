// Servers that fail: what perf reports of it, and how it ends.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"
#include "text/json.h"

namespace sextant::e2e {
namespace {

constexpr int kMeasured = 0, kCouldNotMeasure = 1, kVerdict = 3;

ModelText Model(std::map<std::string, std::string> parameters, int instances = 4) {
  parameters.try_emplace("service_time", "fixed(2ms)");
  return {.instances = instances,
          .max_batch_size = 0,
          .batching = "",
          .parameters = std::move(parameters)};
}

std::map<std::string, uint64_t> CountOutcomes(const std::vector<Truth>& log) {
  std::map<std::string, uint64_t> out;
  for (const Truth& truth : log) ++out[truth.outcome];
  return out;
}

class Faults : public testing::TestWithParam<std::string> {
 protected:
  const std::string& protocol() const { return GetParam(); }
  // What a kind of fault is called in the report.
  std::string Name(std::string_view kind) const {
    const bool grpc = protocol() == "grpc";
    if (kind == "internal") return grpc ? "gRPC INTERNAL" : "HTTP 500";
    if (kind == "unavailable") return grpc ? "gRPC UNAVAILABLE" : "HTTP 503";
    if (kind == "invalid_argument") return grpc ? "gRPC INVALID_ARGUMENT" : "HTTP 400";
    return "connection lost";
  }
  std::vector<std::string> Requests(const Serve& serve, std::vector<std::string> more) const {
    std::vector<std::string> arguments{"--concurrency-range=4", "--workers=1", "--warmup=0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Against(serve, protocol(), "m", arguments);
  }
};
INSTANTIATE_TEST_SUITE_P(BothProtocols, Faults, testing::Values("http", "grpc"),
                         [](const auto& info) { return info.param; });

TEST_P(Faults, OfEveryKindAreCountedExactlyAsTheServerMadeThem) {
  Serve serve(
      {{"m", Model({{"error_rate", "internal:0.04, unavailable:0.03, invalid_argument:0.02"}})
                 .Config()}});
  const PerfResult result = RunPerf(Requests(serve, {"--requests=3000"}));
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  const run::Level& level = result.level();
  auto truth = CountOutcomes(serve.StopAndReadTruth());
  EXPECT_EQ(level.scheduled, 3000U);
  EXPECT_EQ(level.succeeded, truth["ok"]);
  for (const std::string kind : {"internal", "unavailable", "invalid_argument"}) {
    const run::OutcomeRecord* outcome = FindOutcome(level, Name(kind));
    ASSERT_NE(outcome, nullptr) << kind << "\n" << result.out;
    EXPECT_EQ(outcome->count, truth[kind]);
    // Its latency is kept apart from that of successes.
    EXPECT_EQ(outcome->latency.count(), outcome->count);
    EXPECT_GE(outcome->latency.min(), 2'000'000U);
    EXPECT_NE(outcome->example.find("simulated fault"), std::string::npos) << outcome->example;
  }
  EXPECT_EQ(level.outcomes.size(), 3U);
  EXPECT_EQ(level.latency.histogram.count(), level.succeeded);
}

TEST_P(Faults, OfOnePercentLeaveTheExitCodeAndOfMoreThanAllowedChangeIt) {
  Serve serve({{"m", Model({{"error_rate", "0.01"}}).Config()}});
  const PerfResult allowed = RunPerf(Requests(serve, {"--requests=2000", "--max-error-rate=0.05"}));
  EXPECT_EQ(allowed.exit_code, kMeasured) << allowed.err;
  EXPECT_NEAR(allowed.level().error_rate(), 0.01, 0.01);
  const PerfResult refused =
      RunPerf(Requests(serve, {"--requests=2000", "--max-error-rate=0.001"}));
  EXPECT_EQ(refused.exit_code, kVerdict);
  EXPECT_EQ(CountOf(refused.err, "--max-error-rate"), 1U) << refused.err;
  EXPECT_EQ(refused.run->end_reason, "complete");
}

TEST_P(Faults, OfTenPercentDoNotMoveTheLatencyOfSuccesses) {
  Serve serve(
      {{"m",
        Model({{"service_time", "fixed(20ms)"}, {"error_rate", "unavailable:0.1"}}).Config()}});
  const PerfResult result = RunPerf(Requests(serve, {"--requests=500"}));
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  const run::Level& level = result.level();
  EXPECT_EQ(level.failed, CountOutcomes(serve.StopAndReadTruth())["unavailable"]);
  EXPECT_NEAR(level.latency.histogram.Quantile(0.5) / 1e6, 20, 2);
}

TEST_P(Faults, OfAHundredPercentAreReportedAndMeanThatNothingWasMeasured) {
  Serve serve({{"m", Model({{"error_rate", "1"}}).Config()}});
  const PerfResult result = RunPerf(Requests(serve, {"--requests=300"}));
  EXPECT_EQ(result.exit_code, kCouldNotMeasure);
  EXPECT_NE(result.err.find("not one request succeeded"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("No request succeeded"), std::string::npos) << result.out;
  const run::Level& level = result.level();
  EXPECT_EQ(level.succeeded, 0U);
  EXPECT_EQ(level.failed, 300U);
  EXPECT_EQ(level.error_rate(), 1.0);
  EXPECT_EQ(level.throughput.value, 0.0);
}

TEST_P(Faults, ThatResetTheConnectionAreCountedAndTheRunGoesOn) {
  Serve serve({{"m", Model({{"error_rate", "reset:0.05"}}).Config()}});
  const PerfResult result = RunPerf(Requests(serve, {"--requests=1500"}));
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  const run::Level& level = result.level();
  auto truth = CountOutcomes(serve.StopAndReadTruth());
  EXPECT_EQ(level.scheduled, 1500U);
  const run::OutcomeRecord* lost = FindOutcome(level, "connection lost");
  ASSERT_NE(lost, nullptr) << result.out;
  EXPECT_EQ(level.failed, lost->count) << result.out;
  if (protocol() == "http") {
    EXPECT_EQ(lost->count, truth["reset"]);
    EXPECT_EQ(level.succeeded, truth["ok"]);
    EXPECT_EQ(level.client.disconnects, truth["reset"]);
  } else {
    // A reset takes with it what else is on its connection, be it another that was to be reset.
    EXPECT_GE(lost->count, truth["reset"]);
    EXPECT_LE(lost->count, 4 * truth["reset"]);
  }
  EXPECT_GE(level.client.disconnects, 1U);
}

TEST_P(Faults, ThatNeverAnswerEndWithTheTimeoutOfARequest) {
  Serve serve({{"m", Model({{"error_rate", "hang:0.02"}}).Config()}}, {"--exit-timeout-secs=0"});
  const PerfResult result =
      RunPerf(Requests(serve, {"--requests=1000", "--timeout=150ms", "--max-error-rate=0.5"}));
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  const run::Level& level = result.level();
  const auto truth = CountOutcomes(serve.StopAndReadTruth());
  EXPECT_EQ(level.scheduled, 1000U);
  // Over gRPC the server may know of the deadline and say so before the client's own is noticed.
  const run::OutcomeRecord* timeout = FindOutcome(level, "timeout");
  ASSERT_NE(timeout, nullptr) << result.out;
  EXPECT_EQ(level.failed, truth.at("hang")) << result.out;
  EXPECT_EQ(timeout->count, truth.at("hang")) << result.out;
  EXPECT_GE(timeout->latency.min(), 150'000'000U * 0.99);
  EXPECT_LE(timeout->latency.Quantile(0.5), 150e6 * 1.3);
}

TEST_P(Faults, OfAServerThatIsKilledAndStartedAgainEndWithItsReturn) {
  Serve serve({{"m", Model({{"service_time", "fixed(10ms)"}}).Config()}});
  Perf perf(Requests(serve, {"--duration=6s", "--progress=json", "--timeout=2s"}));
  // In mid-run: answers have come.
  ASSERT_TRUE(WaitFor(20s, [&] {
    perf.process().WaitForOutput("never", 20ms);
    return CountOf(perf.process().err(), "\"measuring\"") >= 4;
  })) << perf.process().err();
  serve.Kill();
  perf.process().WaitForOutput("never", 700ms);
  serve.StartAgain();
  const PerfResult result = perf.Finish();
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  const run::Level& level = result.level();
  EXPECT_EQ(level.succeeded + level.failed + level.unfinished, level.scheduled);
  EXPECT_EQ(level.unfinished, 0U);
  // What was in flight was lost; what came after could not connect, and was not tried without end.
  const run::OutcomeRecord* lost = FindOutcome(level, "connection lost");
  ASSERT_NE(lost, nullptr) << result.out;
  EXPECT_LE(lost->count, 8U);
  const run::OutcomeRecord* connect = FindOutcome(level, "connect");
  ASSERT_NE(connect, nullptr) << result.out;
  EXPECT_LT(connect->count, 500U);
  EXPECT_GE(level.client.disconnects, 1U);
  // The last second is as good as the first.
  ASSERT_GE(level.series.size(), 6U);
  EXPECT_GT(level.series[5].answered, level.series[0].answered * 7 / 10) << result.out;
  EXPECT_EQ(level.series[5].failed, 0U);
  // Each answer that was counted is one that the server gave. What a killed server had not yet
  // written down of its first life is missing.
  const auto truth = CountOutcomes(serve.StopAndReadTruth());
  EXPECT_LE(truth.at("ok"), level.succeeded + 4 * 2);
}

TEST_P(Faults, OfAServerThatIsKilledAndStartedAgainCostAnOpenLoopWhatWasDueMeanwhile) {
  Serve serve({{"m", Model({{"service_time", "fixed(5ms)"}}).Config()}});
  Perf perf(Against(serve, protocol(), "m",
                    {"--request-rate-range=200", "--duration=6s", "--warmup=0", "--workers=1",
                     "--progress=json"}));
  ASSERT_TRUE(WaitFor(20s, [&] {
    perf.process().WaitForOutput("never", 20ms);
    return CountOf(perf.process().err(), "\"measuring\"") >= 4;
  })) << perf.process().err();
  const Instant killed = SteadyNow();
  serve.Kill();
  perf.process().WaitForOutput("never", 700ms);
  serve.StartAgain();
  const double down_s = Seconds(SteadyNow() - killed);
  const PerfResult result = perf.Finish();
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  const run::Level& level = result.level();
  // The schedule does not care: every arrival has one outcome.
  EXPECT_EQ(level.scheduled, 1200U);
  EXPECT_EQ(level.succeeded + level.failed, level.scheduled) << result.out;
  // Those that were due while it was down, and until the next attempt to connect: at most a second.
  EXPECT_GE(static_cast<double>(level.failed), 200 * (down_s - 0.3)) << result.out;
  EXPECT_LE(static_cast<double>(level.failed), 200 * (down_s + 1.2)) << result.out;
  EXPECT_EQ(level.series.back().failed, 0U);
  const run::OutcomeRecord* connect = FindOutcome(level, "connect");
  ASSERT_NE(connect, nullptr) << result.out;
  EXPECT_NE(connect->example.find("refused"), std::string::npos) << connect->example;
}

TEST_P(Faults, OfAServerThatGoesAwayForGoodStillEndTheRunInTime) {
  Serve serve({{"m", Model({}).Config()}});
  Perf perf(Requests(serve, {"--duration=3s", "--progress=json"}));
  ASSERT_TRUE(WaitFor(20s, [&] {
    perf.process().WaitForOutput("never", 20ms);
    return CountOf(perf.process().err(), "\"measuring\"") >= 2;
  }));
  serve.Kill();
  const PerfResult result = perf.Finish(20s);
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  EXPECT_GT(result.level().succeeded, 0U);
  EXPECT_GT(result.level().failed, 0U);
  EXPECT_NE(result.out.find("no server statistics"), std::string::npos) << result.out;
}

TEST_P(Faults, OfAServerThatIsNotThereAreSaidBeforeAnythingIsSent) {
  std::string url;
  {
    Serve serve({{"m", Model({}).Config()}});
    url = serve.Url(protocol());
    serve.Stop();
  }
  const PerfResult result =
      RunSextant({"perf", "-m", "m", "-i", protocol(), "-u", url, "--control-timeout=2s"});
  EXPECT_EQ(result.exit_code, kCouldNotMeasure);
  EXPECT_NE(result.err.find(url), std::string::npos) << result.err;
  EXPECT_EQ(CountOf(result.err, "\n"), 1U) << result.err;
}

TEST_P(Faults, OfAModelThatIsNotThereAreSaidWithItsName) {
  Serve serve({{"m", Model({}).Config()}});
  const PerfResult result =
      RunSextant({"perf", "-m", "absent", "-i", protocol(), "-u", serve.Url(protocol())});
  EXPECT_EQ(result.exit_code, kCouldNotMeasure);
  EXPECT_NE(result.err.find("'absent'"), std::string::npos) << result.err;
}

class Interruptions : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Both, Interruptions, testing::Values(SIGINT, SIGTERM),
                         [](const auto& info) {
                           return info.param == SIGINT ? "SigInt" : "SigTerm";
                         });

TEST_P(Interruptions, DrainWriteWhatThereIsAndExitWithTheSignalsCode) {
  Serve serve({{"m", Model({{"service_time", "fixed(30ms)"}}).Config()}});
  Perf perf(
      Against(serve, "http", "m",
              {"--concurrency-range=2,4,3", "--duration=4s", "--warmup=0", "--progress=json"}));
  // In the middle of the second level.
  ASSERT_TRUE(WaitFor(30s, [&] {
    perf.process().WaitForOutput("never", 20ms);
    const std::string& err = perf.process().err();
    const size_t first = err.find("\"event\":\"level\"");
    return first != std::string::npos && CountOf(err.substr(first), "\"measuring\"") >= 3;
  })) << perf.process().err();
  perf.process().Signal(GetParam());
  const Instant begin = SteadyNow();
  const PerfResult result = perf.Finish(20s);
  EXPECT_LT(Seconds(SteadyNow() - begin), 5);
  EXPECT_EQ(result.exit_code, 128 + GetParam());
  ASSERT_TRUE(result.run.has_value());
  EXPECT_EQ(result.run->end_reason, "interrupted");
  ASSERT_EQ(result.run->levels.size(), 2U);
  EXPECT_EQ(result.run->levels[0].window_rule, "time");
  const run::Level& partial = result.run->levels[1];
  EXPECT_EQ(partial.window_rule, "interrupted");
  EXPECT_GT(partial.succeeded, 10U);
  EXPECT_EQ(partial.failed + partial.unfinished, 0U) << result.out;
  EXPECT_LT(partial.window_s, 4);
  EXPECT_NEAR(partial.throughput.value, 4 / 0.0302, 12);
  // The report says so too, in its table.
  EXPECT_NE(result.out.find("(interrupted)"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("Concurrency  Throughput"), std::string::npos) << result.out;
}

TEST_P(Interruptions, OfAServerThatDoesNotAnswerDoNotWaitForIt) {
  Serve serve({{"m", Model({{"error_rate", "hang:1"}}).Config()}});
  Perf perf(Against(serve, "http", "m", {"--duration=30s", "--warmup=0", "--progress=json"}));
  ASSERT_TRUE(WaitFor(20s, [&] {
    perf.process().WaitForOutput("never", 20ms);
    return CountOf(perf.process().err(), "\"measuring\"") >= 2;
  }));
  perf.process().Signal(GetParam());
  const PerfResult result = perf.Finish(10s);
  EXPECT_EQ(result.exit_code, 128 + GetParam());
  EXPECT_EQ(result.level().unfinished, 1U) << result.out;
}

TEST(AKilledRun, LeavesItsFinishedLevelsReadableAndTheNextRunWorks) {
  Serve serve({{"m", Model({}).Config()}});
  Perf killed(
      Against(serve, "http", "m",
              {"--concurrency-range=1,2,4", "--duration=400ms", "--warmup=0", "--progress=json"}));
  ASSERT_TRUE(WaitFor(30s, [&] {
    killed.process().WaitForOutput("never", 20ms);
    return CountOf(killed.process().err(), "\"event\":\"level\"") >= 2;
  }));
  // A level is announced before it is written.
  ASSERT_TRUE(WaitFor(10s, [&] {
    const Result<std::string> text = ReadFile(killed.run_file());
    return text.has_value() && CountOf(*text, "\n") >= 3;
  }));
  killed.process().Signal(SIGKILL);
  PerfResult result = killed.Finish(10s);
  EXPECT_EQ(result.exit_code, 128 + SIGKILL);
  ASSERT_TRUE(result.run.has_value());
  ASSERT_GE(result.run->levels.size(), 2U);
  EXPECT_GT(result.run->levels[0].succeeded, 0U);
  EXPECT_GT(result.run->levels[1].latency.histogram.count(), 0U);
  EXPECT_FALSE(result.run->end_reason.has_value());
  // Half a line more, as a machine that loses power may leave.
  std::string text = *ReadFile(killed.run_file());
  text += R"({"level":{"load":{"mode)";
  const Result<run::Run> torn = run::ParseRun(text);
  ASSERT_TRUE(torn.has_value()) << torn.error().message();
  EXPECT_TRUE(torn->dropped_tail);
  EXPECT_EQ(torn->levels.size(), result.run->levels.size());

  const PerfResult next = RunPerf(Against(serve, "http", "m", {"--requests=50"}));
  EXPECT_EQ(next.exit_code, kMeasured);
  EXPECT_EQ(next.level().succeeded, 50U);
}

class Outputs : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(BothProtocols, Outputs, testing::Values("http", "grpc"),
                         [](const auto& info) { return info.param; });

TEST_P(Outputs, ThatDifferFromValidationDataAreCountedAndJudged) {
  Serve serve({{"m", Model({{"output", "echo"}}).Config()}});
  TempDirectory directory;
  // Every fourth row expects something else than what comes back.
  std::string data, expected;
  for (int row = 0; row < 8; ++row) {
    const auto values = [&](int base) {
      std::string list;
      for (int i = 0; i < 16; ++i) list += Format("{}{}", i == 0 ? "" : ", ", base + i);
      return list;
    };
    data += Format(R"({}{{"X": [{}]}})", row == 0 ? "" : ",\n", values(row));
    expected +=
        Format(R"({}{{"Y": [{}]}})", row == 0 ? "" : ",\n", values(row % 4 == 3 ? -1 : row));
  }
  const std::string file = directory.Write(
      "data.json", Format(R"({{"data": [{}], "validation_data": [{}]}})", data, expected));
  const auto run = [&](std::string_view allowed) {
    return RunPerf(Against(serve, GetParam(), "m",
                           {"--input-data=" + file, "--requests=400", "--warmup=0", "--workers=1",
                            Format("--max-wrong-outputs={}", allowed)}));
  };
  const PerfResult result = run("0.3");
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  const run::Level& level = result.level();
  EXPECT_EQ(level.checked_outputs, 400U);
  EXPECT_EQ(level.wrong_outputs, 100U);
  EXPECT_EQ(level.failed, 0U);
  const run::OutcomeRecord* wrong = FindOutcome(level, "wrong output");
  ASSERT_NE(wrong, nullptr) << result.out;
  EXPECT_EQ(wrong->count, 100U);
  EXPECT_EQ(wrong->latency.count(), 100U);
  EXPECT_NE(result.out.find("Correct outputs: 75.00% of 400"), std::string::npos) << result.out;
  const PerfResult refused = run("0.2");
  EXPECT_EQ(refused.exit_code, kVerdict);
  EXPECT_EQ(CountOf(refused.err, "--max-wrong-outputs"), 1U) << refused.err;
}

TEST(ACapOnRequestsInFlight, CountsTheArrivalsThatItKeptFromBeingSent) {
  Serve serve({{"m", Model({{"service_time", "fixed(200ms)"}}, 32).Config()}});
  const PerfResult result = RunPerf(Against(serve, "http", "m",
                                            {"--request-rate-range=100", "--max-in-flight=10",
                                             "--duration=4s", "--warmup=0", "--workers=1"}));
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  const run::Level& level = result.level();
  EXPECT_EQ(level.in_flight_max, 10);
  // Ten at a time, of 0.2 s each: 50 a second of the 100 that are due.
  EXPECT_EQ(level.scheduled + level.overflow, 400U);
  EXPECT_NEAR(static_cast<double>(level.overflow), 200, 20);
  EXPECT_NE(result.out.find(Format("in-flight cap reached: {} arrivals", level.overflow)),
            std::string::npos)
      << result.out;
  // The server saw what was sent, and nothing of what was not. (After the window the load goes on
  // until the window's last answer.)
  const Window window = SteadyWindow(level);
  uint64_t arrived = 0;
  for (const Truth& t : serve.StopAndReadTruth()) arrived += t.arrived < window.end ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(arrived), static_cast<double>(level.scheduled), 1);
}

}  // namespace
}  // namespace sextant::e2e
