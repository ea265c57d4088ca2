// Reads the YAML that configures Triton's Model Analyzer, into terms of this program. Pure.
//
// Lists may be lists, texts with commas, or {start, stop, step}; profile_models may be a text, a
// list, or a map. What a model says replaces what is said for all. Keys that mean nothing here are
// noted with the reason, keys that nobody knows are mistakes with the nearest name.
// Errors: kInvalidArgument, all mistakes at once, one a line, each with line and column; kCorrupt
// for what is no YAML.
//
// The values of the tool's first chart (modelName, batch, modelPath, resultsPath, ...) are keys
// too. Source: the tool's documentation and behaviour of version 1.54.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analyze/automatic_space.h"
#include "analyze/objective.h"
#include "analyze/space.h"
#include "base/result.h"

namespace sextant::analyze {

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

struct ModelAnalyzerModel {
  std::string name;
  bool cpu_only = false;
  // Of the configuration (empty: an automatic search) and of the load (batch, concurrency, rate).
  std::vector<AxisSpec> axes;
  Goal goal;
  double weighting = 1;                 // among models measured together
  std::vector<std::string> perf_flags;  // words of a command line of `sextant perf`
  NamedTexts server_flags, server_environment, docker_args;
};

struct ModelAnalyzerConfig {
  enum class Launch : uint8_t { kLocal, kDocker, kRemote, kInProcess };
  enum class SearchMode : uint8_t { kBrute, kQuick, kOptuna };

  std::vector<ModelAnalyzerModel> models;
  std::string model_repository, export_path = ".";
  // Empty where the file says nothing: its defaults are not ours.
  std::string output_model_repository, checkpoint_directory;
  std::string filename_inference = "metrics-model-inference.csv",
              filename_gpu = "metrics-model-gpu.csv",
              filename_server_only = "metrics-server-only.csv";

  Launch launch = Launch::kLocal;
  std::string protocol = "grpc";  // or http
  std::string http_endpoint = "localhost:8000", grpc_endpoint = "localhost:8001",
              metrics_url = "http://localhost:8002/metrics";
  std::string server_path = "tritonserver", server_log;
  std::string docker_image, docker_shm_size;
  std::vector<std::string> docker_mounts;  // HOST:CONTAINER:MODE
  NamedTexts docker_labels;
  bool reload_disabled = false;          // a server that is there keeps what it has loaded
  std::vector<std::string> gpus{"all"};  // "all", numbers or UUIDs; empty: none

  SearchMode search = SearchMode::kBrute;
  bool search_disabled = false;  // no configurations and no loads but those that the file names
  bool models_together = false;  // all models loaded and measured at the same time
  bool rate_search = false;
  bool early_exit = false;  // brute, but a load that brings nothing more ends its sweep
  SearchBounds bounds;

  std::optional<double> monitoring_interval_s;
  double server_only_s = 3;
  int64_t best_configurations = 3;      // per model, to be reported
  std::optional<double> point_limit_s;  // perf_analyzer_timeout
  // The steps of ensembles, and what models call by themselves.
  std::vector<ModelAnalyzerModel> behind;

  std::vector<std::string> notes;  // a sentence per key that means nothing here
};

Result<ModelAnalyzerConfig> ReadModelAnalyzerYaml(std::string_view source);

}  // namespace sextant::analyze
