#include "analyze/model_analyzer_yaml.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/strings.h"
#include "text/json.h"

namespace sextant::analyze {
namespace {

using text::Json;
using Words = std::vector<std::string>;

ModelAnalyzerConfig Read(std::string_view yaml) {
  Result<ModelAnalyzerConfig> config = ReadModelAnalyzerYaml(yaml);
  EXPECT_TRUE(config.has_value()) << (config.has_value() ? "" : config.error().message());
  return config.has_value() ? *config : ModelAnalyzerConfig();
}

std::string Mistakes(std::string_view yaml) {
  const Result<ModelAnalyzerConfig> config = ReadModelAnalyzerYaml(yaml);
  return config.has_value() ? "none" : config.error().message();
}

Words Axes(const ModelAnalyzerModel& model) {
  Words out;
  for (const AxisSpec& axis : model.axes)
    out.push_back(Format("{}={}", axis.name, text::FormatJson(Json(axis.values))));
  return out;
}

Words Names(const ModelAnalyzerConfig& config) {
  Words out;
  for (const ModelAnalyzerModel& model : config.models) out.push_back(model.name);
  return out;
}

Words Limits(const ModelAnalyzerModel& model) {
  Words out;
  for (const Constraint& c : model.goal.constraints)
    out.push_back(Format("{} {} {:g}", c.field, c.at_most ? "<=" : ">=", c.limit));
  return out;
}

TEST(ModelAnalyzerYaml, ModelsAreATextAListOrAMap) {
  EXPECT_EQ(Names(Read("profile_models: add_sub")), Words{"add_sub"});
  EXPECT_EQ(Names(Read("profile_models: resnet50, bert")), (Words{"resnet50", "bert"}));
  EXPECT_EQ(Names(Read("profile_models: [resnet50, bert]")), (Words{"resnet50", "bert"}));
  EXPECT_EQ(Names(Read("profile_models:\n  - resnet50\n  - bert:\n      cpu_only: true\n")),
            (Words{"resnet50", "bert"}));
  EXPECT_EQ(Names(Read("profile_models:\n  resnet50:\n  bert:\n    cpu_only: true\n")),
            (Words{"resnet50", "bert"}));
}

// As the tool's documentation has it.
TEST(ModelAnalyzerYaml, AFileWithTwoModelsIsUnderstood) {
  const ModelAnalyzerConfig config = Read(R"(
model_repository: /path/to/model-repository
run_config_search_disable: true
triton_launch_mode: docker
profile_models:
  vgg_19_graphdef:
    parameters:
      batch_sizes: 1, 2, 3
    model_config_parameters:
      dynamic_batching:
        max_queue_delay_microseconds: 200
      instance_group:
        - - kind: KIND_CPU
            count: 1
  vgg_16_graphdef:
    parameters:
      concurrency:
        start: 2
        stop: 64
        step: 8
    model_config_parameters:
      max_batch_size: [6, 8]
      dynamic_batching:
        max_queue_delay_microseconds: [200, 300]
      instance_group:
        - kind: KIND_GPU
          count: [1, 2]
batch_sizes:
  start: 4
  stop: 9
concurrency:
  - 2
  - 4
  - 8
)");
  EXPECT_EQ(config.launch, ModelAnalyzerConfig::Launch::kDocker);
  EXPECT_TRUE(config.search_disabled);
  EXPECT_EQ(config.model_repository, "/path/to/model-repository");
  ASSERT_EQ(config.models.size(), 2u);
  EXPECT_EQ(Axes(config.models[0]),
            (Words{R"(dynamic_batching=[{"max_queue_delay_microseconds":200}])",
                   R"(instance_group=[[{"kind":"KIND_CPU","count":1}]])", "batch=[1,2,3]",
                   "concurrency=[2,4,8]"}));
  EXPECT_EQ(Axes(config.models[1]),
            (Words{"max_batch_size=[6,8]", "dynamic_batching=[{}]",
                   "dynamic_batching.max_queue_delay_microseconds=[200,300]",
                   R"(instance_group=[[{"kind":"KIND_GPU"}]])", "instance_group.count=[1,2]",
                   "batch=[4,5,6,7,8,9]", "concurrency=[2,10,18,26,34,42,50,58]"}));
}

TEST(ModelAnalyzerYaml, WhatTakesAListIsSweptByAListOfLists) {
  const auto axes = [](std::string_view parameters) {
    return Axes(
        Read(Format("profile_models:\n  m:\n    model_config_parameters:\n      {}\n", parameters))
            .models[0]);
  };
  EXPECT_EQ(axes("dynamic_batching: {preferred_batch_size: [4, 8]}"),
            Words{R"(dynamic_batching=[{"preferred_batch_size":[4,8]}])"});
  EXPECT_EQ(axes("dynamic_batching: {preferred_batch_size: [[4, 8], [16]]}"),
            (Words{"dynamic_batching=[{}]", "dynamic_batching.preferred_batch_size=[[4,8],[16]]"}));
  EXPECT_EQ(
      axes("instance_group: [[{kind: KIND_GPU, count: 1}], [{kind: KIND_CPU, count: 2}]]"),
      Words{R"(instance_group=[[{"kind":"KIND_GPU","count":1}],[{"kind":"KIND_CPU","count":2}]])"});
  EXPECT_EQ(axes("instance_group: [{kind: KIND_GPU, count: [1, 2]}, {kind: KIND_CPU}]"),
            Words{R"(instance_group=[[{"kind":"KIND_GPU","count":1},{"kind":"KIND_CPU"}],)"
                  R"([{"kind":"KIND_GPU","count":2},{"kind":"KIND_CPU"}]])"});
  EXPECT_EQ(axes("parameters: {threads: {string_value: [1, 2]}}"),
            Words{"parameters.threads.string_value=[1,2]"});
  EXPECT_EQ(axes("dynamic_batching: [{}, {max_queue_delay_microseconds: [1, 2]}]"),
            Words{R"(dynamic_batching=[{},{"max_queue_delay_microseconds":1},)"
                  R"({"max_queue_delay_microseconds":2}])"});
}

TEST(ModelAnalyzerYaml, ObjectivesAndConstraintsAreInBaseUnits) {
  const ModelAnalyzerConfig config = Read(R"(
profile_models:
  a:
    objectives:
      perf_latency_p99: 2
      perf_throughput: 3
    constraints:
      perf_latency_p99: {max: 50}
      gpu_used_memory: {max: 200}
  b:
objectives: [gpu_used_memory]
constraints:
  perf_throughput:
    min: 5
)");
  const Goal& a = config.models[0].goal;
  ASSERT_EQ(a.objectives.size(), 2u);
  EXPECT_EQ(a.objectives[0].field, "latency_p99");
  EXPECT_EQ(a.objectives[0].weight, 2);
  EXPECT_EQ(a.objectives[0].better, Better::kLower);
  EXPECT_EQ(a.objectives[1].field, "throughput");
  EXPECT_EQ(Limits(config.models[0]), (Words{"latency_p99 <= 0.05", "gpu_memory_used <= 2e+08"}));
  EXPECT_EQ(a.constraints[0].text, "latency_p99<=50ms");
  EXPECT_EQ(config.models[1].goal.objectives[0].field, "gpu_memory_used");
  EXPECT_EQ(Limits(config.models[1]), Words{"throughput >= 5"});
}

TEST(ModelAnalyzerYaml, ShorthandsHoldForEveryModel) {
  const ModelAnalyzerConfig config = Read(
      "profile_models:\n  a:\n    constraints: {perf_latency_p99: {max: 50}}\n  b:\n"
      "latency_budget: 10\nmin_throughput: 100\n");
  EXPECT_EQ(Limits(config.models[0]), (Words{"latency_p99 <= 0.01", "throughput >= 100"}));
  EXPECT_EQ(Limits(config.models[1]), (Words{"latency_p99 <= 0.01", "throughput >= 100"}));
  EXPECT_EQ(config.models[1].goal.objectives[0].field, "throughput") << "the default";
}

TEST(ModelAnalyzerYaml, ServerSearchAndFilesAreRead) {
  const ModelAnalyzerConfig config = Read(R"(
profile_models: m
model_repository: /models
output_model_repository_path: /out
export_path: /results
checkpoint_directory: /ckpt
triton_launch_mode: remote
client_protocol: http
triton_http_endpoint: gpu1:8000
triton_grpc_endpoint: gpu1:8001
triton_metrics_url: http://gpu1:8002/metrics
triton_server_flags: {log_verbose: 1, strict_model_config: False}
triton_docker_mounts: [/data:/data:ro]
gpus: GPU-1, GPU-2
run_config_search_mode: quick
run_config_search_max_concurrency: 64
run_config_search_min_instance_count: 2
run_config_search_max_instance_count: 3
run_config_search_max_model_batch_size: 16
num_configs_per_model: 5
monitoring_interval: 0.5
duration_seconds: 5
perf_analyzer_timeout: 120
bls_composing_models: [tokenizer, encoder]
)");
  EXPECT_EQ(config.launch, ModelAnalyzerConfig::Launch::kRemote);
  EXPECT_EQ(config.protocol, "http");
  EXPECT_EQ(config.metrics_url, "http://gpu1:8002/metrics");
  EXPECT_EQ(config.search, ModelAnalyzerConfig::SearchMode::kQuick);
  EXPECT_EQ(config.bounds.max_concurrency, 64);
  EXPECT_TRUE(config.bounds.exact_concurrency);
  EXPECT_EQ(config.bounds.min_instances, 2);
  EXPECT_EQ(config.bounds.max_instances, 3);
  EXPECT_EQ(config.bounds.max_batch, 16);
  EXPECT_EQ(config.gpus, (Words{"GPU-1", "GPU-2"}));
  EXPECT_EQ(config.docker_mounts, Words{"/data:/data:ro"});
  EXPECT_EQ(config.best_configurations, 5);
  EXPECT_EQ(config.monitoring_interval_s, 0.5);
  EXPECT_EQ(config.server_only_s, 5);
  EXPECT_EQ(config.point_limit_s, 120);
  ASSERT_EQ(config.behind.size(), 2u);
  EXPECT_EQ(config.behind[0].name, "tokenizer");
  EXPECT_EQ(config.behind[1].name, "encoder");
  EXPECT_EQ(config.output_model_repository, "/out");
  EXPECT_EQ(config.checkpoint_directory, "/ckpt");
  EXPECT_EQ(config.models[0].server_flags,
            (NamedTexts{{"log_verbose", "1"}, {"strict_model_config", "false"}}));
  EXPECT_TRUE(config.notes.empty());
}

TEST(ModelAnalyzerYaml, OptionsOfPerfAnalyzerBecomeWordsOfSextantPerf) {
  const ModelAnalyzerConfig config = Read(R"(
profile_models: [a]
perf_analyzer_flags:
  percentile: 95
  shape:
    - INPUT0:1024,1024
    - INPUT1:1024,1024
  streaming: True
  async: false
  http-header: "Authorization: Bearer x"
  latency-report-file: /tmp/x.csv
)");
  EXPECT_EQ(config.models[0].perf_flags,
            (Words{"--percentile=95", "--shape=INPUT0:1024,1024", "--shape=INPUT1:1024,1024",
                   "--streaming", "--header=Authorization: Bearer x"}));
  EXPECT_EQ(config.notes, Words{"perf_analyzer_flags.latency-report-file: no effect: the analysis "
                                "writes files of its own"});
}

TEST(ModelAnalyzerYaml, KeysWithoutAMeaningAreNoted) {
  const ModelAnalyzerConfig config = Read(
      "profile_models: m\ndcgm_disable: true\noutput_formats: pdf\noptuna_min_trials: 20\n"
      "run_config_search_mode: optuna\nplots: {a: {title: T}}\n");
  ASSERT_EQ(config.notes.size(), 5u);
  EXPECT_EQ(config.notes[0], "dcgm_disable: no effect: DCGM is not needed");
  EXPECT_EQ(config.notes[2], "optuna_min_trials: no effect: it is an option of Optuna's");
  EXPECT_TRUE(config.notes[4].starts_with("run_config_search_mode: optuna is taken as quick"));
}

// What a note promises must be there: there is no report, and none is spoken of.
TEST(ModelAnalyzerYaml, NotesNameNothingThatIsNotThere) {
  const ModelAnalyzerConfig config = Read(
      "profile_models: m\nskip_summary_reports: true\nskip_detailed_reports: true\n"
      "plots: {}\nreport_model_configs: []\noutput_formats: [pdf]\n"
      "override_output_model_repository: true\nnum_top_model_configs: 2\n"
      "collect_cpu_metrics: true\nensemble_composing_models: [a]\n"
      "cpu_only_composing_models: [a]\n"
      "bls_composing_models: {b: {model_config_parameters: {max_batch_size: [1, 2]}}}\n");
  ASSERT_EQ(config.notes.size(), 8u);
  for (const std::string& note : config.notes) {
    EXPECT_NE(note.find(": no effect: "), std::string::npos) << note;
    const std::string why = note.substr(note.find("no effect"));
    EXPECT_EQ(why.find("report"), std::string::npos) << note;
  }
}

TEST(ModelAnalyzerYaml, ModelsBehindOneHaveAxesOfTheirOwn) {
  const ModelAnalyzerConfig config = Read(
      "profile_models: m\nensemble_composing_models: [a]\ncpu_only_composing_models: [a]\n"
      "bls_composing_models: {b: {model_config_parameters: {max_batch_size: [1, 2]}}}\n");
  ASSERT_EQ(config.behind.size(), 2u);
  EXPECT_EQ(config.behind[0].name, "a");
  EXPECT_TRUE(config.behind[0].cpu_only);
  EXPECT_EQ(config.behind[1].name, "b");
  ASSERT_EQ(config.behind[1].axes.size(), 1u);
  EXPECT_EQ(config.behind[1].axes[0].name, "max_batch_size");
}

TEST(ModelAnalyzerYaml, MistakesAreSaidAtOnceWithTheirPlace) {
  EXPECT_EQ(Mistakes("profile_model: m\ntriton_launch_mode: loca\nconcurrency: [1, 0]\n"
                     "constraints:\n  perf_latency_p98: {max: 5}\n  perf_throughput: {mn: 5}\n"
                     "objectives: [perf_throughputs]\n"),
            "line 1, column 16: profile_model: no such key; did you mean 'profile_models'?\n"
            "line 2, column 21: triton_launch_mode: one of local, docker, remote, c_api is wanted, "
            "not \"loca\"; did you mean 'local'?\n"
            "line 3, column 14: concurrency: 'concurrency=1,0', column 15: concurrency wants whole "
            "numbers from 1, not 0\n"
            "line 5, column 21: constraints: 'perf_latency_p98' is not a metric; did you mean "
            "'perf_latency_p90'?\n"
            "line 6, column 25: constraints.perf_throughput: 'mn' is neither min nor max\n"
            "line 7, column 13: objectives: 'perf_throughputs' is not a metric; did you mean "
            "'perf_throughput'?");
  EXPECT_EQ(
      Mistakes(
          "profile_models:\n  m:\n    parameter: {}\n    model_config_parameters:\n"
          "      max_bach_size: 4\n      dynamic_batching: {preserve_ordering: [true, 2]}\n"
          "    perf_analyzer_flags: {percentil: 95}\n    parameters: {concurrency: {start: 1}}\n"),
      "line 3, column 16: profile_models.m.parameter: no such key; did you mean 'parameters'?\n"
      "line 5, column 22: profile_models.m.model_config_parameters: 'max_bach_size': "
      "'max_bach_size' is not a field of config.pbtxt; there are name, platform, backend, "
      "runtime, version_policy, max_batch_size, input, output, batch_input, batch_output, "
      "optimization, dynamic_batching, sequence_batching, ensemble_scheduling, "
      "instance_group, default_model_filename, cc_model_filenames, metric_tags, parameters, "
      "model_warmup, model_operations, model_transaction_policy, model_repository_agents, "
      "response_cache; did you mean 'max_batch_size'?\n"
      "line 6, column 52: profile_models.m.model_config_parameters: "
      "'dynamic_batching.preserve_ordering': preserve_ordering wants true or false, not 2\n"
      "line 7, column 38: profile_models.m.perf_analyzer_flags.percentil: 'percentil' is not "
      "an option of perf_analyzer that may stand here; did you mean 'percentile'?\n"
      "line 8, column 31: profile_models.m.parameters.concurrency: a range wants start and "
      "stop, and may have step");
  EXPECT_EQ(Mistakes("model_repository: /m\n"),
            "line 1, column 1: profile_models: no model is named");
  EXPECT_EQ(Mistakes("profile_models: m\nparameters: {}\n"),
            "line 2, column 13: parameters: this is said of a model, below profile_models.NAME");
  EXPECT_EQ(
      Mistakes("profile_models: m\nconstraints: {time_to_first_token_p99: {max: 5}}\n"),
      "line 2, column 40: constraints: time_to_first_token_p99 is not measured here, and what "
      "is not known cannot hold");
  EXPECT_EQ(Mistakes("profile_models: m, m\n"),
            "line 1, column 1: profile_models.m: the model is named twice");
}

// The five values of the first chart, of 2020, and the rest of them.
TEST(ModelAnalyzerYaml, ValuesOfTheFirstChartAreUnderstood) {
  const ModelAnalyzerConfig config = Read(
      "modelName: chest_xray\nbatch: 1,2\nconcurrency: 1,2\nmodelPath: /home/model\n"
      "resultsPath: /home/results\nbaseDuration: 6\nfrequencyMs: 100\njobTimeout: 900\n");
  EXPECT_EQ(Names(config), Words{"chest_xray"});
  EXPECT_EQ(Axes(config.models[0]), (Words{"batch=[1,2]", "concurrency=[1,2]"}));
  EXPECT_EQ(config.model_repository, "/home/model");
  EXPECT_EQ(config.export_path, "/home/results");
  EXPECT_EQ(config.server_only_s, 6);
  EXPECT_EQ(config.monitoring_interval_s, 0.1);
  EXPECT_EQ(config.notes.size(), 1u);
}

TEST(ModelAnalyzerYaml, AModelsOwnLoadIsNotJoinedByThatOfAll) {
  const ModelAnalyzerConfig config = Read(
      "profile_models:\n  a:\n    parameters: {request_rate: [10, 20]}\n  b:\nconcurrency: 1,2\n");
  EXPECT_EQ(Axes(config.models[0]), Words{"rate=[10,20]"});
  EXPECT_EQ(Axes(config.models[1]), Words{"concurrency=[1,2]"});
}

}  // namespace
}  // namespace sextant::analyze
