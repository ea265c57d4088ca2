// The tables of an analysis for people.
#include <algorithm>
#include <cmath>
#include <set>

#include "analyze/owned_name.h"
#include "analyze/results.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

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
  const double share = half / std::abs(figure.value) * 100;
  out += share < 10 ? Format(" ±{:.2g} %", share) : Format(" ±{:.0f} %", share);
  return out;
}

// Objectives and constraints first, then what everybody looks at.
struct ShownField {
  std::string name;
  const Field* field;
};
std::vector<ShownField> ShownFields(const Report& report) {
  std::vector<ShownField> out;
  const auto add = [&](std::string_view name) {
    const Field* field = FindField(name);
    const bool there = std::any_of(out.begin(), out.end(),
                                   [&](const ShownField& shown) { return shown.name == name; });
    if (field != nullptr && !there) out.push_back({std::string(name), field});
  };
  for (const Objective& objective : report.goal.objectives) add(objective.field);
  for (const Constraint& constraint : report.goal.constraints) add(constraint.field);
  add("throughput");
  // What all models together have says little of any of them.
  for (const std::string& model : report.parts) add(WithOwner(model, "latency_p99"));
  if (report.parts.empty()) add("latency_p99");
  for (const char* name : {"gpu_utilization", "gpu_memory_used", "memory_server"}) add(name);
  std::erase_if(out, [&](const ShownField& shown) {
    return std::none_of(
        report.result.conclusion.ranking.begin(), report.result.conclusion.ranking.end(),
        [&](const Standing& s) { return FindFigure(s.figures, shown.name) != nullptr; });
  });
  return out;
}

// What is not within the constraints is marked as what it is.
std::string LoadText(const Report& report, const Standing& standing) {
  if (!standing.load && !standing.nearest_load) return "";
  return DescribeLoad(LoadOf(report.space, standing)) + (standing.load ? "" : " (nearest)");
}

std::string GainText(const Standing& standing) {
  if (standing.configuration == 0) return "-";
  if (standing.load == std::nullopt) return "";
  const Figure& gain = standing.gain;
  if (!gain.lower || !gain.upper) return Format("{:+.1f} %", gain.value * 100);
  return Format("{:+.1f} % ({:+.1f}..{:+.1f})", gain.value * 100, *gain.lower * 100,
                *gain.upper * 100);
}

// What was said when this configuration could not be loaded or measured, on one line.
std::string WordsOfFailure(const Report& report, size_t configuration) {
  std::string_view error;
  for (const PointRecord& point : report.result.points) {
    if (point.configuration == report.names[configuration] && !point.measured.error.empty())
      error = point.measured.error;
  }
  std::string out;
  for (const std::string_view line : Split(error, '\n')) {
    const std::string_view words = TrimSpace(line);
    if (!words.empty()) AppendFormat(out, "{}{}", out.empty() ? "" : " ", words);
  }
  return Printable(out);
}

// What a reader of the figures must know, in words; the sentences are in the files.
std::string ShortFlags(const std::vector<std::string>& flags) {
  std::string out;
  const auto add = [&](std::string_view word) {
    if (out.find(word) == std::string::npos)
      AppendFormat(out, "{}{}", out.empty() ? "" : ", ", word);
  };
  for (const std::string& flag : flags) {
    if (flag.starts_with("client:")) add("client-limited");
    if (flag == "drifting") add("drifting");
    if (flag.find("slowed down") != std::string::npos) add("gpu throttled");
    if (flag.find("other process") != std::string::npos) add("foreign processes");
  }
  return out;
}

// The first line.
std::string WordsOfOne(const std::string& error) {
  return Printable(error.substr(0, error.find('\n')), 120);
}

}  // namespace

std::string FormatRanking(const Report& report, bool color) {
  const Conclusion& conclusion = report.result.conclusion;
  std::vector<Column> columns{
      {"#", false, {}}, {"Configuration", true, {}}, {"Settings", true, {}}, {"Load", true, {}}};
  const std::vector<ShownField> fields = ShownFields(report);
  const std::set<size_t> pareto(conclusion.pareto.begin(), conclusion.pareto.end());
  for (const ShownField& shown : fields) columns.push_back({shown.name, false, {}});
  columns.push_back({"vs default", false, {}});
  columns.push_back({"Pareto", true, {}});
  columns.push_back({"", true, {}});
  for (size_t i = 0; i < conclusion.ranking.size(); ++i) {
    const Standing& s = conclusion.ranking[i];
    size_t c = 0;
    columns[c++].cells.push_back(Format("{}", i + 1));
    columns[c++].cells.push_back(report.names[s.configuration]);
    columns[c++].cells.push_back(DescribeConfiguration(report.space, s.configuration));
    columns[c++].cells.push_back(LoadText(report, s));
    for (const ShownField& shown : fields) {
      const Figure* figure = FindFigure(s.figures, shown.name);
      columns[c++].cells.push_back(figure == nullptr ? "" : WithInterval(*figure, *shown.field));
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
    const std::string words =
        s.kind == Standing::Kind::kFailed ? WordsOfFailure(report, s.configuration) : "";
    if (!s.why.empty())
      AppendFormat(out, "  {}: {}{}{}\n", report.names[s.configuration], s.why,
                   words.empty() ? "" : ": ", words);
  }
  AppendFormat(out, "\nVerdict: {}\n", conclusion.verdict);
  return out;
}

std::string FormatLoads(const Report& report) {
  const std::vector<ShownField> fields = ShownFields(report);
  std::vector<Column> columns{{"Load", true, {}}};
  for (const ShownField& shown : fields) columns.push_back({shown.name, false, {}});
  columns.push_back({"", true, {}});
  for (const PointRecord* point : LastTakes(report)) {
    columns[0].cells.push_back(DescribeLoad(point->load));
    for (size_t i = 0; i < fields.size(); ++i) {
      const Figure* figure = FindFigure(point->measured.figures, fields[i].name);
      columns[i + 1].cells.push_back(figure == nullptr ? ""
                                                       : WithInterval(*figure, *fields[i].field));
    }
    columns.back().cells.push_back(point->measured.status == Outcome::Status::kMeasured
                                       ? ShortFlags(point->measured.flags)
                                       : WordsOfOne(point->measured.error));
  }
  return Aligned(columns);
}

std::string FormatText(const PeerTable& table) {
  std::vector<Column> columns;
  for (size_t c = 0; c < table.rows.front().size(); ++c) {
    Column& column = columns.emplace_back(Column{table.rows.front()[c], c == 0, {}});
    for (size_t row = 1; row < table.rows.size(); ++row) column.cells.push_back(table.rows[row][c]);
  }
  return table.title + ":\n" + Aligned(columns);
}

}  // namespace sextant::analyze
