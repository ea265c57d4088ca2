// `sextant analyze --mix`: several models on one server, whose best configurations are known by
// construction.
#include <gtest/gtest.h>

#include "analyze_harness.h"
#include "base/files.h"
#include "base/strings.h"

namespace sextant::e2e {
namespace {

std::map<std::string, ModelText> FastAndSlow() {
  return {{"fast", Taking("20ms")}, {"slow", Taking("40ms")}};
}

// All options but those of the case.
std::vector<std::string> Together(const Repository& repository, const std::string& directory,
                                  std::vector<std::string> more) {
  std::vector<std::string> out = Arguments(repository, directory, std::move(more));
  // The mix names the models.
  out.erase(out.begin() + 1, out.begin() + 3);
  return out;
}

Analysis AnalyzeTogether(const Repository& repository, const std::string& directory,
                         std::vector<std::string> more) {
  return Read(RunSextant(Together(repository, directory, std::move(more))), directory);
}

int64_t Instances(const text::Json& ranked, const std::string& model) {
  const text::Json* set = ranked.Find("settings")->Find(model + ":instance_group.count");
  return set == nullptr ? 1 : set->AsInt().value_or(-1);
}

double Value(const text::Json& ranked, std::string_view field) {
  const text::Json* figure = ranked.Find("figures")->Find(field);
  return figure == nullptr ? -1 : figure->Find("value")->AsDouble().value_or(-1);
}

TEST(ModelsTogether, HaveTheConfigurationThatIsBestForAllOfThem) {
  const Repository repository(FastAndSlow());
  const TempDirectory out;
  const Analysis analysis = AnalyzeTogether(
      repository, out.path(),
      {"--mix", "fast:concurrency=4,slow:concurrency=8", "--set", "fast:instances=1,2", "--set",
       "slow:instances=1,2,4", "--where", "fast:instances+slow:instances<=4"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  const text::Json& best = analysis.Ranked(0);
  EXPECT_EQ(Instances(best, "fast"), 2) << analysis.result.out;
  EXPECT_EQ(Instances(best, "slow"), 2) << analysis.result.out;
  EXPECT_NEAR(Value(best, "fast:throughput"), 100, 12);
  EXPECT_NEAR(Value(best, "slow:throughput"), 50, 6);
  EXPECT_NEAR(Value(best, "throughput"), 150, 18);
  const std::string place = "configurations/" + analysis.Text(best, "configuration");
  const auto slow = ReadFile(out.File(place + "/slow/config.pbtxt"));
  ASSERT_TRUE(slow.has_value()) << analysis.result.out;
  EXPECT_NE(slow->find("count: 2"), std::string::npos) << *slow;
  EXPECT_NE(slow->find("name: \"slow\""), std::string::npos) << *slow;
  EXPECT_TRUE(ReadFile(out.File(place + "/fast/config.pbtxt")).has_value());
  EXPECT_EQ(ServersOf(out.path()), 0U);
}

TEST(ModelsTogether, AreRankedByTheGoalsOfEach) {
  const Repository repository(FastAndSlow());
  const std::vector<std::string> space{"--mix", "fast:concurrency=2,slow:concurrency=4",
                                       "--set", "fast:instances=1,2",
                                       "--set", "slow:instances=3-fast:instances"};
  for (const std::string wanted : {"fast", "slow"}) {
    const TempDirectory out;
    std::vector<std::string> more = space;
    more.insert(more.end(), {"--objective", wanted + ":throughput", "--constraint",
                             wanted + ":p99<1s," + wanted + ":throughput>=10"});
    const Analysis analysis = AnalyzeTogether(repository, out.path(), more);
    ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
    EXPECT_EQ(Instances(analysis.Ranked(0), wanted), 2) << analysis.result.out;
  }
}

TEST(ModelsTogether, HaveTheirSharesOfOneLoad) {
  const Repository repository(FastAndSlow());
  const TempDirectory out;
  const Analysis analysis = AnalyzeTogether(repository, out.path(),
                                            {"--mix", "fast:3,slow:1", "-c", "8", "--set",
                                             "fast:instances=1,2", "--longest-window", "1s"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  const text::Json& best = analysis.Ranked(0);
  EXPECT_EQ(Instances(best, "fast"), 2) << analysis.result.out;
  EXPECT_NEAR(Value(best, "fast:throughput") / Value(best, "slow:throughput"), 3, 0.8);
}

TEST(ModelsTogether, GoOnWhereTheyWere) {
  const Repository repository(FastAndSlow());
  const TempDirectory out;
  const std::vector<std::string> more{"--mix", "fast:1,slow:1", "-c",
                                      "4",     "--set",         "slow:instances=1,2"};
  const Analysis first = AnalyzeTogether(repository, out.path(), more);
  ASSERT_EQ(first.result.exit_code, 0) << first.result.out << first.result.err;
  std::vector<std::string> again = more;
  again.emplace_back("--resume");
  const Analysis second = AnalyzeTogether(repository, out.path(), again);
  ASSERT_EQ(second.result.exit_code, 0) << second.result.out << second.result.err;
  EXPECT_EQ(second.points(), first.points()) << "nothing was measured again";
  EXPECT_EQ(second.Text(second.json, "verdict"), first.Text(first.json, "verdict"));
  // Other shares are other conditions.
  again[1] = "fast:1,slow:3";
  const Analysis other = AnalyzeTogether(repository, out.path(), again);
  EXPECT_NE(other.result.err.find("measured under other conditions"), std::string::npos)
      << other.result.err;
}

TEST(ModelsTogether, MayRefuseAConfigurationOneByOne) {
  const Repository repository(FastAndSlow());
  const TempDirectory out;
  const Analysis analysis = AnalyzeTogether(
      repository, out.path(),
      {"--mix", "fast:1,slow:1", "-c", "4", "--set", "slow:parameters[error_rate]=0,nonsense:1"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_NE(analysis.result.out.find("model 'slow': "), std::string::npos) << analysis.result.out;
}

TEST(ModelsTogether, TakeNoOptionsOfOne) {
  const Repository repository(FastAndSlow());
  const TempDirectory out;
  const PerfResult result = RunSextant(
      Together(repository, out.path(),
               {"-m", "fast", "--mix", "fast:1,slow:1", "--set", "other:instances=1", "--objective",
                "other:throughput", "--compat", "seed-000", "--data-set", "a=zero"}));
  EXPECT_EQ(result.exit_code, 2);
  for (const char* words :
       {"--mix and -m", "there is no model 'other' among them (fast, slow)",
        "--objective 'other:throughput'", "--mix and --compat seed-000", "--mix and --data-set"})
    EXPECT_NE(result.err.find(words), std::string::npos) << words << "\n" << result.err;
}

// An ensemble within an ensemble, whose slowest step decides.
class Ensembles {
 public:
  Ensembles() {
    Write("first", Taking("5ms").Config());
    Write("second", Taking("40ms").Config());
    Write("inner", Ensemble("first", "second"));
    Write("outer", Ensemble("inner", "first"));
  }
  const std::string& path() const { return directory_.path(); }
  Analysis Analyze(const std::string& out, std::vector<std::string> more) const {
    std::vector<std::string> arguments{"analyze", "--model-repository", path(),  "--export-path",
                                       out,       "--shortest-window",  "200ms", "--base-duration",
                                       "0s",      "--warmup",           "100ms"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Read(RunSextant(arguments), out);
  }

 private:
  void Write(const std::string& name, const std::string& config) {
    ASSERT_TRUE(MakeDirectories(directory_.File(name + "/1")).has_value());
    directory_.Write(name + "/config.pbtxt", config);
  }
  static std::string Step(const std::string& model, const std::string& from,
                          const std::string& to) {
    return Format(
        "{{ model_name: \"{}\" model_version: -1 input_map {{ key: \"X\" value: \"{}\" }} "
        "output_map {{ key: \"Y\" value: \"{}\" }} }}",
        model, from, to);
  }
  static std::string Ensemble(const std::string& first, const std::string& second) {
    return "platform: \"ensemble\"\n"
           "input [ { name: \"X\" data_type: TYPE_FP32 dims: [ 16 ] } ]\n"
           "output [ { name: \"Y\" data_type: TYPE_FP32 dims: [ 16 ] } ]\n"
           "ensemble_scheduling { step [ " +
           Step(first, "X", "between") + ", " + Step(second, "between", "Y") + " ] }\n";
  }

  TempDirectory directory_;
};

TEST(ModelsBehindOne, AreVariedWithIt) {
  const Ensembles models;
  const TempDirectory out;
  const Analysis analysis =
      models.Analyze(out.path(), {"-m", "outer", "-c", "8", "--set", "second:instances=1,2,4",
                                  "--constraint", "second:server_queue<10s"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_NE(analysis.result.out.find("Models behind it: inner, first, second"), std::string::npos)
      << analysis.result.out;
  const text::Json& best = analysis.Ranked(0);
  EXPECT_EQ(Instances(best, "second"), 4) << analysis.result.out;
  EXPECT_NEAR(Value(best, "throughput"), 100, 15);
  const std::string place = "configurations/" + analysis.Text(best, "configuration");
  const auto second = ReadFile(out.File(place + "/second/config.pbtxt"));
  ASSERT_TRUE(second.has_value()) << analysis.result.out;
  EXPECT_NE(second->find("count: 4"), std::string::npos) << *second;
  EXPECT_TRUE(ReadFile(out.File(place + "/outer/config.pbtxt")).has_value());
}

TEST(ModelsBehindOne, AreThoseOfModelAnalyzersFile) {
  const Ensembles models;
  const TempDirectory out;
  const std::string file = out.Write("ma.yaml",
                                     "profile_models: {outer: {parameters: {concurrency: [8]}}}\n"
                                     "checkpoint_directory: " +
                                         out.path() +
                                         "\n"
                                         "ensemble_composing_models:\n"
                                         "  second: {model_config_parameters: {instance_group: "
                                         "[{kind: KIND_CPU, count: [1, 4]}]}}\n"
                                         "  first: {cpu_only: true}\n");
  const Analysis analysis =
      models.Analyze(out.path(), {"--model-analyzer-config", file, "--launch", "embedded"});
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  const text::Json* settings = analysis.Ranked(0).Find("settings");
  EXPECT_EQ(settings->Find("second:instance_group.count")->AsInt(), 4)
      << text::FormatJson(*settings);
  EXPECT_EQ(settings->Find("first:instance_group.kind")->AsString(), "KIND_CPU");
}

// Model Analyzer's way to say it, with its weightings.
TEST(ModelsTogether, AreSoInModelAnalyzersFile) {
  const Repository repository(FastAndSlow());
  const TempDirectory out;
  const std::string yaml =
      "model_repository: " + repository.path() +
      "\n"
      "run_config_profile_models_concurrently_enable: true\n"
      "run_config_search_mode: quick\n"
      "profile_models:\n"
      "  fast:\n    weighting: 1\n    model_config_parameters: {instance_group: [{kind: KIND_CPU, "
      "count: [1, 2]}]}\n    parameters: {concurrency: [6]}\n    objectives: [perf_throughput]\n"
      "  slow:\n    weighting: 3\n    constraints: {perf_latency_p99: {max: 1000}}\n    "
      "parameters: {concurrency: [6]}\n    objectives: [perf_throughput]\n";
  out.Write("ma.yaml", yaml);
  std::vector<std::string> arguments =
      Together(repository, out.path(),
               {"--model-analyzer-config", out.File("ma.yaml"), "--launch", "embedded"});
  const Analysis analysis = Read(RunSextant(arguments), out.path());
  ASSERT_EQ(analysis.result.exit_code, 0) << analysis.result.out << analysis.result.err;
  EXPECT_NE(analysis.result.out.find("fast+slow"), std::string::npos) << analysis.result.out;
  const auto& objectives = analysis.json.Find("objectives")->array();
  ASSERT_EQ(objectives.size(), 2U);
  EXPECT_EQ(analysis.Text(objectives[1], "field"), "slow:throughput");
  EXPECT_EQ(objectives[1].Find("weight")->AsDouble(), 3);
  EXPECT_EQ(analysis.json.Find("constraints")->array()[0].AsString(), "slow:latency_p99<=1000ms")
      << text::FormatJson(*analysis.json.Find("constraints"));
  EXPECT_NE(analysis.result.out.find("\nModels (Inference):\n"), std::string::npos);
  const auto csv = ReadFile(out.File("metrics-model-inference.csv"));
  ASSERT_TRUE(csv.has_value());
  EXPECT_NE(csv->find("fast+slow,1,6,"), std::string::npos) << *csv;
}

}  // namespace
}  // namespace sextant::e2e
