// The options of `sextant analyze`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analyze/meter.h"
#include "analyze/model_server.h"
#include "analyze/search.h"
#include "cli/perf_options.h"

namespace sextant::cli {

enum class ResultsFor : uint8_t { kSextant, kSeed000, kModelAnalyzer };

// Data, transport, streaming and measurement are those of `sextant perf`.
struct AnalyzeOptions : PerfOptions {
  std::vector<std::string> models;

  std::optional<analyze::Launch> launch;  // set where nobody did
  std::string model_analyzer_config;
  std::string repository, work_repository, server_program, container_engine, image;
  std::vector<std::string> server_arguments, server_environment, container_arguments;
  std::string server_log;    // where a server that is started writes; empty: among the results
  bool leave_model = false;  // a server that is there keeps what it has loaded
  Nanos server_start_timeout{60s}, load_timeout{300s}, unload_timeout{60s};

  std::string batches, concurrencies, rates;  // VALUES of --set
  std::vector<std::string> set, where;
  std::string space_file;
  std::vector<std::string> data_sets;  // NAME=SOURCE

  analyze::SearchOptions::Kind search = analyze::SearchOptions::Kind::kAuto;
  std::string objectives = "throughput", constraints, pareto = "throughput,latency_p99";
  std::optional<Nanos> budget;
  Nanos shortest_window{1s}, longest_window{10s};
  bool plan = false;

  analyze::GpuSource gpu_source = analyze::GpuSource::kAuto;
  std::vector<std::string> gpus;
  std::string nvml_library;
  uint64_t frequency_ms = 100;
  Nanos base_duration{2s};
  double gpu_hour_price = 0;
  uint64_t priced_gpus = 0;

  std::string journal;
  bool resume = false;
  std::vector<std::string> merge_journals;

  bool write_files = false;  // --export
  std::string export_path;
  std::string filename_model = "metrics-model.csv",
              filename_server_only = "metrics-server-only.csv",
              filename_model_inference = "metrics-model-inference.csv",
              filename_model_gpu = "metrics-model-gpu.csv";
  std::string configurations;  // where the best ones go; empty: among the results
  ResultsFor results_for = ResultsFor::kSextant;
  uint64_t top = 3;
  std::string listen_metrics;
};

inline analyze::GpuPrice PriceOf(const AnalyzeOptions& options) {
  return {.per_hour = options.gpu_hour_price, .gpus = options.priced_gpus};
}

const options::Table<AnalyzeOptions>& AnalyzeTable();

}  // namespace sextant::cli
