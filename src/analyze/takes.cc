#include "analyze/takes.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sextant::analyze {
namespace {

// Relative standard deviation of a second's percentile, before any take was repeated.
constexpr double kWithinSecond = 0.08;

struct Value {
  const Figure* figure;
  double window;  // seconds
};

// Weights by time, except that a take counts for less where takes differ from each other more than
// time explains; `within` are the variances that the takes' own intervals tell.
Figure RandomEffects(std::span<const Value> values, std::span<const double> within) {
  double weights = 0, squares = 0, sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double weight = 1 / within[i];
    weights += weight, squares += weight * weight, sum += weight * values[i].figure->value;
  }
  const double fixed = sum / weights;
  double scatter = 0;
  for (size_t i = 0; i < values.size(); ++i)
    scatter += std::pow(values[i].figure->value - fixed, 2) / within[i];
  const double freedom = static_cast<double>(values.size()) - 1;
  const double seen = std::max(0.0, (scatter - freedom) / (weights - squares / weights));
  const double expected = std::pow(kBetweenTakes * fixed, 2);
  const double between =
      (freedom * seen + kBetweenTakesWorth * expected) / (freedom + kBetweenTakesWorth);
  weights = sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double weight = 1 / (within[i] + between);
    weights += weight, sum += weight * values[i].figure->value;
  }
  const double mean = sum / weights, half = kNormal95 / std::sqrt(weights);
  return {mean, mean - half, mean + half};
}

Figure Weighted(std::span<const Value> values) {
  double weights = 0, sum = 0;
  for (const Value& value : values) {
    weights += value.window, sum += value.window * value.figure->value;
  }
  return {.value = sum / weights, .lower = {}, .upper = {}};
}

Figure CombineOne(const Field* field, std::span<const Value> values) {
  if (values.size() == 1) return *values[0].figure;
  std::vector<const Figure*> figures;
  for (const Value& value : values) figures.push_back(value.figure);
  if (const Figure* extreme = Extreme(field, figures)) return *extreme;
  // What all of them rest on together.
  if (field != nullptr && field->name == "requests") {
    double sum = 0;
    for (const Value& value : values) sum += value.figure->value;
    return {.value = sum, .lower = {}, .upper = {}};
  }
  // Takes too short for an interval of their own say little beside those that have one.
  std::vector<Value> known;
  for (const Value& value : values) {
    if (value.figure->lower && value.figure->upper) known.push_back(value);
  }
  if (known.empty()) return Weighted(values);
  if (known.size() == 1) return *known[0].figure;
  std::vector<double> within;
  for (const Value& value : known) {
    const Figure& figure = *value.figure;
    const double spread = (*figure.upper - *figure.lower) / 2 / kNormal95;
    within.push_back(std::max(spread * spread, 1e-12 * figure.value * figure.value + 1e-300));
  }
  Figure out = RandomEffects(known, within);
  // No figure of ours goes below zero, and shares not above one.
  out.lower = std::max(0.0, *out.lower);
  if (field != nullptr && field->unit == "ratio") out.upper = std::min(1.0, *out.upper);
  return out;
}

}  // namespace

const Figure* Extreme(const Field* field, std::span<const Figure* const> figures) {
  const bool bytes = field != nullptr && field->unit == "bytes" && !field->name.ends_with("_mean");
  const bool largest = field != nullptr && field->name.ends_with("_max");
  if (!bytes && !largest) return nullptr;
  const auto less = [](const Figure* a, const Figure* b) { return a->value < b->value; };
  // Memory is the most that was used, and the least that was left.
  return bytes && field->better == Better::kHigher && !largest
             ? *std::min_element(figures.begin(), figures.end(), less)
             : *std::max_element(figures.begin(), figures.end(), less);
}

Figures CombineTakes(std::span<const Take> takes) {
  if (takes.size() == 1) return takes[0].figures;
  std::map<std::string_view, std::vector<Value>> by_name;
  for (const Take& take : takes) {
    const double window = std::max(1e-9, Seconds(take.window));
    for (const auto& [name, figure] : take.figures) {
      if (std::isfinite(figure.value)) by_name[name].push_back({&figure, window});
    }
  }
  Figures out;
  for (const auto& [name, values] : by_name)
    out.emplace(std::string(name), CombineOne(FindField(name), values));
  return out;
}

double SpreadOfTakes(std::span<const Take> takes, std::string_view field, double worth) {
  double seconds = 0, sum = 0, squares = 0, n = 0;
  for (const Take& take : takes) {
    const Figure* figure = FindFigure(take.figures, field);
    if (figure == nullptr || !(figure->value > 0)) continue;
    const double value = std::log(figure->value);
    seconds += Seconds(take.window), sum += value, squares += value * value, ++n;
  }
  if (n == 0) return 0;
  const double of_one = kWithinSecond / std::sqrt(std::max(1e-3, seconds / n));
  const double spread = std::max(0.0, squares - sum * sum / n);
  return std::sqrt((worth * of_one * of_one + spread) / (worth + n - 1) / n);
}

}  // namespace sextant::analyze
