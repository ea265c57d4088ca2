#include "base/units.h"

#include <array>
#include <cmath>

#include "base/strings.h"

namespace sextant {
namespace {

struct DurationUnit {
  std::string_view name;
  int64_t nanos;
};
// Longest first for printing; "ms" before "m" matters only to the reader: names are compared whole.
constexpr std::array<DurationUnit, 6> kDurationUnits{{{"h", 3'600'000'000'000},
                                                      {"m", 60'000'000'000},
                                                      {"s", 1'000'000'000},
                                                      {"ms", 1'000'000},
                                                      {"us", 1'000},
                                                      {"ns", 1}}};

size_t NumberLength(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && ((text[n] >= '0' && text[n] <= '9') || text[n] == '.')) ++n;
  return n;
}

}  // namespace

Result<Nanos> ParseDuration(std::string_view text, Nanos bare_unit) {
  const auto fault = [&] {
    return InvalidArgument(
        Format("'{}' is not a duration; write a number and a unit, such as 500ms, "
               "10s or 2m30s (units: ns us ms s m h)",
               Printable(text, 40)));
  };
  std::string_view rest = TrimSpace(text);
  if (rest.empty()) return fault();
  double total_nanos = 0;
  while (!rest.empty()) {
    const size_t digits = NumberLength(rest);
    const std::optional<double> number = ParseDouble(rest.substr(0, digits));
    if (!number) return fault();
    rest.remove_prefix(digits);
    size_t letters = 0;
    while (letters < rest.size() && rest[letters] >= 'a' && rest[letters] <= 'z') ++letters;
    const std::string_view unit = rest.substr(0, letters);
    rest.remove_prefix(letters);
    if (unit.empty()) {
      const bool whole_text = rest.empty() && digits == TrimSpace(text).size();
      if (!whole_text || (bare_unit.count() == 0 && *number != 0)) return fault();
      total_nanos = *number * static_cast<double>(bare_unit.count());
      break;
    }
    const DurationUnit* found = nullptr;
    for (const DurationUnit& candidate : kDurationUnits) {
      if (candidate.name == unit) found = &candidate;
    }
    if (found == nullptr) return fault();
    total_nanos += *number * static_cast<double>(found->nanos);
  }
  if (total_nanos > 9.2e18) return InvalidArgument(Format("'{}' is longer than 292 years", text));
  return Nanos(static_cast<int64_t>(std::llround(total_nanos)));
}

std::string FormatDuration(Nanos d) {
  if (d.count() == 0) return "0s";
  for (const DurationUnit& unit : kDurationUnits) {
    // At most three decimals, so that 1500 ms is "1.5s" and 1234567 ns stays exact in ns.
    const __int128 thousandths = static_cast<__int128>(d.count()) * 1000 / unit.nanos;
    if (d.count() >= unit.nanos &&
        thousandths * unit.nanos == static_cast<__int128>(d.count()) * 1000) {
      return Format("{}{}", static_cast<double>(d.count()) / static_cast<double>(unit.nanos),
                    unit.name);
    }
  }
  return Format("{}ns", d.count());
}

std::string HumanDuration(Nanos d) {
  const double ns = static_cast<double>(d.count());
  const double magnitude = std::abs(ns);
  const auto scaled = [](double value, std::string_view unit) {
    const int decimals = std::abs(value) >= 100 ? 0 : std::abs(value) >= 10 ? 1 : 2;
    return Format("{:.{}f} {}", value, decimals, unit);
  };
  if (magnitude < 1e3) return Format("{} ns", d.count());
  if (magnitude < 1e6) return scaled(ns / 1e3, "us");
  if (magnitude < 1e9) return scaled(ns / 1e6, "ms");
  if (magnitude < 120e9) return scaled(ns / 1e9, "s");
  const int64_t seconds = d.count() / 1'000'000'000;
  if (seconds < 7200) return Format("{}m{:02}s", seconds / 60, seconds % 60);
  return Format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
}

Result<uint64_t> ParseBytes(std::string_view text) {
  const std::string_view trimmed = TrimSpace(text);
  const size_t digits = NumberLength(trimmed);
  const std::optional<double> number = ParseDouble(trimmed.substr(0, digits));
  std::string unit = ToLower(TrimSpace(trimmed.substr(digits)));
  double factor = 1;
  if (number && !unit.empty() && unit != "b") {
    const size_t power = std::string_view("kmgt").find(unit[0]);
    const std::string_view suffix = std::string_view(unit).substr(1);
    if (power == std::string_view::npos || (suffix != "" && suffix != "ib" && suffix != "b")) {
      factor = 0;
    } else {
      factor = std::pow(suffix == "b" ? 1000.0 : 1024.0, static_cast<double>(power + 1));
    }
  }
  if (!number || factor == 0) {
    return InvalidArgument(
        Format("'{}' is not a size; write bytes or a number with K, M, G or T, such "
               "as 64M",
               Printable(text, 40)));
  }
  if (*number * factor > 9e18) return InvalidArgument(Format("'{}' is too large", text));
  return static_cast<uint64_t>(std::llround(*number * factor));
}

std::string HumanBytes(double bytes) {
  constexpr std::array<std::string_view, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (std::abs(bytes) >= 1024 && unit + 1 < kUnits.size()) bytes /= 1024, ++unit;
  return Format("{:.{}f} {}", bytes, unit == 0 || std::abs(bytes) >= 100 ? 0 : 1, kUnits[unit]);
}

std::string HumanNumber(double value) {
  if (!std::isfinite(value)) return "n/a";
  const double magnitude = std::abs(value);
  if (magnitude >= 10000) {
    return (value < 0 ? "-" : "") + GroupDigits(static_cast<uint64_t>(std::llround(magnitude)));
  }
  const int decimals = magnitude >= 1000 ? 0 : magnitude >= 100 ? 1 : magnitude >= 10 ? 2 : 3;
  return Format("{:.{}f}", value, decimals);
}

Result<WallTime> ParseWallTime(std::string_view text) {
  const auto fault = [&] {
    return InvalidArgument(
        Format("'{}' is not a time: write 2026-11-21T18:05:00Z, with its zone, or Unix seconds",
               Printable(text, 60)));
  };
  if (const auto seconds = ParseDouble(text)) {
    if (*seconds < 0 || *seconds > 9e9) return fault();
    return WallTime(FromSeconds(*seconds));
  }
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' ||
      (text[10] != 'T' && text[10] != ' ') || text[13] != ':' || text[16] != ':')
    return fault();
  const auto number = [&](size_t at, size_t size) {
    const auto value = ParseUint(text.substr(at, size));
    return value ? static_cast<int>(*value) : -1;
  };
  const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  // Nanoseconds since 1970 reach from 1677 to 2262.
  if (year < 1678 || year > 2261 || month < 1 || day < 1 || !date.ok() || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 60)
    return fault();
  Nanos time = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(hour) +
               std::chrono::minutes(minute) + std::chrono::seconds(second);
  std::string_view rest = text.substr(19);
  if (rest.starts_with('.')) {
    const size_t end = rest.find_first_not_of("0123456789", 1);
    const auto fraction = ParseDouble(Format("0{}", rest.substr(0, end)));
    if (!fraction || end == 1) return fault();
    time += FromSeconds(*fraction);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  }
  if (rest == "Z") return WallTime(time);
  if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':') return fault();
  const auto zone_hour = ParseUint(rest.substr(1, 2)), zone_minute = ParseUint(rest.substr(4, 2));
  if (!zone_hour || !zone_minute || *zone_hour > 14 || *zone_minute > 59) return fault();
  const Nanos zone = std::chrono::hours(*zone_hour) + std::chrono::minutes(*zone_minute);
  return WallTime(rest[0] == '+' ? time - zone : time + zone);
}

}  // namespace sextant
