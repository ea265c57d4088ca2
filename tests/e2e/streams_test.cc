// Decoupled models and streams from end to end: what the report says of responses against what the
// server was told to do.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

constexpr std::string_view kDecoupled = "model_transaction_policy { decoupled: true }\n";

std::string Decoupled(std::map<std::string, std::string> parameters) {
  const ModelText model{
      .instances = 8, .max_batch_size = 0, .batching = "", .parameters = std::move(parameters)};
  return model.Config() + std::string(kDecoupled);
}

TEST(Decoupled, TheFirstResponseAndTheGapsAreWhatTheServerMakesThem) {
  Serve serve({{"m", Decoupled({{"service_time", "fixed(30ms)"},
                                {"responses", "4"},
                                {"response_gap", "10ms"}})}});
  const PerfResult result = RunPerf(
      Against(serve, "grpc", "m", {"--concurrency-range=4", "--requests=100", "--warmup=0"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("Note: the model is decoupled"), std::string::npos) << result.out;
  const run::Level& level = result.level();
  EXPECT_EQ(level.succeeded, 100u);
  ASSERT_TRUE(level.responses.has_value());
  EXPECT_EQ(level.responses->arrived, 400u);
  EXPECT_EQ(level.responses->per_request.min(), 4u);
  EXPECT_EQ(level.responses->per_request.max(), 4u);
  // Others on the machine only ever make it later.
  EXPECT_GE(level.responses->first.min(), 30'000'000u);
  EXPECT_LT(level.responses->first.Quantile(0.5), 40e6);
  EXPECT_NEAR(level.responses->between.Quantile(0.5), 10e6, 2e6);
  EXPECT_GE(level.latency.histogram.min(), 60'000'000u) << "a request ends with its last response";
}

TEST(Decoupled, FailuresAndTimeoutsAreThoseOfRequests) {
  Serve serve({{"m", Decoupled({{"service_time", "fixed(2ms)"},
                                {"responses", "2"},
                                {"error_rate", "internal:0.2"}})}});
  const PerfResult result = RunPerf(
      Against(serve, "grpc", "m", {"--concurrency-range=4", "--requests=500", "--warmup=0"}));
  const run::Level& level = result.level();
  EXPECT_EQ(level.scheduled, 500u);
  const run::OutcomeRecord* errors = FindOutcome(level, "stream error");
  ASSERT_NE(errors, nullptr);
  EXPECT_EQ(level.succeeded + errors->count, 500u);
  EXPECT_EQ(errors->example, "simulated fault: internal");
  EXPECT_EQ(level.responses->arrived, 2 * level.succeeded);
}

TEST(Decoupled, OverHttpTheRemedyIsNamed) {
  Serve serve({{"m", Decoupled({})}});
  const PerfResult result =
      RunSextant({"perf", "-m", "m", "-u", serve.Url("http"), "--requests", "1"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("add -i grpc"), std::string::npos) << result.err;
}

TEST(Streaming, ManyRequestsShareAStream) {
  const ModelText model{.instances = 8,
                        .max_batch_size = 0,
                        .batching = "",
                        .parameters = {{"service_time", "exponential(5ms)"}}};
  Serve serve({{"m", model.Config()}});
  const PerfResult result =
      RunPerf(Against(serve, "grpc", "m",
                      {"--concurrency-range=8", "--requests=800", "--warmup=0", "--streaming",
                       "--streams=1", "--connections=1"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().succeeded, 800u);
  EXPECT_NEAR(result.level().in_flight_mean, 8, 0.3);
  EXPECT_FALSE(result.level().responses.has_value());
}

TEST(Streaming, MistakesOfTheOptionsAreSaidTogether) {
  const PerfResult result =
      RunSextant({"perf", "-m", "m", "--request-parameter", "a:1", "--request-parameter", "n:x:int",
                  "--request-parameter", "priority:1:int", "--sequence-id-range", "5:5"});
  EXPECT_EQ(result.exit_code, 2);
  for (const std::string_view part :
       {"'a:1': write NAME:VALUE:TYPE", "'n:x:int': an int is a whole number",
        "'priority:1:int': use --priority", "'5:5': END is the first id that is not used"}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << "\nin\n" << result.err;
  }
}

}  // namespace
}  // namespace sextant::e2e
