#include "load/trace.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "base/strings.h"
#include "text/json.h"

namespace sextant::load {
namespace {

constexpr size_t kMostFaults = 20;
// Beyond this a time is no use: 29 years.
constexpr double kMostSpan = 9e17;

class Faults {
 public:
  void Add(size_t line, std::string_view what) {
    if (++count_ <= kMostFaults)
      AppendFormat(text_, "{}line {}: {}", text_.empty() ? "" : "; ", line, what);
  }
  bool empty() const { return count_ == 0; }
  Error Take() {
    if (count_ > kMostFaults) AppendFormat(text_, "; and {} more", count_ - kMostFaults);
    return Corrupt(std::move(text_));
  }

 private:
  std::string text_;
  size_t count_ = 0;
};

// A number of units as nanoseconds. Plain decimals are exact: as a double, a nanosecond of today's
// Unix time would be lost.
std::optional<Nanos> ParseTime(std::string_view text, Nanos unit) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative) rest.remove_prefix(1);
  __int128 value = 0;
  int64_t scale = unit.count();
  bool point = false, digits = false;
  for (const char c : rest) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') {
      digits = false;
      break;
    }
    digits = true;
    if (!point) {
      value = value * 10 + static_cast<__int128>(c - '0') * scale;
    } else {
      scale /= 10;
      value += static_cast<__int128>(c - '0') * scale;
    }
    if (value > std::numeric_limits<int64_t>::max()) return std::nullopt;
  }
  if (digits) return Nanos(static_cast<int64_t>(negative ? -value : value));
  const auto number = ParseDouble(text);  // 1.5e3
  const double ns = number ? *number * static_cast<double>(unit.count()) : 0;
  if (!number || std::abs(ns) > 9e18) return std::nullopt;
  return Nanos(static_cast<int64_t>(std::llround(ns)));
}

// Cells of a line of CSV; a quoted cell may hold commas.
std::vector<std::string_view> Cells(std::string_view line) {
  std::vector<std::string_view> out;
  bool quoted = false;
  size_t begin = 0;
  for (size_t i = 0; i <= line.size(); ++i) {
    if (i < line.size() && line[i] == '"') quoted = !quoted;
    if (i < line.size() && (line[i] != ',' || quoted)) continue;
    std::string_view cell = TrimSpace(line.substr(begin, i - begin));
    if (cell.size() >= 2 && cell.starts_with('"') && cell.ends_with('"'))
      cell = TrimSpace(cell.substr(1, cell.size() - 2));
    out.push_back(cell);
    begin = i + 1;
  }
  return out;
}

struct Arrival {
  Nanos at{0};
  std::optional<uint32_t> row;
};

class TraceReader {
 public:
  explicit TraceReader(const TraceOptions& options) : options_(options) {}

  Result<Replay> Read(std::string_view text) {
    size_t number = 0;
    while (!text.empty()) {
      const size_t end = text.find('\n');
      const std::string_view line = TrimSpace(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      ++number;
      if (line.empty() || line.starts_with('#')) continue;
      if (line.starts_with('{')) {
        ReadJson(line, number);
      } else {
        ReadCsv(line, number);
      }
    }
    if (arrivals_.empty() && faults_.empty()) return Corrupt("it has no arrivals");
    CheckRows();
    if (!faults_.empty()) return faults_.Take();
    return Finish();
  }

 private:
  // What the name of a timestamp's column or member says of its unit; nothing: it is no timestamp.
  static bool IsTimestamp(std::string_view name, std::optional<Nanos>& unit) {
    unit.reset();
    if (name == "timestamp") return true;
    if (!name.starts_with("timestamp_")) return false;
    unit = ParseTimeUnit(name.substr(10));
    return unit.has_value();
  }
  static bool IsRow(std::string_view name) { return name == "row" || name == "index"; }

  // The unit in force; said once where there is none, or where two differ.
  std::optional<Nanos> Unit(std::optional<Nanos> stated, size_t line) {
    if (stated && options_.unit && *stated != *options_.unit) {
      if (!unit_fault_) faults_.Add(line, "the file states another unit than --trace-unit");
      unit_fault_ = true;
      return std::nullopt;
    }
    if (stated) return stated;
    if (!options_.unit) {
      if (!unit_fault_) {
        faults_.Add(line,
                    "the unit of the timestamps is not stated: name the column timestamp_s, "
                    "timestamp_ms, timestamp_us or timestamp_ns, or give --trace-unit");
      }
      unit_fault_ = true;
    }
    return options_.unit;
  }

  void ReadCsv(std::string_view line, size_t number) {
    const std::vector<std::string_view> cells = Cells(line);
    if (!csv_begun_) {
      csv_begun_ = true;
      if (!ParseDouble(cells[0])) return ReadHeading(cells, number);
      row_column_ = cells.size() > 1 ? std::optional<size_t>(1) : std::nullopt;
    }
    if (!time_column_) return;
    const auto unit = Unit(column_unit_, number);
    if (!unit) return;
    const auto cell = [&](size_t i) { return i < cells.size() ? cells[i] : std::string_view(); };
    Arrival arrival;
    const auto at = ParseTime(cell(*time_column_), *unit);
    if (!at) {
      return faults_.Add(number,
                         Format("'{}' is not a timestamp", Printable(cell(*time_column_), 40)));
    }
    arrival.at = *at;
    if (row_column_ && !cell(*row_column_).empty()) {
      const auto row = ParseUint(cell(*row_column_));
      if (!row || *row > UINT32_MAX) {
        return faults_.Add(number, Format("'{}' is not a row of the input data",
                                          Printable(cell(*row_column_), 40)));
      }
      arrival.row = static_cast<uint32_t>(*row);
    }
    Add(arrival, number);
  }

  void ReadHeading(const std::vector<std::string_view>& cells, size_t number) {
    time_column_.reset();
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string name = ToLower(cells[i]);
      std::optional<Nanos> unit;
      if (!time_column_ && IsTimestamp(name, unit)) {
        time_column_ = i;
        column_unit_ = unit;
      }
      if (IsRow(name)) row_column_ = i;
    }
    if (!time_column_) {
      faults_.Add(number,
                  "the heading has no column timestamp, timestamp_s, timestamp_ms, timestamp_us or "
                  "timestamp_ns");
    }
  }

  void ReadJson(std::string_view line, size_t number) {
    const Result<text::Json> json = text::ParseJson(line);
    if (!json.has_value()) return faults_.Add(number, json.error().message());
    const text::Json* time = nullptr;
    const text::Json* row = nullptr;
    std::optional<Nanos> stated;
    for (const auto& [name, value] : json->object()) {
      std::optional<Nanos> unit;
      if (time == nullptr && IsTimestamp(name, unit)) time = &value, stated = unit;
      if (IsRow(name)) row = &value;
    }
    if (time == nullptr) return faults_.Add(number, "there is no member timestamp");
    const auto unit = Unit(stated, number);
    if (!unit) return;
    Arrival arrival;
    std::optional<Nanos> at;
    if (const auto whole = time->AsInt()) {
      at = ParseTime(Format("{}", *whole), *unit);
    } else if (const auto number_value = time->AsDouble()) {
      at = ParseTime(Format("{}", *number_value), *unit);
    } else if (const auto text = time->AsString()) {
      at = ParseTime(*text, *unit);
    }
    if (!at) return faults_.Add(number, "the timestamp is not a number within range");
    arrival.at = *at;
    if (row != nullptr && !row->IsNull()) {
      const auto index = row->AsUint();
      if (!index || *index > UINT32_MAX)
        return faults_.Add(number, "'row' is not a row of the input data");
      arrival.row = static_cast<uint32_t>(*index);
    }
    Add(arrival, number);
  }

  void Add(const Arrival& arrival, size_t number) {
    arrivals_.push_back(arrival);
    const bool has_row = arrival.row.has_value();
    if (arrivals_.size() == 1) first_has_row_ = has_row;
    if (has_row != first_has_row_ && mixed_line_ == 0) mixed_line_ = number;
  }

  void CheckRows() {
    if (mixed_line_ > 0) {
      faults_.Add(mixed_line_, first_has_row_
                                   ? "this arrival names no row, and those before do"
                                   : "this arrival names a row, and those before do not");
    }
  }

  Result<Replay> Finish() {
    std::stable_sort(arrivals_.begin(), arrivals_.end(),
                     [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
    const Nanos origin = arrivals_.front().at;
    // As doubles first: a difference of extremes is beyond 64 bits.
    const double span =
        static_cast<double>(arrivals_.back().at.count()) - static_cast<double>(origin.count());
    if (!(span / options_.speed < kMostSpan) || span > kMostSpan)
      return Corrupt("its timestamps lie years apart; is the unit right?");
    Replay out{.kind = "trace"};
    out.due.reserve(arrivals_.size());
    for (const Arrival& arrival : arrivals_) {
      const Nanos at = arrival.at - origin;
      out.due.push_back(options_.speed == 1 ? at : FromSeconds(Seconds(at) / options_.speed));
      if (arrival.row) out.rows.push_back(*arrival.row);
    }
    return out;
  }

  const TraceOptions options_;
  std::vector<Arrival> arrivals_;
  Faults faults_;
  bool csv_begun_ = false, unit_fault_ = false, first_has_row_ = false;
  size_t mixed_line_ = 0;
  std::optional<size_t> time_column_ = 0, row_column_;
  std::optional<Nanos> column_unit_;
};

}  // namespace

std::optional<Nanos> ParseTimeUnit(std::string_view name) {
  if (name == "s") return 1s;
  if (name == "ms") return 1ms;
  if (name == "us") return 1us;
  if (name == "ns") return 1ns;
  return std::nullopt;
}

Result<Replay> ParseTrace(std::string_view text, const TraceOptions& options) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a spreadsheet's mark
  return TraceReader(options).Read(text);
}

Result<Replay> ParseIntervals(std::string_view text) {
  Replay out{.kind = "intervals"};
  Faults faults;
  size_t number = 0;
  Nanos at{0};
  for (const std::string_view raw : Split(text, '\n')) {
    ++number;
    const std::string_view line = TrimSpace(raw);
    if (line.empty()) continue;
    const auto us = ParseUint(line);
    if (!us || *us > 3'600'000'000) {
      faults.Add(number, Format("'{}' is not a whole number of microseconds of at most an hour",
                                Printable(line, 40)));
      continue;
    }
    out.due.push_back(at);
    at += Nanos(static_cast<int64_t>(*us) * 1000);
  }
  if (!faults.empty()) return faults.Take();
  if (out.due.empty()) return Corrupt("it has no intervals");
  if (at == Nanos(0)) return Corrupt("its intervals are all 0: the rate would have no limit");
  out.period = at;
  return out;
}

Result<Replay> MakeFixedSchedule(const std::vector<Nanos>& due) {
  if (due.empty()) return Corrupt("a fixed schedule needs at least one step");
  Replay out{.kind = "fixed schedule"};
  out.rows.resize(due.size());
  std::iota(out.rows.begin(), out.rows.end(), 0U);
  std::stable_sort(out.rows.begin(), out.rows.end(),
                   [&](uint32_t a, uint32_t b) { return due[a] < due[b]; });
  for (const uint32_t row : out.rows) out.due.push_back(due[row]);
  if (out.due.front() < Nanos(0)) return Corrupt("a fixed schedule cannot begin before 0");
  return out;
}

}  // namespace sextant::load
