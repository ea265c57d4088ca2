// Golden: what a small report made by hand, with two devices and missing figures, is written as.
#include "analyze/results.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "base/files.h"
#include "base/strings.h"
#include "text/yaml.h"

namespace sextant::analyze {
namespace {

using Kind = Standing::Kind;
using Status = Outcome::Status;

DeviceFigures Device(const std::string& name, Figures figures) {
  return {.device = name,
          .name = "NVIDIA H200",
          .source = "nvml",
          .scope = "device",
          .figures = std::move(figures)};
}

// Three configurations: the default, one that wins, one that could not be loaded.
struct Fixture {
  Fixture() {
    space.axes = {{"instance_group.count", {1, 2}}, {"max_batch_size", {8}}};
    space.configurations = {
        {},
        {.coordinates = {1, 0}, .settings = {{"instance_group.count", 2}, {"max_batch_size", 8}}},
        {.coordinates = {0, 0}, .settings = {{"instance_group.count", 1}, {"max_batch_size", 8}}}};
    space.loads = {Load{.point = {.value = 4, .batch_size = 2, .arrivals = "closed"}}};
    space.loads_of = {{0}, {0}, {0}};
    goal.objectives = *ParseObjectives("throughput:2,p99");
    goal.constraints = *ParseConstraints("p99<50ms");
    AddPoints();
    AddRanking();
    identity = {{"server", "triton 2.51.0"}};
    baselines = {
        {.kind = "server_only",
         .figures = {{"gpu_memory_used", {3.5e8, {}, {}}}, {"gpu_utilization_max", {0, {}, {}}}},
         .devices = {Device("GPU-1", {{"gpu_memory_used", {3.5e8, {}, {}}},
                                      {"gpu_utilization", {0, {}, {}}},
                                      {"gpu_power", {75.25, {}, {}}}}),
                     Device("GPU-2", {})}}};
  }

  PointRecord Base(size_t configuration, int take) const {
    return {.model = "m",
            .configuration = names[configuration],
            .settings = space.configurations[configuration].settings,
            .load = space.loads[0],
            .take = take,
            .window = 1500ms,
            .reason = "first look",
            .started = WallTime(std::chrono::seconds(1700000000 + take)),
            .load_cost_s = take == 1 ? 2.5 : 0};
  }

  void AddPoints() {
    PointRecord first = Base(0, 1);
    first.measured = {
        .figures = {{"throughput", {1234.5678, 1200, 1270}}, {"latency_p99", {0.0123, {}, {}}}},
        .devices = {},
        .level = run::Level(),
        .flags = {},
        .error = {},
        .cost_s = 1.75};
    PointRecord again = Base(0, 2);
    again.measured.status = Status::kFailed;
    again.measured.error = "no request succeeded, \"500\"";
    PointRecord best = Base(1, 1);
    best.load.data = "long";
    best.measured = {.figures = {{"throughput", {2000, 1990, 2010}},
                                 {"latency_p99", {0.0601, 0.06, 0.0602}},
                                 {"gpu_utilization_max", {0.97, {}, {}}},
                                 {"gpu_memory_utilization_max", {0.255, {}, {}}},
                                 {"gpu_bar1_used", {2.5e6, {}, {}}},
                                 {"gpu_memory_used", {9.5e9, {}, {}}}},
                     .devices = {Device("GPU-1", {{"gpu_memory_used", {4.5e9, {}, {}}},
                                                  {"gpu_memory_process", {4e9, {}, {}}},
                                                  {"gpu_utilization", {0.905, {}, {}}},
                                                  {"gpu_power", {410.04, {}, {}}}}),
                                 Device("GPU-2", {{"gpu_memory_used", {5e9, {}, {}}},
                                                  {"gpu_memory_process", {0, {}, {}}}})},
                     .level = {},
                     .flags = {"drifting", "client: busy"},
                     .error = {},
                     .cost_s = 1.8};
    PointRecord refused = Base(2, 1);
    refused.measured.status = Status::kRefused;
    refused.measured.error = "out of memory; the server's last words:\n  E1121 ...";
    result.points = {first, again, best, refused};
    result.measured = 4;
  }

  void AddRanking() {
    const Standing best{.configuration = 1,
                        .kind = Kind::kWins,
                        .load = 0,
                        .figures = {{"throughput", {2000, 1980, 2020}},
                                    {"latency_p99", {0.0401, {}, {}}},
                                    {"gpu_memory_used", {9.5e9, {}, {}}},
                                    {"cpu_server", {1.5, {}, {}}},
                                    {"memory_server", {1e9, {}, {}}}},
                        .takes = 3,
                        .gain = {0.62, 0.58, 0.66},
                        .load_within = 4,
                        .load_beyond = {},
                        .knee = 0,
                        .why = "better than every other"};
    const Standing base{
        .configuration = 0,
        .kind = Kind::kLoses,
        .load = 0,
        .figures = {{"throughput", {1234.5678, {}, {}}}, {"latency_p99", {0.0123, {}, {}}}},
        .takes = 1,
        .gain = {0, 0, 0},
        .load_within = {},
        .load_beyond = {},
        .knee = {},
        .why = "48 % below"};
    const Standing failed{.configuration = 2,
                          .kind = Kind::kFailed,
                          .load = {},
                          .figures = {},
                          .takes = 0,
                          .gain = {},
                          .load_within = {},
                          .load_beyond = {},
                          .knee = {},
                          .why = "could not be loaded"};
    result.conclusion = {.ranking = {best, base, failed},
                         .pareto = {0, 1},
                         .verdict = "config_1 wins",
                         .budget_spent = false};
  }

  Report report() const {
    return {.space = space,
            .names = names,
            .result = result,
            .goal = goal,
            .model = "m",
            .gpu_source = "NVML 12.555, 2 GPUs",
            .identity = identity,
            .baselines = baselines,
            .base = {}};
  }

  Space space;
  std::vector<std::string> names{"m_config_default", "m_config_0", "m_config_1"};
  Goal goal;
  AnalysisResult result;
  Identity identity;
  std::vector<Baseline> baselines;
};

// What a file of tests/golden/analyze has. With SEXTANT_WRITE_GOLDEN it is written instead, to be
// looked at before it is kept.
void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = Format("{}/tests/golden/analyze/{}", SEXTANT_SOURCE_DIR, name);
  if (std::getenv("SEXTANT_WRITE_GOLDEN") != nullptr) {
    ASSERT_TRUE(WriteFileAtomic(path, text).has_value());
  }
  const auto golden = ReadFile(path);
  ASSERT_TRUE(golden.has_value()) << golden.error().message();
  EXPECT_EQ(text, *golden);
}

TEST(Results, TheRankingIsATableForPeople) {
  ExpectGolden("ranking.txt", FormatRanking(Fixture().report(), false));
}

TEST(Results, OnlyTheWinnerIsColoured) {
  const Fixture fixture;
  const std::string plain = FormatRanking(fixture.report(), false);
  std::string coloured = FormatRanking(fixture.report(), true);
  const size_t at = coloured.find("\033[1;32mwins\033[0m");
  ASSERT_NE(at, std::string::npos);
  coloured.replace(at, 15, "wins");
  EXPECT_EQ(coloured, plain);
}

TEST(Results, PointsAreTidyCsv) { ExpectGolden("points.csv", FormatPointsCsv(Fixture().report())); }

TEST(Results, PointsCsvKeepsLargeRatesExact) {
  Fixture fixture;
  fixture.result.points.resize(1);
  fixture.result.points[0].load.point.mode = run::LoadMode::kRequestRate;
  fixture.result.points[0].load.point.value = 1234567.5;
  EXPECT_NE(FormatPointsCsv(fixture.report()).find(",request_rate,1234567.5,"), std::string::npos);
}

TEST(Results, TheFirstModelAnalyzersFilesHaveItsHeaderPercentAndMegabytes) {
  EXPECT_EQ(FormatCsv(SeedModels(Fixture().report())),
            "Model,Batch,Concurrency,Throughput,MaxMemoryUtil(%),MaxGpuUtil(%),_MaxBar1(MB),"
            "MaxFramebuffer(MB)\n"
            "m,2,4,1234.57 infer/sec,,,,\n"
            "m,2,4,2000 infer/sec,25.5,97,2.5,9500\n"
            "m,2,4,,,,,\n");
  EXPECT_EQ(FormatCsv(SeedServer(Fixture().report())),
            "Model,Batch,Concurrency,Throughput,MaxMemoryUtil(%),MaxGpuUtil(%),_MaxBar1(MB),"
            "MaxFramebuffer(MB)\n"
            "triton-server,0,0,0 infer/sec,,0,,350\n");
  Fixture without;
  without.baselines.clear();
  EXPECT_TRUE(
      FormatCsv(SeedServer(without.report())).ends_with("\ntriton-server,0,0,0 infer/sec,,,,\n"));
}

TEST(Results, TheFirstModelAnalyzersMaximaAreThoseOfAllTakes) {
  Fixture fixture;
  PointRecord second = fixture.result.points[2];
  second.take = 2;
  second.measured.figures = {{"throughput", {2100, 2090, 2110}},
                             {"gpu_utilization_max", {0.5, {}, {}}},
                             {"gpu_memory_utilization_max", {0.3, {}, {}}},
                             {"gpu_memory_used", {8e9, {}, {}}}};
  fixture.result.points.push_back(second);
  const std::string text = FormatCsv(SeedModels(fixture.report()));
  EXPECT_NE(text.find("\nm,2,4,2100 infer/sec,30,97,2.5,9500\n"), std::string::npos) << text;
}

TEST(Results, ABaselineTellsOfWhichConfigurationItIs) {
  Fixture fixture;
  fixture.baselines.push_back(
      {.kind = "loaded", .configuration = "m_config_0", .figures = {}, .devices = {}});
  const text::Json json = ResultsJson(fixture.report());
  const auto& baselines = json.Find("baselines")->array();
  EXPECT_EQ(baselines.at(0).Find("configuration"), nullptr);
  EXPECT_EQ(baselines.at(1).Find("configuration")->AsString(), "m_config_0");
}

// What is too far away to win still says how far away it is.
TEST(Results, WhatIsNotWithinTheConstraintsHasTheFiguresOfItsNearestPoint) {
  Fixture fixture;
  Standing& beyond = fixture.result.conclusion.ranking[2];
  beyond.kind = Kind::kInfeasible;
  beyond.nearest_load = 0;
  beyond.figures = {{"latency_p99", {0.25, {}, {}}}};
  const std::string table = FormatRanking(fixture.report(), false);
  EXPECT_NE(table.find("batch 2, concurrency 4 (nearest) "), std::string::npos) << table;
  EXPECT_NE(table.find("250 ms"), std::string::npos) << table;
  const text::Json json = ResultsJson(fixture.report());
  const text::Json& row = json.Find("ranking")->array().at(2);
  EXPECT_EQ(row.Find("load"), nullptr) << "there is none at which it does";
  EXPECT_EQ(row.Find("nearest_load")->Find("value")->AsDouble(), 4);
  EXPECT_EQ(row.Find("figures")->Find("latency_p99")->Find("value")->AsDouble(), 0.25);
}

TEST(Results, TodaysModelAnalyzersFilesHaveItsHeaders) {
  EXPECT_EQ(FormatCsv(InferenceTable(Fixture().report())),
            "Model,Batch,Concurrency,Model Config Path,Instance Group,Max Batch Size,"
            "Satisfies Constraints,Throughput (infer/sec),p99 Latency (ms)\n"
            "m,2,4,m_config_default,,,Yes,1234.6,12.3\n"
            "m,2,4,m_config_0,2,8,No,2000.0,60.1\n");
  EXPECT_EQ(FormatCsv(GpuTable(Fixture().report())),
            "Model,GPU UUID,Batch,Concurrency,Model Config Path,Instance Group,"
            "Satisfies Constraints,GPU Memory Usage (MB),GPU Utilization (%),GPU Power Usage (W)\n"
            "m,GPU-1,2,4,m_config_0,2,No,4500.0,90.5,410.0\n"
            "m,GPU-2,2,4,m_config_0,2,No,5000.0,,\n");
  EXPECT_EQ(FormatCsv(ServerOnlyTable(Fixture().report())),
            "Model,GPU UUID,GPU Memory Usage (MB),GPU Utilization (%),GPU Power Usage (W)\n"
            "triton-server,GPU-1,350.0,0.0,75.2\n"
            "triton-server,GPU-2,,,\n");
}

TEST(Results, WithRequestRatesTheColumnIsCalledSo) {
  Fixture fixture;
  fixture.space.loads[0].point.mode = run::LoadMode::kRequestRate;
  EXPECT_TRUE(FormatCsv(InferenceTable(fixture.report())).starts_with("Model,Batch,Request Rate,"));
  EXPECT_TRUE(
      FormatCsv(GpuTable(fixture.report())).starts_with("Model,GPU UUID,Batch,Request Rate,"));
}

TEST(Results, JsonHasEverythingButWhatIsMissing) {
  text::Json json = ResultsJson(Fixture().report());
  ASSERT_NE(json.Find("fields"), nullptr);
  EXPECT_EQ(json.Find("fields")->array().size(), Fields().size());
  std::erase_if(json.object(), [](const auto& member) { return member.first == "fields"; });
  ExpectGolden("results.json", text::FormatJson(json, 1) + "\n");
}

TEST(Results, AGainThatIsNoNumberIsMissing) {
  Fixture fixture;
  fixture.result.conclusion.ranking[0].gain.value = std::numeric_limits<double>::infinity();
  const text::Json json = ResultsJson(fixture.report());
  EXPECT_EQ(json.Find("ranking")->array()[0].Find("gain"), nullptr);
}

std::string ValuesOf(const Fixture& fixture, size_t standing, const std::string& config_pbtxt) {
  const ModelText model{"m", config_pbtxt};
  return HelmValues(fixture.report(), fixture.result.conclusion.ranking[standing], {&model, 1});
}

TEST(Results, HelmValuesHaveTheConfigurationAsItIsWritten) {
  const Fixture fixture;
  ExpectGolden("values.yaml",
               ValuesOf(fixture, 0, "name: \"m\"\ninstance_group {\n  count: 2\n}\n"));
}

TEST(Results, HelmValuesReadBackToTheSameText) {
  const Fixture fixture;
  for (const std::string text :
       {"a: 1\n", "no line break at the end", "two at the end\n\n", "\n\nbehind empty lines\n",
        "  indented: 1\nmore\n", "a {\n\n\n  b: 1\n}\n", "tab\tinside\n", "\tfirst is a tab\n", "",
        "\n", "# a: |\n- b\n", "carriage\r\nreturn\r\n", "control \x01\n", "trailing space \n",
        "   \n", "x\n   \n", "\xc3\xa9: \"\\303\\251\"\n"}) {
    const std::string yaml = ValuesOf(fixture, 0, text);
    const auto read = text::ParseYaml(yaml);
    ASSERT_TRUE(read.has_value()) << read.error().message() << "\n" << yaml;
    EXPECT_EQ(read->Find("model")->Find("configPbtxt")->AsString(), text) << yaml;
    EXPECT_EQ(read->Find("measured")->Find("standing")->AsString(), "wins");
  }
}

TEST(Results, TablesOfThePeersAreAlignedUnderTheirTitle) {
  const std::string text =
      FormatText({.title = "Models", .rows = {{"Model", "Batch"}, {"resnet", "1"}, {"m", "16"}}});
  EXPECT_EQ(text, "Models:\n  Model   Batch\n  resnet      1\n  m          16\n");
}

TEST(Results, HelmValuesOfSeveralModelsAreAListOfThem) {
  const Fixture fixture;
  const std::vector<ModelText> models{{"a", "count: 1\n"}, {"b: c", "count: 2"}};
  const auto read =
      text::ParseYaml(HelmValues(fixture.report(), fixture.result.conclusion.ranking[0], models));
  ASSERT_TRUE(read.has_value()) << read.error().message();
  const auto& list = read->Find("models")->array();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].Find("name")->AsString(), "a");
  EXPECT_EQ(list[0].Find("configPbtxt")->AsString(), "count: 1\n");
  EXPECT_EQ(list[1].Find("name")->AsString(), "b: c");
  EXPECT_EQ(list[1].Find("configPbtxt")->AsString(), "count: 2");
  EXPECT_EQ(read->Find("model"), nullptr);
  EXPECT_NE(read->Find("configuration"), nullptr);
}

// -1: none is asked for.
int64_t GpusAskedFor(const Fixture& fixture, size_t standing) {
  const auto read = text::ParseYaml(ValuesOf(fixture, standing, "a: 1\n"));
  const text::Json* resources = read->Find("resources");
  const text::Json* limits = resources == nullptr ? nullptr : resources->Find("limits");
  return limits == nullptr ? -1 : limits->Find("nvidia.com/gpu")->AsInt().value_or(-2);
}

TEST(Results, HelmValuesAskForAllDevicesWhereNobodyKnowsWhichWereUsed) {
  Fixture fixture;
  for (PointRecord& point : fixture.result.points) {
    for (DeviceFigures& device : point.measured.devices) device.figures.erase("gpu_memory_process");
  }
  EXPECT_EQ(GpusAskedFor(fixture, 0), 2);
  EXPECT_EQ(GpusAskedFor(fixture, 1), -1) << "none was seen";
}

TEST(Results, HelmValuesAskForTheDevicesThatHeldMemoryOfTheServerEvenIfNoneDid) {
  Fixture fixture;
  std::vector<DeviceFigures>& devices = fixture.result.points[2].measured.devices;
  EXPECT_EQ(GpusAskedFor(fixture, 0), 1);
  devices[0].figures["gpu_memory_process"].value = 0;
  EXPECT_EQ(GpusAskedFor(fixture, 0), -1) << "of a model on the CPU, on a host with GPUs";
  devices[1].figures.erase("gpu_memory_process");
  EXPECT_EQ(GpusAskedFor(fixture, 0), -1) << "known of one is known";
  // A GPU and the instance of it that was used are one.
  devices[0].figures["gpu_memory_process"].value = 4e9;
  devices[1] = devices[0];
  devices[1].device = "MIG-1", devices[1].scope = "mig_instance";
  EXPECT_EQ(GpusAskedFor(fixture, 0), 1);
  devices.erase(devices.begin());
  EXPECT_EQ(GpusAskedFor(fixture, 0), 1) << "an instance alone is one";
}

}  // namespace
}  // namespace sextant::analyze
