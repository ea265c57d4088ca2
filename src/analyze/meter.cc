#include "analyze/meter.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "analyze/owned_name.h"
#include "base/strings.h"
#include "stats/interval.h"

namespace sextant::analyze {
namespace {

void Put(Figures& figures, std::string_view name, std::optional<double> value) {
  if (value) figures[std::string(name)] = {*value, {}, {}};
}
std::optional<double> Get(const Figures& figures, std::string_view name) {
  const Figure* figure = FindFigure(figures, name);
  return figure == nullptr ? std::nullopt : std::optional(figure->value);
}

// A signal's statistic as a figure.
struct SignalRow {
  std::string_view signal, field;
  std::optional<double> gpu::Signal::* statistic;
};
constexpr SignalRow kSignalRows[] = {
    {"utilization", "gpu_utilization", &gpu::Signal::mean},
    {"utilization", "gpu_utilization_p95", &gpu::Signal::p95},
    {"utilization", "gpu_utilization_max", &gpu::Signal::max},
    {"memory_utilization", "gpu_memory_utilization", &gpu::Signal::mean},
    {"memory_utilization", "gpu_memory_utilization_p95", &gpu::Signal::p95},
    {"memory_utilization", "gpu_memory_utilization_max", &gpu::Signal::max},
    {"memory_used", "gpu_memory_used", &gpu::Signal::max},
    {"memory_used", "gpu_memory_used_mean", &gpu::Signal::mean},
    {"memory_process", "gpu_memory_process", &gpu::Signal::max},
    {"bar1_used", "gpu_bar1_used", &gpu::Signal::max},
    {"power", "gpu_power", &gpu::Signal::mean},
    {"temperature", "gpu_temperature_max", &gpu::Signal::max},
    {"sm_clock", "gpu_sm_clock", &gpu::Signal::mean},
    {"memory_clock", "gpu_memory_clock", &gpu::Signal::mean},
    {"sm_active", "gpu_sm_active", &gpu::Signal::mean},
    {"sm_occupancy", "gpu_sm_occupancy", &gpu::Signal::mean},
    {"tensor_active", "gpu_tensor_active", &gpu::Signal::mean},
    {"dram_active", "gpu_dram_active", &gpu::Signal::mean},
};

struct MetricRow {
  std::string_view quantity, field;
  std::optional<double> metrics::Summary::* statistic;
  double scale = 1;  // to the field's unit
};
constexpr MetricRow kMetricRows[] = {
    {"gpu_utilization", "gpu_utilization", &metrics::Summary::mean},
    {"gpu_utilization", "gpu_utilization_max", &metrics::Summary::max},
    {"gpu_memory_busy", "gpu_memory_utilization", &metrics::Summary::mean},
    {"gpu_memory_busy", "gpu_memory_utilization_max", &metrics::Summary::max},
    {"gpu_memory_used", "gpu_memory_used", &metrics::Summary::max},
    {"gpu_memory_used", "gpu_memory_used_mean", &metrics::Summary::mean},
    {"gpu_power", "gpu_power", &metrics::Summary::mean},
    {"gpu_temperature", "gpu_temperature_max", &metrics::Summary::max},
    {"gpu_clock", "gpu_sm_clock", &metrics::Summary::mean, 1e6},
    {"gpu_memory_clock", "gpu_memory_clock", &metrics::Summary::mean, 1e6},
    {"gpu_sm_active", "gpu_sm_active", &metrics::Summary::mean},
    {"gpu_sm_occupancy", "gpu_sm_occupancy", &metrics::Summary::mean},
    {"gpu_tensor_active", "gpu_tensor_active", &metrics::Summary::mean},
    {"gpu_dram_active", "gpu_dram_active", &metrics::Summary::mean},
    {"gpu_energy", "energy", &metrics::Summary::increase},
};

// Whose names a family's are; empty: not of GPUs.
std::string_view SourceOfFamily(std::string_view family) {
  if (family.starts_with("DCGM_FI_")) return "dcgm-exporter";
  if (family.starts_with("sextant_gpu_")) return "node agent";
  if (family.starts_with("nv_gpu_") || family.starts_with("nv_energy")) return "server";
  return {};
}
// The sooner, the better.
constexpr std::string_view kPreference[] = {"node agent", "dcgm-exporter", "server"};

// Of the devices that were asked for: by UUID, or how it begins.
bool IsAsked(const std::vector<std::string>& asked, std::string_view device) {
  return asked.empty() || std::any_of(asked.begin(), asked.end(), [&](const std::string& name) {
           return device.starts_with(name);
         });
}

// The best of those whose families these are; empty: none is of GPUs.
std::string_view SourceOf(const std::vector<std::string>& families) {
  for (const std::string_view source : kPreference) {
    if (std::any_of(families.begin(), families.end(),
                    [&](const std::string& family) { return SourceOfFamily(family) == source; }))
      return source;
  }
  return {};
}

// What sums and prices are over: whole GPUs, because what an instance of one has is in its GPU's
// figures too; instances where these are all that is known.
std::vector<const DeviceFigures*> WholeOnes(const std::vector<DeviceFigures>& devices) {
  std::vector<const DeviceFigures*> whole, all;
  for (const DeviceFigures& device : devices) {
    all.push_back(&device);
    if (device.scope != gpu::ScopeName(gpu::Scope::kMigInstance)) whole.push_back(&device);
  }
  return whole.empty() ? all : whole;
}

// Reasons that are not a slowing down of a busy device.
bool IsThrottle(std::string_view reason) {
  return reason.find("idle") == std::string_view::npos &&
         reason.find("applications") == std::string_view::npos;
}

}  // namespace

Meter::~Meter() = default;

Result<std::unique_ptr<Meter>> Meter::Start(const MeterOptions& options) {
  std::unique_ptr<Meter> meter(new Meter());
  meter->options_ = options;
  meter->host_ = HostUsage::Start();
  const bool nvml =
      options.gpus == GpuSource::kNvml || (options.gpus == GpuSource::kAuto && options.local);
  if (nvml) {
    auto sampler = gpu::Sampler::Start({.library = options.nvml_library,
                                        .interval = options.interval,
                                        .devices = options.devices,
                                        .processes = {}});
    if (sampler.has_value()) {
      meter->nvml_ = *std::move(sampler);
    } else if (options.gpus == GpuSource::kNvml) {
      return std::move(sampler).error().In("--gpu-source nvml");
    } else {
      meter->nvml_absent_ = sampler.error().message();
    }
  } else if (options.gpus == GpuSource::kAuto) {
    meter->nvml_absent_ = "the server runs elsewhere";
  }
  return meter;
}

Result<void> Meter::Follow(std::vector<uint32_t> processes, const std::string& server_metrics_url) {
  watching_ = !processes.empty();
  if (nvml_) nvml_->Watch(processes);
  host_->Watch(std::move(processes));
  collector_.reset();
  metrics::CollectorOptions collect{
      .interval = options_.scrape_interval, .wanted = {}, .tls = options_.tls};
  std::vector<std::string> urls = options_.metrics_urls;
  if (!server_metrics_url.empty()) urls.push_back(server_metrics_url);
  for (const std::string& url : urls) {
    SEXTANT_ASSIGN(metrics::Endpoint endpoint, metrics::ParseEndpoint(url), "--metrics-url");
    collect.endpoints.push_back(std::move(endpoint));
  }
  if (collect.endpoints.empty()) return {};
  SEXTANT_ASSIGN(collector_, metrics::Collector::Start(collect));
  return CheckNumbers();
}

// A number is the driver's, and metrics do not tell it: without this, it would mean no device.
Result<void> Meter::CheckNumbers() const {
  if (nvml_ || options_.gpus == GpuSource::kNone) return {};
  const std::string_view source = SourceOf(collector_->DeviceFamilies());
  for (const std::string& device : options_.devices) {
    if (source.empty() || !ParseUint(device)) continue;
    return InvalidArgument(
        Format("--gpus {}: metrics of the {} name GPUs by UUID, numbers need NVML: give UUIDs (or "
               "how they begin; nvidia-smi -L lists them), or --gpu-source nvml where the GPUs are "
               "this host's",
               device, source));
  }
  return {};
}

void Meter::Begin() {
  if (nvml_) nvml_->Mark();
  host_->Mark();
  if (collector_) collector_->Edge();
}

void Meter::End() {
  if (nvml_) window_ = nvml_->Take();
  host_window_ = host_->Take();
  if (collector_) collector_->Edge();
}

void Meter::AddNvml(Baseline& out, std::vector<std::string>& flags) const {
  for (const gpu::DeviceWindow& window : window_) {
    DeviceFigures device{.device = window.uuid,
                         .name = window.name,
                         .source = "nvml",
                         .scope = std::string(gpu::ScopeName(window.scope)),
                         .figures = {}};
    const auto signal = [&](std::string_view name) -> const gpu::Signal* {
      const auto found = window.signals.find(std::string(name));
      return found == window.signals.end() ? nullptr : &found->second;
    };
    for (const SignalRow& row : kSignalRows) {
      if (const gpu::Signal* s = signal(row.signal))
        Put(device.figures, row.field, s->*row.statistic);
    }
    const gpu::Signal* total = signal("memory_total");
    const auto used = Get(device.figures, "gpu_memory_used");
    if (total != nullptr && total->max && used)
      Put(device.figures, "gpu_memory_free", *total->max - *used);
    Put(device.figures, "energy", window.energy_j);
    double throttled = 0;
    for (const auto& [reason, seconds] : window.throttled_s) {
      if (!IsThrottle(reason) || seconds <= 0) continue;
      throttled = std::max(throttled, seconds);
      flags.push_back(Format("{} was slowed down for {:.1f} s: {}", window.uuid, seconds, reason));
    }
    if (const gpu::Signal* s = signal("utilization"); s != nullptr && s->samples > 0)
      Put(device.figures, "throttled_s", throttled);
    if (!window.foreign_processes.empty() && watching_)
      flags.push_back(Format("{} is used by {} other process{}", window.uuid,
                             window.foreign_processes.size(),
                             window.foreign_processes.size() == 1 ? "" : "es"));
    if (!window.stale.empty()) flags.push_back(Format("{}: {}", window.uuid, window.stale));
    out.devices.push_back(std::move(device));
  }
}

void Meter::AddMetrics(Baseline& out) {
  const std::vector<metrics::SourceReport> reports = collector_->Take();
  std::string_view best;
  for (const std::string_view source : kPreference) {
    for (const metrics::SourceReport& report : reports) {
      for (const metrics::Summary& s : report.summaries) {
        if (best.empty() && SourceOfFamily(s.family) == source && !s.device.empty()) best = source;
      }
    }
  }
  std::map<std::string, DeviceFigures> devices;
  std::map<std::string, double> memory;
  std::set<std::string> others;
  for (const metrics::SourceReport& report : reports) {
    for (const metrics::Summary& s : report.summaries) {
      // Ours is another host than a remote server's.
      if (s.quantity == "cpu_utilization" && !(options_.local && host_window_.host_busy))
        Put(out.figures, "cpu_host", s.mean);
      if (s.quantity == "memory_used" && !(options_.local && host_window_.host_memory_bytes))
        Put(out.figures, "memory_host", s.max);
      if (best.empty() || SourceOfFamily(s.family) != best || s.device.empty()) continue;
      if (!IsAsked(options_.devices, s.device)) {
        others.insert(s.device);
        continue;
      }
      DeviceFigures& device = devices[s.device];
      device.device = s.device;
      device.source = best;
      const bool part = s.device.find('/') != std::string::npos;
      device.scope = gpu::ScopeName(part ? gpu::Scope::kMigInstance : gpu::Scope::kDevice);
      if (s.quantity == "gpu_memory_total" && s.max) memory[s.device] = *s.max;
      for (const MetricRow& row : kMetricRows) {
        const std::optional<double> value = s.*row.statistic;
        if (row.quantity == s.quantity && value) Put(device.figures, row.field, *value * row.scale);
      }
    }
  }
  if (nvml_ || options_.gpus == GpuSource::kNone) return;
  missed_ = devices.empty() ? std::move(others) : std::set<std::string>();
  for (auto& [name, device] : devices) {
    const auto total = memory.find(name);
    const auto used = Get(device.figures, "gpu_memory_used");
    if (total != memory.end() && used && *used <= total->second)
      Put(device.figures, "gpu_memory_free", total->second - *used);
    out.devices.push_back(std::move(device));
  }
}

Baseline Meter::Take(std::vector<std::string>& flags) {
  Baseline out;
  Put(out.figures, "cpu_server", host_window_.cpu_cores);
  Put(out.figures, "memory_server", host_window_.memory_bytes);
  if (options_.local) {
    Put(out.figures, "cpu_host", host_window_.host_busy);
    Put(out.figures, "memory_host", host_window_.host_memory_bytes);
  }
  if (nvml_ && options_.gpus != GpuSource::kNone) AddNvml(out, flags);
  if (collector_) AddMetrics(out);
  AddTotals(out.devices, out.figures);
  return out;
}

std::vector<std::string> Meter::FindDevices() {
  if (!nvml_ && (!collector_ || collector_->DeviceFamilies().empty())) return {};
  Begin();
  std::this_thread::sleep_for(2 * options_.interval);
  End();
  std::vector<std::string> out, ignored;
  for (const DeviceFigures& device : Take(ignored).devices)
    out.push_back(device.name.empty() ? device.device
                                      : Format("{} {}", device.name, device.device));
  return out;
}

std::string Meter::Describe() const {
  if (options_.gpus == GpuSource::kNone) return "none (--gpu-source none)";
  if (nvml_) return nvml_->Describe();
  const std::string why = nvml_absent_.empty() ? "" : "NVML: " + nvml_absent_ + "; ";
  if (const std::string_view source =
          SourceOf(collector_ ? collector_->DeviceFamilies() : std::vector<std::string>());
      !source.empty()) {
    std::string text = Format("metrics of the {}{}", source,
                              why.empty() ? "" : Format(" ({})", why.substr(0, why.size() - 2)));
    if (!missed_.empty()) {
      AppendFormat(text, "; no GPU is {} (--gpus), there are: {}", Join(options_.devices, ", "),
                   Join(std::vector<std::string>(missed_.begin(), missed_.end()), ", "));
    }
    return text;
  }
  return Format("none ({}no metrics endpoint tells of GPUs)", why);
}

std::vector<std::string> Meter::Complaints() const {
  std::vector<std::string> out;
  if (nvml_) out = nvml_->Degraded();
  if (collector_) {
    for (const std::string& complaint : collector_->Complaints()) out.push_back(complaint);
  }
  return out;
}

namespace {

// Of all versions of the model: means per request, and inferences per execution.
void AddServerTimes(const std::vector<run::ServerRecord>& versions, Figures& out) {
  double inferences = 0, executions = 0, requests = 0;
  double queue = 0, input = 0, infer = 0, output = 0;
  for (const run::ServerRecord& server : versions) {
    inferences += static_cast<double>(server.inference_count);
    executions += static_cast<double>(server.execution_count);
    const auto n = static_cast<double>(server.success_count);
    requests += n;
    queue += n * server.queue_us, input += n * server.compute_input_us;
    infer += n * server.compute_infer_us, output += n * server.compute_output_us;
  }
  if (executions > 0) Put(out, "batch_mean", inferences / executions);
  if (requests <= 0) return;
  Put(out, "server_queue", queue / requests * 1e-6);
  Put(out, "server_compute_input", input / requests * 1e-6);
  Put(out, "server_compute_infer", infer / requests * 1e-6);
  Put(out, "server_compute_output", output / requests * 1e-6);
}

}  // namespace

Figures FiguresOf(const run::Level& level) {
  Figures out;
  const auto interval = [&](const char* name, const stats::IntervalEstimate& e, double scale) {
    Figure figure{e.value * scale, {}, {}};
    if (e.known) figure.lower = e.lower() * scale, figure.upper = e.upper() * scale;
    out[name] = figure;
  };
  if (level.scheduled > 0) {
    const uint64_t bad = level.failed + level.unfinished;
    const auto share =
        stats::ExactShare(static_cast<double>(bad), static_cast<double>(level.scheduled));
    out["error_rate"] = {level.error_rate(), share.lower, share.upper};
  }
  if (level.succeeded == 0) return out;
  Put(out, "requests", static_cast<double>(level.succeeded));
  interval("throughput", level.throughput, 1);
  interval("request_rate", level.request_rate, 1);
  interval("latency_avg", level.latency.mean, 1e-9);
  for (const stats::QuantileEstimate& q : level.latency.percentiles) {
    Figure figure{q.value * 1e-9, {}, {}};
    if (q.lower) figure.lower = *q.lower * 1e-9;
    if (q.upper) figure.upper = *q.upper * 1e-9;
    out[Format("latency_p{:g}", q.p * 100)] = figure;
  }
  Put(out, "latency_max", static_cast<double>(level.latency.histogram.max()) * 1e-9);
  if (level.responses) {
    if (level.responses->first.count() > 0)
      Put(out, "first_response", level.responses->first.Quantile(0.5) * 1e-9);
    if (level.responses->between.count() > 0)
      Put(out, "between_responses", level.responses->between.Quantile(0.5) * 1e-9);
  }
  AddServerTimes(level.server, out);
  std::map<std::string, std::vector<run::ServerRecord>> behind;
  for (const run::ServerRecord& server : level.composing) behind[server.model].push_back(server);
  for (const auto& [model, versions] : behind) {
    Figures own;
    AddServerTimes(versions, own);
    for (auto& [name, figure] : own) out.emplace(WithOwner(model, name), figure);
  }
  for (const run::Level& model : level.models) {
    if (!model.part) continue;
    for (auto& [name, figure] : FiguresOf(model))
      out.emplace(WithOwner(model.part->label(), name), figure);
  }
  return out;
}

void AddTotals(const std::vector<DeviceFigures>& devices, Figures& figures) {
  enum class How : uint8_t { kSum, kMean, kMax };
  constexpr std::pair<std::string_view, How> kTotals[] = {
      {"gpu_utilization", How::kMean},
      {"gpu_utilization_p95", How::kMax},
      {"gpu_utilization_max", How::kMax},
      {"gpu_memory_utilization", How::kMean},
      {"gpu_memory_utilization_p95", How::kMax},
      {"gpu_memory_utilization_max", How::kMax},
      {"gpu_memory_used", How::kSum},
      {"gpu_memory_used_mean", How::kSum},
      {"gpu_memory_free", How::kSum},
      {"gpu_memory_process", How::kSum},
      {"gpu_bar1_used", How::kSum},
      {"gpu_power", How::kSum},
      {"gpu_temperature_max", How::kMax},
      {"gpu_sm_clock", How::kMean},
      {"gpu_memory_clock", How::kMean},
      {"gpu_sm_active", How::kMean},
      {"gpu_sm_occupancy", How::kMean},
      {"gpu_tensor_active", How::kMean},
      {"gpu_dram_active", How::kMean},
  };
  const auto add = [&](std::string_view field, How how, const auto& counted) {
    double total = 0;
    size_t n = 0;
    for (const DeviceFigures* device : counted) {
      const auto value = Get(device->figures, field);
      if (!value) continue;
      total = how == How::kMax ? std::max(total, *value) : total + *value;
      ++n;
    }
    // A sum over some of the devices would pass for that of all.
    if (n > 0 && (how != How::kSum || n == counted.size()))
      Put(figures, field, how == How::kMean ? total / static_cast<double>(n) : total);
    return n > 0;
  };
  std::vector<const DeviceFigures*> parts;
  for (const DeviceFigures& device : devices) {
    if (device.scope == gpu::ScopeName(gpu::Scope::kMigInstance)) parts.push_back(&device);
  }
  for (const auto& [field, how] : kTotals) {
    // Of a GPU in parts some figures exist for the parts alone.
    if (!add(field, how, WholeOnes(devices))) add(field, how, parts);
  }
}

void AddDerived(const std::vector<DeviceFigures>& devices, double inferences, double window_s,
                Figures& figures) {
  double energy = 0, throttled = 0;
  size_t with_energy = 0, with_throttle = 0;
  const std::vector<const DeviceFigures*> counted = WholeOnes(devices);
  for (const DeviceFigures* device : counted) {
    if (const auto joules = Get(device->figures, "energy")) energy += *joules, ++with_energy;
    if (const auto seconds = Get(device->figures, "throttled_s"))
      throttled = std::max(throttled, *seconds), ++with_throttle;
  }
  if (with_energy > 0 && with_energy == counted.size() && inferences > 0)
    Put(figures, "energy_per_inference", energy / inferences);
  if (with_throttle > 0 && window_s > 0)
    Put(figures, "gpu_throttled", std::min(1.0, throttled / window_s));
}

void AddCost(const std::vector<DeviceFigures>& devices, const GpuPrice& of, Figures& figures) {
  figures.erase("cost_per_million");
  const uint64_t gpus = of.gpus > 0 ? of.gpus : WholeOnes(devices).size();
  const auto throughput = figures.find("throughput");
  if (of.per_hour <= 0 || gpus == 0 || throughput == figures.end() || throughput->second.value <= 0)
    return;
  const double price = of.per_hour * static_cast<double>(gpus) / 3600 * 1e6;
  const Figure& rate = throughput->second;
  Figure cost{price / rate.value, {}, {}};
  if (rate.lower && *rate.lower > 0) cost.upper = price / *rate.lower;
  if (rate.upper && *rate.upper > 0) cost.lower = price / *rate.upper;
  figures["cost_per_million"] = cost;
}

}  // namespace sextant::analyze
