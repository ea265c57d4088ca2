// The options of `sextant perf`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/perf_compat_options.h"
#include "cli/perf_export.h"
#include "cli/perf_streams.h"
#include "cli/perf_transport.h"
#include "kserve/control_client.h"
#include "load/range.h"
#include "load/schedule.h"
#include "load/worker.h"
#include "options/table.h"

namespace sextant::cli {

enum class SharedMemoryKind { kNone, kSystem, kCuda };
enum class Progress { kAuto, kNone, kLine, kJson };

// A part of a whole: 0.05 or 5%.
struct Share {
  double value = 0;
};
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

struct PerfOptions : TransportOptions, CompatOptions, PerfStreamOptions, ExportOptions {
  std::string model, model_version, mix;
  Nanos control_timeout{10s}, wait_ready{0};

  load::CountList batch{{1}, "1"};
  std::optional<load::CountList> concurrency;
  std::optional<load::RateList> rate;
  load::ArrivalLaw distribution;
  std::string rate_profile;
  load::RateProfile::Shape rate_profile_shape = load::RateProfile::Shape::kLinear;
  std::string trace_file, trace_unit;
  double trace_speed = 1;
  std::string intervals_file;
  bool fixed_schedule = false;
  size_t max_in_flight = 0;

  bool find_max = false;
  std::string slo;
  Share find_max_precision{0.02};
  Nanos find_max_longest{60s};
  uint64_t latency_threshold = 0;  // milliseconds
  bool binary_search = false;

  std::vector<std::string> input_data;
  std::optional<load::DataOrder> data_order;
  std::vector<std::string> shapes;
  std::vector<std::string> random_ranges;
  uint64_t string_length = 128;
  std::string string_data;
  std::vector<std::string> data, dims;
  size_t rows = 0;
  std::optional<double> atol, rtol;
  std::optional<uint64_t> seed;
  SharedMemoryKind shared_memory = SharedMemoryKind::kNone;
  uint64_t output_shared_memory_size = 102400;
  bool shared_memory_required = false;
  size_t shared_memory_device = 0;  // cuda

  std::optional<uint64_t> requests;
  DurationChoice duration;
  std::optional<Share> precision;
  WarmupChoice warmup;
  Nanos timeout{60s};
  std::optional<Share> max_error_rate, max_wrong_outputs;
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
  std::string shard, start_at;
  std::vector<std::string> merge;

  bool quiet = false;
  Progress progress = Progress::kAuto;
};

const options::Table<PerfOptions>& PerfTable();
// Parts of it: the URL, and TLS and header fields.
void AddUrlRows(options::Table<PerfOptions>& table);
void AddTransportRows(options::Table<PerfOptions>& table);

// `sextant perf --self-test`: this machine's ceiling per protocol against the null server.
int RunSelfTest(const PerfOptions& options);

}  // namespace sextant::cli
