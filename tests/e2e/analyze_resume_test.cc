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

}  // namespace
}  // namespace sextant::e2e
