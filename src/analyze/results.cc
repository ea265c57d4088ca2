#include "analyze/results.h"

#include <algorithm>
#include <set>

#include "analyze/owned_name.h"
#include "base/strings.h"
#include "text/csv.h"
#include "text/yaml.h"

namespace sextant::analyze {
namespace {

using text::Json;

constexpr double kMegabyte = 1e6;  // as both Model Analyzers count

std::string Number(double value) { return Format("{:.10g}", value); }
std::string Cell(const Figures& figures, std::string_view name, double scale = 1) {
  const Figure* figure = FindFigure(figures, name);
  return figure == nullptr ? "" : Number(figure->value * scale);
}
std::string Rounded(const Figures& figures, std::string_view name, double scale) {
  const Figure* figure = FindFigure(figures, name);
  return figure == nullptr ? "" : Format("{:.1f}", figure->value * scale);
}

std::string ValueText(const Json& value) {
  if (const auto text = value.AsString()) return std::string(*text);
  return text::FormatJson(value);
}

std::string LoadTitle(const Report& report) {
  const bool rate =
      std::any_of(report.space.loads.begin(), report.space.loads.end(),
                  [](const Load& load) { return load.point.mode == run::LoadMode::kRequestRate; });
  return rate ? "Request Rate" : "Concurrency";
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

constexpr const char* kSeedMaxima[] = {"gpu_memory_utilization_max", "gpu_utilization_max",
                                       "gpu_bar1_used", "gpu_memory_used"};

std::vector<std::string> SeedHeader() { return {std::begin(kSeedHeader), std::end(kSeedHeader)}; }
std::vector<std::string> SeedRow(std::string model, std::string batch, std::string concurrency,
                                 std::string throughput, const Figures& figures) {
  return {std::move(model),
          std::move(batch),
          std::move(concurrency),
          std::move(throughput),
          Cell(figures, "gpu_memory_utilization_max", 100),
          Cell(figures, "gpu_utilization_max", 100),
          Cell(figures, "gpu_bar1_used", 1 / kMegabyte),
          Cell(figures, "gpu_memory_used", 1 / kMegabyte)};
}

// What a point's configuration has there, set or as it is.
std::string FieldText(const Report& report, const PointRecord& point, std::string_view path) {
  const auto of_model = [&](std::string_view model) -> std::string {
    const std::string own = WithOwner(model, path);
    for (const auto* settings : {&point.settings, &report.base}) {
      for (const Setting& setting : *settings) {
        const bool of_all = !report.parts.empty() && setting.path == path;
        if (setting.path == own || of_all) return ValueText(setting.value);
      }
    }
    return {};
  };
  if (report.models.empty()) return of_model("");
  std::vector<std::string> values;
  for (const std::string& model : report.models) values.push_back(of_model(model));
  return Join(values, ",");
}

// A member of YAML, with a text of several lines as people want to read it. `indent` is the name's.
std::string TextMember(size_t indent, std::string_view name, const std::string& text) {
  const std::string margin(indent, ' '), inner(indent + 2, ' ');
  std::string out = Format("{}{}: |", margin, name);
  if (text.starts_with(' ') || text.starts_with('\n')) out += '2';
  if (!text.ends_with('\n')) out += '-';
  if (text.ends_with("\n\n")) out += '+';
  out += '\n';
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    out += (line.empty() ? "" : inner + std::string(line)) + "\n";
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  // Control characters and the like cannot be in such a block.
  const Result<Json> back = text::ParseYaml(out);
  const Json* same = back.has_value() ? back->Find(name) : nullptr;
  if (same != nullptr && same->AsString() == text) return out;
  out = Format("{}{}: ", margin, name);
  text::AppendJsonString(out, text);
  return out + "\n";
}

// "- name: ..." of a list below `indent`, with its configuration.
std::string ModelItem(size_t indent, const ModelText& model) {
  std::string out = std::string(indent, ' ') + "- name: ";
  text::AppendJsonString(out, model.model);
  return out + "\n" + TextMember(indent + 2, "configPbtxt", model.config_pbtxt);
}

// How many GPUs it ran on: those with memory of the server's processes where that is known of any
// (none, for a model that is on the CPU), else all that were seen. An instance of a GPU is one
// where no whole GPU was.
size_t DevicesUsed(const Report& report, const std::string& configuration) {
  struct Devices {
    std::set<std::string> whole, all;
    size_t count() const { return whole.empty() ? all.size() : whole.size(); }
    void Insert(const DeviceFigures& device) {
      all.insert(device.device);
      if (device.scope == "device") whole.insert(device.device);
    }
  } used, seen;
  bool known = false;
  for (const PointRecord& point : report.result.points) {
    if (point.configuration != configuration) continue;
    for (const DeviceFigures& device : point.measured.devices) {
      seen.Insert(device);
      const Figure* memory = FindFigure(device.figures, "gpu_memory_process");
      known = known || memory != nullptr;
      if (memory != nullptr && memory->value > 0) used.Insert(device);
    }
  }
  return known ? used.count() : seen.count();
}

Json HelmResources(const Report& report, const Standing& standing) {
  Json out{Json::Object()}, limits{Json::Object()}, requests{Json::Object()};
  const size_t gpus = DevicesUsed(report, report.names[standing.configuration]);
  if (gpus > 0) limits.Set("nvidia.com/gpu", static_cast<uint64_t>(gpus));
  if (const Figure* memory = FindFigure(standing.figures, "memory_server"))
    requests.Set("memory", Format("{:.0f}Mi", memory->value * 1.25 / 1048576 + 64));
  if (const Figure* cpu = FindFigure(standing.figures, "cpu_server"))
    requests.Set("cpu", Format("{:.0f}m", std::max(100.0, cpu->value * 1100)));
  if (!limits.object().empty()) out.Set("limits", std::move(limits));
  if (!requests.object().empty()) out.Set("requests", std::move(requests));
  return out;
}

// ---- points as CSV

// Columns for what any point has.
struct PointColumns {
  std::set<std::string> of_points, bounded, of_devices;
  // Memory, and what the server has of it without a model.
  std::vector<std::pair<std::string, double>> over_server;
};

PointColumns ColumnsOf(const Report& report) {
  PointColumns out;
  for (const PointRecord& point : report.result.points) {
    for (const auto& [name, figure] : point.measured.figures) {
      out.of_points.insert(name);
      if (figure.lower || figure.upper) out.bounded.insert(name);
    }
    for (const DeviceFigures& device : point.measured.devices) {
      for (const auto& [name, figure] : device.figures) out.of_devices.insert(name);
    }
  }
  const Baseline* alone = FindBaseline(report, "server_only");
  for (const char* name : {"gpu_memory_used", "memory_server"}) {
    const Figure* figure = alone == nullptr ? nullptr : FindFigure(alone->figures, name);
    if (figure != nullptr && out.of_points.contains(name))
      out.over_server.emplace_back(name, figure->value);
  }
  return out;
}

// "latency_p99_s", "throughput_per_s", "gpu_power_W"
std::string WithUnit(const std::string& name) {
  const Field* field = FindField(name);  // whichever model's
  std::string_view unit = field == nullptr ? "" : field->unit;
  if (unit == "1/s") unit = "per_s";
  if (name == "energy") unit = "J";  // of devices only, and no field
  return unit.empty() ? name : Format("{}_{}", name, unit);
}

std::vector<std::string> PointsHeader(const PointColumns& columns) {
  std::vector<std::string> out{"model",    "configuration", "settings",    "mode",
                               "load",     "batch_size",    "data",        "take",
                               "window_s", "reason",        "started",     "status",
                               "error",    "flags",         "load_cost_s", "cost_s"};
  for (const std::string& name : columns.of_points) {
    out.push_back(WithUnit(name));
    if (!columns.bounded.contains(name)) continue;
    out.push_back(WithUnit(name) + "_lower");
    out.push_back(WithUnit(name) + "_upper");
  }
  for (const auto& [name, alone] : columns.over_server)
    out.push_back(name + "_over_server_only_bytes");
  for (const char* name : {"device", "device_name", "device_source", "device_scope"})
    out.emplace_back(name);
  for (const std::string& name : columns.of_devices) out.push_back("device_" + WithUnit(name));
  return out;
}

// All but what is a device's.
std::vector<std::string> PointCells(const PointRecord& point, const PointColumns& columns) {
  const bool closed = point.load.point.mode == run::LoadMode::kConcurrency;
  const Measured& measured = point.measured;
  std::vector<std::string> out{point.model,
                               point.configuration,
                               text::FormatJson(ToJson(point.settings)),
                               closed ? "concurrency" : "request_rate",
                               Number(point.load.point.value),
                               Format("{}", point.load.point.batch_size),
                               point.load.data,
                               Format("{}", point.take),
                               Number(Seconds(point.window)),
                               point.reason,
                               FormatWallTime(point.started),
                               std::string(StatusName(measured.status)),
                               measured.error,
                               Join(measured.flags, "; "),
                               Format("{:.3f}", point.load_cost_s),
                               Format("{:.3f}", measured.cost_s)};
  const auto end = [](const Figure* figure, std::optional<double> Figure::* which) {
    return figure == nullptr || !(figure->*which) ? "" : Number(*(figure->*which));
  };
  for (const std::string& name : columns.of_points) {
    const Figure* figure = FindFigure(measured.figures, name);
    out.push_back(Cell(measured.figures, name));
    if (!columns.bounded.contains(name)) continue;
    out.push_back(end(figure, &Figure::lower));
    out.push_back(end(figure, &Figure::upper));
  }
  for (const auto& [name, alone] : columns.over_server) {
    const Figure* figure = FindFigure(measured.figures, name);
    out.push_back(figure == nullptr ? "" : Number(figure->value - alone));
  }
  return out;
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

// Of each configuration under each load, the largest of all its takes.
std::map<std::pair<std::string, std::string>, Figures> SeedMaxima(const Report& report) {
  std::map<std::pair<std::string, std::string>, Figures> out;
  for (const PointRecord& take : report.result.points) {
    Figures& most = out[{take.configuration, DescribeLoad(take.load)}];
    for (const char* name : kSeedMaxima) {
      const Figure* figure = FindFigure(take.measured.figures, name);
      const Figure* before = FindFigure(most, name);
      if (figure != nullptr && (before == nullptr || figure->value > before->value))
        most[name] = *figure;
    }
  }
  return out;
}

}  // namespace

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

std::string FormatPointsCsv(const Report& report) {
  const PointColumns columns = ColumnsOf(report);
  std::string out;
  text::AppendCsvRow(out, PointsHeader(columns));
  for (const PointRecord& point : report.result.points) {
    const std::vector<std::string> row = PointCells(point, columns);
    const auto with_device = [&](const DeviceFigures& device) {
      std::vector<std::string> full = row;
      full.insert(full.end(), {device.device, device.name, device.source, device.scope});
      for (const std::string& name : columns.of_devices) full.push_back(Cell(device.figures, name));
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
  if (!report.models.empty()) {
    Json::Array models;
    for (const std::string& model : report.models)
      models.emplace_back(model.empty() ? report.model : model);
    out.Set("models", std::move(models));
  }
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
    if (s.load) one.Set("load", ToJson(LoadOf(report.space, s)));
    if (s.nearest_load) one.Set("nearest_load", ToJson(LoadOf(report.space, s)));
    if (s.knee) one.Set("knee", ToJson(report.space.loads[*s.knee]));
    if (s.load_within) one.Set("load_within", *s.load_within);
    if (s.load_beyond) one.Set("load_beyond", *s.load_beyond);
    if (s.breaking_load) one.Set("breaking_load", ToJson(*s.breaking_load));
    one.Set("takes", s.takes);
    one.Set("figures", ToJson(s.figures));
    if (!s.by_data.empty()) {
      Json by_data{Json::Object()};
      for (const auto& [data, figures] : s.by_data) by_data.Set(data, ToJson(figures));
      one.Set("by_data", std::move(by_data));
    }
    if (Json gain = ToJson(s.gain); s.load && !gain.IsNull()) one.Set("gain", std::move(gain));
    one.Set("why", s.why);
    ranking.push_back(std::move(one));
  }
  for (const size_t i : conclusion.pareto)
    pareto.emplace_back(report.names[conclusion.ranking[i].configuration]);
  for (const PointRecord& point : report.result.points) {
    Json one = PointToJson(point);
    // Levels are in the journal.
    std::erase_if(one.object(),
                  [](const Json::Member& m) { return m.first == "level" || m.first == "type"; });
    points.push_back(std::move(one));
  }
  for (const Baseline& baseline : report.baselines) {
    Json one{Json::Object()};
    one.Set("kind", baseline.kind);
    if (!baseline.configuration.empty()) one.Set("configuration", baseline.configuration);
    one.Set("figures", ToJson(baseline.figures));
    one.Set("devices", ToJson(baseline.devices));
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

PeerTable SeedModels(const Report& report) {
  PeerTable out{.title = "Models", .rows = {SeedHeader()}};
  const auto maxima = SeedMaxima(report);
  for (const PointRecord* point : LastTakes(report)) {
    Figures figures = point->measured.figures;
    for (const auto& [name, most] : maxima.at({point->configuration, DescribeLoad(point->load)}))
      figures[name] = most;
    const Figure* throughput = FindFigure(figures, "throughput");
    out.rows.push_back(SeedRow(
        point->model, Format("{}", point->load.point.batch_size), Number(point->load.point.value),
        throughput == nullptr ? "" : Format("{:.6g} infer/sec", throughput->value), figures));
  }
  return out;
}

PeerTable SeedServer(const Report& report) {
  const Baseline* baseline = FindBaseline(report, "server_only");
  return {.title = "Server Only",
          .rows = {SeedHeader(), SeedRow("triton-server", "0", "0", "0 infer/sec",
                                         baseline == nullptr ? Figures() : baseline->figures)}};
}

PeerTable InferenceTable(const Report& report) {
  PeerTable out{.title = "Models (Inference)",
                .rows = {{"Model", "Batch", LoadTitle(report), "Model Config Path",
                          "Instance Group", "Max Batch Size", "Satisfies Constraints",
                          "Throughput (infer/sec)", "p99 Latency (ms)"}}};
  for (const PointRecord* point : LastTakes(report)) {
    if (point->measured.status != Outcome::Status::kMeasured) continue;
    const Figures& figures = point->measured.figures;
    out.rows.push_back({point->model, Format("{}", point->load.point.batch_size),
                        Number(point->load.point.value), point->configuration,
                        FieldText(report, *point, "instance_group.count"),
                        FieldText(report, *point, "max_batch_size"), Satisfies(report, figures),
                        Rounded(figures, "throughput", 1), Rounded(figures, "latency_p99", 1e3)});
  }
  return out;
}

PeerTable GpuTable(const Report& report) {
  PeerTable out{.title = "Models (GPU Metrics)",
                .rows = {{"Model", "GPU UUID", "Batch", LoadTitle(report), "Model Config Path",
                          "Instance Group", "Satisfies Constraints", "GPU Memory Usage (MB)",
                          "GPU Utilization (%)", "GPU Power Usage (W)"}}};
  for (const PointRecord* point : LastTakes(report)) {
    for (const DeviceFigures& device : point->measured.devices) {
      out.rows.push_back({point->model, device.device, Format("{}", point->load.point.batch_size),
                          Number(point->load.point.value), point->configuration,
                          FieldText(report, *point, "instance_group.count"),
                          Satisfies(report, point->measured.figures),
                          Rounded(device.figures, "gpu_memory_used", 1 / kMegabyte),
                          Rounded(device.figures, "gpu_utilization", 100),
                          Rounded(device.figures, "gpu_power", 1)});
    }
  }
  return out;
}

PeerTable ServerOnlyTable(const Report& report) {
  PeerTable out{.title = "Server Only",
                .rows = {{"Model", "GPU UUID", "GPU Memory Usage (MB)", "GPU Utilization (%)",
                          "GPU Power Usage (W)"}}};
  if (const Baseline* baseline = FindBaseline(report, "server_only")) {
    for (const DeviceFigures& device : baseline->devices) {
      out.rows.push_back({"triton-server", device.device,
                          Rounded(device.figures, "gpu_memory_used", 1 / kMegabyte),
                          Rounded(device.figures, "gpu_utilization", 100),
                          Rounded(device.figures, "gpu_power", 1)});
    }
  }
  return out;
}

std::string FormatCsv(const PeerTable& table) {
  std::string out;
  for (const auto& row : table.rows) text::AppendCsvRow(out, row);
  return out;
}

std::string HelmValues(const Report& report, const Standing& standing,
                       std::span<const ModelText> models) {
  Json head{Json::Object()}, model{Json::Object()}, rest{Json::Object()}, measured{Json::Object()};
  model.Set("name", report.model);
  model.Set("configuration", report.names[standing.configuration]);
  std::string configurations;
  if (models.size() == 1) {
    head.Set("model", std::move(model));
    configurations = TextMember(2, "configPbtxt", models.front().config_pbtxt);
  } else {
    head.Set("configuration", report.names[standing.configuration]);
    configurations = "models:\n";
    for (const ModelText& one : models) configurations += ModelItem(2, one);
  }
  if (Json resources = HelmResources(report, standing); !resources.object().empty())
    rest.Set("resources", std::move(resources));
  if (standing.load) measured.Set("load", ToJson(LoadOf(report.space, standing)));
  std::vector<std::string> shown{"throughput", "latency_p99", "gpu_memory_used"};
  for (const std::string& part : report.parts) {
    for (const char* name : {"throughput", "latency_p99"}) shown.push_back(WithOwner(part, name));
  }
  for (const std::string& name : shown) {
    if (const Figure* figure = FindFigure(standing.figures, name))
      measured.Set(name, figure->value);
  }
  measured.Set("standing", StandingName(standing.kind));
  rest.Set("measured", std::move(measured));
  return std::string(kHelmHead) + text::FormatYaml(head) + configurations + text::FormatYaml(rest);
}

}  // namespace sextant::analyze
