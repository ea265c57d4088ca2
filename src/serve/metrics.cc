#include "serve/metrics.h"

#include <functional>

#include "base/files.h"
#include "base/strings.h"
#include "text/prometheus.h"

namespace sextant::serve {
namespace {

using text::MetricType;
using text::PrometheusWriter;

struct ModelRow {
  std::string_view name, help;
  MetricType type;
  double (*value)(const kserve::ModelStatistics&);
};
double Micros(const kserve::StatDuration& d) {
  const uint64_t whole = d.ns / 1000;  // as Triton gives them out
  return static_cast<double>(whole);
}

constexpr ModelRow kBeforeFailures[] = {
    {"nv_inference_request_success", "Number of successful inference requests, all batch sizes",
     MetricType::kCounter,
     [](const kserve::ModelStatistics& s) { return static_cast<double>(s.success.count); }},
};
constexpr ModelRow kAfterFailures[] = {
    {"nv_inference_count", "Number of inferences performed (does not include cached requests)",
     MetricType::kCounter,
     [](const kserve::ModelStatistics& s) { return static_cast<double>(s.inference_count); }},
    {"nv_inference_exec_count",
     "Number of model executions performed (does not include cached requests)",
     MetricType::kCounter,
     [](const kserve::ModelStatistics& s) { return static_cast<double>(s.execution_count); }},
    {"nv_inference_request_duration_us",
     "Cumulative inference request duration in microseconds (includes cached requests)",
     MetricType::kCounter, [](const kserve::ModelStatistics& s) { return Micros(s.success); }},
    {"nv_inference_queue_duration_us",
     "Cumulative inference queuing duration in microseconds (includes cached requests)",
     MetricType::kCounter, [](const kserve::ModelStatistics& s) { return Micros(s.queue); }},
    {"nv_inference_compute_input_duration_us",
     "Cumulative compute input duration in microseconds (does not include cached requests)",
     MetricType::kCounter,
     [](const kserve::ModelStatistics& s) { return Micros(s.compute_input); }},
    {"nv_inference_compute_infer_duration_us",
     "Cumulative compute inference duration in microseconds (does not include cached requests)",
     MetricType::kCounter,
     [](const kserve::ModelStatistics& s) { return Micros(s.compute_infer); }},
    {"nv_inference_compute_output_duration_us",
     "Cumulative inference compute output duration in microseconds (does not include cached "
     "requests)",
     MetricType::kCounter,
     [](const kserve::ModelStatistics& s) { return Micros(s.compute_output); }},
};

using gpu::GpuReading;
struct GpuRow {
  std::string_view name, help;
  MetricType type;
  std::optional<double> GpuReading::* value;
};
constexpr GpuRow kGpuRows[] = {
    {"nv_gpu_utilization", "GPU utilization rate [0.0 - 1.0)", MetricType::kGauge,
     &GpuReading::utilization},
    {"nv_gpu_memory_total_bytes", "GPU total memory, in bytes", MetricType::kGauge,
     &GpuReading::memory_total_bytes},
    {"nv_gpu_memory_used_bytes", "GPU used memory, in bytes", MetricType::kGauge,
     &GpuReading::memory_used_bytes},
    {"nv_gpu_power_usage", "GPU power usage in watts", MetricType::kGauge,
     &GpuReading::power_watts},
    {"nv_gpu_power_limit", "GPU power management limit in watts", MetricType::kGauge,
     &GpuReading::power_limit_watts},
    {"nv_energy_consumption", "GPU energy consumption in joules since the Triton Server started",
     MetricType::kCounter, &GpuReading::energy_joules},
};

void WriteMemory(PrometheusWriter& out) {
  const Result<std::string> text = ReadFile("/proc/meminfo");
  if (!text.has_value()) return;
  double total = 0, available = 0;
  for (const std::string_view line : Split(*text, '\n')) {
    const auto value = [&] {
      const std::string_view rest = TrimSpace(line.substr(line.find(':') + 1));
      return static_cast<double>(ParseUint(rest.substr(0, rest.find(' '))).value_or(0)) * 1024;
    };
    if (line.starts_with("MemTotal:")) total = value();
    if (line.starts_with("MemAvailable:")) available = value();
  }
  out.Family("nv_cpu_memory_total_bytes", "CPU total memory (RAM), in bytes", MetricType::kGauge);
  out.Sample({}, total);
  out.Family("nv_cpu_memory_used_bytes", "CPU used memory (RAM), in bytes", MetricType::kGauge);
  out.Sample({}, total - available);
}

}  // namespace

std::optional<double> CpuMeter::Read() {
  const Result<std::string> text = ReadFile("/proc/stat");
  if (!text.has_value() || !text->starts_with("cpu ")) return std::nullopt;
  // user nice system idle iowait irq softirq steal; guest times are part of user.
  uint64_t busy = 0, total = 0;
  int column = 0;
  for (const std::string_view word :
       Split(std::string_view(*text).substr(4, text->find('\n') - 4), ' ')) {
    if (word.empty()) continue;
    const uint64_t ticks = ParseUint(word).value_or(0);
    if (column < 8) total += ticks;
    if (column < 8 && column != 3 && column != 4) busy += ticks;
    ++column;
  }
  const uint64_t busy_delta = busy - busy_, total_delta = total - total_;
  if (total_delta == 0) return last_;
  busy_ = busy;
  total_ = total;
  last_ = static_cast<double>(busy_delta) / static_cast<double>(total_delta);
  return last_;
}

std::string RenderMetrics(const std::vector<std::shared_ptr<LoadedModel>>& models,
                          const std::vector<gpu::GpuReading>& gpus,
                          std::optional<double> cpu_utilization) {
  PrometheusWriter out;
  using Label = std::pair<std::string_view, std::string_view>;
  std::vector<kserve::ModelStatistics> statistics;
  for (const auto& model : models) statistics.push_back(model->Statistics());
  const auto write = [&](const ModelRow& row) {
    out.Family(row.name, row.help, row.type);
    for (const kserve::ModelStatistics& s : statistics) {
      const Label labels[] = {{"model", s.name}, {"version", s.version}};
      out.Sample(labels, row.value(s));
    }
  };
  for (const ModelRow& row : kBeforeFailures) write(row);
  out.Family("nv_inference_request_failure", "Number of failed inference requests, all batch sizes",
             MetricType::kCounter);
  for (const auto& model : models) {
    const auto failures = model->Failures();
    for (size_t reason = 0; reason < failures.size(); ++reason) {
      const Label labels[] = {{"model", model->name()},
                              {"reason", kFailureReasonNames[reason]},
                              {"version", model->version_text()}};
      out.Sample(labels, static_cast<double>(failures[reason]));
    }
  }
  for (const ModelRow& row : kAfterFailures) write(row);
  out.Family("nv_inference_pending_request_count",
             "Instantaneous number of pending requests awaiting execution per-model.",
             MetricType::kGauge);
  for (const auto& model : models) {
    const Label labels[] = {{"model", model->name()}, {"version", model->version_text()}};
    out.Sample(labels, static_cast<double>(model->pending()));
  }
  if (!gpus.empty()) {
    for (const GpuRow& row : kGpuRows) {
      out.Family(row.name, row.help, row.type);
      for (const GpuReading& gpu : gpus) {
        const std::optional<double> value = gpu.*row.value;
        const Label labels[] = {{"gpu_uuid", gpu.uuid}};
        if (value) out.Sample(labels, *value);
      }
    }
  }
  if (cpu_utilization) {
    out.Family("nv_cpu_utilization", "CPU utilization rate [0.0 - 1.0]", MetricType::kGauge);
    out.Sample({}, *cpu_utilization);
  }
  WriteMemory(out);
  return out.Take();
}

}  // namespace sextant::serve
