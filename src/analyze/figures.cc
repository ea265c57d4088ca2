#include "analyze/figures.h"

#include <algorithm>
#include <cmath>

#include "analyze/owned_name.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

constexpr Better kUp = Better::kHigher, kDown = Better::kLower, kNone = Better::kNeither;

constexpr Field kFields[] = {
    {"throughput", "1/s", kUp, "perf_throughput", "Inferences per second.", true},
    {"request_rate", "1/s", kUp, "", "Successful requests per second.", true},
    {"latency_avg", "s", kDown, "perf_latency_avg", "Mean latency, from when a request was due.",
     true},
    {"latency_p50", "s", kDown, "", "Half of the requests took at most this long.", true},
    {"latency_p90", "s", kDown, "perf_latency_p90", "90 % took at most this long.", true},
    {"latency_p95", "s", kDown, "perf_latency_p95", "95 % took at most this long.", true},
    {"latency_p99", "s", kDown, "perf_latency_p99", "99 % took at most this long.", true},
    {"latency_p99.9", "s", kDown, "", "99.9 % took at most this long.", true},
    {"latency_max", "s", kDown, "", "The slowest request's latency.", true},
    {"requests", "", kNone, "", "Successful requests, on which the latencies rest.", true},
    {"error_rate", "ratio", kDown, "", "Share of the requests that failed or had no answer.", true},
    {"server_queue", "s", kDown, "perf_server_queue", "Mean time in the server's queue.", true},
    {"server_compute_input", "s", kDown, "perf_server_compute_input",
     "Mean time for inputs, by the server's statistics.", true},
    {"server_compute_infer", "s", kDown, "perf_server_compute_infer",
     "Mean time of the inference itself, by the server's statistics.", true},
    {"server_compute_output", "s", kDown, "perf_server_compute_output",
     "Mean time for outputs, by the server's statistics.", true},
    {"batch_mean", "", kUp, "", "Inferences per execution: what dynamic batching gathers.", true},
    {"first_response", "s", kDown, "time_to_first_token_avg",
     "Median time to a stream's first response.", true},
    {"between_responses", "s", kDown, "inter_token_latency_avg",
     "Median time between a stream's responses.", true},
    {"gpu_utilization", "ratio", kUp, "gpu_utilization",
     "Mean share of time with a kernel running, over the devices in use."},
    {"gpu_utilization_p95", "ratio", kNone, "",
     "95 % of the samples are at most this; of the device where it is largest."},
    {"gpu_utilization_max", "ratio", kNone, "", "The largest sample of any device."},
    {"gpu_memory_utilization", "ratio", kNone, "",
     "Mean busy share of the memory controller, over the devices in use."},
    {"gpu_memory_utilization_p95", "ratio", kNone, "",
     "95 % of the samples are at most this; of the device where it is largest."},
    {"gpu_memory_utilization_max", "ratio", kNone, "",
     "The largest sample of the memory controller's busy share."},
    {"gpu_memory_used", "bytes", kDown, "gpu_used_memory",
     "The largest memory in use, of all devices together."},
    {"gpu_memory_used_mean", "bytes", kDown, "",
     "The mean of the memory in use, of all devices together."},
    {"gpu_memory_free", "bytes", kUp, "gpu_free_memory",
     "The smallest memory left, of all devices together."},
    {"gpu_memory_process", "bytes", kDown, "", "The largest memory of the server's processes."},
    {"gpu_bar1_used", "bytes", kNone, "", "The largest BAR1 memory in use."},
    {"gpu_power", "W", kDown, "gpu_power_usage", "Mean power of all devices together."},
    {"gpu_temperature_max", "C", kDown, "", "The hottest device's largest sample."},
    {"gpu_sm_clock", "Hz", kNone, "", "Mean clock of the streaming multiprocessors, over devices."},
    {"gpu_memory_clock", "Hz", kNone, "", "Mean clock of the GPU memory, over devices."},
    {"gpu_sm_active", "ratio", kUp, "",
     "Mean share of time that streaming multiprocessors worked."},
    {"gpu_sm_occupancy", "ratio", kUp, "",
     "Mean share of the warps that streaming multiprocessors can hold."},
    {"gpu_tensor_active", "ratio", kUp, "", "Mean share of time that tensor cores worked."},
    {"gpu_dram_active", "ratio", kNone, "", "Mean share of time that GPU memory was moved."},
    {"gpu_throttled", "ratio", kDown, "", "Share of the time that a device was slowed down."},
    {"energy_per_inference", "J", kDown, "", "GPU energy of the window over its inferences."},
    {"cost_per_million", "price", kDown, "",
     "Price of a million inferences at --gpu-hour-price, at this throughput, of the GPUs seen or "
     "--priced-gpus."},
    {"cpu_server", "cores", kDown, "", "CPU time of the server's processes per second."},
    {"memory_server", "bytes", kDown, "cpu_used_ram",
     "The largest resident memory of the server's processes (proportional share)."},
    {"cpu_host", "ratio", kDown, "", "Busy share of the server's host."},
    {"memory_host", "bytes", kDown, "", "The largest memory in use on the server's host."},
};

struct Short {
  std::string_view name, field;
};
constexpr Short kShort[] = {
    {"avg", "latency_avg"},
    {"max", "latency_max"},
    {"errors", "error_rate"},
    {"gpu_memory", "gpu_memory_used"},
    {"perf_latency", "latency_p99"},
    {"power", "gpu_power"},
    {"memory", "memory_server"},
    {"cost", "cost_per_million"},
    {"energy", "energy_per_inference"},
};

}  // namespace

const Figure* FindFigure(const Figures& figures, std::string_view name) {
  const auto found = figures.find(name);
  return found == figures.end() || !std::isfinite(found->second.value) ? nullptr : &found->second;
}

std::span<const Field> Fields() { return kFields; }

const Field* FindField(std::string_view name) {
  name = SplitOwner(name).name;
  for (const Short& s : kShort) {
    if (s.name == name) name = s.field;
  }
  std::string latency;
  if (name.size() >= 2 && name[0] == 'p' && name[1] >= '0' && name[1] <= '9')
    name = latency = "latency_" + std::string(name);
  const auto* found = std::find_if(std::begin(kFields), std::end(kFields), [&](const Field& field) {
    return field.name == name || (!field.alias.empty() && field.alias == name);
  });
  return found == std::end(kFields) ? nullptr : found;
}

std::string FigureName(std::string_view name) {
  const Field* field = FindField(name);
  const std::string_view model = SplitOwner(name).model;
  if (field == nullptr || (!model.empty() && !field->of_model)) return {};
  return WithOwner(model, field->name);
}

std::string ShowValue(double value, std::string_view unit) {
  const double size = std::abs(value);
  if (unit == "s") {
    if (size >= 1 || size == 0) return Format("{:.3g} s", value);
    if (size >= 1e-3) return Format("{:.3g} ms", value * 1e3);
    return Format("{:.3g} us", value * 1e6);
  }
  if (unit == "bytes") {
    if (size >= 1073741824.0) return Format("{:.3g} GiB", value / 1073741824.0);
    if (size >= 1048576.0) return Format("{:.3g} MiB", value / 1048576.0);
    return Format("{:.3g} KiB", value / 1024.0);
  }
  if (unit == "ratio") return Format("{:.3g} %", value * 100);
  if (unit == "Hz")
    return size >= 1e9 ? Format("{:.3g} GHz", value * 1e-9) : Format("{:.3g} MHz", value * 1e-6);
  if (unit == "1/s") {
    // Whole numbers stay readable where four digits would round them.
    return size >= 1000 ? Format("{:.0f}/s", value) : Format("{:.4g}/s", value);
  }
  if (unit == "J") return size < 1 ? Format("{:.3g} mJ", value * 1e3) : Format("{:.3g} J", value);
  if (unit.empty() || unit == "price") return Format("{:.3g}", value);
  return Format("{:.3g} {}", value, unit);
}

}  // namespace sextant::analyze
