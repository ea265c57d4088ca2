// The options of `sextant perf`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kserve/control_client.h"
#include "load/range.h"
#include "load/schedule.h"
#include "options/table.h"

namespace sextant::cli {

enum class SharedMemoryKind { kNone, kSystem, kCuda };
enum class Progress { kAuto, kNone, kLine, kJson };

// --warmup: auto, a number of requests, or a time.
struct WarmupChoice {
  std::string text = "auto";
  std::optional<uint64_t> requests;
  std::optional<Nanos> time;
};
// --duration: auto, or a time.
struct DurationChoice {
  std::string text = "auto";
  std::optional<Nanos> time;
};

struct PerfOptions {
  std::string model, model_version, bls_composing_models;
  std::string url;  // empty: the protocol's default
  kserve::Protocol protocol = kserve::Protocol::kHttp;
  Nanos control_timeout{10s};

  load::CountList batch{{1}, "1"};
  std::optional<load::CountList> concurrency;
  std::optional<load::RateList> rate;
  load::Arrivals distribution = load::Arrivals::kConstant;
  size_t max_in_flight = 0;

  std::vector<std::string> input_data;
  std::vector<std::string> shapes;
  std::vector<std::string> random_ranges;
  uint64_t string_length = 128;
  std::string string_data;
  std::optional<uint64_t> seed;
  SharedMemoryKind shared_memory = SharedMemoryKind::kNone;
  uint64_t output_shared_memory_size = 102400;
  bool shared_memory_required = false;

  std::optional<uint64_t> requests;
  DurationChoice duration;
  WarmupChoice warmup;
  Nanos timeout{60s};
  std::optional<double> max_error_rate, max_wrong_outputs;
  std::string percentiles = "50,90,95,99";

  std::vector<std::string> trace_levels;
  std::optional<int64_t> trace_rate, trace_count, log_frequency;

  bool collect_metrics = false;
  std::vector<std::string> metrics_urls, metrics;
  uint64_t metrics_interval_ms = 1000;

  size_t workers = 0, connections = 0;
  bool spin = false;
  bool self_test = false;

  std::string csv_file, output_file;
  bool quiet = false;
  Progress progress = Progress::kAuto;
};

const options::Table<PerfOptions>& PerfTable();

// `sextant perf --self-test`: this machine's ceiling per protocol against the null server.
int RunSelfTest(const PerfOptions& options);

}  // namespace sextant::cli
