#include "cli/analyze_from_file.h"

#include <algorithm>
#include <array>

#include "analyze/owned_name.h"
#include "base/files.h"
#include "base/strings.h"

namespace sextant::cli {
namespace {

using File = analyze::ModelAnalyzerConfig;
using Words = std::vector<std::string>;
using Kind = analyze::SearchOptions::Kind;

constexpr double kShortestSampling = 0.05, kLongestSampling = 60;

const AnalyzeOptions& Default() {
  static const AnalyzeOptions kDefault;
  return kDefault;
}

template <class T>
void Take(T& option, const T& standard, const T& said) {
  if (option == standard) option = said;
}

bool InContainer(const File& file, const AnalyzeOptions& options) {
  if (options.launch) return options.launch == analyze::Launch::kContainer;
  return options.urls.empty() && file.launch == File::Launch::kDocker;
}

// Model Analyzer gives its container the host's GPUs, where it has some.
std::string GpusWord(const File& file) {
  if (file.gpus.empty() || !FileExists("/dev/nvidiactl")) return {};
  if (file.gpus == Words{"all"}) return "--gpus=all";
  return Format("--gpus=\"device={}\"", Join(file.gpus, ","));
}

void AddOnce(Words& words, std::string word) {
  if (!word.empty() && std::find(words.begin(), words.end(), word) == words.end())
    words.push_back(std::move(word));
}

// How the server is had, where nobody said, and what it is started with.
void TakeServer(const File& file, AnalyzeOptions& options) {
  using Launch = File::Launch;
  if (!options.launch && options.urls.empty()) {
    switch (file.launch) {
      case Launch::kRemote:
        options.launch = analyze::Launch::kRemote;
        options.urls = {options.protocol == kserve::Protocol::kGrpc ? file.grpc_endpoint
                                                                    : file.http_endpoint};
        if (options.metrics_urls.empty()) options.metrics_urls = {file.metrics_url};
        break;
      case Launch::kDocker:
        options.launch = analyze::Launch::kContainer;
        break;
      case Launch::kLocal:
      case Launch::kInProcess:
        options.launch = analyze::Launch::kLocal;
        Take(options.server_program, Default().server_program, file.server_path);
        break;
    }
  }
  // One server serves all models: what any of them asks of it is asked.
  for (const analyze::ModelAnalyzerModel& model : file.models) {
    for (const auto& [name, value] : model.server_flags)
      AddOnce(options.server_arguments, Format("--{}={}", name, value));
    for (const auto& [name, value] : model.server_environment)
      AddOnce(options.server_environment, Format("{}={}", name, value));
  }
}

void TakeContainer(const File& file, AnalyzeOptions& options) {
  Words words;
  const auto add = [&](std::string word) { AddOnce(words, std::move(word)); };
  const auto names_gpus = [](const std::string& word) {
    return word.starts_with("--gpus") || word.find("nvidia.com/gpu") != std::string::npos;
  };
  for (const std::string& mount : file.docker_mounts) add("--volume=" + mount);
  for (const auto& [name, value] : file.docker_labels) add(Format("--label={}={}", name, value));
  if (!file.docker_shm_size.empty()) add("--shm-size=" + file.docker_shm_size);
  for (const analyze::ModelAnalyzerModel& model : file.models) {
    for (std::string& word : ContainerWords(model.docker_args)) add(std::move(word));
  }
  if (std::none_of(options.container_arguments.begin(), options.container_arguments.end(),
                   names_gpus) &&
      std::none_of(words.begin(), words.end(), names_gpus))
    add(GpusWord(file));
  // Of two that contradict each other, engines take the last.
  options.container_arguments.insert(options.container_arguments.begin(), words.begin(),
                                     words.end());
  Take(options.image, Default().image, file.docker_image);
  Take(options.container_engine, Default().container_engine, std::string("docker"));
}

void TakeSampling(const File& file, AnalyzeOptions& options, Words& notes) {
  if (!file.monitoring_interval_s || options.frequency_ms != Default().frequency_ms) return;
  const double taken = std::clamp(*file.monitoring_interval_s, kShortestSampling, kLongestSampling);
  if (taken != *file.monitoring_interval_s) {
    notes.push_back(
        Format("monitoring_interval: {:g} s is taken as {:g} s: GPUs are sampled every "
               "{:g} s to {:g} s",
               *file.monitoring_interval_s, taken, kShortestSampling, kLongestSampling));
  }
  options.frequency_ms = static_cast<uint64_t>(taken * 1e3 + 0.5);
}

// Bounds what a point may take; how long it needs is known from its interval.
void TakePointLimit(const File& file, AnalyzeOptions& options) {
  if (!file.point_limit_s || options.longest_window != Default().longest_window) return;
  options.longest_window = std::min(options.longest_window, FromSeconds(*file.point_limit_s));
  options.shortest_window = std::min(options.shortest_window, options.longest_window);
}

}  // namespace

std::vector<std::string> ContainerWords(const analyze::NamedTexts& arguments) {
  // Where the engine's option has another name.
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kNames{
      {{"environment", "env"},
       {"ipc_mode", "ipc"},
       {"pid_mode", "pid"},
       {"mem_limit", "memory"},
       {"mem_reservation", "memory-reservation"},
       {"memswap_limit", "memory-swap"},
       {"network_mode", "network"},
       {"volumes", "volume"},
       {"working_dir", "workdir"}}};
  Words out;
  for (const auto& [name, value] : arguments) {
    const auto* known = std::find_if(kNames.begin(), kNames.end(),
                                     [&](const auto& entry) { return entry.first == name; });
    std::string option(known == kNames.end() ? std::string_view(name) : known->second);
    std::replace(option.begin(), option.end(), '_', '-');
    if (value == "false") continue;
    out.push_back(value == "true" ? "--" + option : Format("--{}={}", option, value));
  }
  return out;
}

void TakeFromFile(const File& file, AnalyzeOptions& options, std::vector<std::string>& notes) {
  // First of all, while it is known what the command line has left open.
  if (InContainer(file, options)) TakeContainer(file, options);
  TakeSampling(file, options, notes);
  TakePointLimit(file, options);
  options.leave_model |= file.reload_disabled;
  Take(options.server_log, Default().server_log, file.server_log);
  Take(options.configurations, Default().configurations, file.output_model_repository);
  Take(options.filename_model_inference, Default().filename_model_inference,
       file.filename_inference);
  Take(options.filename_model_gpu, Default().filename_model_gpu, file.filename_gpu);
  Take(options.filename_server_only, Default().filename_server_only, file.filename_server_only);
  if (options.bls_composing_models.empty()) {
    for (const analyze::ModelAnalyzerModel& model : file.behind)
      options.bls_composing_models.push_back(model.name);
  }
  // It does not know a sweep that is left early by the exhaustive search, which measures every
  // point; the adaptive one leaves a configuration as soon as it is dominated.
  if (file.early_exit && file.search == File::SearchMode::kBrute)
    Take(options.search, Default().search, Kind::kAdaptive);
  Take(options.repository, Default().repository, file.model_repository);
  Take(options.export_path, Default().export_path, file.export_path);
  Take(options.protocol, Default().protocol,
       file.protocol == "grpc" ? kserve::Protocol::kGrpc : kserve::Protocol::kHttp);
  TakeServer(file, options);
  if (options.gpus.empty() && file.gpus != Words{"all"}) {
    options.gpus = file.gpus;
    if (file.gpus.empty()) options.gpu_source = analyze::GpuSource::kNone;
  }
  Take(options.search, Default().search,
       file.search == File::SearchMode::kBrute ? Kind::kExhaustive : Kind::kAdaptive);
  Take(options.base_duration, Default().base_duration, FromSeconds(file.server_only_s));
  Take(options.top, Default().top, static_cast<uint64_t>(file.best_configurations));
  Take(options.results_for, Default().results_for, ResultsFor::kModelAnalyzer);
}

namespace {

// What the file says of the models behind this one.
void TakeAxesBehind(const File& file, ModelPlan& plan) {
  const auto add = [&](analyze::AxisSpec axis, const std::string& model) {
    axis.name = analyze::WithOwner(model, axis.name);
    if (plan.space.Find(axis.name) == nullptr) plan.space.axes.push_back(std::move(axis));
  };
  for (const analyze::ModelAnalyzerModel& model : file.behind) {
    if (std::find(plan.models.begin(), plan.models.end(), model.name) == plan.models.end())
      continue;
    for (const analyze::AxisSpec& axis : model.axes) {
      // The load is the whole's.
      if (!analyze::IsLoadAxis(axis.name)) add(axis, model.name);
    }
    if (model.cpu_only)
      add({.name = "instance_group.kind", .values = {"KIND_CPU"}, .expression = {}}, model.name);
  }
}

}  // namespace

void TakeModelFromFile(const File& file, const analyze::ModelAnalyzerModel& model,
                       ModelPlan& plan) {
  plan.cpu_only = model.cpu_only;
  TakeAxesBehind(file, plan);
  // It searches configurations whether or not loads are named.
  plan.automatic = !file.search_disabled;
  if (!file.checkpoint_directory.empty() && plan.options.journal.empty())
    plan.options.journal = JoinPath(file.checkpoint_directory, model.name + ".jsonl");
  if (!file.search_disabled) return;
  auto& axes = plan.space.axes;
  const auto add = [&](std::string name, text::Json value) {
    axes.push_back({.name = std::move(name), .values = {std::move(value)}, .expression = {}});
  };
  if (plan.space.Find("concurrency") == nullptr && plan.space.Find("rate") == nullptr)
    plan.rates ? add("rate", file.bounds.min_rate) : add("concurrency", 1);
  const bool configured = std::any_of(axes.begin(), axes.end(),
                                      [](const auto& a) { return !analyze::IsLoadAxis(a.name); });
  if (model.cpu_only && !configured) add("instance_group.kind", "KIND_CPU");
}

}  // namespace sextant::cli
