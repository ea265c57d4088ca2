#include "analyze/breaking_load.h"

#include <algorithm>
#include <cmath>

#include "analyze/isotonic.h"
#include "base/random.h"

namespace sextant::analyze {
namespace {

constexpr size_t kDraws = 400;
// Relative standard deviation of what takes minutes apart differ by beyond their own intervals; and
// what the belief of figures that have none is worth.
constexpr double kBetween = 0.02, kBelief = 4;
constexpr double kSlowShare = 0.05;  // of takes that are slow by about kSlowTake
// Logarithms beyond this say no more than "far".
constexpr double kFar = 7;

// What is known of a constraint's figure at one load, as a logarithm: 0 is the limit.
struct Reading {
  double load = 0;  // its logarithm
  double figure = 0;
  double error = 0;
  double slow = 0;  // by how much a slow take among them lifts the figure
  size_t takes = 1;
};
using Curve = std::vector<Reading>;

double Clamped(double value, double limit) {
  if (!(value > 0)) return -kFar;
  return std::clamp(std::log(value / limit), -kFar, kFar);
}

double ErrorOf(const Point& point, const Figure& figure, std::string_view field) {
  if (!(figure.value > 0)) return kBetween;
  if (figure.lower && figure.upper) {
    const double told = (*figure.upper - *figure.lower) / 2 / kNormal95 / figure.value;
    return std::hypot(std::min(told, 1.0), kBetween);
  }
  return std::hypot(SpreadOfTakes(point.takes, field, kBelief), kBetween);
}

Curve CurveOf(const Space& space, const Evidence& evidence, size_t configuration,
              const Chain& chain, const Constraint& constraint) {
  Curve curve;
  const Field* field = FindField(constraint.field);
  const bool time = field != nullptr && field->unit == "s";
  for (const uint32_t load : chain) {
    const Point* point = evidence.Find(configuration, load);
    if (point == nullptr || space.loads[load].point.value <= 0) continue;
    const double x = std::log(space.loads[load].point.value);
    if (!point->measured()) {
      // Too much, as far as one can guess, and nobody knows by how much.
      curve.push_back({.load = x, .figure = kFar});
      continue;
    }
    const auto figure = point->figures.find(constraint.field);
    if (figure == point->figures.end()) continue;
    const size_t takes = point->takes.size();
    curve.push_back({.load = x,
                     .figure = Clamped(figure->second.value, constraint.limit),
                     .error = ErrorOf(*point, figure->second, constraint.field),
                     .slow = time ? kSlowTake / static_cast<double>(takes) : 0,
                     .takes = takes});
  }
  return curve;
}

// Where the figure may pass its limit, as logarithms of the load.
struct Crossing {
  double from = 0, to = 0;
};

Crossing Cross(const Curve& curve, const std::vector<double>& y, bool closed) {
  const size_t n = y.size();
  const auto slope = [&](size_t a, size_t b) {
    return (y[b] - y[a]) / (curve[b].load - curve[a].load);
  };
  const auto over = std::find_if(y.begin(), y.end(), [](double v) { return v > 0; });
  const auto u = static_cast<size_t>(over - y.begin());
  if (u == 0 || u == n) {
    // Noise has moved it out of what was measured: as far as Little's law says.
    const size_t end = u == 0 ? 0 : n - 1;
    const double at = curve[end].load - y[end];
    return {at, at};
  }
  const size_t l = u - 1;
  const double chord = slope(l, u);
  Crossing out{curve[l].load - y[l] / chord, curve[u].load};
  if (y[u] >= kFar) return {curve[l].load, curve[u].load};
  const auto bound = [&](double at) { out.to = std::min(out.to, std::max(at, out.from)); };
  if (closed && chord <= 1) bound(curve[u].load - y[u]);
  if (u + 1 < n && y[u + 1] < kFar && slope(u, u + 1) > chord)
    bound(curve[u].load - y[u] / slope(u, u + 1));
  if (l > 0 && slope(l - 1, l) > 0) bound(curve[l].load - y[l] / slope(l - 1, l));
  return out;
}

// With `random` a draw of what might have been measured.
std::vector<double> Fit(const Curve& curve, Random* random) {
  std::vector<double> values, weights;
  values.reserve(curve.size()), weights.reserve(curve.size());
  for (const Reading& reading : curve) {
    double value = reading.figure;
    if (random != nullptr) {
      value += reading.error * random->Normal();
      for (size_t i = 0; i < reading.takes && reading.slow > 0; ++i)
        value -= random->Uniform() < kSlowShare ? reading.slow : 0;
    }
    values.push_back(value);
    weights.push_back(1 / (reading.error * reading.error + 1e-6));
  }
  return IsotonicFit(values, weights);
}

}  // namespace

std::optional<Figure> BreakingLoad(const Space& space, const SearchOptions& options,
                                   const Evidence& evidence, size_t configuration,
                                   const Chain& chain) {
  if (chain.size() < 2) return std::nullopt;
  const bool closed = space.loads[chain.front()].point.mode == run::LoadMode::kConcurrency;
  std::vector<Curve> curves;
  std::optional<double> estimate;
  for (const Constraint& constraint : options.goal.constraints) {
    if (!constraint.at_most || constraint.limit <= 0) continue;
    Curve curve = CurveOf(space, evidence, configuration, chain, constraint);
    if (curve.size() < 2) continue;
    const std::vector<double> fit = Fit(curve, nullptr);
    if (fit.front() > 0) return std::nullopt;  // nothing measured keeps it
    if (fit.back() > 0) {
      const Crossing at = Cross(curve, fit, closed);
      const double middle = (at.from + at.to) / 2;
      estimate = std::min(middle, estimate.value_or(middle));
    }
    curves.push_back(std::move(curve));
  }
  if (!estimate) return std::nullopt;
  Random random(1 + configuration);
  std::vector<double> drawn;
  for (size_t i = 0; i < kDraws; ++i) {
    double first = HUGE_VAL;
    for (const Curve& curve : curves) {
      const Crossing at = Cross(curve, Fit(curve, &random), closed);
      first = std::min(first, at.from + random.Uniform() * (at.to - at.from));
    }
    drawn.push_back(first);
  }
  std::sort(drawn.begin(), drawn.end());
  const double low = drawn[kDraws / 40], high = drawn[kDraws - 1 - kDraws / 40];
  return Figure{std::exp(*estimate), std::exp(std::min(low, *estimate)),
                std::exp(std::max(high, *estimate))};
}

}  // namespace sextant::analyze
