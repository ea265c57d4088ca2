// What a point of an analysis is worth: figures by name, from one table of names.
//
// Values are in base units (seconds, bytes, watts, joules, shares from 0 to 1, counts per second);
// what is shown to people is scaled where it is shown. Missing is absent, never zero.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sextant::analyze {

// Standard errors on either side of a 95 % interval.
inline constexpr double kNormal95 = 1.959964;

struct Figure {
  double value = 0;
  // A 95 % confidence interval, where there is one.
  std::optional<double> lower, upper;
};
// By the field's name.
using Figures = std::map<std::string, Figure, std::less<>>;
// Null where it is missing or no number.
const Figure* FindFigure(const Figures& figures, std::string_view name);

enum class Better : uint8_t { kHigher, kLower, kNeither };

// A quantity that can be measured, ranked by, constrained and written into a column.
struct Field {
  std::string_view name;  // "latency_p99"
  std::string_view unit;  // "1/s", "s", "bytes", "ratio", "W", "J", "C", "Hz", "cores", "price"
  Better better = Better::kNeither;
  std::string_view alias;  // Model Analyzer's name for it; empty: it has none
  std::string_view help;
  bool of_model = false;  // also known of each of several models: "resnet:latency_p99"
};
std::span<const Field> Fields();
// By name, alias, or the short forms that objectives of `sextant perf` use (p99, avg, errors); a
// model's name before it is ignored.
const Field* FindField(std::string_view name);
// As figures are named: the field's name, behind the model's where there is one; empty: there is no
// such figure.
std::string FigureName(std::string_view name);

// "12.3 ms", "1.2 GiB", "63 %": a value of that unit, for people.
std::string ShowValue(double value, std::string_view unit);

}  // namespace sextant::analyze
