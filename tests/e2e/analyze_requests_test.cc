// The requests of an analysis: what they lie in, what is wrong with them or with the goal before
// anything is measured, what of them a journal's points depend on, and what a server that is not
// ours is left with.
#include <gtest/gtest.h>

#include <thread>

#include "analyze_harness.h"
#include "base/files.h"
#include "base/strings.h"
#include "kserve/control_client.h"
#include "kserve/model_config.h"
#include "net/blocking.h"

namespace sextant::e2e {
namespace {

using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

bool Contains(const std::string& text, std::string_view what) {
  return text.find(what) != std::string::npos;
}

// ---- In shared memory

class TensorsInSharedMemory : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(BothProtocols, TensorsInSharedMemory, testing::Values("http", "grpc"),
                         [](const auto& info) { return info.param; });

// The regions are told to each server: the first dies of a configuration.
TEST_P(TensorsInSharedMemory, AreThereInEveryConfigurationAndAfterTheServerDied) {
  const TempDirectory out;
  const std::string data = out.Write("data.json", EchoData(0));
  ModelText model = EchoModel(8);
  const Repository repository({{"m", model}});
  const Words words{"-i",
                    GetParam(),
                    "--shared-memory",
                    "system",
                    "--shared-memory-required",
                    "--input-data",
                    data,
                    "-b",
                    "1,4",
                    "-c",
                    "4",
                    "--set",
                    "parameters[error_rate]=0,crash:1",
                    "--set",
                    "instances=1,2"};
  const Analysis analysis = Analyze(repository, out.File("a"), words);
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  size_t measured = 0, refused = 0;
  for (const analyze::PointRecord& point : analysis.journal.sessions.at(0).points) {
    if (point.measured.status == analyze::Outcome::Status::kRefused) {
      ++refused;
      continue;
    }
    ++measured;
    EXPECT_EQ(point.measured.status, analyze::Outcome::Status::kMeasured) << point.measured.error;
    EXPECT_EQ(point.measured.figures.at("error_rate").value, 0);
  }
  EXPECT_GE(refused, 1u);
  EXPECT_GE(measured, 4u);
}

// ---- Wrong before anything is measured

TEST(DataThatIsNotThere, EndsTheAnalysisOnceAndNotEveryConfiguration) {
  const Repository repository({{"m", Taking("2ms")}});
  for (const Words& words :
       {Words{"--input-data", "/nonexistent.json"}, Words{"--data-set", "a=/nonexistent.json"}}) {
    const TempDirectory out;
    const Analysis analysis =
        Analyze(repository, out.path(), Words{"--set", "instances=1,2", "-c", "1"} + words);
    EXPECT_EQ(analysis.result.exit_code, 2) << analysis.result.out << analysis.result.err;
    EXPECT_TRUE(Contains(analysis.result.err, "/nonexistent.json")) << analysis.result.err;
    EXPECT_FALSE(Contains(analysis.result.err, "could not be loaded")) << analysis.result.err;
    EXPECT_EQ(analysis.points(), 0u);
  }
}

TEST(GoalsThatNoPointWouldHave, AreRefusedBeforeAnythingIsStarted) {
  const Repository repository({{"m", Taking("2ms")}});
  const TempDirectory out;
  const auto said = [&](const Words& words) {
    const Analysis analysis = Analyze(repository, out.path(), Words{"-c", "1"} + words);
    EXPECT_EQ(analysis.result.exit_code, 2) << analysis.result.out;
    return analysis.result.err;
  };
  EXPECT_TRUE(Contains(said({"--objective", "cost"}), "--gpu-hour-price"));
  EXPECT_TRUE(Contains(said({"--constraint", "cost<3"}), "--gpu-hour-price"));
  EXPECT_TRUE(Contains(said({"--percentiles", "50,95", "--constraint", "p99<50ms"}),
                       "--percentiles 50,95 lacks 99"));
  EXPECT_TRUE(Contains(said({"--percentiles", "50", "--objective", "latency_p95:2,throughput"}),
                       "lacks 95"));
}

// ---- Never failing

TEST(NoErrorsAtAll, HoldsWhereNoneWasSeen) {
  ModelText failing = Taking("2ms");
  failing.parameters["error_rate"] = "0.2";
  for (const auto& [model, code] : {std::pair(Taking("2ms"), 0), std::pair(failing, 3)}) {
    const Repository repository({{"m", model}});
    const TempDirectory out;
    const Analysis analysis = Analyze(
        repository, out.path(), {"-c", "1", "--set", "instances=1,2", "--constraint", "errors<=0"});
    EXPECT_EQ(analysis.result.exit_code, code) << analysis.result.out << analysis.result.err;
  }
}

// ---- What a journal's points depend on

TEST(AJournalsPoints, AreNotThoseOfOtherData) {
  const Repository repository({{"m", EchoModel(8)}});
  const TempDirectory out;
  const auto reused = [&](const Words& more) {
    const Analysis analysis =
        Analyze(repository, out.File("a"), Words{"-c", "1", "--resume"} + more);
    EXPECT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
    return Contains(analysis.result.out, "used again");
  };
  const std::string data = out.Write("rows.json", EchoData(0));
  EXPECT_FALSE(reused({"--data-set", "a=" + data}));
  EXPECT_TRUE(reused({"--data-set", "a=" + data}));
  out.Write("rows.json", EchoData(1));
  EXPECT_FALSE(reused({"--data-set", "a=" + data})) << "the file is another one";
}

TEST(AJournalsPoints, AreNotThoseOfOtherRequestsOrOtherGpus) {
  const Repository repository({{"m", Taking("2ms")}});
  const TempDirectory out;
  const auto reused = [&](const Words& more, const std::string& scenario = "") {
    Words words = Words{"-c", "1", "--resume"} + more;
    std::map<std::string, std::string> environment;
    if (!scenario.empty()) {
      words = words + Words{"--nvml-library", SEXTANT_NVML_SIM_LIBRARY};
      environment["SEXTANT_NVML_SIM"] = out.Write("sim.txt", scenario);
    }
    const Analysis analysis = Analyze(repository, out.File("a"), words, environment);
    EXPECT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
    return Contains(analysis.result.out, "used again");
  };
  EXPECT_FALSE(reused({}));
  EXPECT_TRUE(reused({}));
  for (const Words& other :
       {Words{"--workers", "1"}, Words{"--connections", "3"}, Words{"--http-compression", "gzip"},
        Words{"--shared-memory", "system"}, Words{"--priority", "2"}}) {
    EXPECT_FALSE(reused(other)) << other.front();
    EXPECT_TRUE(reused(other)) << other.front();
  }
  const std::string gpu =
      "gpu uuid=GPU-a name=NVIDIA_H200 memory=16GiB\nutilization constant 0.5\n";
  const std::string another =
      "gpu uuid=GPU-b name=NVIDIA_L4 memory=16GiB\nutilization constant 0.5\n";
  EXPECT_FALSE(reused({}, gpu));
  EXPECT_TRUE(reused({}, gpu));
  EXPECT_FALSE(reused({}, another));
}

// ---- Somebody else's server

TEST(APlan, LeavesTheModelsOfAServerThatIsThereAlone) {
  const Serve serve({{"m", Taking("2ms").Config()}},
                    {"--model-control-mode", "explicit", "--load-model", "m"});
  const auto address = net::FindListening({"127.0.0.1", serve.http_port()}, 5s);
  const auto control =
      *kserve::MakeControlClient(kserve::Protocol::kHttp, *address, "test", "", 5s);
  auto config = *control->FetchModelConfig("m", "");
  config.mutable_instance_group(0)->set_count(7);
  ASSERT_TRUE(control->LoadModel("m", kserve::ModelConfigToJson(config), 5s).has_value());
  const TempDirectory out;
  const PerfResult plan = RunSextant({"analyze", "-m", "m", "-u", serve.Url("http"), "-e",
                                      out.path(), "--set", "instances=1,2", "--plan"});
  EXPECT_EQ(plan.exit_code, 0) << plan.out << plan.err;
  EXPECT_EQ(control->FetchModelConfig("m", "")->instance_group(0).count(), 7)
      << "it was loaded again as the repository has it";
}

TEST(AServerThatGoesForGood, LeavesTheResultsOfWhatWasMeasured) {
  Serve serve({{"m", Taking("2ms").Config()}},
              {"--model-control-mode", "explicit", "--load-model", "m"});
  const TempDirectory out;
  Command analysis({"analyze", "-m", "m", "-u", serve.Url("http"), "-e", out.path(), "--set",
                    "instances=1,2,3,4", "-c", "1,2", "--search", "exhaustive",
                    "--server-start-timeout", "1s", "--shortest-window", "300ms"});
  const auto points = [&] { return Read({}, out.path()).points(); };
  for (int i = 0; i < 600 && points() < 2; ++i) std::this_thread::sleep_for(50ms);
  serve.Kill();
  const Analysis analyzed = Read(analysis.Finish(), out.path());
  EXPECT_EQ(analyzed.result.exit_code, 1) << analyzed.result.out << analyzed.result.err;
  EXPECT_TRUE(Contains(analyzed.result.err, "--resume goes on")) << analyzed.result.err;
  ASSERT_TRUE(analyzed.json.IsObject()) << analyzed.result.out << analyzed.result.err;
  EXPECT_TRUE(analyzed.json.Find("interrupted")->AsBool().value_or(false));
  EXPECT_GE(analyzed.json.Find("ranking")->array().size(), 1u);
  EXPECT_TRUE(FileExists(out.File("points.csv")));
}

}  // namespace
}  // namespace sextant::e2e
