// The options of `sextant perf`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/perf_transport.h"
#include "load/range.h"
#include "load/schedule.h"
#include "options/table.h"

namespace sextant::cli {

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

struct PerfOptions : TransportOptions {
  std::string model, model_version;
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

  std::optional<uint64_t> requests;
  DurationChoice duration;
  WarmupChoice warmup;
  Nanos timeout{60s};
  std::optional<double> max_error_rate, max_wrong_outputs;
  std::string percentiles = "50,90,95,99";

  size_t workers = 0, connections = 0;
  bool spin = false;
  bool self_test = false;

  std::string csv_file, output_file;
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
