#include "run/print.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <set>

#include "base/strings.h"
#include "base/units.h"
#include "run/metrics_text.h"
#include "run/print_models.h"
#include "run/print_streams.h"
#include "run/state_text.h"
#include "text/csv.h"
#include "text/json.h"

namespace sextant::run {
namespace {

std::string Micros(double ns) { return Format("{:.0f}", ns / 1e3); }

std::string PercentileName(double p) { return Format("p{:g}", p * 100); }

// " [1130, 1132]", or why there is none.
std::string QuantileBounds(const stats::QuantileEstimate& q) {
  if (q.lower && q.upper) return Format("  [{}, {}]", Micros(*q.lower), Micros(*q.upper));
  return Format("  ({}an interval needs >= {} requests)",
                q.design_effect >= 1.5 ? "neighbouring requests are alike: " : "", q.needs);
}

void AppendLatencies(const Level& level, std::string& out) {
  const LatencyRecord& latency = level.latency;
  if (latency.histogram.count() == 0) {
    out += "    No request succeeded: there is no latency to report\n";
    return;
  }
  AppendFormat(out, "    Avg latency: {} usec (standard deviation {} usec)",
               Micros(latency.histogram.mean()), Micros(latency.histogram.standard_deviation()));
  if (latency.mean.known) {
    AppendFormat(out, "  [{}, {}]", Micros(std::max(0.0, latency.mean.lower())),
                 Micros(latency.mean.upper()));
  }
  out += '\n';
  for (const stats::QuantileEstimate& q : latency.percentiles) {
    AppendFormat(out, "    {} latency: {} usec{}\n", PercentileName(q.p), Micros(q.value),
                 QuantileBounds(q));
  }
  AppendFormat(out, "    max latency: {} usec\n",
               Micros(static_cast<double>(latency.histogram.max())));
  if (level.load.mode == LoadMode::kRequestRate) {
    // The two parts of a latency that counts from the schedule.
    AppendFormat(out,
                 "    Service time from send: p50 {} usec, p99 {} usec; slip of the sender: p50 {} "
                 "usec, p99 {} usec\n",
                 Micros(level.service.histogram.Quantile(0.5)),
                 Micros(level.service.histogram.Quantile(0.99)), Micros(level.slip.Quantile(0.5)),
                 Micros(level.slip.Quantile(0.99)));
  }
}

void AppendOutcomes(const Level& level, std::string& out) {
  const uint64_t lost = level.failed + level.unfinished;
  if (lost > 0) {
    AppendFormat(out, "    Failed: {} of {} requests ({:.3g}%)\n", lost, level.scheduled,
                 level.error_rate() * 100);
  }
  for (const OutcomeRecord& outcome : level.outcomes) {
    AppendFormat(out, "      {}: {} (latency p50 {} usec, max {} usec){}\n", outcome.name,
                 outcome.count, Micros(outcome.latency.Quantile(0.5)),
                 Micros(static_cast<double>(outcome.latency.max())),
                 outcome.example.empty() ? "" : Format(": {}", outcome.example));
  }
  if (level.retries > 0)
    AppendFormat(out, "    Sent again: {} times, with latencies from the first due time\n",
                 level.retries);
  if (level.overflow > 0)
    AppendFormat(out, "    Not sent, in-flight cap reached: {} arrivals ({:.3g}%)\n",
                 level.overflow, level.not_sent_share() * 100);
  if (level.checked_outputs > 0) {
    const stats::IntervalEstimate share =
        stats::ShareInterval(level.checked_outputs - level.wrong_outputs, level.checked_outputs);
    AppendFormat(out, "    Correct outputs: {:.2f}% of {} inferences  [{:.2f}, {:.2f}]\n",
                 100 - 100.0 * static_cast<double>(level.wrong_outputs) /
                           static_cast<double>(level.checked_outputs),
                 level.checked_outputs, std::max(0.0, share.lower()) * 100,
                 std::min(1.0, share.upper()) * 100);
  }
}

void AppendServer(const Level& level, std::string& out) {
  if (level.server.empty()) return;
  out += "  Server:\n";
  std::vector<ServerRecord> records = level.server;
  records.insert(records.end(), level.composing.begin(), level.composing.end());
  for (const ServerRecord& s : records) {
    const std::string indent = records.size() > 1 ? "      " : "    ";
    if (records.size() > 1) AppendFormat(out, "    {}, version {}:\n", s.model, s.version);
    AppendFormat(
        out, "{0}Inference count: {1}\n{0}Execution count: {2}\n{0}Successful request count: {3}\n",
        indent, s.inference_count, s.execution_count, s.success_count);
    if (s.fail_count > 0) AppendFormat(out, "{}Failed request count: {}\n", indent, s.fail_count);
    const double overhead =
        s.request_us - s.queue_us - s.compute_input_us - s.compute_infer_us - s.compute_output_us;
    AppendFormat(out,
                 "{}Avg request latency: {:.0f} usec (overhead {:.0f} usec + queue {:.0f} usec + "
                 "compute input {:.0f} usec + "
                 "compute infer {:.0f} usec + compute output {:.0f} usec)\n",
                 indent, s.request_us, std::max(0.0, overhead), s.queue_us, s.compute_input_us,
                 s.compute_infer_us, s.compute_output_us);
  }
}

// Requests per server, and how far they are from even shares.
void AppendEndpoints(const Level& level, std::string& out) {
  if (level.endpoints.empty()) return;
  uint64_t all = 0, most = 0;
  size_t width = 0;
  for (const EndpointRecord& e : level.endpoints) {
    all += e.succeeded + e.failed;
    most = std::max(most, e.succeeded + e.failed);
    width = std::max(width, e.name.size());
  }
  const double total = std::max<double>(1, static_cast<double>(all));
  out += "  Servers:\n";
  for (const EndpointRecord& e : level.endpoints) {
    AppendFormat(out, "    {:<{}}  {:.1f} requests/sec, {:.1f}% of all, {} failed", e.name, width,
                 e.request_rate, 100 * static_cast<double>(e.succeeded + e.failed) / total,
                 e.failed);
    if (e.succeeded > 0)
      AppendFormat(out, ", p50 {} usec, p99 {} usec", Micros(e.p50_ns), Micros(e.p99_ns));
    out += '\n';
  }
  AppendFormat(out, "    Skew: the busiest had {:.2f} times an even share\n",
               static_cast<double>(most) * static_cast<double>(level.endpoints.size()) / total);
}

void AppendClientCost(const Level& level, std::string& out) {
  const ClientRecord& c = level.client;
  AppendFormat(out,
               "    Client cost: {:.1f} usec CPU per request, {:.0f}% of {} core{}, loop lag p99 "
               "{:.0f} usec, {} connection{}, sent {}, received {}\n",
               c.cpu_us_per_request, c.cpu_share * 100,
               c.workers == 1 ? "a" : Format("each of {}", c.workers), c.workers == 1 ? "" : "s",
               c.loop_lag_p99_us, c.connections, c.connections == 1 ? "" : "s",
               HumanBytes(static_cast<double>(c.bytes_sent)),
               HumanBytes(static_cast<double>(c.bytes_received)));
}

std::string TablePercentile(const Level& level, double p) {
  if (level.latency.histogram.count() == 0) return "-";
  for (const stats::QuantileEstimate& q : level.latency.percentiles) {
    // A figure that the sample does not bear is marked.
    if (std::abs(q.p - p) < 1e-9) return Format("{:.3f}{}", q.value / 1e6, q.lower ? "" : "?");
  }
  return Format("{:.3f}", level.latency.histogram.Quantile(p) / 1e6);
}

double ServerMean(const Level& level, double ServerRecord::* member) {
  double sum = 0, requests = 0;
  for (const ServerRecord& s : level.server) {
    sum += s.*member * static_cast<double>(s.success_count);
    requests += static_cast<double>(s.success_count);
  }
  return requests > 0 ? sum / requests : 0;
}

std::vector<Column> LoadColumns(std::span<const Level> levels) {
  const bool closed = std::all_of(levels.begin(), levels.end(), [](const Level& l) {
    return l.load.mode == LoadMode::kConcurrency;
  });
  std::vector<Column> columns{
      {"Batch", "", [](const Level& l) { return Format("{}", l.load.batch_size); }},
      {closed ? "Concurrency" : "Request rate", closed ? "" : "1/s",
       [](const Level& l) { return Format("{}", l.load.value); }}};
  for (Column& column : ModelColumns(levels)) columns.push_back(std::move(column));
  return columns;
}

std::vector<Column> FigureColumns(std::span<const Level> levels) {
  const auto any = [&](auto&& has) { return std::any_of(levels.begin(), levels.end(), has); };
  std::vector<Column> columns{
      {"Throughput", "infer/s", [](const Level& l) { return HumanNumber(l.throughput.value); }},
      {"+-", "95 %",
       [](const Level& l) {
         return l.throughput.known ? HumanNumber(l.throughput.half_width) : std::string("?");
       }},
      {"Avg", "ms",
       [](const Level& l) {
         return l.latency.histogram.count() == 0
                    ? std::string("-")
                    : Format("{:.3f}", l.latency.histogram.mean() / 1e6);
       }},
      {"p50", "ms", [](const Level& l) { return TablePercentile(l, 0.5); }},
      {"p90", "ms", [](const Level& l) { return TablePercentile(l, 0.9); }},
      {"p99", "ms", [](const Level& l) { return TablePercentile(l, 0.99); }},
      {"Failed", "%",
       [](const Level& l) {
         return l.scheduled == 0 ? std::string("-") : Format("{:.3g}", l.error_rate() * 100);
       }},
  };
  if (any([](const Level& l) { return l.overflow > 0; })) {
    columns.push_back({"Not sent", "%",
                       [](const Level& l) { return Format("{:.3g}", l.not_sent_share() * 100); }});
  }
  if (any([](const Level& l) { return l.checked_outputs > 0; })) {
    columns.push_back({"Correct", "%", [](const Level& l) {
                         return l.checked_outputs == 0
                                    ? std::string("-")
                                    : Format("{:.2f}",
                                             100 - 100.0 * static_cast<double>(l.wrong_outputs) /
                                                       static_cast<double>(l.checked_outputs));
                       }});
  }
  for (Column& column : StreamColumns(levels)) columns.push_back(std::move(column));
  if (any([](const Level& l) { return !l.server.empty(); })) {
    columns.push_back(
        {"Queue", "ms", [](const Level& l) {
           return l.server.empty() ? std::string("-")
                                   : Format("{:.3f}", ServerMean(l, &ServerRecord::queue_us) / 1e3);
         }});
    columns.push_back({"Compute", "ms", [](const Level& l) {
                         if (l.server.empty()) return std::string("-");
                         return Format("{:.3f}", (ServerMean(l, &ServerRecord::compute_input_us) +
                                                  ServerMean(l, &ServerRecord::compute_infer_us) +
                                                  ServerMean(l, &ServerRecord::compute_output_us)) /
                                                     1e3);
                       }});
  }
  columns.push_back({"State", "", StateText});
  return columns;
}

std::vector<Column> TableColumns(std::span<const Level> levels) {
  std::vector<Column> columns = LoadColumns(levels);
  for (Column& column : FigureColumns(levels)) columns.push_back(std::move(column));
  return columns;
}

// The verdict in its colour: what is stable green, what asks for attention yellow.
std::string Colored(const std::string& state) {
  return Format("\033[{}m{}\033[0m", state == "stable" ? 32 : 33, state);
}

std::string AlignedTable(const std::vector<Column>& columns, const TableRows& levels, bool color,
                         std::string_view indent = {}) {
  std::vector<std::vector<std::string>> rows(levels.size() + 2);
  std::vector<size_t> widths;
  for (const Column& column : columns) {
    rows[0].emplace_back(column.title);
    rows[1].emplace_back(column.unit);
    for (size_t i = 0; i < levels.size(); ++i) rows[i + 2].push_back(column.cell(*levels[i]));
    size_t width = 0;
    for (const auto& row : rows) width = std::max(width, row.back().size());
    widths.push_back(width);
  }
  std::string out;
  for (size_t r = 0; r < rows.size(); ++r) {
    const std::vector<std::string>& row = rows[r];
    std::string line(indent);
    // Numbers to the right, the last column's words to the left.
    for (size_t i = 0; i + 1 < row.size(); ++i) AppendFormat(line, "{:>{}}  ", row[i], widths[i]);
    line += color && r >= 2 ? Colored(row.back()) : row.back();
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

// A line for each of several models, and what a line cannot hold.
void AppendModels(const Level& level, std::string& out) {
  if (level.models.empty()) return;
  std::vector<Column> columns = ModelReportColumns(level);
  for (Column& column : FigureColumns(level.models)) columns.push_back(std::move(column));
  TableRows rows;
  for (const Level& model : level.models) rows.push_back(&model);
  out += "  Models:\n" + AlignedTable(columns, rows, false, "    ");
  AppendModelRemarks(level, out);
}

}  // namespace

std::string FormatLevel(const Level& level) {
  std::string out;
  if (level.load.mode == LoadMode::kConcurrency) {
    AppendFormat(out, "Request concurrency: {}", level.load.value);
  } else {
    AppendFormat(out, "Request Rate: {} inference requests per second", level.load.value);
  }
  if (level.load.batch_size > 1) AppendFormat(out, ", batch size {}", level.load.batch_size);
  AppendFormat(out, "\n  Client:\n    Request count: {}\n", level.succeeded);
  AppendFormat(out, "    Throughput: {:.3f} infer/sec", level.throughput.value);
  if (level.throughput.known) {
    AppendFormat(out, "  [{:.3f}, {:.3f}]\n", std::max(0.0, level.throughput.lower()),
                 level.throughput.upper());
  } else {
    out += "  (too short for an interval)\n";
  }
  AppendSequences(level, out);
  AppendLatencies(level, out);
  AppendResponses(level, out);
  AppendOutcomes(level, out);
  AppendFormat(out, "    In flight: mean {:.2f}, max {}", level.in_flight_mean,
               level.in_flight_max);
  if (level.little_ratio) AppendFormat(out, " (Little's law: {:.3f})", *level.little_ratio);
  out += '\n';
  AppendClientCost(level, out);
  AppendModels(level, out);
  AppendEndpoints(level, out);
  AppendServer(level, out);
  out += FormatMetrics(level);
  AppendFormat(out, "  State: {}; window {:.3f} s ({}), warm-up {:.1f} s ({}, {} requests)\n",
               StateText(level), level.window_s, level.window_rule, level.warmup_s,
               level.warmup_rule, level.warmup_requests);
  for (const std::string& limit : level.client.limits)
    AppendFormat(out, "  Client-limited: {}\n", limit);
  for (const std::string& note : level.notes) AppendFormat(out, "  Note: {}\n", note);
  return out;
}

namespace {

// What the words and marks mean that occur in the table.
std::string TableLegend(std::span<const Level> levels, const std::string& table) {
  std::string out;
  if (table.find('?') != std::string::npos)
    out += "?: too few independent requests for a 95 % interval of this figure\n";
  return out + StateLegend(levels);
}

// For machines: "12,345" is 12345, "5.8?" is 5.8, and "-" is nothing.
std::string Plain(std::string cell) {
  if (cell == "-" || cell == "?") return {};
  const bool number = !cell.empty() && cell.find_first_not_of("0123456789.,?e+-") == cell.npos;
  if (number) std::erase_if(cell, [](char c) { return c == ',' || c == '?'; });
  return cell;
}

std::string PlainTitle(const Column& column) {
  const std::string title(column.title == "+-" ? "Throughput +-" : column.title);
  return column.unit.empty() ? title : Format("{} [{}]", title, column.unit);
}

std::string CsvTable(const std::vector<Column>& columns, const TableRows& levels) {
  std::string out;
  std::vector<std::string> row;
  for (const Column& column : columns) row.push_back(PlainTitle(column));
  text::AppendCsvRow(out, row);
  for (const Level* level : levels) {
    row.clear();
    for (const Column& column : columns) row.push_back(Plain(column.cell(*level)));
    text::AppendCsvRow(out, row);
  }
  return out;
}

std::string JsonTable(const std::vector<Column>& columns, const TableRows& levels) {
  text::JsonWriter out(2);
  out.BeginArray();
  for (const Level* level : levels) {
    out.BeginObject();
    for (const Column& column : columns) {
      const std::string cell = Plain(column.cell(*level));
      const std::optional<double> number = ParseDouble(cell);
      out.Key(PlainTitle(column));
      out.Value(cell.empty() ? text::Json() : number ? text::Json(*number) : text::Json(cell));
    }
    out.EndObject();
  }
  return out.EndArray().Take() + "\n";
}

std::string MarkdownTable(const std::vector<Column>& columns, const TableRows& levels) {
  std::string out, rule;
  for (const Column& column : columns) {
    AppendFormat(out, "| {} ", PlainTitle(column));
    rule += column.title == "State" ? "|---" : "|---:";
  }
  out += "|\n" + rule + "|\n";
  for (const Level* level : levels) {
    for (const Column& column : columns) AppendFormat(out, "| {} ", column.cell(*level));
    out += "|\n";
  }
  return out;
}

}  // namespace

std::string FormatTable(std::span<const Level> levels, TableForm form) {
  const std::vector<Column> columns = TableColumns(levels);
  const TableRows rows = RowsOf(levels);
  if (form == TableForm::kCsv) return CsvTable(columns, rows);
  if (form == TableForm::kJson) return JsonTable(columns, rows);
  if (form == TableForm::kMarkdown) return MarkdownTable(columns, rows);
  const std::string out = AlignedTable(columns, rows, form == TableForm::kColor);
  return out + TableLegend(levels, out);
}

}  // namespace sextant::run
