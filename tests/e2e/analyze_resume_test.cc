// What an analysis makes of a journal that is there: its points under another price, the server's
// memory, which is another process's now, and the baselines of a journal that is merged.
#include <gtest/gtest.h>

#include "analyze_harness.h"
#include "base/files.h"
#include "base/strings.h"

namespace sextant::e2e {
namespace {

using Words = std::vector<std::string>;

// A model with a GPU that the server's metrics tell of.
ModelText OnAGpu() {
  ModelText model = Taking("5ms");
  model.parameters.insert(
      {{"gpu_device", "0"}, {"gpu_memory", "1000000000"}, {"gpu_memory_total", "16000000000"}});
  return model;
}

double CostOfTheBest(const Analysis& analysis) {
  const text::Json* cost = analysis.Ranked(0).Find("figures")->Find("cost_per_million");
  return cost == nullptr ? -1 : cost->Find("value")->AsDouble().value_or(-1);
}

TEST(AResumedAnalysis, LooksAtTheServersMemoryAgainForItIsAnotherProcess) {
  const Repository repository({{"m", OnAGpu()}});
  const TempDirectory out;
  // Without a model the server tells of no GPU: the driver does, on which nothing changes.
  const std::string scenario = out.Write("sim.txt",
                                         "gpu uuid=GPU-a name=A memory=16GiB\n"
                                         "utilization constant 0.5\n"
                                         "memory_used constant 1GiB\n");
  const auto run = [&](const Words& more) {
    Words all{"--nvml-library", SEXTANT_NVML_SIM_LIBRARY, "-c", "2", "-d", "300ms"};
    all.insert(all.end(), more.begin(), more.end());
    return Analyze(repository, out.File("a"), all, {{"SEXTANT_NVML_SIM", scenario}});
  };
  const auto kinds = [](const analyze::Session& session) {
    std::map<std::string, int> out;
    for (const analyze::Baseline& baseline : session.baselines) ++out[baseline.kind];
    return out;
  };
  const Analysis first = run({"--set", "instances=1,2"});
  ASSERT_EQ(first.result.exit_code, 0) << first.result.out << first.result.err;
  EXPECT_EQ(kinds(first.journal.sessions.at(0)).at("server_only"), 1);
  const Analysis second = run({"--set", "instances=1,2,3", "--resume"});
  ASSERT_EQ(second.result.exit_code, 0) << second.result.out << second.result.err;
  const auto again = kinds(second.journal.sessions.at(1));
  EXPECT_FALSE(again.contains("server_only")) << "it is known from the first time";
  EXPECT_GE(again.at("unloaded"), 1);
  EXPECT_GE(again.at("loaded"), 1);
  const analyze::Figures& figures = first.journal.sessions.at(0).points.at(0).measured.figures;
  EXPECT_GT(figures.at("requests").value, 0);
  EXPECT_TRUE(figures.contains("gpu_utilization_p95"));
  // What the model adds to the server by itself is a column of its own.
  const std::string points = *ReadFile(out.File("a/points.csv"));
  EXPECT_NE(points.find(",gpu_memory_used_over_server_only_bytes,memory_server_over_server_only_"
                        "bytes,"),
            std::string::npos)
      << points;
}

TEST(AResumedAnalysis, CostsNoMeasuringForAnotherPrice) {
  const Repository repository({{"m", OnAGpu()}, {"n", Taking("5ms")}});
  const TempDirectory out;
  const Words points{"--set", "instances=2", "-c", "4"};
  const auto run = [&](const Words& more) {
    Words all = points;
    all.insert(all.end(), more.begin(), more.end());
    return Analyze(repository, out.File("a"), all);
  };
  const Analysis one = run({"--gpu-hour-price", "1"});
  ASSERT_EQ(one.result.exit_code, 0) << one.result.out << one.result.err;
  const Analysis ten = run({"--gpu-hour-price", "10", "--resume"});
  EXPECT_EQ(ten.points(), one.points()) << "nothing was measured again";
  EXPECT_GT(CostOfTheBest(one), 0);
  EXPECT_NEAR(CostOfTheBest(ten), 10 * CostOfTheBest(one), 1e-6 * CostOfTheBest(ten));
  const Analysis four = run({"--gpu-hour-price", "1", "--priced-gpus", "4", "--resume"});
  EXPECT_NEAR(CostOfTheBest(four), 4 * CostOfTheBest(one), 1e-6 * CostOfTheBest(four));
  EXPECT_EQ(CostOfTheBest(run({"--resume"})), -1);
}

TEST(WithoutAGpu, ThereIsNoCostUnlessSomebodySaysOfHowMany) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const Words price{"-c", "2", "--gpu-hour-price", "3.6"};
  const Analysis unknown = Analyze(repository, out.File("a"), price);
  EXPECT_EQ(CostOfTheBest(unknown), -1) << unknown.result.out;
  Words said = price;
  said.insert(said.end(), {"--priced-gpus", "2"});
  const Analysis known = Analyze(repository, out.File("b"), said);
  EXPECT_GT(CostOfTheBest(known), 0) << known.result.out;
}

// "m_config_0" is another configuration in another space: nobody must find the old one under it.
TEST(AResumedAnalysis, LeavesNoConfigurationOfARunBefore) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const auto at = [&](const std::string& name) { return out.File("a/configurations/" + name); };
  const auto names = [&] { return *ListDirectory(at("")); };
  const Words loads{"-c", "8", "--longest-window", "200ms"};
  const auto run = [&](Words more) {
    more.insert(more.end(), loads.begin(), loads.end());
    return Analyze(repository, out.File("a"), more).result;
  };
  const PerfResult first = run({"--set", "instances=2,3", "--top", "9"});
  ASSERT_EQ(first.exit_code, 0) << first.out << first.err;
  EXPECT_EQ(names(), (Words{"m_config_0", "m_config_1", "m_config_default"}));
  // What is not ours stays: another model's, and what somebody made of one of ours.
  ASSERT_TRUE(MakeDirectories(at("n_config_0")).has_value());
  ASSERT_TRUE(MakeDirectories(at("m_config_0/1")).has_value());
  const std::string theirs = out.Write("a/configurations/m_config_0/1/model.onnx", "weights");
  const PerfResult second = run({"--set", "instances=4,8", "--top", "1", "--resume"});
  ASSERT_EQ(second.exit_code, 0) << second.out << second.err;
  EXPECT_EQ(*ReadFile(theirs), "weights");
  EXPECT_NE(second.err.find("m_config_0 was there before and has files that are not sextant's"),
            std::string::npos)
      << second.err;
  ASSERT_TRUE(RemoveAll(at("m_config_0")).has_value());
  const PerfResult third = run({"--set", "instances=4,8", "--top", "1", "--resume"});
  ASSERT_EQ(third.exit_code, 0) << third.out << third.err;
  EXPECT_EQ(third.err.find("was there before"), std::string::npos) << third.err;
  ASSERT_EQ(names().size(), 2U) << Join(names(), " ");
  EXPECT_TRUE(IsDirectory(at("n_config_0")));
  // The only one left is the one that the results name, with its settings.
  const Analysis now = Read(third, out.File("a"));
  const std::string best = Analysis::Text(now.Ranked(0), "configuration");
  const auto count = now.Ranked(0).Find("settings")->Find("instance_group.count")->AsInt();
  EXPECT_NE(ReadFile(at(best + "/config.pbtxt"))->find(Format("count: {}", count.value_or(-1))),
            std::string::npos)
      << best;
}

TEST(AnAnalysis, DoesNotOverwriteAnotherModels) {
  const Repository repository({{"m", Taking("5ms")}, {"n", Taking("5ms")}});
  const TempDirectory out;
  const Words loads{"-c", "1"};
  const PerfResult first = Analyze(repository, out.File("a"), loads).result;
  ASSERT_EQ(first.exit_code, 0) << first.out << first.err;
  const std::string before = *ReadFile(out.File("a/results.json"));
  const auto other = [&](const Words& more) {
    Words words{"analyze", "-m", "n",  "--model-repository", repository.path(),
                "-c",      "1",  "-e", out.File("a")};
    words.insert(words.end(), more.begin(), more.end());
    return RunSextant(words);
  };
  const PerfResult resumed = other({"--resume"}), elsewhere = other({"--journal", out.File("j")});
  EXPECT_EQ(resumed.exit_code, 1);
  EXPECT_NE(resumed.err.find("a/journal.jsonl has points of the model 'm': give 'n' another "
                             "--journal or --export-path"),
            std::string::npos)
      << resumed.err;
  EXPECT_EQ(elsewhere.exit_code, 1);
  EXPECT_NE(elsewhere.err.find("a/results.json has the results of the model 'm': give 'n' another "
                               "--export-path, or remove it"),
            std::string::npos)
      << elsewhere.err;
  EXPECT_EQ(*ReadFile(out.File("a/results.json")), before);
  EXPECT_FALSE(FileExists(out.File("j"))) << "nothing is measured";
}

}  // namespace
}  // namespace sextant::e2e
