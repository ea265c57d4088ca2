#include "run/metrics_text.h"

#include <algorithm>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::run {
namespace {

// The figures of one device, or of the machine, at one endpoint.
class Figures {
 public:
  Figures(const Level& level, const std::string& source, const std::string& device)
      : level_(level), source_(source), device_(device) {}

  const MetricRecord* Find(std::string_view quantity) const {
    for (const MetricRecord& m : level_.metrics) {
      if (m.source == source_ && m.device == device_ && m.quantity == quantity && m.labels.empty())
        return &m;
    }
    return nullptr;
  }

  void Share(std::string_view quantity, std::string_view word) {
    if (const MetricRecord* m = Find(quantity); m != nullptr && m->mean)
      Add("{} {:.1f}% (max {:.1f}%)", word, *m->mean * 100, *m->max * 100);
  }
  void Value(std::string_view quantity, std::string_view word, std::string_view unit) {
    if (const MetricRecord* m = Find(quantity); m != nullptr && m->mean)
      Add("{} {:.1f} {} (max {:.1f} {})", word, *m->mean, unit, *m->max, unit);
  }
  void Memory(std::string_view used, std::string_view total) {
    const MetricRecord *most = Find(used), *all = Find(total);
    if (most == nullptr || !most->max) return;
    Add("memory max {}{}", HumanBytes(*most->max),
        all != nullptr && all->max ? " of " + HumanBytes(*all->max) : "");
  }
  void Energy() {
    const MetricRecord* m = Find("gpu_energy");
    if (m == nullptr || !m->increase || m->span_s <= 0) return;
    const double inferences = level_.throughput.value * m->span_s;
    Add("energy {} J{}", HumanNumber(*m->increase),
        inferences > 0 ? Format(" ({:.4g} J per inference)", *m->increase / inferences) : "");
  }
  void Cores() {
    const MetricRecord* m = Find("cpu_busy");
    if (m != nullptr && m->increase && m->span_s > 0)
      Add("CPU {:.2f} cores busy", *m->increase / m->span_s);
  }
  const std::string& text() const { return text_; }

 private:
  template <typename... Args>
  void Add(format_string<Args...> text, Args&&... args) {
    text_ += text_.empty() ? "" : ", ";
    AppendFormat(text_, text, std::forward<Args>(args)...);
  }

  const Level& level_;
  const std::string &source_, &device_;
  std::string text_;
};

constexpr std::string_view kMachine[] = {"cpu_utilization", "memory_used", "memory_total",
                                         "cpu_busy", "cpu_time"};

void AppendFurther(const MetricRecord& m, std::string& out) {
  const std::string unit = m.unit.empty() ? "" : " " + m.unit;
  if (m.increase) {
    AppendFormat(out, "    {}{}: +{:g}{}", m.quantity, m.labels, *m.increase, unit);
    if (m.span_s > 0) AppendFormat(out, " ({:g} per second)", *m.increase / m.span_s);
    out += '\n';
  } else if (m.mean) {
    AppendFormat(out, "    {}{}: mean {:g}, min {:g}, max {:g}{}\n", m.quantity, m.labels, *m.mean,
                 *m.min, *m.max, unit);
  }
}

void AppendSource(const Level& level, const MetricSourceRecord& source, std::string& out) {
  AppendFormat(out, "  Metrics ({}):\n", source.source);
  std::vector<std::string> devices;
  for (const MetricRecord& m : level.metrics) {
    if (m.source == source.source && !m.device.empty() &&
        std::find(devices.begin(), devices.end(), m.device) == devices.end())
      devices.push_back(m.device);
  }
  for (const std::string& device : devices) {
    Figures gpu(level, source.source, device);
    gpu.Share("gpu_utilization", "utilization");
    gpu.Value("gpu_power", "power", "W");
    gpu.Memory("gpu_memory_used", "gpu_memory_total");
    gpu.Energy();
    gpu.Value("gpu_temperature", "temperature", "C");
    if (!gpu.text().empty()) AppendFormat(out, "    {}: {}\n", device, gpu.text());
  }
  const std::string nobody;
  Figures cpu(level, source.source, nobody);
  cpu.Share("cpu_utilization", "CPU");
  cpu.Cores();
  cpu.Memory("memory_used", "memory_total");
  if (!cpu.text().empty()) AppendFormat(out, "    Machine: {}\n", cpu.text());
  for (const MetricRecord& m : level.metrics) {
    const bool known =
        std::find(std::begin(kMachine), std::end(kMachine), m.quantity) != std::end(kMachine);
    if (m.source == source.source && m.device.empty() && !known) AppendFurther(m, out);
  }
  if (source.failed > 0) {
    AppendFormat(out, "    {} of {} readings failed: {}\n", source.failed, source.scrapes,
                 source.fault);
  }
  if (source.missed > 0) {
    AppendFormat(out,
                 "    The endpoint is slow (up to {:.2f} s): {} readings were left out; "
                 "--metrics-interval larger asks it less often\n",
                 source.longest_s, source.missed);
  }
  if (source.bad_lines > 0) {
    AppendFormat(out, "    {} lines of its answer could not be read\n", source.bad_lines);
  }
}

}  // namespace

std::string FormatMetrics(const Level& level) {
  std::string out;
  for (const MetricSourceRecord& source : level.metric_sources) AppendSource(level, source, out);
  return out;
}

bool HasGpuFigures(const Level& level) {
  const auto cells = GpuCsvCells(level);
  return std::any_of(cells.begin(), cells.end(), [](const auto& cell) { return !cell.empty(); });
}

std::array<std::string, 4> GpuCsvCells(const Level& level) {
  struct Cell {
    std::string_view quantity;
    std::optional<double> MetricRecord::* value;
  };
  static constexpr Cell kCells[] = {{"gpu_utilization", &MetricRecord::mean},
                                    {"gpu_power", &MetricRecord::mean},
                                    {"gpu_memory_used", &MetricRecord::max},
                                    {"gpu_memory_total", &MetricRecord::max}};
  std::array<std::string, 4> out;
  for (size_t i = 0; i < out.size(); ++i) {
    for (const MetricRecord& m : level.metrics) {
      if (m.quantity != kCells[i].quantity || m.device.empty() || !(m.*kCells[i].value)) continue;
      AppendFormat(out[i], "{}:{};", m.device, *(m.*kCells[i].value));
    }
  }
  return out;
}

}  // namespace sextant::run
