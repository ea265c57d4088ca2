// The command line, from the outside.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"
#include "text/json.h"

namespace sextant::e2e {
namespace {

constexpr int kOk = 0, kUsage = 2;

ModelText Quick() {
  return {.instances = 4,
          .max_batch_size = 64,
          .batching = "",
          .parameters = {{"service_time", "fixed(2ms)"}}};
}

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view line : Split(text, '\n')) {
    if (!line.empty()) out.emplace_back(line);
  }
  return out;
}

TEST(Help, ListsCommandsAndOptionsWithDefaultsAndExitCodes) {
  const PerfResult program = RunSextant({"--help"});
  EXPECT_EQ(program.exit_code, kOk);
  // The commands are those that have a page.
  const TempDirectory pages;
  EXPECT_EQ(RunSextant({"docs", "--format", "man", "--directory", pages.path()}).exit_code, kOk);
  const std::vector<std::string> files = *ListDirectory(pages.path());
  EXPECT_GE(files.size(), 6U);
  for (const std::string& file : files) {
    ASSERT_TRUE(file.starts_with("sextant-") && file.ends_with(".1")) << file;
    const std::string command = file.substr(8, file.size() - 10);
    EXPECT_NE(program.out.find(Format("\n  {} ", command)), std::string::npos) << command;
  }
  EXPECT_EQ(RunSextant({"docs"}).exit_code, kUsage);
  const PerfResult perf = RunSextant({"perf", "--help"});
  EXPECT_EQ(perf.exit_code, kOk);
  EXPECT_TRUE(perf.err.empty());
  for (const std::string_view text :
       {"Exit codes: 0 measured", "-m, --model-name NAME", "--concurrency-range LIST",
        "--request-rate-range", "--max-in-flight", "--progress HOW", "(http|grpc; default: http)",
        "99.9. (default:", "SEXTANT_", "Input data:"}) {
    EXPECT_NE(perf.out.find(text), std::string::npos) << text;
  }
  for (const std::string& line : Lines(perf.out)) EXPECT_LE(line.size(), 100U) << line;
  EXPECT_EQ(RunSextant({"help", "perf"}).out, perf.out);
}

TEST(Version, IsOneLine) {
  const PerfResult result = RunSextant({"--version"});
  EXPECT_EQ(result.exit_code, kOk);
  EXPECT_TRUE(result.out.starts_with("sextant ")) << result.out;
  EXPECT_EQ(CountOf(result.out, "\n"), 1U);
}

TEST(AnUnknownCommand, IsAnsweredWithTheNearest) {
  const PerfResult result = RunSextant({"prf"});
  EXPECT_EQ(result.exit_code, kUsage);
  EXPECT_NE(result.err.find("did you mean 'perf'?"), std::string::npos) << result.err;
}

TEST(MistakesOfACommandLine, AreReportedAllAtOnceWithTheNearestNames) {
  const PerfResult result = RunSextant({"perf",
                                        "-m",
                                        "m",
                                        "--concurency-range",
                                        "4",
                                        "--protocol=htp",
                                        "-b",
                                        "0",
                                        "--seed",
                                        "x",
                                        "--percentiles",
                                        "50,200",
                                        "--shape",
                                        "X",
                                        "--random-range=2:1",
                                        "-u",
                                        "ftp://host",
                                        "--requests",
                                        "5",
                                        "--duration",
                                        "2s",
                                        "-f",
                                        "absent/directory/x.csv",
                                        "--connections=2",
                                        "--workers=3",
                                        "stray"});
  EXPECT_EQ(result.exit_code, kUsage);
  EXPECT_TRUE(result.out.empty());
  for (const std::string_view text :
       {"--concurency-range is not an option; did you mean --concurrency-range?",
        "must be http|grpc; did you mean 'http'?", "-b '0'", "--seed 'x'", "--percentiles '50,200'",
        "--shape 'X'", "--random-range '2:1'", "the scheme 'ftp'",
        "--requests and --duration exclude each other", "'absent/directory/x.csv'",
        "--connections 2: --workers 3 needs at least 3", "stray"}) {
    EXPECT_NE(result.err.find(text), std::string::npos) << text << "\n" << result.err;
  }
}

TEST(MistakesOfAFileAndTheEnvironment, AreReportedWithTheCommandLines) {
  const TempDirectory directory;
  const std::string file =
      directory.Write("perf.yaml", "model-name: m\nprotocl: grpc\nworkers: many\n");
  const PerfResult result =
      RunSextant({"perf", "--config", file, "--sed=3"}, {{"SEXTANT_TIMEOUT", "soon"}});
  EXPECT_EQ(result.exit_code, kUsage);
  for (const std::string_view text : {"line 2", "protocl", "did you mean --protocol?", "line 3",
                                      "'many'", "SEXTANT_TIMEOUT 'soon'", "--sed", "--seed"}) {
    EXPECT_NE(result.err.find(text), std::string::npos) << text << "\n" << result.err;
  }
}

TEST(WhatIsMissing, IsNotClaimedWhileSomethingWasNotUnderstood) {
  const TempDirectory directory;
  const std::string broken = directory.Write("broken.yaml", "model-name: [\n");
  const std::vector<std::vector<std::string>> mistaken{{"--config", directory.File("absent.yaml")},
                                                       {"--config", broken},
                                                       {"--merge"},
                                                       {"--mrge", "a"}};
  for (std::vector<std::string> arguments : mistaken) {
    arguments.insert(arguments.begin(), "perf");
    const PerfResult result = RunSextant(arguments);
    EXPECT_EQ(result.exit_code, kUsage);
    EXPECT_EQ(result.err.find("required"), std::string::npos) << result.err;
  }
  EXPECT_NE(RunSextant({"perf", "-b", "2"}).err.find("-m, --model-name NAME is required"),
            std::string::npos);
}

TEST(AValueThatIsMissing, IsNamedForWhatItIs) {
  EXPECT_NE(RunSextant({"perf", "-u"}).err.find("-u needs a value: URL: The server"),
            std::string::npos);
  EXPECT_EQ(RunSextant({"perf", "-z=maybe"}).err.find("-="), std::string::npos);
}

TEST(Values, AreRefusedWithWhatMayBeWritten) {
  const PerfResult result =
      RunSextant({"perf", "-m", "m", "--concurrency-range", "x", "--random-range", "5:1",
                  "--max-error-rate", "200%", "-o", "a.json", "-f", "./a.json"});
  EXPECT_EQ(result.exit_code, kUsage);
  for (const std::string_view text :
       {"START:END:STEP", "START..END*FACTOR", "such as 1,2,4", "LOW, 5, is above HIGH, 1",
        "such as 0.05 or 5%", "--output and --latency-report-file name the same file"}) {
    EXPECT_NE(result.err.find(text), std::string::npos) << text << "\n" << result.err;
  }
}

TEST(OutputThatCannotBeWritten, EndsInAnError) {
  for (const std::string_view arguments : {"perf --help", "--version", "docs -c serve"}) {
    const int status =
        std::system(Format("'{}' {} >/dev/full 2>/dev/null", Program(), arguments).c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << arguments << ": " << status;
  }
}

TEST(AFileThatIsNoRun, IsNotMerged) {
  const TempDirectory directory;
  const std::string file = directory.Write("c.yaml", "a: 1\n");
  const PerfResult result = RunSextant({"perf", "--merge", file});
  EXPECT_EQ(result.exit_code, kUsage);
  EXPECT_NE(result.err.find("not a run file"), std::string::npos) << result.err;
}

TEST(APrintedConfig, KeepsSecretsToItself) {
  const PerfResult result = RunSextant({"perf", "-m", "m", "-H", "Authorization: Bearer abcdef",
                                        "-H", "X-Plain: shown", "--print-config"});
  EXPECT_EQ(result.exit_code, kOk);
  EXPECT_EQ(result.out.find("abcdef"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("Authorization: [secret]"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("X-Plain: shown"), std::string::npos) << result.out;
}

TEST(APrintedConfig, ReadsBackToTheSameConfig) {
  const TempDirectory directory;
  const std::vector<std::string> arguments{"perf",
                                           "-m",
                                           "a model",
                                           "-x",
                                           "3",
                                           "-u",
                                           "grpc://host:9",
                                           "-i",
                                           "grpc",
                                           "-b",
                                           "1,2,4,8",
                                           "--concurrency-range=1..64*2",
                                           "--shape=X:3,4",
                                           "--shape=Y:5",
                                           "--random-range",
                                           "X=1:2",
                                           "--string-data",
                                           "yes: no # \"x\"",
                                           "--seed=18446744073709551615",
                                           "--duration",
                                           "1.5s",
                                           "--warmup=100",
                                           "--timeout=0s",
                                           "--max-error-rate=0.01",
                                           "--percentiles=50,99.9",
                                           "--spin",
                                           "--quiet",
                                           "--progress=json"};
  std::vector<std::string> print = arguments;
  print.emplace_back("--print-config");
  const PerfResult first = RunSextant(print);
  ASSERT_EQ(first.exit_code, kOk) << first.err;
  const std::string file = directory.Write("perf.yaml", first.out);
  const PerfResult second = RunSextant({"perf", "--config=" + file, "--print-config"});
  EXPECT_EQ(second.exit_code, kOk) << second.err;
  EXPECT_EQ(second.out, first.out);
  for (const std::string_view text : {"seed: 18446744073709551615", "spin: true", "a model"})
    EXPECT_NE(first.out.find(text), std::string::npos) << first.out;
}

TEST(TheSources, AreCommandLineThenEnvironmentThenFile) {
  const TempDirectory directory;
  const std::string file =
      directory.Write("perf.yaml", "model-name: file\nworkers: 3\nstring-length: 7\n");
  const PerfResult result =
      RunSextant({"perf", "--config", file, "--print-config", "-m", "line"},
                 {{"SEXTANT_MODEL_NAME", "environment"}, {"SEXTANT_WORKERS", "5"}});
  ASSERT_EQ(result.exit_code, kOk) << result.err;
  for (const std::string_view text : {"model-name: line\n", "workers: 5\n", "string-length: 7\n"})
    EXPECT_NE(result.out.find(text), std::string::npos) << result.out;
}

TEST(TheDoctor, SaysOneLineEachWithARemedyForWhatIsWrong) {
  const PerfResult result = RunSextant({"doctor"});
  EXPECT_EQ(result.exit_code, kOk) << result.out;
  for (const std::string_view subject :
       {"cores", "clock", "memory", "open files", "outgoing ports", "ONNX engine", "GPU library"})
    EXPECT_EQ(CountOf(result.out, Format("{:<16}", subject)), 1U) << subject << "\n" << result.out;
  const PerfResult json = RunSextant({"doctor", "--json"});
  const auto lines = Lines(json.out);
  EXPECT_EQ(lines.size(), Lines(result.out).size());
  for (const std::string& line : lines) {
    const Result<text::Json> parsed = text::ParseJson(line);
    ASSERT_TRUE(parsed.has_value()) << line;
    for (const std::string_view key : {"subject", "state", "found", "remedy"})
      EXPECT_NE(parsed->Find(key), nullptr) << line;
    const bool wants_remedy = *parsed->Find("state")->AsString() != "ok";
    EXPECT_EQ(!parsed->Find("remedy")->AsString()->empty(), wants_remedy) << line;
  }
}

// What the rest of this file runs against.
class AgainstAServer : public testing::Test {
 protected:
  static void SetUpTestSuite() { serve_ = new Serve({{"m", Quick().Config()}}); }
  static void TearDownTestSuite() {
    delete serve_;
    serve_ = nullptr;
  }
  static std::vector<std::string> Arguments(std::vector<std::string> more) {
    more.insert(more.begin(), {"--warmup=0", "--workers=1"});
    return Against(*serve_, "http", "m", std::move(more));
  }
  static Serve* serve_;
};
Serve* AgainstAServer::serve_ = nullptr;

TEST_F(AgainstAServer, ListsAndRangesGiveTheirLevelsInOrder) {
  const auto loads = [](const PerfResult& result) {
    std::vector<std::string> out;
    for (const run::Level& level : result.run->levels)
      out.push_back(Format("{}x{}", level.load.value, level.load.batch_size));
    return Join(out, " ");
  };
  const auto run = [&](std::vector<std::string> more) {
    more.emplace_back("--requests=30");
    more.emplace_back("--quiet");
    const PerfResult result = RunPerf(Arguments(std::move(more)));
    EXPECT_EQ(result.exit_code, kOk) << result.err;
    return loads(result);
  };
  EXPECT_EQ(run({"-b", "1,2,4,8"}), "1x1 1x2 1x4 1x8");
  EXPECT_EQ(run({"--concurrency-range=1..64*2"}), "1x1 2x1 4x1 8x1 16x1 32x1 64x1");
  EXPECT_EQ(run({"--concurrency-range", "1:8:2"}), "1x1 3x1 5x1 7x1");
  EXPECT_EQ(run({"--concurrency-range", "3,1", "-b", "2,1"}), "3x2 1x2 3x1 1x1");
  EXPECT_EQ(run({"--request-rate-range", "100:300:100"}), "100x1 200x1 300x1");
}

TEST_F(AgainstAServer, ABatchThatTheModelDoesNotTakeIsRefusedBeforeAnythingIsSent) {
  const PerfResult result = RunPerf(Arguments({"-b", "1,65", "--requests=10"}));
  EXPECT_EQ(result.exit_code, kUsage);
  EXPECT_NE(result.err.find("65"), std::string::npos) << result.err;
  EXPECT_FALSE(result.run.has_value());
}

TEST(Precision, IsWhatAnAutomaticWindowWaitsFor) {
  const ModelText model{.parameters = {{"service_time", "lognormal(2ms, 0.5)"}}};
  Serve serve({{"m", model.Config()}});
  const auto measure = [&](const std::vector<std::string>& options) {
    const PerfResult result = RunPerf(Against(serve, "http", "m", options));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.level();
  };
  // Some 480 requests a second whose times vary by half: 10 % is known at once, 2 % after 5 s, or,
  // on a machine that is never quiet, not within the 10 s that a window may last.
  const run::Level coarse = measure({"--precision=10%"});
  EXPECT_EQ(coarse.window_rule, "interval");
  EXPECT_LT(coarse.throughput.relative(), 0.1);
  const run::Level fine = measure({});
  EXPECT_GT(fine.window_s, 1.2 * coarse.window_s);
  if (fine.window_rule == "interval") {
    EXPECT_LT(fine.throughput.relative(), 0.0201);
  }
}

TEST(Precision, GoesWithNoOtherRuleForTheWindow) {
  const PerfResult both = RunSextant({"perf", "-m", "m", "--precision=1%", "--duration=3s"});
  EXPECT_EQ(both.exit_code, kUsage);
  EXPECT_NE(both.err.find("--precision says when an automatic window ends"), std::string::npos);
  const PerfResult wide = RunSextant({"perf", "-m", "m", "--precision=90%"});
  EXPECT_EQ(wide.exit_code, kUsage);
  EXPECT_NE(wide.err.find("from 0.001 to 0.5"), std::string::npos) << wide.err;
}

TEST_F(AgainstAServer, AServersVersionAndModelAreInTheRunFileWithEverythingElse) {
  const PerfResult result =
      RunPerf(Arguments({"--seed=77", "--duration=2200ms", "--concurrency-range=2,4", "-x", "1"}));
  ASSERT_EQ(result.exit_code, kOk) << result.err;
  const text::Json& header = result.run->header;
  const auto at = [&](std::vector<std::string_view> path) {
    const text::Json* json = &header;
    for (const std::string_view key : path) json = json == nullptr ? nullptr : json->Find(key);
    EXPECT_NE(json, nullptr) << Join(std::vector<std::string>(path.begin(), path.end()), ".");
    static const text::Json none;
    return json == nullptr ? none : *json;
  };
  EXPECT_EQ(at({"seed"}).AsUint(), 77U);
  EXPECT_TRUE(at({"tool"}).AsString()->starts_with("sextant "));
  EXPECT_EQ(at({"options", "concurrency-range"}).AsString(), "2,4");
  EXPECT_EQ(at({"options", "duration"}).AsString(), "2200ms");
  EXPECT_GT(at({"host", "cores_usable"}).AsInt(), 0);
  EXPECT_FALSE(at({"host", "kernel"}).AsString()->empty());
  EXPECT_FALSE(at({"host", "cpu_model"}).AsString()->empty());
  EXPECT_FALSE(at({"server", "name"}).AsString()->empty());
  EXPECT_FALSE(at({"server", "version"}).AsString()->empty());
  EXPECT_EQ(at({"server", "protocol"}).AsString(), "http");
  EXPECT_EQ(at({"model", "name"}).AsString(), "m");
  EXPECT_EQ(at({"model", "config", "backend"}).AsString(), "simulated");
  EXPECT_EQ(at({"planned"}).array().size(), 2U);
  EXPECT_EQ(result.run->end_reason, "complete");
  ASSERT_EQ(result.run->levels.size(), 2U);
  for (const run::Level& level : result.run->levels) {
    EXPECT_EQ(level.latency.histogram.count(), level.succeeded);
    EXPECT_EQ(level.service.histogram.count(), level.succeeded);
    EXPECT_EQ(level.slip.count(), level.scheduled);
    ASSERT_EQ(level.series.size(), 3U);
    uint64_t answered = 0;
    for (const run::SecondRecord& second : level.series) answered += second.answered;
    EXPECT_EQ(answered, level.completed);
    EXPECT_NEAR(level.series.back().length_s, 0.2, 0.05);
    ASSERT_EQ(level.server.size(), 1U);
    EXPECT_EQ(level.server[0].model, "m");
    EXPECT_NEAR(static_cast<double>(level.server[0].success_count),
                static_cast<double>(level.completed), 2 * level.load.value);
    EXPECT_GE(level.server[0].compute_infer_us, 2000);
    EXPECT_GT(level.client.bytes_sent, level.succeeded * 64);
  }
}

TEST_F(AgainstAServer, ProgressAsJsonIsValidLineByLineAndNamesEveryLevel) {
  const PerfResult result =
      RunPerf(Arguments({"--progress=json", "--duration=700ms", "--concurrency-range=1,2"}));
  ASSERT_EQ(result.exit_code, kOk) << result.err;
  size_t levels = 0;
  std::set<std::string> phases;
  for (const std::string& line : Lines(result.err)) {
    const Result<text::Json> parsed = text::ParseJson(line);
    ASSERT_TRUE(parsed.has_value()) << line;
    const text::Json* event = parsed->Find("event");
    ASSERT_TRUE(event != nullptr && event->AsString().has_value()) << line;
    if (*event->AsString() == "level") {
      ++levels;
      EXPECT_EQ(parsed->Find("level")->AsUint(), levels);
      EXPECT_GT(parsed->Find("throughput_per_s")->AsDouble(), 0.0);
    } else {
      phases.insert(std::string(*parsed->Find("phase")->AsString()));
      EXPECT_NE(parsed->Find("requests_per_s"), nullptr);
    }
  }
  EXPECT_EQ(levels, 2U);
  EXPECT_TRUE(phases.contains("measuring"));
}

TEST_F(AgainstAServer, ProgressIsSilentWhereThereIsNoTerminal) {
  const PerfResult result = RunPerf(Arguments({"--requests=50"}));
  EXPECT_EQ(result.err, "");
}

TEST_F(AgainstAServer, TheCsvHasTheColumnsAndOrderOfPerfAnalyzer) {
  const TempDirectory directory;
  const std::string file = directory.File("report.csv");
  const PerfResult result = RunPerf(
      Arguments({"-f", file, "--requests=100", "--concurrency-range=4,1,2", "--percentiles=75"}));
  ASSERT_EQ(result.exit_code, kOk) << result.err;
  const auto lines = Lines(*ReadFile(file));
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0],
            "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
            "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
            "p50 latency,p75 latency,p90 latency,p95 latency,p99 latency");
  double before = 0;
  std::set<std::string> concurrencies;
  for (size_t i = 1; i < lines.size(); ++i) {
    const auto cells = Split(lines[i], ',');
    ASSERT_EQ(cells.size(), 14U) << lines[i];
    concurrencies.emplace(cells[0]);
    const double throughput = *ParseDouble(cells[1]);
    EXPECT_GE(throughput, before);  // by throughput, as perf_analyzer sorts
    before = throughput;
    double last = 0;
    for (size_t cell = 9; cell < 14; ++cell) {
      EXPECT_GE(*ParseDouble(cells[cell]), std::max(last, 2000.0)) << lines[i];
      last = *ParseDouble(cells[cell]);
    }
    EXPECT_GE(*ParseDouble(cells[6]), 2000) << lines[i];
  }
  EXPECT_EQ(concurrencies, (std::set<std::string>{"1", "2", "4"}));
}

TEST_F(AgainstAServer, AModelThatIsNotThereIsAnsweredWithThoseThatAre) {
  for (const std::string_view protocol : {"http", "grpc"}) {
    std::vector<std::string> arguments = Against(*serve_, protocol, "absent", {});
    arguments.insert(arguments.begin(), "perf");
    const PerfResult result = RunSextant(std::move(arguments));
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find("The server has 'm'"), std::string::npos) << result.err;
  }
}

TEST_F(AgainstAServer, APortOfAnotherKindIsSaidToBeOne) {
  const auto say = [&](std::string_view protocol, int port) {
    return RunSextant(
               {"perf", "-m", "m", "-i", std::string(protocol), "-u", Format("127.0.0.1:{}", port)})
        .err;
  };
  EXPECT_NE(say("http", serve_->grpc_port()).find("this is a gRPC port: add -i grpc"),
            std::string::npos);
  EXPECT_NE(say("grpc", serve_->http_port()).find("this is an HTTP port: leave out -i grpc"),
            std::string::npos);
  for (const std::string_view protocol : {"http", "grpc"}) {
    EXPECT_NE(say(protocol, serve_->metrics_port()).find("this is a port of metrics"),
              std::string::npos);
  }
}

TEST(AServerThatIsNotThere, IsWaitedForAsLongAsAsked) {
  const PerfResult result =
      RunSextant({"perf", "-m", "m", "-u", "127.0.0.1:1", "--wait-ready", "200ms"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("after --wait-ready 200"), std::string::npos) << result.err;
}

TEST_F(AgainstAServer, QuietLeavesOnlyTheTable) {
  const PerfResult result =
      RunPerf(Arguments({"--quiet", "--requests=50", "--concurrency-range=1,2"}));
  EXPECT_EQ(result.exit_code, kOk);
  const auto lines = Lines(result.out);
  // Two of headings, one a level, and what the marks and states in them mean.
  ASSERT_GE(lines.size(), 4U) << result.out;
  for (size_t i = 4; i < lines.size(); ++i) {
    const std::string_view mark = std::string_view(lines[i]).substr(0, lines[i].find(": "));
    EXPECT_TRUE(mark == "?" || mark == "short" || mark == "noisy" || mark == "drifting" ||
                mark == "client-limited")
        << lines[i];
  }
  EXPECT_NE(lines[0].find("Throughput"), std::string::npos);
  const PerfResult full = RunPerf(Arguments({"--requests=50"}));
  for (const std::string_view words :
       {"Request concurrency: 1", "Throughput: ", "infer/sec", "Avg latency: ", "p50 latency: ",
        "p90 latency: ", "p95 latency: ", "p99 latency: ", "Request count: 50",
        "Inference count: ", "Avg request latency: "})
    EXPECT_NE(full.out.find(words), std::string::npos) << words << "\n" << full.out;
}

TEST_F(AgainstAServer, WhatTheSampleDoesNotSupportIsSaid) {
  const PerfResult result = RunPerf(Arguments({"--requests=50"}));
  EXPECT_NE(result.out.find("needs >= 368 requests"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("State: short"), std::string::npos) << result.out;
}

TEST_F(AgainstAServer, EveryOptionOfARunCanComeFromTheEnvironment) {
  const PerfResult result = RunPerf({}, {{"SEXTANT_MODEL_NAME", "m"},
                                         {"SEXTANT_URL", "grpc://" + serve_->Url("grpc")},
                                         {"SEXTANT_REQUESTS", "25"},
                                         {"SEXTANT_WARMUP", "0"},
                                         {"SEXTANT_QUIET", "true"}});
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  EXPECT_EQ(result.level().succeeded, 25U);
  EXPECT_EQ(result.run->header.Find("server")->Find("protocol")->AsString(), "grpc");
}

// Arrivals of a run, in seconds from its first.
std::vector<double> Arrivals(const std::string& seed) {
  Serve serve({{"m", Quick().Config()}});
  const PerfResult result =
      RunPerf(Against(serve, "http", "m",
                      {"--request-rate-range=50", "--request-distribution=poisson", "--duration=2s",
                       "--warmup=0", "--workers=1", "--seed=" + seed}));
  EXPECT_EQ(result.exit_code, kOk) << result.err;
  std::vector<double> out;
  for (const Truth& t : serve.StopAndReadTruth()) out.push_back(t.arrived);
  std::sort(out.begin(), out.end());
  for (size_t i = out.size(); i-- > 0;) out[i] -= out[0];
  // The load goes on past the window until its last answer; how far is not the schedule's business.
  while (!out.empty() && out.back() > 1.8) out.pop_back();
  return out;
}

// How far two schedules are apart, in the median, wherever their beginnings are: a first request
// may be late.
double Apart(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> differences;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) differences.push_back(a[i] - b[i]);
  const double offset = Quantile(differences, 0.5);
  for (double& difference : differences) difference = std::abs(difference - offset);
  return Quantile(differences, 0.5);
}

TEST(TheSameSeed, GivesTheSameScheduleOfArrivalsAndAnotherGivesAnother) {
  const auto first = Arrivals("5"), second = Arrivals("5"), other = Arrivals("6");
  ASSERT_GT(first.size(), 50U);
  // A few may be on either side of the cut.
  EXPECT_NEAR(static_cast<double>(first.size()), static_cast<double>(second.size()), 3);
  EXPECT_LT(Apart(first, second), 2e-3);
  EXPECT_GT(Apart(first, other), 10e-3);
}

// Not when its turn comes, with another model's analysis behind it.
TEST(AnalyzesModels, AreLookedForBeforeAnythingRuns) {
  const TempDirectory directory;
  for (const char* name : {"digits", "other"}) {
    EXPECT_TRUE(MakeDirectories(directory.File(Format("models/{}/1", name))).has_value());
    directory.Write(Format("models/{}/config.pbtxt", name), Quick().Config());
  }
  const std::string out = directory.File("out");
  const auto analyze = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"analyze", "-e", out, "-c", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return RunSextant(words);
  };
  const PerfResult ours =
      analyze({"-m", "digits,digit,another", "--model-repository", directory.File("models")});
  EXPECT_EQ(ours.exit_code, kUsage) << ours.out;
  EXPECT_EQ(ours.out, "");
  EXPECT_NE(ours.err.find("model 'digit': there is none in"), std::string::npos) << ours.err;
  EXPECT_NE(ours.err.find("; did you mean 'digits'?"), std::string::npos) << ours.err;
  EXPECT_NE(ours.err.find("model 'another': there is none in"), std::string::npos) << ours.err;
  // Of a server, what it lists, whether it is loaded or not.
  Serve serve({{"digits", Quick().Config()}, {"other", Quick().Config()}},
              {"--model-control-mode", "explicit", "--load-model", "digits"});
  for (const char* protocol : {"http", "grpc"}) {
    const PerfResult remote =
        analyze({"-m", "digits,othr", "-i", protocol, "-u", serve.Url(protocol)});
    EXPECT_EQ(remote.exit_code, kUsage) << remote.out;
    EXPECT_EQ(remote.out, "");
    EXPECT_NE(remote.err.find(Format("model 'othr': there is none in the server {}; did you mean "
                                     "'other'?",
                                     serve.Url(protocol))),
              std::string::npos)
        << remote.err;
    const PerfResult known =
        analyze({"-m", "digits,other", "-i", protocol, "-u", serve.Url(protocol), "--plan"});
    EXPECT_EQ(known.exit_code, kOk) << known.err;
  }
  EXPECT_FALSE(FileExists(out + "/results.json"));
}

TEST(AnalyzesBudget, ThatIsTooSmallSaysWhichOneWouldDo) {
  const TempDirectory directory;
  EXPECT_TRUE(MakeDirectories(directory.File("models/m/1")).has_value());
  directory.Write("models/m/config.pbtxt", Quick().Config());
  const auto analyze = [&](std::vector<std::string> more) {
    std::vector<std::string> words{"analyze",
                                   "-m",
                                   "m",
                                   "--model-repository",
                                   directory.File("models"),
                                   "-e",
                                   directory.File("out"),
                                   "-d",
                                   "0s",
                                   "--set",
                                   "instances=1,2",
                                   "--budget",
                                   "1s"};
    words.insert(words.end(), more.begin(), more.end());
    return RunSextant(words);
  };
  const PerfResult plan = analyze({"--plan"}), run = analyze({});
  EXPECT_EQ(plan.exit_code, kOk) << plan.err;
  EXPECT_NE(plan.out.find("The search: nothing; a first point"), std::string::npos) << plan.out;
  EXPECT_NE(plan.out.find("needs a --budget of at least 8.00 s, not 1.00 s"), std::string::npos)
      << plan.out;
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_NE(run.out.find("a first point needs a --budget of at least 8.00 s"), std::string::npos)
      << run.out;
}

}  // namespace
}  // namespace sextant::e2e
