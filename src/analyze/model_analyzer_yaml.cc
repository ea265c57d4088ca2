#include "analyze/model_analyzer_yaml.h"

#include <algorithm>

#include "analyze/model_analyzer_model.h"
#include "analyze/yaml_reader.h"
#include "base/strings.h"
#include "text/yaml.h"

namespace sextant::analyze {
namespace {

using text::Json;
using Config = ModelAnalyzerConfig;

// A key that is read and has no effect, and why.
struct Without {
  std::string_view key, why;
};
constexpr Without kWithout[] = {
    {"config_file", "this is that file"},
    {"always_report_gpu_metrics", "GPU figures are always reported where there are any"},
    {"dcgm_disable", "DCGM is not needed"},
    {"skip_summary_reports", "no such files are written: tables and results.json are short"},
    {"skip_detailed_reports", "no such files are written: tables and results.json are short"},
    {"model_type", "what a model streams is seen from its answers"},
    {"client_max_retries", "a server is waited for by a time limit, not by a number of tries"},
    {"perf_analyzer_cpu_util", "a level says by itself when the client was the limit"},
    {"perf_analyzer_path", "no perf_analyzer is started"},
    {"perf_output", "every point is in the run files"},
    {"perf_output_path", "every point is in the run files"},
    {"perf_analyzer_max_auto_adjusts", "windows are as long as their intervals need"},
    {"genai_perf_flags", "token streams are measured without GenAI-Perf"},
    {"triton_install_path", "no server runs inside the measuring program"},
    {"run_config_search_max_binary_search_steps", "limits are searched until they are known well"},
    {"concurrency_sweep_disable", "only loads that decide are measured"},
    {"min_percentage_of_search_space", "it is an option of Optuna's"},
    {"max_percentage_of_search_space", "it is an option of Optuna's"},
    {"optuna_min_trials", "it is an option of Optuna's"},
    {"optuna_max_trials", "it is an option of Optuna's"},
    {"optuna_early_exit_threshold", "it is an option of Optuna's"},
    {"use_concurrency_formula",
     "it is an option of Optuna's; a diagonal says the same: "
     "concurrency=2*instances*max_batch_size"},
    {"inference_output_fields", "files have all columns"},
    {"gpu_output_fields", "files have all columns"},
    {"server_output_fields", "files have all columns"},
    {"plots", "points.csv has every figure, for any program that plots"},
    {"report_model_configs", "the ranking has every configuration"},
    {"output_formats", "results are CSV and JSON"},
    {"override_output_model_repository",
     "of a directory that is there only config.pbtxt and values.yaml of NAME_config_... are "
     "written"},
    {"num_top_model_configs",
     "configurations of different models are not ranked among each other; num_configs_per_model "
     "says how many of each are written"},
    {"collect_cpu_metrics", "CPU and memory of a server on this host are always measured"},
    {"run_config_search_max_preferred_batch_size", "Model Analyzer itself no longer has it"},
    {"run_config_search_preferred_batch_size_disable", "Model Analyzer itself no longer has it"},
    {"maxRetry", "a server is waited for by a time limit"},
    {"perfBuffer", "the load has a warm-up that ends by itself"},
    {"jobTimeout", "it is a value of the chart"},
    {"images", "it is a value of the chart"},
    {"log_level", "the option --log-level says it"},
    {"quiet", "the option --quiet says it"},
    {"verbose", "the option --verbose says it"},
};

// The file's top level, key by key.
class Reader {
 public:
  explicit Reader(std::string_view source) : yaml_(source), section_(yaml_, out_.notes) {}

  Result<Config> Read(const Json& file) {
    if (!file.IsObject()) return Corrupt("the file is no map of keys and values");
    for (const auto& [key, value] : file.object()) ReadKey(key, value);
    if (models_.empty() && yaml_.faults().empty())
      yaml_.Fault(file, "profile_models", "no model is named");
    if (!yaml_.faults().empty()) return InvalidArgument(Join(yaml_.faults(), "\n"));
    for (const auto& [name, section] : models_) out_.models.push_back(Finish(name, section));
    for (const auto& [name, section] : composing_) {
      ModelAnalyzerModel model = Finish(name, section);
      const bool named = std::find(cpu_only_.begin(), cpu_only_.end(), name) != cpu_only_.end();
      model.cpu_only = model.cpu_only || named;
      out_.behind.push_back(std::move(model));
    }
    if (out_.search == Config::SearchMode::kOptuna) {
      out_.notes.push_back(
          "run_config_search_mode: optuna is taken as quick: both measure a part "
          "of the space, and which is decided here by intervals");
    }
    return std::move(out_);
  }

 private:
  using Sections = std::vector<std::pair<std::string, ModelSection>>;
  // Each reads what it knows.
  using Group = bool (Reader::*)(std::string_view key, const Json& value);

  void ReadKey(const std::string& key, const Json& value) {
    static constexpr Group kGroups[] = {&Reader::ReadModelKey, &Reader::ReadPlace,
                                        &Reader::ReadServer,   &Reader::ReadSearch,
                                        &Reader::ReadBounds,   &Reader::ReadMeasuring};
    for (const Group group : kGroups) {
      known_.clear();
      if ((this->*group)(key, value)) return;
      all_.insert(all_.end(), known_.begin(), known_.end());
    }
    const auto* without = std::find_if(std::begin(kWithout), std::end(kWithout),
                                       [&](const Without& w) { return w.key == key; });
    if (without != std::end(kWithout)) {
      out_.notes.push_back(Format("{}: no effect: {}", key, without->why));
      return;
    }
    for (const Without& w : kWithout) all_.push_back(w.key);
    const auto near = NearestName(key, all_);
    yaml_.Fault(value, key,
                near ? Format("no such key; did you mean '{}'?", *near) : "no such key");
  }

  // Whether this is the key; remembers the names that there are.
  bool Is(std::string_view key, std::string_view name) {
    known_.push_back(name);
    return key == name;
  }
  bool Text(std::string_view key, std::string_view name, const Json& value, std::string& out) {
    if (!Is(key, name)) return false;
    if (auto text = yaml_.Text(key, value)) out = *std::move(text);
    return true;
  }
  bool Truth(std::string_view key, std::string_view name, const Json& value, bool& out) {
    if (!Is(key, name)) return false;
    out = yaml_.Truth(key, value).value_or(out);
    return true;
  }
  bool Whole(std::string_view key, std::string_view name, const Json& value, int64_t& out) {
    if (!Is(key, name)) return false;
    out = yaml_.Whole(key, value, 0).value_or(out);
    return true;
  }

  bool ReadModelKey(std::string_view key, const Json& value) {
    if (Is(key, "profile_models") || Is(key, "modelName"))
      return ReadModels(key, value, models_), true;
    if (Is(key, "bls_composing_models") || Is(key, "ensemble_composing_models"))
      return ReadModels(key, value, composing_), true;
    if (Is(key, "cpu_only_composing_models")) {
      cpu_only_ = yaml_.Words(key, value).value_or(std::vector<std::string>());
      return true;
    }
    if (Is(key, "latency_budget")) {
      if (const auto ms = yaml_.Number(key, value, 0))
        shorthands_.push_back(ModelSectionReader::LatencyBudget(*ms));
      return true;
    }
    if (Is(key, "min_throughput")) {
      if (const auto rate = yaml_.Number(key, value, 0))
        shorthands_.push_back(ModelSectionReader::MinThroughput(*rate));
      return true;
    }
    if (Is(key, "batch")) return section_.Read("batch_sizes", value, "", for_all_);
    static constexpr std::string_view kForAll[] = {
        "batch_sizes",         "concurrency",
        "request_rate",        "objectives",
        "constraints",         "perf_analyzer_flags",
        "triton_server_flags", "triton_server_environment",
        "triton_docker_args"};
    for (const std::string_view name : kForAll) {
      if (Is(key, name)) return section_.Read(key, value, "", for_all_);
    }
    // What is for one model only.
    for (const std::string_view name :
         {"parameters", "model_config_parameters", "weighting", "cpu_only"}) {
      if (key != name) continue;
      yaml_.Fault(value, key, "this is said of a model, below profile_models.NAME");
      return true;
    }
    return false;
  }

  void ReadModels(std::string_view key, const Json& value, Sections& out) {
    if (value.IsObject()) {
      for (const auto& [name, section] : value.object()) AddModel(key, name, section, out);
    } else if (value.IsArray()) {
      for (const Json& element : value.array()) {
        if (element.IsObject() || element.IsString()) {
          ReadModels(key, element, out);
        } else {
          yaml_.Fault(element, key, "a model's name is wanted, or a map of one");
        }
      }
    } else if (const auto names = yaml_.Words(key, value)) {
      for (const std::string& name : *names) AddModel(key, name, {}, out);
    }
  }

  void AddModel(std::string_view key, const std::string& name, const Json& value, Sections& out) {
    const std::string where = Format("{}.{}", key, name);
    if (name.empty()) return yaml_.Fault(value, key, "a model has no name");
    if (std::any_of(out.begin(), out.end(), [&](const auto& m) { return m.first == name; }))
      return yaml_.Fault(value, where, "the model is named twice");
    ModelSection& section = out.emplace_back(name, ModelSection()).second;
    if (value.IsNull()) return;
    if (!value.IsObject())
      return yaml_.Fault(value, where, "a map of what is said of the model is wanted");
    const std::vector<std::string_view> keys = ModelSectionReader::Keys();
    for (const auto& [part, member] : value.object()) {
      if (std::find(keys.begin(), keys.end(), part) != keys.end()) {
        section_.Read(part, member, where + ".", section);
        continue;
      }
      const auto near = NearestName(part, keys);
      yaml_.Fault(member, Format("{}.{}", where, part),
                  near ? Format("no such key; did you mean '{}'?", *near) : "no such key");
    }
  }

  bool ReadPlace(std::string_view key, const Json& value) {
    return Text(key, "model_repository", value, out_.model_repository) ||
           Text(key, "output_model_repository_path", value, out_.output_model_repository) ||
           Text(key, "modelPath", value, out_.model_repository) ||
           Text(key, "export_path", value, out_.export_path) ||
           Text(key, "resultsPath", value, out_.export_path) ||
           Text(key, "checkpoint_directory", value, out_.checkpoint_directory) ||
           Text(key, "filename_model_inference", value, out_.filename_inference) ||
           Text(key, "filename_model_gpu", value, out_.filename_gpu) ||
           Text(key, "filename_server_only", value, out_.filename_server_only);
  }

  bool ReadServer(std::string_view key, const Json& value) {
    if (Is(key, "triton_launch_mode")) {
      const auto mode = yaml_.OneOf(key, value, {"local", "docker", "remote", "c_api"});
      if (mode) out_.launch = static_cast<Config::Launch>(*mode);
      return true;
    }
    if (Is(key, "client_protocol")) {
      const auto protocol = yaml_.OneOf(key, value, {"grpc", "http"});
      if (protocol) out_.protocol = *protocol == 0 ? "grpc" : "http";
      return true;
    }
    if (Is(key, "triton_docker_mounts")) {
      out_.docker_mounts = yaml_.Words(key, value).value_or(std::vector<std::string>());
      return true;
    }
    if (Is(key, "triton_docker_labels")) {
      out_.docker_labels = yaml_.Map(key, value).value_or(NamedTexts());
      return true;
    }
    if (Is(key, "gpus")) {
      out_.gpus = yaml_.Words(key, value).value_or(std::vector<std::string>());
      return true;
    }
    return Text(key, "triton_http_endpoint", value, out_.http_endpoint) ||
           Text(key, "triton_grpc_endpoint", value, out_.grpc_endpoint) ||
           Text(key, "triton_metrics_url", value, out_.metrics_url) ||
           Text(key, "triton_server_path", value, out_.server_path) ||
           Text(key, "triton_output_path", value, out_.server_log) ||
           Text(key, "triton_docker_image", value, out_.docker_image) ||
           Text(key, "triton_docker_shm_size", value, out_.docker_shm_size) ||
           Truth(key, "reload_model_disable", value, out_.reload_disabled);
  }

  bool ReadSearch(std::string_view key, const Json& value) {
    if (Is(key, "run_config_search_mode")) {
      const auto mode = yaml_.OneOf(key, value, {"brute", "quick", "optuna"});
      if (mode) out_.search = static_cast<Config::SearchMode>(*mode);
      return true;
    }
    return Truth(key, "run_config_search_disable", value, out_.search_disabled) ||
           Truth(key, "run_config_profile_models_concurrently_enable", value,
                 out_.models_together) ||
           Truth(key, "request_rate_search_enable", value, out_.rate_search) ||
           Truth(key, "early_exit_enable", value, out_.early_exit) ||
           Whole(key, "num_configs_per_model", value, out_.best_configurations);
  }

  bool ReadBounds(std::string_view key, const Json& value) {
    SearchBounds& bounds = out_.bounds;
    if (Whole(key, "run_config_search_max_concurrency", value, bounds.max_concurrency)) {
      bounds.exact_concurrency = true;
      return true;
    }
    return Whole(key, "run_config_search_min_concurrency", value, bounds.min_concurrency) ||
           Whole(key, "run_config_search_min_request_rate", value, bounds.min_rate) ||
           Whole(key, "run_config_search_max_request_rate", value, bounds.max_rate) ||
           Whole(key, "run_config_search_min_instance_count", value, bounds.min_instances) ||
           Whole(key, "run_config_search_max_instance_count", value, bounds.max_instances) ||
           Whole(key, "run_config_search_min_model_batch_size", value, bounds.min_batch) ||
           Whole(key, "run_config_search_max_model_batch_size", value, bounds.max_batch);
  }

  bool ReadMeasuring(std::string_view key, const Json& value) {
    if (Is(key, "monitoring_interval")) {
      out_.monitoring_interval_s = yaml_.Number(key, value, 0.001);
      return true;
    }
    if (Is(key, "frequencyMs")) {
      if (const auto ms = yaml_.Number(key, value, 1)) out_.monitoring_interval_s = *ms / 1e3;
      return true;
    }
    if (Is(key, "duration_seconds") || Is(key, "baseDuration")) {
      out_.server_only_s = yaml_.Number(key, value, 0).value_or(out_.server_only_s);
      return true;
    }
    if (Is(key, "perf_analyzer_timeout")) {
      out_.point_limit_s = yaml_.Number(key, value, 0.001);
      return true;
    }
    return false;
  }

  // What is said of the model, and of all where it says nothing.
  ModelAnalyzerModel Finish(const std::string& name, const ModelSection& own) const {
    ModelAnalyzerModel model;
    model.name = name;
    model.cpu_only = own.cpu_only;
    model.weighting = own.weighting.value_or(1);
    if (own.configuration) model.axes = *own.configuration;
    for (const auto part :
         {&ModelSection::batch, &ModelSection::concurrency, &ModelSection::rate}) {
      // A model's own concurrency is not joined by a rate for all.
      const bool level = part != &ModelSection::batch;
      const bool other = level && (own.concurrency || own.rate);
      const auto& axis = own.*part || other ? own.*part : for_all_.*part;
      if (axis) model.axes.push_back(*axis);
    }
    const auto& objectives = own.objectives ? own.objectives : for_all_.objectives;
    if (objectives && !objectives->empty()) model.goal.objectives = *objectives;
    const auto& constraints = own.constraints ? own.constraints : for_all_.constraints;
    if (constraints) model.goal.constraints = *constraints;
    for (const Constraint& shorthand : shorthands_) {
      std::erase_if(model.goal.constraints, [&](const Constraint& c) {
        return c.field == shorthand.field && c.at_most == shorthand.at_most;
      });
      model.goal.constraints.push_back(shorthand);
    }
    const auto& flags = own.perf_flags ? own.perf_flags : for_all_.perf_flags;
    if (flags) model.perf_flags = *flags;
    const auto& server = own.server_flags ? own.server_flags : for_all_.server_flags;
    if (server) model.server_flags = *server;
    const auto& environment =
        own.server_environment ? own.server_environment : for_all_.server_environment;
    if (environment) model.server_environment = *environment;
    const auto& docker = own.docker_args ? own.docker_args : for_all_.docker_args;
    if (docker) model.docker_args = *docker;
    return model;
  }

  Config out_;
  YamlReader yaml_;
  ModelSectionReader section_;
  ModelSection for_all_;
  Sections models_, composing_;
  std::vector<std::string> cpu_only_;  // of composing_
  std::vector<Constraint> shorthands_;
  std::vector<std::string_view> known_, all_;
};

}  // namespace

Result<ModelAnalyzerConfig> ReadModelAnalyzerYaml(std::string_view source) {
  SEXTANT_ASSIGN(const Json file, text::ParseYaml(source));
  return Reader(source).Read(file);
}

}  // namespace sextant::analyze
