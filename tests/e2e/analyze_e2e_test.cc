// `sextant analyze` from end to end on `sextant serve`, whose simulated models say what is best.
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "analyze_harness.h"
#include "base/files.h"
#include "base/strings.h"
#include "net/blocking.h"
#include "net/socket.h"
#include "text/prometheus.h"

namespace sextant::e2e {
namespace {

using text::Json;

TEST(AnalyzingAModel, NamesTheConfigurationThatIsBestByConstruction) {
  const Repository repository({{"m", Taking("10ms")}});
  const TempDirectory out;
  const std::string before = *ReadFile(repository.path() + "/m/config.pbtxt");
  const Analysis analysis =
      Analyze(repository, out.path(), {"--set", "instances=1,2,4", "-c", "8"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  const Json& best = analysis.Ranked(0);
  EXPECT_EQ(analysis.Text(best, "standing"), "wins") << analysis.result.out;
  EXPECT_EQ(best.Find("settings")->Find("instance_group.count")->AsInt(), 4);
  EXPECT_NEAR(*best.Find("figures")->Find("throughput")->Find("value")->AsDouble(), 400, 40);
  EXPECT_NE(analysis.result.out.find("Verdict: m_config_"), std::string::npos);
  // What is handed over is the user's file with that change, and the user's own is as it was.
  const std::string name = analysis.Text(best, "configuration");
  const auto config = ReadFile(out.File("configurations/" + name + "/config.pbtxt"));
  ASSERT_TRUE(config.has_value());
  EXPECT_NE(config->find("count: 4"), std::string::npos) << *config;
  EXPECT_EQ(*ReadFile(repository.path() + "/m/config.pbtxt"), before);
  EXPECT_EQ(ListDirectory(repository.path() + "/m")->size(), 2u);
  EXPECT_EQ(ServersOf(out.path()), 0u);
}

// Seed 000: its command, its files, its header; the maxima are maxima.
TEST(TheFirstModelAnalyzersCommand, GivesItsTwoFilesWithARowForEachCombination) {
  ModelText model = Taking("2ms", 8);
  model.parameters.insert({{"gpu_device", "0"},
                           {"gpu_utilization", "0.5"},
                           {"gpu_memory", "1GB"},
                           {"gpu_memory_total", "16GB"}});
  const Repository repository({{"m", model}});
  const TempDirectory out;
  const Analysis analysis =
      Analyze(repository, out.path(),
              {"--batch", "1,4,8", "--concurrency", "2,4,8", "--model-names", "m", "--export",
               "--compat", "seed-000", "--base-duration", "300ms"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  const std::string text = *ReadFile(out.File("metrics-model.csv"));
  EXPECT_EQ(text.substr(0, text.find_first_of("\r\n")),
            "Model,Batch,Concurrency,Throughput,MaxMemoryUtil(%),MaxGpuUtil(%),_MaxBar1(MB),"
            "MaxFramebuffer(MB)");
  EXPECT_EQ(CountOf(text, "\nm,"), 9u) << text;
  EXPECT_EQ(CountOf(text, " infer/sec,"), 9u) << text;
  for (const char* row : {"\nm,1,2,", "\nm,4,4,", "\nm,8,8,"})
    EXPECT_NE(text.find(row), std::string::npos) << text;
  EXPECT_EQ(CountOf(text, ",1000\n") + CountOf(text, ",1000\r\n"), 9u) << text;
  const std::string server = *ReadFile(out.File("metrics-server-only.csv"));
  EXPECT_NE(server.find("\ntriton-server,0,0,0 infer/sec,"), std::string::npos) << server;
  // The same as tables.
  EXPECT_NE(analysis.result.out.find("Server Only:\n"), std::string::npos) << analysis.result.out;
  EXPECT_NE(analysis.result.out.find("\nModels:\n"), std::string::npos) << analysis.result.out;
}

TEST(ConfigurationsThatCrashHangOrAreRefused, AreRowsAndTheRestIsMeasured) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const Analysis analysis = Analyze(repository, out.path(),
                                    {"--set", "parameters[error_rate]=0,crash:1,hang:1,nonsense:1",
                                     "-c", "4", "--timeout", "1s"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  std::map<std::string, std::string> status, error;
  for (const analyze::PointRecord& point : analysis.journal.sessions.at(0).points) {
    if (point.settings.empty()) continue;
    const std::string value(point.settings[0].value.AsString().value_or("0"));
    status.emplace(value, analyze::StatusName(point.measured.status));
    error.emplace(value, point.measured.error);
  }
  EXPECT_EQ(status["0"], "measured");
  EXPECT_EQ(status["crash:1"], "refused");
  EXPECT_NE(error["crash:1"].find("simulated crash"), std::string::npos) << error["crash:1"];
  EXPECT_EQ(status["hang:1"], "failed") << error["hang:1"];
  EXPECT_EQ(status["nonsense:1"], "refused");
  EXPECT_NE(error["nonsense:1"].find("nonsense"), std::string::npos) << error["nonsense:1"];
  EXPECT_EQ(ServersOf(out.path()), 0u);
}

TEST(AKilledAnalysis, GoesOnWhereItWas) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const std::vector<std::string> more{"--set", "instances=1,2,3", "-c",
                                      "1,4",   "--search",        "exhaustive"};
  size_t killed_at = 0;
  {
    Command command(Arguments(repository, out.path(), more));
    const std::string file = out.File("journal.jsonl");
    ASSERT_TRUE(WaitFor(std::chrono::seconds(60), [&] {
      const auto text = ReadFile(file);
      killed_at = text.has_value() ? CountOf(*text, "\"type\":\"point\"") : 0;
      return killed_at >= 3;
    }));
    command.process().Signal(SIGKILL);
    command.process().Wait(std::chrono::seconds(5));
  }
  // Its server goes with it.
  EXPECT_TRUE(WaitFor(std::chrono::seconds(5), [&] { return ServersOf(out.path()) == 0; }));
  const Analysis refused = Analyze(repository, out.path(), more);
  EXPECT_EQ(refused.result.exit_code, 1);
  EXPECT_NE(refused.result.err.find("--resume"), std::string::npos) << refused.result.err;
  EXPECT_EQ(refused.result.out, "") << "no server is started for that";
  std::vector<std::string> resume = more;
  resume.emplace_back("--resume");
  const Analysis analysis = Analyze(repository, out.path(), resume);
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_NE(analysis.result.out.find("points of the journal are used again"), std::string::npos);
  // No point of the first life was measured again.
  std::set<std::pair<std::string, int>> seen;
  for (const analyze::Session& session : analysis.journal.sessions) {
    for (const analyze::PointRecord& point : session.points)
      EXPECT_TRUE(
          seen.emplace(point.configuration + analyze::DescribeLoad(point.load), point.take).second);
  }
  EXPECT_GE(analysis.journal.sessions.at(0).points.size(), killed_at);
  // Another server, another measurement.
  const Analysis other = Analyze(repository, out.path(), [&] {
    std::vector<std::string> out2 = resume;
    out2.insert(out2.end(), {"-i", "grpc"});
    return out2;
  }());
  EXPECT_NE(other.result.err.find("protocol: http then, grpc now"), std::string::npos)
      << other.result.err;
}

TEST(AServerThatIsThere, IsLeftAsItWasFound) {
  Serve serve({{"m", Taking("5ms").Config()}},
              {"--model-control-mode", "explicit", "--load-model", "m"});
  const TempDirectory out;
  const Analysis analysis = Read(
      RunSextant({"analyze", "-m", "m", "-u", serve.Url("http"), "--set", "instances=1,4", "-c",
                  "8", "-e", out.path(), "--shortest-window", "200ms", "--longest-window", "500ms",
                  "--metrics-url", Format("http://127.0.0.1:{}/metrics", serve.metrics_port())}),
      out.path());
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_EQ(analysis.Ranked(0).Find("settings")->Find("instance_group.count")->AsInt(), 4);
  const PerfResult after =
      RunPerf(Against(serve, "http", "m", {"--concurrency-range=8", "--duration=1s"}));
  ASSERT_EQ(after.exit_code, 0) << after.err;
  EXPECT_NEAR(after.level().throughput.value, 200, 30);
}

TEST(AServerWithoutModelControl, HasItsLoadsSearchedAndSaysSo) {
  Serve serve({{"m", Taking("5ms").Config()}});
  const TempDirectory out;
  const Analysis analysis =
      Read(RunSextant({"analyze", "-m", "m", "-u", serve.Url("http"), "-c", "1,2", "-e", out.path(),
                       "--shortest-window", "200ms", "--longest-window", "500ms"}),
           out.path());
  EXPECT_EQ(analysis.result.exit_code, 0) << analysis.result.err;
  EXPECT_NE(analysis.result.out.find("only the load is searched"), std::string::npos);
  for (const char* load : {"batch 1, concurrency 1", "batch 1, concurrency 2"})
    EXPECT_NE(analysis.result.out.find(load), std::string::npos) << analysis.result.out;
  const PerfResult refused = RunSextant({"analyze", "-m", "m", "-u", serve.Url("http"), "--set",
                                         "instances=1,2", "-e", out.File("other")});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("--model-control-mode=explicit"), std::string::npos) << refused.err;
}

TEST(Constraints, ThatNothingSatisfiesEndWithAVerdict) {
  const Repository repository({{"m", Taking("20ms")}});
  const TempDirectory out;
  const Analysis none = Analyze(repository, out.File("a"), {"-c", "2", "--constraint", "p99<1ms"});
  EXPECT_EQ(none.result.exit_code, 3) << none.result.out << none.result.err;
  EXPECT_NE(none.result.out.find("infeasible"), std::string::npos) << none.result.out;
  // There is no GPU: what is not known does not hold.
  const Analysis unknown =
      Analyze(repository, out.File("b"), {"-c", "2", "--constraint", "gpu_memory<8GiB"});
  EXPECT_EQ(unknown.result.exit_code, 3) << unknown.result.out;
  EXPECT_NE(unknown.result.out.find("gpu_memory_used is missing"), std::string::npos)
      << unknown.result.out;
}

TEST(TheDriversFigures, AreInEveryPointWithTheirSource) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const std::string scenario = out.Write("sim.txt",
                                         "driver 550.90\n"
                                         "gpu uuid=GPU-a name=NVIDIA_H200 memory=141GiB\n"
                                         "utilization constant 0.5\n"
                                         "memory_used constant 10GiB\n"
                                         "power constant 300\n"
                                         "throttle constant 4\n");
  const Analysis analysis =
      Analyze(repository, out.File("a"),
              {"-c", "4", "--nvml-library", SEXTANT_NVML_SIM_LIBRARY, "--gpu-hour-price", "3.6"},
              {{"SEXTANT_NVML_SIM", scenario}});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_NE(analysis.result.out.find("GPU figures: NVML"), std::string::npos);
  const analyze::PointRecord& point = analysis.journal.sessions.at(0).points.at(0);
  ASSERT_EQ(point.measured.devices.size(), 1u);
  EXPECT_EQ(point.measured.devices[0].source, "nvml");
  EXPECT_EQ(point.measured.devices[0].scope, "device");
  const auto figure = [&](const char* name) {
    const auto found = point.measured.figures.find(name);
    return found == point.measured.figures.end() ? -1 : found->second.value;
  };
  EXPECT_NEAR(figure("gpu_utilization"), 0.5, 1e-6);
  EXPECT_NEAR(figure("gpu_memory_used"), 10.0 * (1 << 30), 1);
  EXPECT_NEAR(figure("energy_per_inference"), 300 / figure("throughput"), 0.3);
  EXPECT_NEAR(figure("cost_per_million"), 1000 / figure("throughput"), 1e-6);
  EXPECT_TRUE(std::any_of(point.measured.flags.begin(), point.measured.flags.end(),
                          [](const auto& flag) { return flag.find("slowed") != flag.npos; }));
}

// Two GPUs that differ; windows that have several samples of what is sampled least.
TEST(TheDriversFigures, AreAllOfTheTablesForEachDeviceAndForAll) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const auto gpu = [](const char* uuid, double share, int gib) {
    return Format(
        "gpu uuid={} name=NVIDIA_H200 memory=64GiB gpm=yes\n"
        "utilization constant {}\nmemory_utilization constant {}\nsm_active constant {}\n"
        "sm_occupancy constant {}\ntensor_active constant {}\ndram_active constant {}\n"
        "memory_used constant {}GiB\nbar1_used constant {}GiB\npower constant {}\n"
        "temperature constant {}\nsm_clock constant {}e8\nmemory_clock constant {}e9\n",
        uuid, share, share / 2, share, share / 4, share / 5, share, gib, gib, 100 * gib, 10 * gib,
        gib, gib);
  };
  const std::string scenario = out.Write("sim.txt", gpu("GPU-a", 0.4, 2) + gpu("GPU-b", 0.8, 6));
  const Analysis analysis =
      Read(RunSextant(
               {"analyze", "-m", "m", "--model-repository", repository.path(), "-e", out.File("a"),
                "-c", "2,4", "-d", "0s", "--shortest-window", "1500ms", "--longest-window",
                "1500ms", "--frequency-ms", "50", "--nvml-library", SEXTANT_NVML_SIM_LIBRARY},
               {{"SEXTANT_NVML_SIM", scenario}}),
           out.File("a"));
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  // Of all points together: on a busy machine a window may have no sample of what is sampled least.
  std::map<std::string, analyze::Figures> of;
  analyze::Figures together;
  for (const analyze::PointRecord& point : analysis.journal.sessions.at(0).points) {
    for (const analyze::DeviceFigures& device : point.measured.devices)
      of[device.device].insert(device.figures.begin(), device.figures.end());
    together.insert(point.measured.figures.begin(), point.measured.figures.end());
  }
  const double kGiB = 0x1p30;
  struct Row {
    const char* name;
    double a, b, all;
  };
  const Row rows[] = {{"gpu_utilization", 0.4, 0.8, 0.6},
                      {"gpu_utilization_p95", 0.4, 0.8, 0.8},
                      {"gpu_utilization_max", 0.4, 0.8, 0.8},
                      {"gpu_memory_utilization", 0.2, 0.4, 0.3},
                      {"gpu_memory_utilization_p95", 0.2, 0.4, 0.4},
                      {"gpu_memory_utilization_max", 0.2, 0.4, 0.4},
                      {"gpu_memory_used", 2 * kGiB, 6 * kGiB, 8 * kGiB},
                      {"gpu_memory_used_mean", 2 * kGiB, 6 * kGiB, 8 * kGiB},
                      {"gpu_memory_free", 62 * kGiB, 58 * kGiB, 120 * kGiB},
                      {"gpu_bar1_used", 2 * kGiB, 6 * kGiB, 8 * kGiB},
                      {"gpu_power", 200, 600, 800},
                      {"gpu_temperature_max", 20, 60, 60},
                      {"gpu_sm_clock", 2e8, 6e8, 4e8},
                      {"gpu_memory_clock", 2e9, 6e9, 4e9},
                      {"gpu_sm_active", 0.4, 0.8, 0.6},
                      {"gpu_sm_occupancy", 0.1, 0.2, 0.15},
                      {"gpu_tensor_active", 0.08, 0.16, 0.12},
                      {"gpu_dram_active", 0.4, 0.8, 0.6}};
  ASSERT_EQ(of.size(), 2u);
  const std::string csv = *ReadFile(out.File("a/points.csv"));
  for (const Row& row : rows) {
    const auto expect = [&](const analyze::Figures& figures, double value) {
      ASSERT_TRUE(figures.contains(row.name)) << row.name;
      EXPECT_NEAR(figures.at(row.name).value, value, 1e-6 * value) << row.name;
    };
    expect(of["GPU-a"], row.a);
    expect(of["GPU-b"], row.b);
    expect(together, row.all);
    for (const char* column : {",", ",device_"})
      EXPECT_NE(csv.find(Format("{}{}_{}", column, row.name, analyze::FindField(row.name)->unit)),
                std::string::npos)
          << row.name;
  }
  EXPECT_GT(together.at("memory_host").value, 1e6);
  EXPECT_TRUE(together.contains("cpu_host"));
}

TEST(ADriverThatHangs, CostsItsFiguresAndNotTheRun) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const std::string scenario = out.Write("sim.txt",
                                         "gpu uuid=GPU-a name=A memory=16GiB\n"
                                         "utilization constant 0.5\n"
                                         "hang nvmlDeviceGetUtilizationRates 1\n");
  const Analysis analysis = Analyze(repository, out.File("a"),
                                    {"-c", "1,2,4", "--nvml-library", SEXTANT_NVML_SIM_LIBRARY},
                                    {{"SEXTANT_NVML_SIM", scenario}});
  EXPECT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_GE(analysis.points(), 3u);
}

// A sweep of a few seconds on a driver with this scenario: every point of it is measured.
std::vector<analyze::PointRecord> SweepOn(const std::string& scenario) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const Analysis analysis =
      Analyze(repository, out.File("a"),
              {"--set", "instances=1,2,4,8", "-c", "8", "--search", "exhaustive", "--frequency-ms",
               "50", "--nvml-library", SEXTANT_NVML_SIM_LIBRARY},
              {{"SEXTANT_NVML_SIM", out.Write("sim.txt", scenario)}});
  EXPECT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  if (analysis.journal.sessions.empty()) return {};
  EXPECT_EQ(Analysis::Text(analysis.Ranked(0), "standing"), "wins") << analysis.result.out;
  std::set<std::string> configurations;
  for (const analyze::PointRecord& point : analysis.journal.sessions[0].points) {
    EXPECT_EQ(analyze::StatusName(point.measured.status), "measured") << point.measured.error;
    EXPECT_GT(point.measured.figures.at("throughput").value, 0);
    configurations.insert(point.configuration);
  }
  EXPECT_EQ(configurations.size(), 4u);
  return analysis.journal.sessions[0].points;
}

bool HasFlag(const analyze::PointRecord& point, std::string_view text) {
  return std::any_of(point.measured.flags.begin(), point.measured.flags.end(),
                     [&](const std::string& flag) { return flag.find(text) != flag.npos; });
}

TEST(AGpuThatVanishes, CostsItsFiguresAndNotTheRun) {
  const auto points = SweepOn(
      "gpu uuid=GPU-a memory=16GiB\nutilization constant 0.5\nmemory_used constant 1GiB\n"
      "power constant 100\nvanish 3\n");
  ASSERT_GT(points.size(), 4u);
  EXPECT_TRUE(std::any_of(points.begin(), points.end(), [](const analyze::PointRecord& point) {
    return point.measured.figures.contains("gpu_utilization");
  })) << "while it was there";
  const analyze::PointRecord& last = points.back();
  EXPECT_TRUE(HasFlag(last, "GPU-a: the GPU is lost (")) << Join(last.measured.flags, "; ");
  for (const auto& [name, figure] : last.measured.figures)
    EXPECT_FALSE(name.starts_with("gpu_") || name.starts_with("energy")) << name;
  for (const analyze::DeviceFigures& device : last.measured.devices)
    EXPECT_TRUE(device.figures.empty()) << "missing, and not zero";
}

TEST(ADriverThatLies, HasNoneOfItInTheFiguresAndTheRunGoesOn) {
  const auto points = SweepOn(
      "gpu uuid=GPU-liar memory=16GiB gpm=yes\nutilization constant 4\n"
      "memory_utilization constant 7\nmemory_used constant 20GiB\nbar1_used constant 1e15\n"
      "power constant 2e6\ntemperature constant 4e9\nsm_clock constant 5e13\n"
      "memory_clock constant na\nsm_active constant 3\nsm_occupancy constant -1\n"
      "tensor_active constant na\n"
      "gpu uuid=GPU-honest memory=16GiB\nutilization constant 0.5\nmemory_used constant 2GiB\n"
      "power constant 300\n"
      "gpu uuid=GPU-negative memory=16GiB\nutilization constant -0.5\n"
      "memory_used constant 2GiB\npower constant -50\n");
  ASSERT_FALSE(points.empty());
  int told = 0;
  for (const analyze::PointRecord& point : points) {
    const auto& devices = point.measured.devices;
    ASSERT_EQ(devices.size(), 3u);
    EXPECT_EQ(devices[0].device, "GPU-liar");
    // That no process of the server uses it is no lie.
    for (const auto& [name, figure] : devices[0].figures)
      EXPECT_EQ(name, "gpu_memory_process") << figure.value;
    for (const char* name : {"gpu_utilization", "gpu_power", "energy"})
      EXPECT_FALSE(devices[2].figures.contains(name)) << name;
    // A mean is over those that tell; a sum without one of them is none.
    for (const analyze::Figures* figures : {&devices[1].figures, &point.measured.figures}) {
      const analyze::Figure* utilization = analyze::FindFigure(*figures, "gpu_utilization");
      if (utilization == nullptr) continue;  // a busy machine has no sample in a short window
      EXPECT_NEAR(utilization->value, 0.5, 1e-9);
      ++told;
    }
    for (const char* name : {"gpu_memory_used", "gpu_power", "energy_per_inference"})
      EXPECT_FALSE(point.measured.figures.contains(name)) << name;
  }
  EXPECT_GT(told, 0) << "what is true is told";
}

TEST(ModelAnalyzersYaml, IsAnalyzedAndWhatMeansNothingIsNamed) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const std::string file = out.Write("ma.yaml",
                                     "profile_models:\n"
                                     "  m:\n"
                                     "    parameters: {concurrency: [1, 8]}\n"
                                     "    model_config_parameters:\n"
                                     "      instance_group: [{kind: KIND_CPU, count: [1, 4]}]\n"
                                     "    constraints: {perf_latency_p99: {max: 500}}\n"
                                     "client_protocol: http\n"
                                     "dcgm_disable: true\n");
  const PerfResult result = RunSextant(
      {"analyze", "--model-analyzer-config", file, "--launch", "embedded", "--model-repository",
       repository.path(), "--export-path", out.File("a"), "--shortest-window", "200ms",
       "--longest-window", "500ms", "--base-duration", "0s"});
  // The file's own launch mode is local: what the command line says goes before it.
  const Analysis analysis = Read(result, out.File("a"));
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_EQ(analysis.Ranked(0).Find("settings")->Find("instance_group.count")->AsInt(), 4);
  EXPECT_NE(result.err.find("dcgm_disable"), std::string::npos) << result.err;
  EXPECT_TRUE(FileExists(out.File("a/metrics-model-inference.csv")));
}

TEST(PlansAndMistakes, AreSaidBeforeAnythingIsMeasured) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const PerfResult plan =
      RunSextant({"analyze", "-m", "m", "--model-repository", repository.path(), "--set",
                  "instances=1..4", "-c", "log2(1..8)", "--plan", "-e", out.File("plan")});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_NE(plan.out.find("4 configurations, 16 points"), std::string::npos) << plan.out;
  EXPECT_FALSE(FileExists(out.File("plan/journal.jsonl")));
  const PerfResult wrong = RunSextant({"analyze", "-m", "m", "--set", "instances=", "--objective",
                                       "speed", "--constraint", "p99<50"});
  EXPECT_EQ(wrong.exit_code, 2);
  for (const char* text : {"--model-repository DIR is needed", "instances=", "speed", "p99<50"})
    EXPECT_NE(wrong.err.find(text), std::string::npos) << text << "\n" << wrong.err;
}

TEST(ARunsOwnState, IsJsonLinesAndMetrics) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const Analysis analysis =
      Analyze(repository, out.path(),
              {"-c", "1,2", "--progress", "json", "--listen-metrics", "127.0.0.1:0"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.err;
  EXPECT_NE(analysis.result.err.find("metrics on http://127.0.0.1:"), std::string::npos);
  size_t points = 0;
  for (const std::string_view line : Split(analysis.result.err, '\n')) {
    if (!line.starts_with('{')) continue;
    const auto json = text::ParseJson(line);
    ASSERT_TRUE(json.has_value()) << line;
    if (analysis.Text(*json, "event") == "point") ++points;
  }
  EXPECT_EQ(points, analysis.points());
}

// What the endpoint said, each time that it said something else, until the program ended.
std::vector<text::Exposition> MetricsUntilTheEnd(Command& command) {
  std::vector<text::Exposition> out;
  constexpr std::string_view kSays = "metrics on http://127.0.0.1:";
  const auto told = [&] { return command.process().err().find(kSays); };
  while (told() == std::string::npos)
    if (command.process().Wait(std::chrono::milliseconds(20))) return out;
  const std::string_view rest = std::string_view(command.process().err()).substr(told());
  const auto port = ParseUint(rest.substr(kSays.size(), rest.find("/metrics") - kSays.size()));
  auto client = net::BlockingHttpClient::Create(
      *net::FindListening({"127.0.0.1", static_cast<int>(port.value_or(0))}, 5s), "test");
  EXPECT_EQ(client->Call("GET", "/other", {}, 5s)->status, 404);
  std::string before;
  do {
    const auto reply = client->Call("GET", "/metrics", {}, 5s);
    if (!reply.has_value()) continue;  // it has just ended
    EXPECT_EQ(reply->status, 200);
    EXPECT_NE(reply->fields.find("text/plain; version=0.0.4"), std::string::npos) << reply->fields;
    if (reply->body != before)
      out.push_back(text::ParseExposition(reply->body, text::ExpositionFormat::kText));
    before = reply->body;
  } while (!command.process().Wait(std::chrono::milliseconds(20)));
  return out;
}

TEST(ARunsOwnState, IsServedAsMetricsWhileItRuns) {
  using text::MetricType;
  // docs/analyze.md, "Watching it".
  const std::map<std::string, MetricType> families{
      {"sextant_analyze_points_total", MetricType::kCounter},
      {"sextant_analyze_points_failed_total", MetricType::kCounter},
      {"sextant_analyze_points_reused_total", MetricType::kCounter},
      {"sextant_analyze_loads_total", MetricType::kCounter},
      {"sextant_analyze_points_remaining", MetricType::kGauge},
      {"sextant_analyze_eta_seconds", MetricType::kGauge},
      {"sextant_analyze_elapsed_seconds", MetricType::kGauge},
      {"sextant_analyze_best_throughput", MetricType::kGauge}};
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const auto arguments = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"-c", "4", "--search", "exhaustive"});
    return Arguments(repository, out.path(), more);
  };
  ASSERT_EQ(RunSextant(arguments({"--set", "parameters[error_rate]=0"})).exit_code, 0);
  // Goes on with the first run's points; one configuration is refused, one is the best.
  Command command(arguments({"--set", "parameters[error_rate]=0,nonsense:1", "--set",
                             "instances=1,4", "--resume", "--listen-metrics", "127.0.0.1:0"}));
  const std::vector<text::Exposition> all = MetricsUntilTheEnd(command);
  const Analysis analysis = Read(command.Finish(), out.path());
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  ASSERT_GT(all.size(), 3u);
  std::map<std::string, double> last;
  for (const text::Exposition& said : all) {
    EXPECT_EQ(said.bad_lines, 0u) << said.first_fault;
    std::map<std::string, double> now;
    for (const text::MetricSample& sample : said.samples) {
      ASSERT_TRUE(families.contains(sample.name)) << sample.name;
      ASSERT_TRUE(sample.family.has_value()) << sample.name;
      const text::MetricFamily& family = said.families[*sample.family];
      EXPECT_EQ(family.type, families.at(sample.name)) << sample.name;
      EXPECT_FALSE(family.help.empty()) << sample.name;
      EXPECT_EQ(sample.Label("model"), "m") << sample.name;
      EXPECT_TRUE(now.emplace(sample.name, sample.value).second) << sample.name;
      EXPECT_GE(sample.value, 0) << sample.name;
      const bool best = sample.name == "sextant_analyze_best_throughput";
      EXPECT_EQ(sample.labels.size(), best ? 3u : 1u);
      if (!best) continue;
      EXPECT_GT(sample.value, 0);
      EXPECT_FALSE(sample.Label("configuration").value_or("").empty());
      EXPECT_EQ(sample.Label("load"), "batch 1, concurrency 4");
    }
    EXPECT_GE(now.size(), families.size() - 1) << "all but the best, which may not be known yet";
    for (const auto& [name, value] : last) {
      const bool grows =
          families.at(name) == MetricType::kCounter || name == "sextant_analyze_elapsed_seconds";
      EXPECT_TRUE(!grows || now[name] >= value) << name;
    }
    last = now;
  }
  // As it was before the end, which comes between two looks: at most one point less.
  const auto counted = [&](const char* name) {
    return last[Format("sextant_analyze_{}_total", name)];
  };
  const auto& sessions = analysis.journal.sessions;
  ASSERT_EQ(sessions.size(), 2u);
  const auto measured = static_cast<double>(sessions[1].points.size());
  EXPECT_GE(counted("points_reused"), 1);
  EXPECT_LE(counted("points_reused"), static_cast<double>(sessions[0].points.size()));
  EXPECT_LE(counted("points") - counted("points_reused"), measured);
  EXPECT_GE(counted("points") - counted("points_reused"), measured - 1);
  const auto failed = std::count_if(
      sessions[1].points.begin(), sessions[1].points.end(),
      [](const auto& point) { return analyze::StatusName(point.measured.status) != "measured"; });
  EXPECT_GT(failed, 0);
  EXPECT_LE(counted("points_failed"), failed);
  EXPECT_GE(counted("points_failed"), failed - 1);
  EXPECT_GE(counted("loads"), 3) << "each configuration that was not refused, and one that was";
  EXPECT_NEAR(last["sextant_analyze_best_throughput"],
              *analysis.Ranked(0).Find("figures")->Find("throughput")->Find("value")->AsDouble(),
              100);
  EXPECT_GT(last["sextant_analyze_elapsed_seconds"], 0.5);
}

}  // namespace
}  // namespace sextant::e2e
