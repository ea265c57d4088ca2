// Tensors in system shared memory: right, private to each run, and gone afterwards.
#include <gtest/gtest.h>
#include <signal.h>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"
#include "net/blocking.h"
#include "plain_server.h"
#include "text/json.h"

namespace sextant::e2e {
namespace {

// The regions that the server knows, by name.
std::vector<std::string> Regions(const Serve& serve) {
  const auto address = net::FindListening({"127.0.0.1", serve.http_port()}, 5s);
  auto client = net::BlockingHttpClient::Create(*address, "test");
  const auto reply = client->Call("GET", "/v2/systemsharedmemory/status", {}, 5s);
  std::vector<std::string> out;
  const auto json = text::ParseJson(reply->body);
  for (const text::Json& region : json->array()) out.emplace_back(*region.Find("name")->AsString());
  return out;
}

std::vector<std::string> Objects(pid_t pid) {
  const auto names = ListDirectory("/dev/shm");
  std::vector<std::string> out;
  for (const std::string& name : *names) {
    if (name.starts_with(Format("sextant_{}_", pid))) out.push_back(name);
  }
  return out;
}

class SharedMemoryRuns : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, SharedMemoryRuns, ::testing::Values("http", "grpc"),
                         [](const auto& info) { return info.param; });

TEST_P(SharedMemoryRuns, OutputsAreComparedWhereTheServerPutThem) {
  Serve serve({{"m", EchoModel(8).Config()}});
  TempDirectory directory;
  for (const int wrong : {0, 1}) {
    const PerfResult result =
        RunPerf(Against(serve, GetParam(), "m",
                        {"--shared-memory=system", "--shared-memory-required", "-b", "1,3",
                         "--concurrency-range=6", "--requests=400", "--workers=2",
                         "--input-data=" + directory.Write("data.json", EchoData(wrong))}));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ASSERT_EQ(result.run->levels.size(), 2u);
    for (const run::Level& level : result.run->levels) {
      EXPECT_EQ(level.succeeded, 400u) << result.out;
      const auto inferences = 400 * static_cast<uint64_t>(level.load.batch_size);
      EXPECT_EQ(level.checked_outputs, inferences);
      // Two workers share the rows, and not evenly: who is faster sends more.
      EXPECT_NEAR(static_cast<double>(level.wrong_outputs),
                  static_cast<double>(static_cast<uint64_t>(wrong) * inferences) / kEchoRows,
                  wrong * 0.1 * static_cast<double>(inferences));
    }
    EXPECT_NE(result.out.find("Note: shared memory: system"), std::string::npos) << result.out;
    EXPECT_TRUE(Regions(serve).empty());
  }
}

TEST_P(SharedMemoryRuns, TwoProgramsAtOnceLeaveEachOthersRegionsAlone) {
  Serve serve({{"m", EchoModel().Config()}});
  TempDirectory directory;
  const auto arguments = [&](std::string_view duration) {
    return Against(serve, GetParam(), "m",
                   {"--shared-memory=system", "--shared-memory-required", "--concurrency-range=4",
                    Format("--duration={}", duration), "--warmup=0",
                    "--input-data=" + directory.Write("data.json", EchoData(0))});
  };
  Perf longer(arguments("60s"));
  ASSERT_TRUE(WaitFor(10s, [&] { return Regions(serve).size() == 2; }));
  // It comes and goes while the other is at work.
  const PerfResult shorter = RunPerf(arguments("100ms"));
  EXPECT_EQ(shorter.exit_code, 0) << shorter.err;
  EXPECT_EQ(shorter.level().failed, 0u);
  EXPECT_EQ(Regions(serve).size(), 2u) << "the longer run's are still there";
  kill(longer.process().pid(), SIGINT);
  const PerfResult result = longer.Finish();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(result.level().failed, 0u) << result.out;
  EXPECT_EQ(result.level().wrong_outputs, 0u);
  EXPECT_GT(result.level().checked_outputs, 0u);
  EXPECT_TRUE(Regions(serve).empty());
}

TEST_P(SharedMemoryRuns, AnInterruptedRunTakesItsRegionsBackAndAKilledOneIsTidiedUpAfter) {
  Serve serve({{"m", EchoModel().Config()}});
  const auto arguments = Against(serve, GetParam(), "m",
                                 {"--shared-memory=system", "--shared-memory-required",
                                  "--concurrency-range=4", "--warmup=0", "--duration=60s"});
  for (const int signal : {SIGINT, SIGKILL}) {
    Perf perf(arguments);
    ASSERT_TRUE(WaitFor(10s, [&] { return Regions(serve).size() == 2; }));
    const pid_t pid = perf.process().pid();
    EXPECT_EQ(Objects(pid).size(), 2u);
    kill(pid, signal);
    perf.process().Wait(20s);
    if (signal == SIGINT) {
      EXPECT_TRUE(Regions(serve).empty());
      EXPECT_TRUE(Objects(pid).empty());
      continue;
    }
    EXPECT_EQ(Objects(pid).size(), 2u) << "nobody was there to remove them";
    const PerfResult next =
        RunPerf(Against(serve, GetParam(), "m", {"--shared-memory=system", "--requests=10"}));
    EXPECT_EQ(next.exit_code, 0) << next.err;
    EXPECT_NE(next.err.find("shared memory objects of killed runs"), std::string::npos) << next.err;
    EXPECT_TRUE(Objects(pid).empty());
  }
}

TEST_P(SharedMemoryRuns, AServerWithoutItIsSaidAndDoneWithoutOrAnErrorWhereItIsRequired) {
  PlainServer server;
  const std::vector<std::string> arguments{"perf",
                                           "-m",
                                           "plain",
                                           "-i",
                                           GetParam(),
                                           "-u",
                                           server.Url(GetParam()),
                                           "--requests=20",
                                           "--shared-memory=system"};
  const PerfResult without = RunSextant(arguments);
  EXPECT_EQ(without.exit_code, 0) << without.err;
  EXPECT_NE(without.err.find("warning: no shared memory, tensors are sent in the requests"),
            std::string::npos)
      << without.err;
  std::vector<std::string> required = arguments;
  required.emplace_back("--shared-memory-required");
  const PerfResult refused = RunSextant(required);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("no system shared memory extension"), std::string::npos)
      << refused.err;
}

TEST_P(SharedMemoryRuns, AnOpenLoopHasAPlaceForEachRequestInFlight) {
  Serve serve({{"m", EchoModel().Config()}});
  TempDirectory directory;
  const PerfResult result = RunPerf(
      Against(serve, GetParam(), "m",
              {"--shared-memory=system", "--shared-memory-required", "--request-rate-range=1000",
               "--duration=500ms", "--warmup=0", "--max-in-flight=50",
               "--input-data=" + directory.Write("data.json", EchoData(0))}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().wrong_outputs, 0u);
  EXPECT_GT(result.level().checked_outputs, 300u);
  EXPECT_EQ(result.level().failed, 0u) << result.out;
}

}  // namespace
}  // namespace sextant::e2e
