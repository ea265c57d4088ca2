#include "analyze/results.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "text/csv.h"
#include "text/yaml.h"

namespace sextant::analyze {
namespace {

using text::Json;

constexpr double kMegabyte = 1e6;  // as both Model Analyzers count

const Figure* Find(const Figures& figures, std::string_view name) {
  const auto found = figures.find(name);
  return found == figures.end() ? nullptr : &found->second;
}
std::string Cell(const Figures& figures, std::string_view name, double scale = 1) {
  const Figure* figure = Find(figures, name);
  return figure == nullptr ? "" : Format("{:.10g}", figure->value * scale);
}
std::string Rounded(const Figures& figures, std::string_view name, double scale) {
  const Figure* figure = Find(figures, name);
  return figure == nullptr ? "" : Format("{:.1f}", figure->value * scale);
}

std::string ValueText(const Json& value) {
  if (const auto text = value.AsString()) return std::string(*text);
  return text::FormatJson(value);
}

// ---- the ranking

struct Column {
  std::string title;
  bool left = false;
  std::vector<std::string> cells;
};

// Width on a terminal: "±" is one column and two bytes.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string Aligned(const std::vector<Column>& columns) {
  std::string out;
  const size_t rows = columns.empty() ? 0 : columns[0].cells.size();
  for (size_t row = 0; row <= rows; ++row) {
    std::string line;
    for (const Column& column : columns) {
      size_t width = Width(column.title);
      for (const std::string& cell : column.cells) width = std::max(width, Width(cell));
      const std::string& text = row == 0 ? column.title : column.cells[row - 1];
      const std::string pad(width - Width(text), ' ');
      line += (line.empty() ? "" : "  ") + (column.left ? text + pad : pad + text);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += "  " + line + "\n";
  }
  return out;
}

// "1,234/s ±1.2 %", "12.3 ms (11.9..12.8)"
std::string WithInterval(const Figure& figure, const Field& field) {
  std::string out = ShowValue(figure.value, field.unit);
  if (!figure.lower || !figure.upper || figure.value == 0) return out;
  const double half = (*figure.upper - *figure.lower) / 2;
  AppendFormat(out, " ±{:.2g} %", half / std::abs(figure.value) * 100);
  return out;
}

// Objectives and constraints first, then what everybody looks at.
std::vector<const Field*> ShownFields(const Report& report) {
  std::vector<const Field*> out;
  const auto add = [&](std::string_view name) {
    const Field* field = FindField(name);
    if (field != nullptr && std::find(out.begin(), out.end(), field) == out.end())
      out.push_back(field);
  };
  for (const Objective& objective : report.goal.objectives) add(objective.field);
  for (const Constraint& constraint : report.goal.constraints) add(constraint.field);
  for (const char* name :
       {"throughput", "latency_p99", "gpu_utilization", "gpu_memory_used", "memory_server"})
    add(name);
  std::erase_if(out, [&](const Field* field) {
    return std::none_of(report.result.conclusion.ranking.begin(),
                        report.result.conclusion.ranking.end(),
                        [&](const Standing& s) { return Find(s.figures, field->name) != nullptr; });
  });
  return out;
}

// The first line of what the server said of a configuration that could not be measured.
std::string ErrorOf(const Report& report, size_t configuration) {
  for (const PointRecord& point : report.result.points) {
    if (point.configuration != report.names[configuration] || point.measured.error.empty())
      continue;
    return Printable(point.measured.error.substr(0, point.measured.error.find('\n')), 300);
  }
  return {};
}

std::string GainText(const Standing& standing) {
  if (standing.configuration == 0) return "-";
  if (standing.load == std::nullopt) return "";
  const Figure& gain = standing.gain;
  if (!gain.lower || !gain.upper) return Format("{:+.1f} %", gain.value * 100);
  return Format("{:+.1f} % ({:+.1f}..{:+.1f})", gain.value * 100, *gain.lower * 100,
                *gain.upper * 100);
}

// Measured points only: of each configuration and load, the last take.
std::vector<const PointRecord*> LastTakes(const Report& report) {
  std::map<std::pair<std::string, std::string>, const PointRecord*> last;
  std::vector<std::pair<std::string, std::string>> order;
  for (const PointRecord& point : report.result.points) {
    const auto key = std::pair(point.configuration, DescribeLoad(point.load));
    if (!last.contains(key)) order.push_back(key);
    if (point.measured.status == Outcome::Status::kMeasured || !last.contains(key))
      last[key] = &point;
  }
  std::vector<const PointRecord*> out;
  for (const auto& key : order) out.push_back(last[key]);
  return out;
}

bool HasRate(const Report& report) {
  return std::any_of(report.space.loads.begin(), report.space.loads.end(), [](const Load& load) {
    return load.point.mode == run::LoadMode::kRequestRate;
  });
}

const Baseline* FindBaseline(const Report& report, std::string_view kind) {
  for (const Baseline& baseline : report.baselines) {
    if (baseline.kind == kind) return &baseline;
  }
  return nullptr;
}

constexpr std::string_view kSeedHeader[] = {
    "Model",         "Batch",        "Concurrency",       "Throughput", "MaxMemoryUtil(%)",
    "MaxGpuUtil(%)", "_MaxBar1(MB)", "MaxFramebuffer(MB)"};

void AppendRow(std::string& out, std::span<const std::string_view> cells) {
  std::vector<std::string> row(cells.begin(), cells.end());
  text::AppendCsvRow(out, row);
}
void AppendSeedRow(std::string& out, std::string model, std::string batch, std::string concurrency,
                   std::string throughput, const Figures& figures) {
  const std::vector<std::string> row{std::move(model),
                                     std::move(batch),
                                     std::move(concurrency),
                                     std::move(throughput),
                                     Cell(figures, "gpu_memory_utilization_max", 100),
                                     Cell(figures, "gpu_utilization_max", 100),
                                     Cell(figures, "gpu_bar1_used", 1 / kMegabyte),
                                     Cell(figures, "gpu_memory_used", 1 / kMegabyte)};
  text::AppendCsvRow(out, row);
}

// What a point's configuration has there, set or as it is.
std::string FieldText(const Report& report, const PointRecord& point, std::string_view path) {
  for (const auto* settings : {&point.settings, &report.base}) {
    for (const Setting& setting : *settings) {
      if (setting.path == path) return ValueText(setting.value);
    }
  }
  return {};
}

// Whether the goal's constraints hold there.
std::string Satisfies(const Report& report, const Figures& figures) {
  switch (CheckAll(report.goal.constraints, figures)) {
    case Holds::kYes:
      return "Yes";
    case Holds::kNo:
      return "No";
    default:
      return "Unknown";
  }
}

}  // namespace

std::string FormatRanking(const Report& report, bool color) {
  const Conclusion& conclusion = report.result.conclusion;
  std::vector<Column> columns{
      {"#", false, {}}, {"Configuration", true, {}}, {"Settings", true, {}}, {"Load", true, {}}};
  const std::vector<const Field*> fields = ShownFields(report);
  const std::set<size_t> pareto(conclusion.pareto.begin(), conclusion.pareto.end());
  for (const Field* field : fields) columns.push_back({std::string(field->name), false, {}});
  columns.push_back({"vs default", false, {}});
  columns.push_back({"Pareto", true, {}});
  columns.push_back({"", true, {}});
  for (size_t i = 0; i < conclusion.ranking.size(); ++i) {
    const Standing& s = conclusion.ranking[i];
    size_t c = 0;
    columns[c++].cells.push_back(Format("{}", i + 1));
    columns[c++].cells.push_back(report.names[s.configuration]);
    columns[c++].cells.push_back(DescribeConfiguration(report.space, s.configuration));
    columns[c++].cells.push_back(s.load ? DescribeLoad(report.space.loads[*s.load]) : "");
    for (const Field* field : fields) {
      const Figure* figure = Find(s.figures, field->name);
      columns[c++].cells.push_back(figure == nullptr ? "" : WithInterval(*figure, *field));
    }
    columns[c++].cells.push_back(GainText(s));
    columns[c++].cells.emplace_back(pareto.contains(i) ? "*" : "");
    std::string standing(StandingName(s.kind));
    if (color && s.kind == Standing::Kind::kWins) standing = "\033[1;32m" + standing + "\033[0m";
    columns[c++].cells.push_back(std::move(standing));
  }
  std::string out = Aligned(columns);
  for (const Standing& s : conclusion.ranking) {
    if (s.kind != Standing::Kind::kFailed && s.kind != Standing::Kind::kUnknown &&
        s.kind != Standing::Kind::kInfeasible)
      continue;
    AppendFormat(out, "  {}: {}\n", report.names[s.configuration], s.why);
    const std::string error = ErrorOf(report, s.configuration);
    if (!error.empty()) AppendFormat(out, "    {}\n", error);
  }
  AppendFormat(out, "\nVerdict: {}\n", conclusion.verdict);
  return out;
}

std::string FormatPointsCsv(const Report& report) {
  // Columns for what any point has.
  std::set<std::string> present, bounded;
  const auto look = [&](const Figures& figures) {
    for (const auto& [name, figure] : figures) {
      present.insert(name);
      if (figure.lower || figure.upper) bounded.insert(name);
    }
  };
  for (const PointRecord& point : report.result.points) {
    look(point.measured.figures);
    for (const DeviceFigures& device : point.measured.devices) look(device.figures);
  }
  std::vector<std::string> header{"model",    "configuration", "settings",    "mode",
                                  "load",     "batch_size",    "data",        "take",
                                  "window_s", "reason",        "started",     "status",
                                  "error",    "flags",         "load_cost_s", "cost_s"};
  for (const std::string& name : present) {
    const Field* field = FindField(name);
    std::string unit = field == nullptr ? "" : std::string(field->unit);
    if (unit == "1/s") unit = "per_s";
    const std::string title = unit.empty() ? name : name + "_" + unit;
    header.push_back(title);
    if (bounded.contains(name)) {
      header.push_back(title + "_lower");
      header.push_back(title + "_upper");
    }
  }
  for (const char* name : {"device", "device_name", "device_source", "device_scope"})
    header.emplace_back(name);
  for (const std::string& name : present) {
    if (name.starts_with("gpu_") || name == "energy" || name == "throttled_s")
      header.push_back("device_" + name);
  }
  std::string out;
  text::AppendCsvRow(out, header);

  for (const PointRecord& point : report.result.points) {
    const bool closed = point.load.point.mode == run::LoadMode::kConcurrency;
    std::vector<std::string> row{point.model,
                                 point.configuration,
                                 text::FormatJson(ToJson(point.settings)),
                                 closed ? "concurrency" : "request_rate",
                                 Format("{:g}", point.load.point.value),
                                 Format("{}", point.load.point.batch_size),
                                 point.load.data,
                                 Format("{}", point.take),
                                 Format("{:g}", Seconds(point.window)),
                                 point.reason,
                                 FormatWallTime(point.started),
                                 std::string(StatusName(point.measured.status)),
                                 point.measured.error,
                                 Join(point.measured.flags, "; "),
                                 Format("{:.3f}", point.load_cost_s),
                                 Format("{:.3f}", point.measured.cost_s)};
    for (const std::string& name : present) {
      const Figure* figure = Find(point.measured.figures, name);
      row.push_back(figure == nullptr ? "" : Format("{:.10g}", figure->value));
      if (!bounded.contains(name)) continue;
      row.push_back(figure == nullptr || !figure->lower ? "" : Format("{:.10g}", *figure->lower));
      row.push_back(figure == nullptr || !figure->upper ? "" : Format("{:.10g}", *figure->upper));
    }
    const auto with_device = [&](const DeviceFigures& device) {
      std::vector<std::string> full = row;
      full.insert(full.end(), {device.device, device.name, device.source, device.scope});
      for (const std::string& name : present) {
        if (name.starts_with("gpu_") || name == "energy" || name == "throttled_s")
          full.push_back(Cell(device.figures, name));
      }
      text::AppendCsvRow(out, full);
    };
    if (point.measured.devices.empty()) with_device({});
    for (const DeviceFigures& device : point.measured.devices) with_device(device);
  }
  return out;
}

Json ResultsJson(const Report& report) {
  const Conclusion& conclusion = report.result.conclusion;
  Json out{Json::Object()}, identity{Json::Object()};
  out.Set("format", "sextant-analysis");
  out.Set("version", 1);
  out.Set("model", report.model);
  for (const auto& [name, value] : report.identity) identity.Set(name, value);
  out.Set("identity", std::move(identity));
  out.Set("gpu_source", report.gpu_source);
  Json::Array objectives, constraints, fields, ranking, points, baselines, pareto, axes;
  for (const Objective& o : report.goal.objectives) {
    Json one{Json::Object()};
    one.Set("field", o.field);
    one.Set("weight", o.weight);
    one.Set("better", o.better == Better::kLower ? "lower" : "higher");
    objectives.push_back(std::move(one));
  }
  for (const Constraint& c : report.goal.constraints) constraints.emplace_back(c.text);
  for (const Field& field : Fields()) {
    Json one{Json::Object()};
    one.Set("name", field.name);
    one.Set("unit", field.unit);
    one.Set("help", field.help);
    fields.push_back(std::move(one));
  }
  for (const Axis& axis : report.space.axes) {
    Json one{Json::Object()};
    one.Set("name", axis.name);
    one.Set("values", Json::Array(axis.values.begin(), axis.values.end()));
    axes.push_back(std::move(one));
  }
  for (const Standing& s : conclusion.ranking) {
    Json one{Json::Object()};
    one.Set("configuration", report.names[s.configuration]);
    one.Set("settings", ToJson(report.space.configurations[s.configuration].settings));
    one.Set("standing", StandingName(s.kind));
    if (s.load) one.Set("load", ToJson(report.space.loads[*s.load]));
    if (s.knee) one.Set("knee", ToJson(report.space.loads[*s.knee]));
    if (s.load_within) one.Set("load_within", *s.load_within);
    if (s.load_beyond) one.Set("load_beyond", *s.load_beyond);
    one.Set("takes", s.takes);
    one.Set("figures", ToJson(s.figures));
    if (s.load) one.Set("gain", ToJson(Figures{{"over_default", s.gain}}).object().front().second);
    one.Set("why", s.why);
    ranking.push_back(std::move(one));
  }
  for (const size_t i : conclusion.pareto)
    pareto.emplace_back(report.names[conclusion.ranking[i].configuration]);
  for (const PointRecord& point : report.result.points) {
    Json one = PointToJson(point);
    one.Set("level", Json());  // in the journal
    std::erase_if(one.object(),
                  [](const Json::Member& m) { return m.first == "level" || m.first == "type"; });
    points.push_back(std::move(one));
  }
  for (const Baseline& baseline : report.baselines) {
    Json one{Json::Object()};
    one.Set("kind", baseline.kind);
    one.Set("figures", ToJson(baseline.figures));
    baselines.push_back(std::move(one));
  }
  out.Set("objectives", std::move(objectives));
  out.Set("constraints", std::move(constraints));
  out.Set("axes", std::move(axes));
  out.Set("verdict", conclusion.verdict);
  out.Set("interrupted", report.result.interrupted);
  out.Set("budget_spent", conclusion.budget_spent);
  out.Set("ranking", std::move(ranking));
  out.Set("pareto", std::move(pareto));
  out.Set("baselines", std::move(baselines));
  out.Set("points", std::move(points));
  out.Set("fields", std::move(fields));
  return out;
}

std::string SeedModelCsv(const Report& report) {
  std::string out;
  AppendRow(out, kSeedHeader);
  for (const PointRecord* point : LastTakes(report)) {
    const Figures& figures = point->measured.figures;
    const Figure* throughput = Find(figures, "throughput");
    AppendSeedRow(out, point->model, Format("{}", point->load.point.batch_size),
                  Format("{:g}", point->load.point.value),
                  throughput == nullptr ? "" : Format("{:.6g} infer/sec", throughput->value),
                  figures);
  }
  return out;
}

std::string SeedServerCsv(const Report& report) {
  std::string out;
  AppendRow(out, kSeedHeader);
  const Baseline* baseline = FindBaseline(report, "server_only");
  AppendSeedRow(out, "triton-server", "0", "0", "0 infer/sec",
                baseline == nullptr ? Figures() : baseline->figures);
  return out;
}

std::string InferenceCsv(const Report& report) {
  std::string out;
  const bool rate = HasRate(report);
  const std::vector<std::string> header{"Model",
                                        "Batch",
                                        rate ? "Request Rate" : "Concurrency",
                                        "Model Config Path",
                                        "Instance Group",
                                        "Max Batch Size",
                                        "Satisfies Constraints",
                                        "Throughput (infer/sec)",
                                        "p99 Latency (ms)"};
  text::AppendCsvRow(out, header);
  for (const PointRecord* point : LastTakes(report)) {
    if (point->measured.status != Outcome::Status::kMeasured) continue;
    const Figures& figures = point->measured.figures;
    text::AppendCsvRow(
        out, std::vector<std::string>{point->model, Format("{}", point->load.point.batch_size),
                                      Format("{:g}", point->load.point.value), point->configuration,
                                      FieldText(report, *point, "instance_group.count"),
                                      FieldText(report, *point, "max_batch_size"),
                                      Satisfies(report, figures), Rounded(figures, "throughput", 1),
                                      Rounded(figures, "latency_p99", 1e3)});
  }
  return out;
}

std::string GpuCsv(const Report& report) {
  std::string out;
  const bool rate = HasRate(report);
  const std::vector<std::string> header{"Model",
                                        "GPU UUID",
                                        "Batch",
                                        rate ? "Request Rate" : "Concurrency",
                                        "Model Config Path",
                                        "Instance Group",
                                        "Satisfies Constraints",
                                        "GPU Memory Usage (MB)",
                                        "GPU Utilization (%)",
                                        "GPU Power Usage (W)"};
  text::AppendCsvRow(out, header);
  for (const PointRecord* point : LastTakes(report)) {
    for (const DeviceFigures& device : point->measured.devices) {
      text::AppendCsvRow(
          out, std::vector<std::string>{
                   point->model, device.device, Format("{}", point->load.point.batch_size),
                   Format("{:g}", point->load.point.value), point->configuration,
                   FieldText(report, *point, "instance_group.count"),
                   Satisfies(report, point->measured.figures),
                   Rounded(device.figures, "gpu_memory_used", 1 / kMegabyte),
                   Rounded(device.figures, "gpu_utilization", 100),
                   Rounded(device.figures, "gpu_power", 1)});
    }
  }
  return out;
}

std::string ServerOnlyCsv(const Report& report) {
  std::string out;
  const std::vector<std::string> header{"Model", "GPU UUID", "GPU Memory Usage (MB)",
                                        "GPU Utilization (%)", "GPU Power Usage (W)"};
  text::AppendCsvRow(out, header);
  if (const Baseline* baseline = FindBaseline(report, "server_only")) {
    for (const DeviceFigures& device : baseline->devices) {
      text::AppendCsvRow(
          out, std::vector<std::string>{"triton-server", device.device,
                                        Rounded(device.figures, "gpu_memory_used", 1 / kMegabyte),
                                        Rounded(device.figures, "gpu_utilization", 100),
                                        Rounded(device.figures, "gpu_power", 1)});
    }
  }
  return out;
}

std::string HelmValues(const Report& report, const Standing& standing,
                       const std::string& config_pbtxt) {
  Json out{Json::Object()}, model{Json::Object()}, measured{Json::Object()};
  model.Set("name", report.model);
  model.Set("configuration", report.names[standing.configuration]);
  model.Set("configPbtxt", config_pbtxt);
  out.Set("model", std::move(model));
  Json resources{Json::Object()}, limits{Json::Object()}, requests{Json::Object()};
  std::set<std::string> devices;
  for (const PointRecord& point : report.result.points) {
    for (const DeviceFigures& device : point.measured.devices) devices.insert(device.device);
  }
  if (!devices.empty()) limits.Set("nvidia.com/gpu", static_cast<uint64_t>(devices.size()));
  if (const Figure* memory = Find(standing.figures, "memory_server"))
    requests.Set("memory", Format("{:.0f}Mi", memory->value * 1.25 / 1048576 + 64));
  if (const Figure* cpu = Find(standing.figures, "cpu_server"))
    requests.Set("cpu", Format("{:.0f}m", std::max(100.0, cpu->value * 1100)));
  if (!limits.IsNull() && !limits.object().empty()) resources.Set("limits", std::move(limits));
  if (!requests.object().empty()) resources.Set("requests", std::move(requests));
  if (!resources.object().empty()) out.Set("resources", std::move(resources));
  if (standing.load) measured.Set("load", ToJson(report.space.loads[*standing.load]));
  for (const char* name : {"throughput", "latency_p99", "gpu_memory_used"}) {
    if (const Figure* figure = Find(standing.figures, name)) measured.Set(name, figure->value);
  }
  measured.Set("standing", StandingName(standing.kind));
  out.Set("measured", std::move(measured));
  return "# Written by sextant analyze: values of a Helm chart that serves this configuration.\n" +
         text::FormatYaml(out);
}

}  // namespace sextant::analyze
