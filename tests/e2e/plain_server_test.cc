// Servers that have the standard protocol and none of Triton's extensions.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "harness.h"
#include "plain_server.h"
#include "text/json.h"

namespace sextant::e2e {
namespace {

class PlainServers : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::string> Arguments(const PlainServer& server,
                                     std::vector<std::string> more) const {
    std::vector<std::string> out{"-m", "plain", "-i", GetParam(), "-u", server.Url(GetParam())};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(BothProtocols, PlainServers, testing::Values("http", "grpc"),
                         [](const auto& info) { return info.param; });

TEST_P(PlainServers, AreMeasuredWithoutConfigAndStatisticsAndWhatIsAbsentIsSaidOnce) {
  PlainServer server;
  const PerfResult result =
      RunPerf(Arguments(server, {"--requests", "50", "--warmup", "0", "-b", "1,3"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_TRUE(result.run.has_value());
  ASSERT_EQ(result.run->levels.size(), 2U);
  for (const run::Level& level : result.run->levels) {
    EXPECT_EQ(level.succeeded, 50U);
    EXPECT_TRUE(level.server.empty());
  }
  const std::string all = result.out + result.err;
  EXPECT_EQ(CountOf(all, "no model configuration"), 1U) << all;
  EXPECT_EQ(CountOf(all, "batch along its first dimension"), 1U) << all;
  EXPECT_EQ(CountOf(all, "no model statistics"), 1U) << all;
  EXPECT_EQ(CountOf(all, "no server metadata"), 0U) << all;
  EXPECT_EQ(CountOf(all, "no binary tensor data extension"), GetParam() == "http" ? 1U : 0U) << all;
  // It was asked for each once, not once a level.
  EXPECT_EQ(server.refused().size(), 2U) << Join(server.refused(), " ");
}

TEST_P(PlainServers, MayLackEvenTheirOwnMetadata) {
  PlainServer server({.server_metadata = false});
  const PerfResult result = RunPerf(Arguments(server, {"--requests", "20", "--warmup", "0"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().succeeded, 20U);
  EXPECT_EQ(CountOf(result.out + result.err, "no server metadata"), 1U) << result.out;
}

TEST_P(PlainServers, GetTheSamePayloadFromTheSameSeedAndAnotherFromAnother) {
  const auto bodies = [&](std::string_view seed) {
    PlainServer server({.binary_tensors = true});
    const PerfResult result = RunPerf(
        Arguments(server, {"--requests", "40", "--warmup", "0", "--seed", std::string(seed)}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return server.bodies();
  };
  const auto first = bodies("11"), second = bodies("11"), other = bodies("12");
  EXPECT_EQ(first.size(), 40U);
  EXPECT_EQ(first, second);
  EXPECT_NE(first, other);
}

TEST_P(PlainServers, ThatResetConnectionsAreReportedWithEveryResetCounted) {
  PlainServer server({.break_every_second = true});
  const PerfResult result = RunPerf(Arguments(server, {"--requests", "200", "--warmup", "0"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const run::Level& level = result.level();
  EXPECT_EQ(level.succeeded + level.failed, 200U);
  const run::OutcomeRecord* lost = FindOutcome(level, "connection lost");
  ASSERT_NE(lost, nullptr) << result.out;
  EXPECT_EQ(lost->count, level.failed) << result.out;
  EXPECT_EQ(lost->count, server.broken());
  EXPECT_EQ(lost->latency.count(), lost->count);
  EXPECT_EQ(level.latency.histogram.count(), level.succeeded);
}

TEST_P(PlainServers, SeeAsManyConnectionsAsWereAskedForHoweverManyWorkersShareThem) {
  PlainServer server;
  for (const std::string_view workers : {"1", "3", "4"}) {
    const PerfResult result = RunPerf(
        Arguments(server, {"--requests", "400", "--warmup", "0", "--concurrency-range", "20",
                           "--connections", "10", "--workers", std::string(workers)}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.level().succeeded, 400U);
    EXPECT_EQ(result.level().client.connections, 10) << workers << " workers";
  }
}

TEST(PlainServerOverHttp, GetsTensorsAsJsonBecauseItHasNoBinaryExtension) {
  PlainServer server;
  const PerfResult result = RunPerf({"-m", "plain", "-u", server.Url("http"), "--requests", "3",
                                     "--warmup", "0", "--input-data", "zero"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(server.bodies().size(), 3U);
  const Result<text::Json> body = text::ParseJson(server.bodies()[0]);
  ASSERT_TRUE(body.has_value()) << server.bodies()[0];
  const text::Json* inputs = body->Find("inputs");
  ASSERT_TRUE(inputs != nullptr && inputs->IsArray());
  const text::Json* data = inputs->array()[0].Find("data");
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(data->array().size(), 4U);
}

}  // namespace
}  // namespace sextant::e2e
