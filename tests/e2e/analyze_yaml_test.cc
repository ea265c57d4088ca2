// Model Analyzer's YAML through the program: what each key does to an analysis.
#include <gtest/gtest.h>

#include <filesystem>

#include "analyze_harness.h"
#include "base/files.h"
#include "base/strings.h"

namespace sextant::e2e {
namespace {

using Words = std::vector<std::string>;

// `sextant analyze` of what the file says, on an embedded server unless `more` says another.
PerfResult RunFile(const TempDirectory& directory, const Repository& repository,
                   const std::string& yaml, const Words& more) {
  Words arguments{"analyze", "--model-analyzer-config", directory.Write("ma.yaml", yaml),
                  "--model-repository", repository.path()};
  if (std::find(more.begin(), more.end(), "--launch") == more.end() &&
      std::find(more.begin(), more.end(), "-u") == more.end())
    arguments.insert(arguments.end(), {"--launch", "embedded"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return RunSextant(std::move(arguments));
}

TEST(ModelAnalyzersFile, PutsEverythingWhereItSays) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const auto at = [&](const char* name) { return out.File(name); };
  const PerfResult result =
      RunFile(out, repository,
              Format("profile_models: m\n"
                     "client_protocol: http\n"
                     "run_config_search_disable: true\n"
                     "duration_seconds: 0\n"
                     "perf_analyzer_timeout: 0.25\n"
                     "monitoring_interval: 0.001\n"
                     "export_path: {}\n"
                     "checkpoint_directory: {}\n"
                     "output_model_repository_path: {}\n"
                     "triton_output_path: {}\n"
                     "filename_model_inference: inference.csv\n"
                     "filename_model_gpu: gpu.csv\n"
                     "filename_server_only: server.csv\n",
                     at("results"), at("checkpoints"), at("repository"), at("triton.log")),
              {});
  ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
  for (const char* name : {"results/results.json", "results/points.csv", "results/inference.csv",
                           "results/gpu.csv", "results/server.csv", "checkpoints/m.jsonl",
                           "repository/m_config_default/config.pbtxt", "triton.log"})
    EXPECT_TRUE(FileExists(at(name))) << name;
  for (const char* name : {"results/journal.jsonl", "results/configurations",
                           "results/metrics-model-inference.csv", "results/server/server.log"})
    EXPECT_FALSE(std::filesystem::exists(at(name))) << name;
  EXPECT_NE(ReadFile(at("triton.log"))->find("ready"), std::string::npos);
  EXPECT_NE(result.out.find(at("checkpoints/m.jsonl")), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("monitoring_interval: 0.001 s is taken as 0.05 s"), std::string::npos)
      << result.err;
  // Nothing but the default, at the one load that Model Analyzer measures without a search; no
  // window is longer than one of perf_analyzer's runs may be.
  const auto journal = analyze::ParseJournal(*ReadFile(at("checkpoints/m.jsonl")));
  ASSERT_TRUE(journal.has_value());
  ASSERT_EQ(journal->sessions.size(), 1u);
  EXPECT_FALSE(journal->sessions[0].points.empty());
  for (const analyze::PointRecord& point : journal->sessions[0].points) {
    EXPECT_TRUE(point.settings.empty());
    EXPECT_EQ(point.load.point.value, 1);
    EXPECT_LE(Seconds(point.window), 0.25);
  }
}

TEST(ModelAnalyzersFile, SearchesConfigurationsUnlessThatIsDisabledThoughLoadsAreNamed) {
  const Repository repository({{"m", Taking("5ms", 8)}});
  const TempDirectory out;
  const std::string loads =
      "profile_models: {m: {parameters: {concurrency: [1, 2]}}}\n"
      "run_config_search_max_model_batch_size: 4\n";
  const auto plan = [&](const std::string& more) {
    const PerfResult result = RunFile(out, repository, loads + more, {"--plan", "-e", out.path()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string brute = plan(""), disabled = plan("run_config_search_disable: true\n");
  EXPECT_NE(brute.find("max_batch_size: 1, 2, 4\n"), std::string::npos) << brute;
  EXPECT_NE(brute.find("Plan: 7 configurations, 14 points"), std::string::npos) << brute;
  EXPECT_NE(disabled.find("Plan: 1 configurations, 2 points"), std::string::npos) << disabled;
  // A sweep that is left early is the adaptive search's.
  const auto search = [](const std::string& text) { return text.substr(text.find("The search")); };
  const std::string early = plan("early_exit_enable: true\n");
  EXPECT_NE(search(early), search(brute));
  EXPECT_EQ(search(early), search(plan("run_config_search_mode: quick\n")));
}

TEST(ModelAnalyzersFile, KeepsAModelOnTheCpu) {
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  for (const char* search : {"false", "true"}) {
    const PerfResult result =
        RunFile(out, repository,
                Format("profile_models: {{m: {{cpu_only: true}}}}\nrun_config_search_disable: {}\n",
                       search),
                {"--plan", "-e", out.path()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.out.find("instance_group.kind: \"KIND_CPU\""), std::string::npos)
        << result.out;
  }
}

TEST(ModelAnalyzersFile, LeavesWhatAServerHasLoadedWhereReloadingIsDisabled) {
  Serve serve({{"m", Taking("5ms").Config()}},
              {"--model-control-mode", "explicit", "--load-model", "m"});
  const Repository repository({{"m", Taking("5ms")}});
  const TempDirectory out;
  const std::string yaml = Format(
      "profile_models: {{m: {{parameters: {{concurrency: [1, 2]}}}}}}\n"
      "triton_launch_mode: remote\nclient_protocol: http\ntriton_http_endpoint: {}\n"
      "triton_metrics_url: http://127.0.0.1:{}/metrics\nreload_model_disable: true\n",
      serve.Url("http"), serve.metrics_port());
  const auto run = [&](const char* directory, const Words& more) {
    Words arguments{"analyze", "--model-analyzer-config", out.Write("ma.yaml", yaml),
                    "-e",      out.File(directory),       "--shortest-window",
                    "200ms"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Read(RunSextant(std::move(arguments)), out.File(directory));
  };
  const Analysis analysis = run("a", {});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_NE(analysis.result.out.find("--leave-model: only the load is searched"), std::string::npos)
      << analysis.result.out;
  EXPECT_EQ(analysis.json.Find("ranking")->array().size(), 1u);
  const Analysis refused = run("b", {"--set", "instances=1,2"});
  EXPECT_EQ(refused.result.exit_code, 2);
  EXPECT_NE(refused.result.err.find("leave out --leave-model"), std::string::npos)
      << refused.result.err;
}

// An engine that keeps how it was called; it sees every path, and cannot run any server.
std::string FakeEngine(const TempDirectory& directory) {
  // What is asked whether it sees the models reads them.
  const std::string script = directory.Write(
      "engine", "#!/bin/sh\necho \"$@\" >> " + directory.File("calls") +
                    "\ncase \"$*\" in *--entrypoint*) while [ \"$1\" != --entrypoint ]; do shift; "
                    "done; shift 3; exec cat \"$@\";; esac\n"
                    "case \"$*\" in *tritonserver*) echo no such image >&2; exit 125;; esac\n");
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  return script;
}

TEST(ModelAnalyzersFile, GivesTheContainerItsMountsLabelsMemoryAndArguments) {
  const Repository repository({{"m", Taking("5ms")}, {"n", Taking("5ms")}});
  const TempDirectory out;
  const PerfResult result = RunFile(out, repository,
                                    "profile_models:\n"
                                    "  m:\n"
                                    "  n:\n"
                                    "    triton_docker_args: {privileged: true, init: false}\n"
                                    "triton_launch_mode: docker\n"
                                    "triton_docker_image: triton:1\n"
                                    "triton_docker_mounts: [/data:/data:ro]\n"
                                    "triton_docker_labels: {team: vision}\n"
                                    "triton_docker_shm_size: 1g\n"
                                    "triton_docker_args: {ipc_mode: host, cap_add: SYS_NICE}\n"
                                    "gpus: []\n"
                                    "triton_server_flags: {log-verbose: 1}\n",
                                    {"--launch", "docker", "--container-engine", FakeEngine(out),
                                     "--container-argument=--pull=never", "-e", out.File("a")});
  EXPECT_EQ(result.exit_code, 1) << result.out;
  EXPECT_NE(result.err.find("no such image"), std::string::npos) << result.err;
  const std::string calls = *ReadFile(out.File("calls"));
  EXPECT_NE(calls.find(" --volume=/data:/data:ro --label=team=vision --shm-size=1g --ipc=host "
                       "--cap-add=SYS_NICE --privileged --pull=never triton:1 tritonserver "),
            std::string::npos)
      << calls;
  // One server serves both models: what is said for all is said once.
  EXPECT_EQ(CountOf(calls, "--log-verbose=1"), 1u) << calls;
}

}  // namespace
}  // namespace sextant::e2e
