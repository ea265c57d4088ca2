#include "cli/analyze_options.h"

#include <algorithm>
#include <array>

namespace sextant::options {

template <>
struct EnumNames<analyze::Launch> {
  static constexpr std::pair<std::string_view, analyze::Launch> kNames[] = {
      {"embedded", analyze::Launch::kEmbedded},
      {"local", analyze::Launch::kLocal},
      {"container", analyze::Launch::kContainer},
      {"docker", analyze::Launch::kContainer},
      {"remote", analyze::Launch::kRemote}};
};
template <>
struct EnumNames<analyze::SearchOptions::Kind> {
  static constexpr std::pair<std::string_view, analyze::SearchOptions::Kind> kNames[] = {
      {"auto", analyze::SearchOptions::Kind::kAuto},
      {"exhaustive", analyze::SearchOptions::Kind::kExhaustive},
      {"adaptive", analyze::SearchOptions::Kind::kAdaptive}};
};
template <>
struct EnumNames<analyze::GpuSource> {
  static constexpr std::pair<std::string_view, analyze::GpuSource> kNames[] = {
      {"auto", analyze::GpuSource::kAuto},
      {"nvml", analyze::GpuSource::kNvml},
      {"metrics", analyze::GpuSource::kMetrics},
      {"none", analyze::GpuSource::kNone}};
};
template <>
struct EnumNames<cli::ResultsFor> {
  static constexpr std::pair<std::string_view, cli::ResultsFor> kNames[] = {
      {"sextant", cli::ResultsFor::kSextant},
      {"seed-000", cli::ResultsFor::kSeed000},
      {"model-analyzer", cli::ResultsFor::kModelAnalyzer}};
};

}  // namespace sextant::options

namespace sextant::cli {
namespace {

using O = AnalyzeOptions;

void AddServerRows(options::Table<O>& t) {
  t.Group("Model and server");
  t.Add(&O::models, {.name = "model-names",
                     .letter = 'm',
                     .aliases = {"model-name", "profile-models"},
                     .value = "NAMES",
                     .help = "The models, with commas between; each is analyzed by itself."});
  t.Add(&O::mix,
        {.name = "mix",
         .value = "MODELS",
         .help = "Instead: several models together on one server, under one load: "
                 "resnet:0.7,bert:0.3 (shares of the requests), or "
                 "resnet:concurrency=4,bert:concurrency=2. resnet:instances is then an axis of "
                 "--set, resnet:p99 a field of --constraint."});
  t.Add(&O::model_analyzer_config,
        {.name = "model-analyzer-config",
         .value = "FILE",
         .help = "Reads Model Analyzer's YAML: models, parameters, objectives, constraints, launch "
                 "and search options. What is said on the command line goes before it; keys that "
                 "mean nothing here are named.",
         .is_file = true});
  t.Add(&O::launch, {.name = "launch",
                     .aliases = {"triton-launch-mode"},
                     .value = "HOW",
                     .help = "embedded: sextant serve, as a child; local: a tritonserver program "
                             "(--server-program); container: podman or docker (--image); remote: a "
                             "server that is there (-u). docker is another word for container.",
                     .default_text = "remote with -u, local with --server-program, container with "
                                     "--image, else embedded"});
  t.Add(&O::repository, {.name = "model-repository",
                         .letter = 'f',
                         .aliases = {"model-folder"},
                         .value = "DIR",
                         .help = "The models of a server that is started. It is only read.",
                         .is_file = true});
  t.Add(&O::work_repository,
        {.name = "work-repository",
         .value = "DIR",
         .help = "For a remote server that polls its repository: the directory it polls, empty at "
                 "first. Configurations appear there as links into --model-repository.",
         .is_file = true});
  t.Add(&O::server_program, {.name = "server-program",
                             .aliases = {"triton-server-path"},
                             .value = "FILE",
                             .help = "With --launch local: what is started.",
                             .default_text = "tritonserver",
                             .is_file = true});
  t.Add(&O::image, {.name = "image",
                    .aliases = {"triton-docker-image"},
                    .value = "NAME",
                    .help = "With --launch container: the server's image."});
  t.Add(&O::container_engine,
        {.name = "container-engine",
         .value = "COMMAND",
         .help = "podman or docker, with options of its own: 'podman --runtime runc'.",
         .default_text = "podman, or docker where there is only that"});
  t.Add(&O::container_arguments, {.name = "container-argument",
                                  .value = "WORD",
                                  .help = "A further argument of the engine's run, such as "
                                          "--gpus=all."});
  t.Add(&O::server_arguments, {.name = "server-argument",
                               .value = "WORD",
                               .help = "A further argument of a server that is started, such as "
                                       "--backend-directory=DIR."});
  t.Add(&O::server_environment, {.name = "server-environment",
                                 .value = "NAME=VALUE",
                                 .help = "An environment variable of a server that is started."});
  t.Add(&O::server_log, {.name = "server-log",
                         .aliases = {"triton-output-path"},
                         .value = "FILE",
                         .help = "Where a server that is started writes; what was there is kept as "
                                 "FILE.before.",
                         .default_text = "server/server.log in --export-path",
                         .is_file = true});
  t.Add(&O::leave_model, {.name = "leave-model",
                          .aliases = {"reload-model-disable"},
                          .help = "Of a server that is there: nothing is loaded or unloaded, and "
                                  "only the load is searched."});
  t.Add(&O::server_start_timeout, {.name = "server-start-timeout",
                                   .value = "TIME",
                                   .help = "How long it may take until it is ready."});
  t.Add(&O::load_timeout, {.name = "load-timeout",
                           .value = "TIME",
                           .help = "How long loading a configuration may take; what takes longer "
                                   "counts as refused."});
}

void AddSpaceRows(options::Table<O>& t) {
  t.Group("What is tried");
  t.Add(&O::batches, {.name = "batch",
                      .letter = 'b',
                      .aliases = {"batch-sizes", "batch-size"},
                      .value = "LIST",
                      .help = "Inferences in a request: 1,4,8, or 1..64*2, or what --set takes.",
                      .default_text = "1"});
  t.Add(&O::concurrencies, {.name = "concurrency",
                            .letter = 'c',
                            .aliases = {"concurrency-range"},
                            .value = "LIST",
                            .help = "Requests in flight: 1,2,4, or 1..64*2.",
                            .default_text = "powers of 2 as far as they bring something"});
  t.Add(&O::rates, {.name = "request-rate",
                    .aliases = {"request-rate-range"},
                    .value = "LIST",
                    .help = "Instead: requests due per second, open loop."});
  t.Add(&O::set, {.name = "set",
                  .value = "NAME=VALUES",
                  .help = "A field of config.pbtxt by its path, and the values to try: "
                          "instance_group.count=1,2,4; max_batch_size=log2(1..64); "
                          "dynamic_batching.max_queue_delay_microseconds=0..1000:250; "
                          "parameters[threads]=1,2; or an expression over others: "
                          "concurrency=2*instances. Repeats.",
                  .default_text = "instances and batch sizes that suit the model and the machine"});
  t.Add(&O::space_file, {.name = "space",
                         .value = "FILE",
                         .help = "The same as YAML: names and values as with --set, and a member "
                                 "'where'.",
                         .is_file = true});
  t.Add(&O::data_sets, {.name = "data-set",
                        .value = "NAME=SOURCE",
                        .help = "Input data by name, as --input-data takes it; every point is "
                                "measured with each. Repeats."});
  t.Add(&O::where, {.name = "where",
                    .value = "CONDITION",
                    .help = "Only what satisfies it is tried: instances*max_batch_size<=16. "
                            "Repeats."});
}

void AddSearchRows(options::Table<O>& t) {
  t.Group("Search");
  t.Add(&O::search, {.name = "search",
                     .value = "HOW",
                     .help = "exhaustive: every point; adaptive: as few as it takes to know the "
                             "best; auto: exhaustive where that fits --budget, or has at most 16 "
                             "points without one."});
  t.Add(&O::objectives, {.name = "objective",
                         .aliases = {"objectives"},
                         .value = "FIELDS",
                         .help = "What is to be best, with weights: throughput; "
                                 "latency_p99:2,gpu_memory:1. The fields are in docs/analyze.md."});
  t.Add(&O::constraints, {.name = "constraint",
                          .aliases = {"constraints", "slo"},
                          .value = "CONDITIONS",
                          .help = "What must hold: p99<50ms,errors<0.1%,gpu_memory<8GiB. Where a "
                                  "figure is missing it does not."});
  t.Add(&O::pareto, {.name = "pareto",
                     .value = "FIELDS",
                     .help = "Two or three fields whose best trade-offs are marked."});
  t.Add(&O::budget, {.name = "budget",
                     .value = "TIME",
                     .help = "Ends with the best known after this long, such as 20m.",
                     .default_text = "none"});
  t.Add(&O::shortest_window, {.name = "shortest-window",
                              .value = "TIME",
                              .help = "How long a point is measured at first.",
                              .limits = {0.05}});
  t.Add(&O::longest_window, {.name = "longest-window",
                             .value = "TIME",
                             .help = "How long a close one is measured at most, at a time."});
  t.Add(&O::plan, {.name = "plan",
                   .aliases = {"dry-run"},
                   .help = "Prints what would be tried and what that costs, and ends."});
}

void AddFigureRows(options::Table<O>& t) {
  t.Group("GPU and host figures");
  t.Add(&O::gpu_source, {.name = "gpu-source",
                         .value = "SOURCE",
                         .help = "nvml: this host's driver; metrics: dcgm-exporter or a node agent "
                                 "(--metrics-url), or the server's own; auto: the first that "
                                 "there is."});
  t.Add(&O::gpus, {.name = "gpus",
                   .value = "IDS",
                   .help = "Only these devices: UUIDs, or with NVML numbers.",
                   .default_text = "all"});
  t.Add(&O::nvml_library, {.name = "nvml-library",
                           .value = "FILE",
                           .help = "NVIDIA's management library.",
                           .default_text = "libnvidia-ml.so.1, where drivers put it",
                           .is_file = true});
  t.Add(&O::frequency_ms, {.name = "frequency-ms",
                           .value = "MS",
                           .help = "Time between samples of the GPUs.",
                           .limits = {50, 60000}});
  t.Add(&O::metrics_urls, {.name = "metrics-url",
                           .aliases = {"triton-metrics-url"},
                           .value = "URL",
                           .help = "An endpoint of metrics, beside the server's own. Repeats."});
  t.Add(&O::base_duration, {.name = "base-duration",
                            .letter = 'd',
                            .value = "TIME",
                            .help = "How long the server is sampled without a model; 0s: not."});
  t.Add(&O::gpu_hour_price, {.name = "gpu-hour-price",
                             .value = "PRICE",
                             .help = "What an hour of a GPU costs, for cost_per_million.",
                             .limits = {0},
                             .default_text = "none"});
  t.Add(&O::priced_gpus,
        {.name = "priced-gpus",
         .value = "N",
         .help = "How many GPUs are paid for, where it is not those that are seen.",
         .limits = {0, 4096},
         .default_text = "those that are seen; where none are, there is no cost"});
}

void AddOutputRows(options::Table<O>& t) {
  t.Group("Journal and results");
  t.Add(&O::journal, {.name = "journal",
                      .value = "FILE",
                      .help = "Where every point is written as soon as it is measured.",
                      .default_text = "journal.jsonl in --export-path",
                      .is_file = true});
  t.Add(&O::resume, {.name = "resume",
                     .help = "Goes on with the journal: what was measured under the same "
                             "conditions is not measured again."});
  t.Add(&O::merge_journals, {.name = "merge-journal",
                             .value = "FILE",
                             .help = "Takes another journal's points as well. Repeats.",
                             .is_file = true});
  t.Add(&O::write_files,
        {.name = "export", .help = "Accepted, and of no effect: results are always written."});
  t.Add(&O::export_path, {.name = "export-path",
                          .letter = 'e',
                          .value = "DIR",
                          .help = "Where journal and results go.",
                          .default_text = "analysis/MODEL",
                          .is_file = true});
  t.Add(
      &O::results_for,
      {.name = "compat",
       .value = "TOOL",
       .help = "Whose CSV files are written and printed as tables: sextant's; seed-000: the first "
               "Model Analyzer's two; model-analyzer: today's three, too."});
  t.Add(&O::filename_model, {.name = "filename-model",
                             .value = "NAME",
                             .help = "With --compat seed-000: the models' file."});
  t.Add(&O::filename_server_only, {.name = "filename-server-only",
                                   .value = "NAME",
                                   .help = "With --compat: the file of the server by itself."});
  t.Add(&O::filename_model_inference,
        {.name = "filename-model-inference",
         .value = "NAME",
         .help = "With --compat model-analyzer: the file of throughput and latency."});
  t.Add(&O::filename_model_gpu, {.name = "filename-model-gpu",
                                 .value = "NAME",
                                 .help = "With --compat model-analyzer: the GPUs' file."});
  t.Add(&O::configurations,
        {.name = "configurations",
         .aliases = {"output-model-repository-path"},
         .value = "DIR",
         .help = "Where the best configurations go, each in a directory of its name.",
         .default_text = "configurations in --export-path",
         .is_file = true});
  t.Add(&O::top, {.name = "top",
                  .aliases = {"num-configs-per-model"},
                  .value = "N",
                  .help = "So many of the best get a directory with config.pbtxt and Helm values.",
                  .limits = {0, 1000}});
  t.Add(&O::listen_metrics, {.name = "listen-metrics",
                             .value = "ADDRESS:PORT",
                             .help = "Serves the run's own state for Prometheus there.",
                             .default_text = "not"});
}

// Of `sextant perf`, what says how requests are made and sent.
bool IsShared(const options::Row& row) {
  static constexpr std::array kGroups = {
      "TLS",        "Header fields and tokens", "On the way",
      "Input data", "Streaming and sequences",  "Request parameters"};
  static constexpr std::array<std::string_view, 17> kNames = {"progress",
                                                              "url",
                                                              "protocol",
                                                              "resolve-all",
                                                              "model-version",
                                                              "control-timeout",
                                                              "wait-ready",
                                                              "timeout",
                                                              "warmup",
                                                              "workers",
                                                              "connections",
                                                              "spin",
                                                              "percentiles",
                                                              "request-distribution",
                                                              "bls-composing-models",
                                                              "input-tensor-format",
                                                              "output-tensor-format"};
  return std::find(kGroups.begin(), kGroups.end(), row.group) != kGroups.end() ||
         std::find(kNames.begin(), kNames.end(), row.spec.name) != kNames.end();
}

}  // namespace

const options::Table<AnalyzeOptions>& AnalyzeTable() {
  static const options::Table<O> table = [] {
    options::Table<O> t(
        "analyze", "Finds the configuration that serves a model best",
        "Tries configurations of a model (any field of config.pbtxt) under loads, samples GPUs and "
        "host meanwhile, and ranks them: what wins, what ties, what breaks a constraint, each "
        "figure with its interval. Every point is in a journal as soon as it is measured, so that "
        "a kill loses at most one and --resume goes on.\n"
        "Exit codes: 0 analyzed; 1 could not; 2 wrong options or data; 3 analyzed, but no "
        "configuration satisfies the constraints; 130 or 143 ended by SIGINT or SIGTERM, with what "
        "was known until then.");
    t.Usage("sextant analyze -m MODELS [options]");
    t.Example(
        "sextant analyze -m digits --model-repository models/repository --set "
        "instance_group.count=1,2,4 -c 1,4,16");
    t.Example("sextant analyze -m resnet -u triton:8000 --constraint p99\\<50ms --budget 20m");
    AddServerRows(t);
    AddSpaceRows(t);
    AddSearchRows(t);
    AddFigureRows(t);
    AddOutputRows(t);
    t.Include(PerfTable(), IsShared);
    return t;
  }();
  return table;
}

}  // namespace sextant::cli
