// Servers that cannot follow: what perf does about the requests that pile up, and what it says.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "harness.h"
#include "text/json.h"

namespace sextant::e2e {
namespace {

// One request at a time.
std::string Model(std::map<std::string, std::string> parameters) {
  return ModelText{
      .instances = 1, .max_batch_size = 0, .batching = "", .parameters = std::move(parameters)}
      .Config();
}

bool HasNote(const run::Level& level, std::string_view text) {
  for (const std::string& note : level.notes) {
    if (note.find(text) != std::string::npos) return true;
  }
  return false;
}

// The server does 200 requests per second of the 1000 that are due, so the window's last one is
// answered five seconds after it was due and its queue is empty a good ten seconds later.
TEST(AnOverloadedLevel, LoadsTheServerForTwoSecondsMoreAtMostAndLeavesTheNextLevelAlone) {
  Serve serve({{"m", Model({{"service_time", "fixed(5ms)"}})}});
  const PerfResult result = RunPerf(
      Against(serve, "grpc", "m",
              {"--request-rate-range=1000,20", "--duration=1s", "--warmup=100ms", "--seed=1"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(result.run->levels.size(), 2U);
  const run::Level &overloaded = result.run->levels[0], &next = result.run->levels[1];
  EXPECT_EQ(overloaded.succeeded, overloaded.scheduled) << "all of the window's are awaited";
  EXPECT_GT(overloaded.latency.histogram.Quantile(0.5), 1e9);
  EXPECT_EQ(next.succeeded, 20U) << result.out;
  EXPECT_EQ(next.completed, 20U);
  EXPECT_LT(next.latency.histogram.Quantile(0.5), 100e6) << result.out;
  EXPECT_EQ(next.backlog, 0U);
  EXPECT_EQ(result.out.find("backlog"), std::string::npos) << result.out;
  // 3.1 seconds of 1000, and little of 20; until the window's last answer it would be 6000.
  EXPECT_LT(serve.StopAndReadTruth().size(), 4000U);
}

TEST(AnOverloadedLevel, WhoseRequestsAreGivenUpIsToldInTheLevelThatFollows) {
  Serve serve({{"m", Model({{"service_time", "fixed(100ms)"}})}}, {"--exit-timeout-secs=0"});
  const PerfResult result =
      RunPerf(Against(serve, "http", "m",
                      {"--request-rate-range=100,5", "--duration=1s", "--warmup=100ms",
                       "--timeout=600ms", "--max-error-rate=1"}));
  ASSERT_EQ(result.run->levels.size(), 2U) << result.err;
  EXPECT_EQ(result.run->levels[0].backlog, 0U);
  const run::Level& next = result.run->levels[1];
  EXPECT_GT(next.backlog, 0U) << result.out;
  EXPECT_TRUE(HasNote(next, "measure lower rates first, or restart the server")) << result.out;
  EXPECT_NE(result.out.find(", backlog"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("\nbacklog: "), std::string::npos) << "the legend\n" << result.out;
}

TEST(ArrivalsBeyondTheCap, AreInTheTableTheMachinesFormatsTheProgressAndTheState) {
  Serve serve({{"m", Model({{"service_time", "fixed(50ms)"}})}});
  const std::vector<std::string> load{"--request-rate-range=10,100", "--max-in-flight=2",
                                      "--duration=1s", "--warmup=300ms"};
  const auto with = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> arguments = load;
    arguments.insert(arguments.end(), more);
    return RunPerf(Against(serve, "http", "m", arguments));
  };
  const PerfResult people = with({"--progress=json"});
  ASSERT_EQ(people.exit_code, 0) << people.err;
  EXPECT_NE(people.out.find("Not sent"), std::string::npos) << people.out;
  EXPECT_NE(people.out.find(", capped"), std::string::npos) << people.out;
  EXPECT_NE(people.out.find("\ncapped: "), std::string::npos) << "the legend\n" << people.out;
  EXPECT_NE(people.err.find("\"not_sent_per_s\":"), std::string::npos) << people.err;
  EXPECT_NE(people.err.find("capped"), std::string::npos) << people.err;
  const run::Level& capped = people.run->levels[1];
  EXPECT_GT(capped.not_sent_share(), 0.4);
  EXPECT_FALSE(people.run->levels[0].capped());

  const PerfResult csv = with({"--format=csv"});
  EXPECT_NE(csv.out.substr(0, csv.out.find('\n')).find(",Not sent [%],"), std::string::npos)
      << csv.out;
  const PerfResult json = with({"--format=json"});
  const auto table = text::ParseJson(json.out);
  ASSERT_TRUE(table.has_value()) << json.out;
  ASSERT_EQ(table->array().size(), 2U);
  EXPECT_EQ(table->array()[0].Find("Not sent [%]")->AsDouble(), 0.0);
  EXPECT_GT(table->array()[1].Find("Not sent [%]")->AsDouble(), 40.0);
  EXPECT_NE(table->array()[1].Find("State")->AsString()->find("capped"), std::string::npos);
}

TEST(AServerThatHangs, IsNotMistakenForTooLittleData) {
  Serve serve({{"m", Model({{"error_rate", "hang:1"}})}}, {"--exit-timeout-secs=0"});
  const PerfResult result = RunPerf(
      Against(serve, "http", "m",
              {"--concurrency-range=2", "--duration=1s", "--warmup=200ms", "--timeout=2s"}));
  const run::Level& level = result.level();
  EXPECT_TRUE(HasNote(level,
                      "no request was answered in the window: 2 in flight at its end, the "
                      "oldest for 1"))
      << result.out;
  EXPECT_TRUE(HasNote(level, "0 timed out since the level began")) << result.out;
  EXPECT_TRUE(HasNote(level, "--timeout shorter than --duration")) << result.out;
  EXPECT_NE(result.out.find("State: unanswered"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("\nunanswered: "), std::string::npos) << "the legend\n" << result.out;
  EXPECT_EQ(result.out.find("short: too few requests"), std::string::npos) << result.out;
}

// Two of the four sequences have no place until one of the others ends, and those would not end by
// themselves: the server waits half a minute for more of an open one.
TEST(MoreSequencesThanPlaces, DoNotKeepANumberOfRequestsFromBeingAnswered) {
  for (const std::string load : {"--concurrency-range=4", "--request-rate-range=400"}) {
    SCOPED_TRACE(load);
    Serve serve(
        {{"m", Model({}) + "sequence_batching { max_sequence_idle_microseconds: 30000000 oldest { "
                           "max_candidate_sequences: 2 } }\n"}});
    const Instant begin = SteadyNow();
    const PerfResult result =
        RunPerf(Against(serve, "grpc", "m",
                        {load, "--num-of-sequences=4", "--sequence-length=1000", "--requests=40",
                         "--warmup=0", "--workers=1"}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_LT(Seconds(SteadyNow() - begin), 15) << result.out;
    const run::Level& level = result.level();
    EXPECT_EQ(level.scheduled, 40U) << "what ends the sequences is none of the requests";
    EXPECT_EQ(level.succeeded, 40U) << result.out;
  }
}

}  // namespace
}  // namespace sextant::e2e
