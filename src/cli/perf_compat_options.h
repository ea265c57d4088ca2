// The options that `sextant perf` has because perf_analyzer has them, and that nothing else here
// needs: a base of PerfOptions, with rows of its own in the table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "options/table.h"

namespace sextant::cli {

struct PerfOptions;

enum class Compat { kNone, kPerfAnalyzer };
enum class MeasurementMode { kTimeWindows, kCountWindows };
enum class TensorFormat { kBinary, kJson };
enum class ServiceKind { kTriton };
enum class OutputFormat { kText, kCsv, kJson, kMarkdown };

struct CompatOptions {
  Compat compat = Compat::kNone;

  std::optional<uint64_t> measurement_interval_ms;
  std::optional<MeasurementMode> measurement_mode;
  std::optional<uint64_t> measurement_request_count;
  std::optional<double> stability_percentage;
  std::optional<uint64_t> max_trials;
  std::optional<int64_t> percentile;
  std::optional<uint64_t> max_threads;
  bool async = false, sync = false;

  ServiceKind service_kind = ServiceKind::kTriton;
  std::string endpoint, model_signature_name = "serving_default";
  std::vector<std::string> bls_composing_models;
  bool zero_input = false;
  std::vector<std::string> data_directories;
  TensorFormat input_format = TensorFormat::kBinary, output_format = TensorFormat::kBinary;

  OutputFormat format = OutputFormat::kText;
  bool verbose = false, verbose_csv = false;

  std::optional<uint64_t> concurrent_requests, max_concurrency;  // deprecated: -t, -c
  bool dynamic_concurrency = false;                              // deprecated: -d

  // Whether levels are measured in perf_analyzer's windows: asked for by its way of working or by
  // one of the options that belong to them.
  bool windows() const {
    return compat != Compat::kNone || measurement_interval_ms || measurement_mode ||
           measurement_request_count || stability_percentage || max_trials;
  }
};

void AddCompatRows(options::Table<PerfOptions>& table);

}  // namespace sextant::cli
