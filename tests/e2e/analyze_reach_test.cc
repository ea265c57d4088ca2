// What `sextant analyze` reaches: several models, servers of other makes, TLS, sequences, data
// sets, objectives about GPUs, a terminal.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "analyze_harness.h"
#include "base/files.h"
#include "base/strings.h"
#include "plain_server.h"

namespace sextant::e2e {
namespace {

using text::Json;
using Words = std::vector<std::string>;

double FigureOf(const Json& standing, const char* name) {
  const Json* figure = standing.Find("figures")->Find(name);
  return figure == nullptr ? -1 : figure->Find("value")->AsDouble().value_or(-1);
}

TEST(OfSeveralModels, OneThatCannotBeLoadedLeavesTheOthersToBeAnalyzed) {
  ModelText broken = Taking("5ms");
  broken.parameters["error_rate"] = "nonsense:1";
  const Repository repository({{"broken", broken}, {"m", Taking("5ms")}, {"n", Taking("10ms")}});
  const TempDirectory out;
  const PerfResult result = RunSextant(
      {"analyze", "-m", "broken,m,n", "--model-repository", repository.path(), "-e", out.path(),
       "-c", "1", "--shortest-window", "200ms", "--longest-window", "400ms", "-d", "0s"});
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_NE(result.err.find("nonsense"), std::string::npos) << result.err;
  EXPECT_FALSE(FileExists(out.File("broken/results.json")));
  const Analysis m = Read(result, out.File("m")), n = Read(result, out.File("n"));
  ASSERT_TRUE(m.json.IsObject() && n.json.IsObject()) << result.out;
  EXPECT_GT(FigureOf(m.Ranked(0), "throughput"), FigureOf(n.Ranked(0), "throughput"));
  EXPECT_EQ(ServersOf(out.path()), 0u);
}

// Four times the instances are four times the throughput and four times the memory.
TEST(AnObjectiveAboutGpuMemory, TurnsTheRankingByItsWeight) {
  ModelText model = Taking("10ms");
  model.parameters.insert(
      {{"gpu_device", "0"}, {"gpu_memory", "1000000000"}, {"gpu_memory_total", "16000000000"}});
  const Repository repository({{"m", model}});
  const TempDirectory out;
  Words points{"--set", "instances=4", "--set", "parameters[gpu_memory]=4000000000", "-c", "8"};
  const auto ranked = [&](const std::string& objective) {
    Words more = points;
    more.insert(more.end(), {"--objective", objective});
    const Analysis analysis = Analyze(repository, out.path(), more);
    EXPECT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
    // The same points serve every objective.
    if (points.back() != "--resume") points.emplace_back("--resume");
    const Json& first = analysis.Ranked(0);
    EXPECT_EQ(Analysis::Text(first, "standing"), "wins") << analysis.result.out;
    EXPECT_GT(FigureOf(first, "gpu_memory_used"), 0.9e9) << analysis.result.out;
    return Analysis::Text(first, "configuration");
  };
  EXPECT_EQ(ranked("throughput"), "m_config_0");
  EXPECT_EQ(ranked("gpu_memory"), "m_config_default");
  EXPECT_EQ(ranked("throughput:3,gpu_memory:1"), "m_config_0");
  EXPECT_EQ(ranked("throughput:1,gpu_memory:3"), "m_config_default");
}

// The simulated driver's memory steps up for good, `after` seconds from when the program opens it,
// as if the server had not given back what it had of a model.
std::string KeepsMemory(const char* after) {
  return Format("gpu uuid=GPU-a memory=16GiB\nmemory_used square 4GiB 1GiB 100000 {}e-5\n", after);
}
// Each twice the one before, so that little has to be measured again.
Words WhileItSteps(const std::string& instances = "1,2,4,8") {
  return {"--set",
          "instances=" + instances,
          "-c",
          "8",
          "--search",
          "exhaustive",
          "-d",
          "500ms",
          "--nvml-library",
          SEXTANT_NVML_SIM_LIBRARY};
}

TEST(AServerThatKeepsGpuMemory, IsStartedAnewWhichIsSaid) {
  const Repository repository({{"m", Taking("2ms")}});
  const TempDirectory out;
  const std::string scenario = out.Write("sim.txt", KeepsMemory("4"));
  // The last of an option counts.
  const Words arguments = Arguments(repository, out.File("a"), WhileItSteps());
  Command command(arguments, {{"SEXTANT_NVML_SIM", scenario}});
  std::set<std::string> servers;
  while (!command.process().Wait(std::chrono::milliseconds(50)))
    servers.merge(ServerProcesses(out.File("a")));
  const Analysis analysis = Read(command.Finish(), out.File("a"));
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  const size_t restarts =
      CountOf(analysis.result.err,
              "note: the server kept 3 GiB of GPU memory without the model and is started anew");
  EXPECT_EQ(restarts, 1u) << analysis.result.err;
  EXPECT_EQ(CountOf(analysis.result.err, "it was not the server's: 4 GiB of GPU memory are in use"),
            1u)
      << analysis.result.err;
  EXPECT_EQ(servers.size(), 1 + restarts) << "a process for each life, and no life unsaid";
  EXPECT_TRUE(FileExists(out.File("a/server/server.log.before")));
  // What it was told from: beside what the server had by itself, what it had without the model.
  std::map<std::string, double> most;
  for (const analyze::Baseline& baseline : analysis.journal.sessions.at(0).baselines) {
    double& memory = most[baseline.kind];
    memory = std::max(memory, baseline.figures.at("gpu_memory_used").value);
  }
  EXPECT_EQ(most["server_only"], 1.0 * (1 << 30));
  EXPECT_EQ(most["unloaded"], 4.0 * (1 << 30));
  std::set<std::string> measured;
  for (const analyze::PointRecord& point : analysis.journal.sessions.at(0).points) {
    EXPECT_EQ(analyze::StatusName(point.measured.status), "measured") << point.measured.error;
    measured.insert(point.configuration);
  }
  EXPECT_EQ(measured.size(), 4u);
  EXPECT_EQ(ServersOf(out.path()), 0u);
}

TEST(AServerThatKeepsGpuMemory, AndIsNotOursMakesUpperBoundsWhichIsSaid) {
  Serve serve({{"m", Taking("2ms").Config()}},
              {"--model-control-mode", "explicit", "--load-model", "m"});
  const TempDirectory out;
  const auto analyze = [&](const char* after, const std::string& directory, const Words& more) {
    const std::string scenario = out.Write("sim.txt", KeepsMemory(after));
    Words arguments{"analyze",
                    "-m",
                    "m",
                    "-u",
                    serve.Url("http"),
                    "-e",
                    directory,
                    "--shortest-window",
                    "200ms",
                    "--longest-window",
                    "300ms",
                    "--gpu-source",
                    "nvml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Read(RunSextant(arguments, {{"SEXTANT_NVML_SIM", scenario}}), directory);
  };
  const Analysis kept = analyze("4", out.File("kept"), WhileItSteps());
  EXPECT_EQ(kept.result.exit_code, 0) << kept.result.out << kept.result.err;
  EXPECT_NE(kept.result.err.find("note: the server keeps 3 GiB of GPU memory without the model: "
                                 "memory figures are upper bounds"),
            std::string::npos)
      << kept.result.err;
  EXPECT_EQ(kept.result.err.find("started anew"), std::string::npos) << kept.result.err;
  EXPECT_FALSE(serve.process().Wait(Nanos(0)).has_value()) << "it runs on";
  // One that gives its memory back has nothing said of it.
  const Analysis steady = analyze("90000", out.File("steady"), WhileItSteps("4"));
  EXPECT_EQ(steady.result.exit_code, 0) << steady.result.out << steady.result.err;
  EXPECT_EQ(steady.result.err.find("GPU memory"), std::string::npos) << steady.result.err;
}

class AServerOfAnotherMake : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(BothProtocols, AServerOfAnotherMake, testing::Values("http", "grpc"),
                         [](const auto& info) { return info.param; });

TEST_P(AServerOfAnotherMake, HasItsLoadsSearched) {
  PlainServer server;
  const TempDirectory out;
  const Words arguments{"analyze",
                        "-m",
                        "plain",
                        "-u",
                        server.Url(GetParam()),
                        "-i",
                        GetParam(),
                        "-e",
                        out.path(),
                        "--shortest-window",
                        "200ms",
                        "--longest-window",
                        "400ms"};
  const auto with = [&](const Words& more) {
    Words all = arguments;
    all.insert(all.end(), more.begin(), more.end());
    return Read(RunSextant(std::move(all)), out.path());
  };
  const Analysis analysis = with({"-b", "1,2", "-c", "1,2"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_NE(analysis.result.out.find("Model plain on plain 7"), std::string::npos)
      << analysis.result.out;
  EXPECT_NE(analysis.result.out.find("only the load is searched"), std::string::npos);
  EXPECT_EQ(analysis.json.Find("ranking")->array().size(), 1u);
  std::map<std::string, int> loads;
  for (const Json& point : analysis.json.Find("points")->array())
    ++loads[text::FormatJson(*point.Find("load"))];
  EXPECT_EQ(loads.size(), 4u);
  EXPECT_GT(FigureOf(analysis.Ranked(0), "throughput"), 100);
  const Analysis refused = with({"--set", "max_batch_size=1,2", "--resume"});
  EXPECT_EQ(refused.result.exit_code, 2) << refused.result.err;
}

std::string Model(const std::string& more) { return Taking("2ms").Config() + more; }

TEST(SequencesAndStreams, AreMeasuredInEveryConfiguration) {
  Serve serve({{"m", Model("sequence_batching { oldest { max_candidate_sequences: 4 } }\n")}},
              {"--model-control-mode", "explicit", "--load-model", "m"});
  const TempDirectory out;
  const Analysis analysis =
      Read(RunSextant({"analyze",
                       "-m",
                       "m",
                       "-u",
                       serve.Url("grpc"),
                       "-i",
                       "grpc",
                       "--streaming",
                       "--sequence-length",
                       "5",
                       "--num-of-sequences",
                       "4",
                       "--set",
                       "sequence_batching.oldest.max_candidate_sequences=1,2,4",
                       "-c",
                       "4",
                       "-e",
                       out.path(),
                       "--shortest-window",
                       "200ms",
                       "--longest-window",
                       "400ms",
                       "-d",
                       "0s"}),
           out.path());
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  size_t measured = 0;
  for (const Json& point : analysis.json.Find("points")->array()) {
    EXPECT_EQ(Analysis::Text(point, "status"), "measured") << text::FormatJson(point);
    EXPECT_EQ(FigureOf(point, "error_rate"), 0);
    EXPECT_GT(FigureOf(point, "latency_p50"), 0.001);
    ++measured;
  }
  EXPECT_GE(measured, 3u);
}

TEST(DataSets, AreFilesOfWhichEachIsAnAxisOfTheLoad) {
  const Repository repository({{"m", EchoModel(4)}});
  const TempDirectory out;
  const std::string good = out.Write("good.json", EchoData(0)),
                    bad = out.Write("bad.json", EchoData(2));
  const Analysis analysis =
      Analyze(repository, out.File("a"),
              {"--data-set", "good=" + good, "--data-set", "bad=" + bad, "-b", "1,4", "-c", "2"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  std::map<std::string, size_t> points, wrong;
  for (const analyze::PointRecord& point : analysis.journal.sessions.at(0).points) {
    ++points[Format("{} {}", point.load.data, point.load.point.batch_size)];
    ASSERT_TRUE(point.measured.level.has_value());
    EXPECT_GT(point.measured.level->checked_outputs, 0u);
    wrong[point.load.data] += point.measured.level->wrong_outputs;
  }
  EXPECT_EQ(points.size(), 4u);
  // Two of the file's four rows expect what the model does not answer.
  EXPECT_EQ(wrong["good"], 0u);
  EXPECT_GT(wrong["bad"], 0u);
  // Another content under the same name is another measurement.
  out.Write("good.json", EchoData(1));
  const Analysis again = Analyze(
      repository, out.File("a"),
      {"--data-set", "good=" + good, "--data-set", "bad=" + bad, "-b", "1", "-c", "2", "--resume"});
  EXPECT_NE(again.result.err.find("data: "), std::string::npos) << again.result.err;
}

TEST(Tls, IsSpokenToTheControlCallsAndTheLoad) {
  const TempDirectory files;
  const auto made = RunProcess(
      {.argv = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"},
       .directory = files.path()},
      std::chrono::seconds(20));
  ASSERT_TRUE(made.has_value() && made->exit_code == 0);
  Serve serve({{"m", Taking("5ms").Config()}},
              {"--tls-cert=" + files.File("cert.pem"), "--tls-key=" + files.File("key.pem"),
               "--model-control-mode", "explicit", "--load-model", "m"});
  for (const bool grpc : {false, true}) {
    const std::string url = grpc ? Format("grpcs://localhost:{}", serve.grpc_port())
                                 : Format("https://localhost:{}", serve.http_port());
    const std::string out = files.File(grpc ? "grpc" : "http");
    const Analysis analysis = Read(RunSextant({"analyze",
                                               "-m",
                                               "m",
                                               "-u",
                                               url,
                                               "-i",
                                               grpc ? "grpc" : "http",
                                               grpc ? "--ssl-grpc-root-certifications-file"
                                                    : "--ssl-https-ca-certificates-file",
                                               files.File("cert.pem"),
                                               "--set",
                                               "instances=1,4",
                                               "-c",
                                               "8",
                                               "-e",
                                               out,
                                               "--shortest-window",
                                               "200ms",
                                               "--longest-window",
                                               "400ms",
                                               "-d",
                                               "0s",
                                               "--gpu-source",
                                               "none"}),
                                   out);
    ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
    EXPECT_EQ(analysis.Ranked(0).Find("settings")->Find("instance_group.count")->AsInt(), 4);
  }
}

// Everything that the program writes to a terminal of its own, until it ends.
std::string OnATerminal(Words arguments, int& exit_code) {
  int terminal = -1;
  winsize size{.ws_row = 50, .ws_col = 200, .ws_xpixel = 0, .ws_ypixel = 0};
  const std::string program = Program();
  std::vector<char*> argv;
  arguments.insert(arguments.begin(), program);
  for (std::string& word : arguments) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    execv(argv[0], argv.data());
    _exit(127);
  }
  std::string out;
  const Instant deadline = SteadyNow() + std::chrono::seconds(100);
  char bytes[4096];
  while (SteadyNow() < deadline) {
    pollfd waits{.fd = terminal, .events = POLLIN, .revents = 0};
    if (poll(&waits, 1, 1000) <= 0) continue;
    const ssize_t n = read(terminal, bytes, sizeof bytes);
    if (n <= 0) break;  // EIO: the other end is closed
    out.append(bytes, static_cast<size_t>(n));
  }
  if (SteadyNow() >= deadline) kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  close(terminal);
  exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

TEST(OnATerminal, OneLineIsKeptCurrentWithThePointTheBestAndTheTimeToCome) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  int exit_code = -1;
  Words arguments = Arguments(repository, out.path(), {"--set", "instances=1,2", "-c", "4"});
  const std::string all = OnATerminal(arguments, exit_code);
  ASSERT_EQ(exit_code, 0) << all;
  Words lines;
  for (const std::string_view part : Split(all, '\r')) {
    if (part.starts_with("\033[K[")) lines.emplace_back(part.substr(3));
  }
  ASSERT_GT(lines.size(), 5u) << all;
  const auto any = [&](std::string_view text) {
    return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(text) != std::string::npos;
    });
  };
  EXPECT_TRUE(any("loading m_config_0")) << all;
  EXPECT_TRUE(any("m_config_default, batch 1, concurrency 4: ")) << all;
  EXPECT_TRUE(any(" req/s  p99 ")) << all;
  EXPECT_TRUE(any("  best ")) << all;
  EXPECT_TRUE(any("  ETA ")) << all;
  EXPECT_TRUE(any("[2/")) << all;
  for (const std::string& line : lines) EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  // It is gone when the table comes.
  const size_t table = all.find("Verdict:");
  ASSERT_NE(table, std::string::npos) << all;
  EXPECT_EQ(all.find("\033[K[", table), std::string::npos);
}

}  // namespace
}  // namespace sextant::e2e
