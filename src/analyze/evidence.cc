#include "analyze/evidence.h"

#include <algorithm>
#include <cmath>

namespace sextant::analyze {
namespace {

// Relative standard deviation of a second's take where no interval tells, and between takes,
// expected before any was repeated; and how many repetitions that belief is worth.
constexpr double kWithinSecond = 0.025, kBetween = 0.012, kBelief = 6;
// A residual beyond so many standard deviations is a slow take and says nothing of the noise.
constexpr double kClip = 3;
// Below this a figure's logarithm says nothing.
constexpr double kLeast = 1e-9, kLeastShare = 1e-4;
// What the belief of how figures without intervals vary is worth beside their takes; and how much a
// maximum of memory may be another the next time.
constexpr double kSpreadBelief = 1, kOfMemory = 0.01;
// Takes of a point whose constraints are violated by little, until that is believed.
constexpr size_t kBelievedTakes = 3;

double Least(std::string_view field) {
  const Field* found = FindField(field);
  return found != nullptr && found->unit == "ratio" ? kLeastShare : kLeast;
}

double Mean(const std::vector<double>& values, const std::vector<double>& variances) {
  double sum = 0, weights = 0;
  for (size_t i = 0; i < values.size(); ++i)
    sum += values[i] / variances[i], weights += 1 / variances[i];
  return sum / weights;
}

// The mean, with values far from the median moved nearer (Huber, 1964): one slow take of many
// must not decide.
double RobustMean(const std::vector<double>& values, const std::vector<double>& variances,
                  double scale) {
  if (values.size() < 3) return Mean(values, variances);
  std::vector<double> sorted = values;
  const auto middle = sorted.begin() + static_cast<ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  const double median = *middle;
  std::vector<double> near = values;
  for (size_t i = 0; i < near.size(); ++i) {
    const double reach = 2 * scale * std::sqrt(variances[i]);
    near[i] = std::clamp(near[i], median - reach, median + reach);
  }
  return Mean(near, variances);
}

}  // namespace

void Evidence::Add(const Outcome& outcome) {
  spent_ += outcome.cost_s + outcome.load_cost_s;
  if (outcome.load_cost_s > 0) load_seconds_ += outcome.load_cost_s, ++loads_;
  Tried& tried = tried_[outcome.trial.configuration];
  ++tried.looks;
  loaded_ = outcome.trial.configuration;
  if (outcome.status == Outcome::Status::kRefused) {
    loaded_.reset();
    ++tried.refusals;
    const bool measured = tried.measured();
    tried.refused = !measured || tried.refusals >= kMostRefusals;
    tried.refused_at = outcome.trial.load;
    // What was loaded before can be loaded, and what was under load died of that load perhaps: it
    // is this point's failure.
    if (measured || outcome.cost_s > 0) {
      Point& point = tried.points[outcome.trial.load];
      point.load = outcome.trial.load;
      ++point.failures;
    }
    return;
  }
  if (tried.refusals < kMostRefusals) tried.refused = false;
  Point& point = tried.points[outcome.trial.load];
  point.load = outcome.trial.load;
  if (outcome.status == Outcome::Status::kFailed) {
    ++point.failures;
    return;
  }
  const auto parts = static_cast<double>(options_.parts);
  warmup_seconds_ += std::max(0.0, outcome.cost_s / parts - Seconds(outcome.trial.window));
  ++warmups_;
  point.takes.push_back({outcome.trial.window, outcome.figures});
  Refresh(point);
}

void Evidence::Refresh(Point& point) {
  const auto residuals = [&](double sign) {
    const size_t n = point.utilities.size();
    if (n < 2) return;
    const double mean = Mean(point.utilities, point.variances);
    for (size_t i = 0; i < n; ++i) {
      const double r = std::pow(point.utilities[i] - mean, 2) / point.variances[i];
      residuals_ += sign * std::min(r, kClip * kClip);
    }
    freedom_ += sign * (static_cast<double>(n) - 1);
  };
  residuals(-1);
  point.figures = CombineTakes(point.takes);
  point.holds = HoldsAt(point);
  point.utilities.clear(), point.variances.clear();
  for (const Take& take : point.takes) {
    const auto utility = Utility(take.figures);
    if (!utility) continue;
    point.utilities.push_back(*utility);
    point.variances.push_back(Within(take.figures, take.window) + kBetween * kBetween);
  }
  residuals(1);
  if (!point.ranked()) return;
  double weights = 0;
  for (const double v : point.variances) weights += 1 / v;
  point.variance = 1 / weights;
  point.utility = RobustMean(point.utilities, point.variances, 1);
}

// A figure with an interval decides by that; one without by what its takes differ by, so that near
// its limit a single take decides nothing.
Holds Evidence::HoldsAt(const Point& point) const {
  Figures figures = point.figures;
  for (const Constraint& constraint : options_.goal.constraints) {
    const auto found = figures.find(constraint.field);
    if (found == figures.end() || (found->second.lower && found->second.upper)) continue;
    Figure& figure = found->second;
    const Field* field = FindField(constraint.field);
    const bool bytes = field != nullptr && field->unit == "bytes";
    if (!(figure.value > 0) || (bytes && point.takes.size() > 1)) continue;
    const double error =
        bytes ? kOfMemory : SpreadOfTakes(point.takes, constraint.field, kSpreadBelief);
    figure.lower = figure.value * std::exp(-kNormal95 * error);
    figure.upper = figure.value * std::exp(kNormal95 * error);
  }
  return CheckAll(options_.goal.constraints, figures);
}

std::optional<double> Evidence::Utility(const Figures& figures) const {
  double sum = 0, weights = 0;
  for (const Objective& objective : options_.goal.objectives) {
    const auto figure = figures.find(objective.field);
    if (figure == figures.end() || !std::isfinite(figure->second.value)) return std::nullopt;
    const double size = std::log(std::max(0.0, figure->second.value) + Least(objective.field));
    sum += objective.weight * (objective.better == Better::kLower ? -size : size);
    weights += objective.weight;
  }
  return sum / weights;
}

// What varied within the take, on the utility's scale.
double Evidence::Within(const Figures& figures, Nanos window) const {
  const double seconds = std::max(1e-3, Seconds(window));
  double sum = 0, weights = 0;
  for (const Objective& objective : options_.goal.objectives) {
    const Figure& figure = figures.find(objective.field)->second;
    double relative = kWithinSecond / std::sqrt(seconds);
    if (figure.lower && figure.upper && figure.value > 0) {
      const double told = (*figure.upper - *figure.lower) / 2 / kNormal95 / figure.value;
      // A short window's own interval rests on few batches: half of it is belief.
      relative = (relative + std::min(told, 1.0)) / 2;
    }
    sum += std::pow(objective.weight * relative, 2);
    weights += objective.weight;
  }
  return sum / (weights * weights);
}

double Evidence::TakeVariance(Nanos window) const {
  const double scale = (kBelief + residuals_) / (kBelief + freedom_);
  return scale *
         (kWithinSecond * kWithinSecond / std::max(1e-3, Seconds(window)) + kBetween * kBetween);
}

double Evidence::Error(const Point& point) const {
  return std::sqrt(point.variance * (kBelief + residuals_) / (kBelief + freedom_));
}

double Evidence::Lower(const Point& point, double z) const {
  return point.utility - z * Error(point);
}

double Evidence::Slack(size_t configuration, const Point& best) const {
  if (best.utilities.size() > 2) return 0;
  if (best.utilities.size() == 2) {
    const double apart = std::abs(best.utilities[0] - best.utilities[1]);
    return apart > 3 * Error(best) ? apart / 2 : 0;
  }
  for (const auto& [load, point] : Find(configuration)->points) {
    if (&point != &best && point.ranked() && point.utility > best.utility - kSlowTake / 2) return 0;
  }
  return kSlowTake;
}

const Tried* Evidence::Find(size_t configuration) const {
  const auto found = tried_.find(configuration);
  return found == tried_.end() ? nullptr : &found->second;
}

const Point* Evidence::Find(size_t configuration, size_t load) const {
  const Tried* tried = Find(configuration);
  if (tried == nullptr) return nullptr;
  const auto found = tried->points.find(load);
  return found == tried->points.end() ? nullptr : &found->second;
}

bool Evidence::Usable(const Point& point, bool strict) const {
  if (!point.ranked() || point.misses() > point.utilities.size()) return false;
  if (point.holds == Holds::kYes) return true;
  if (strict || point.holds != Holds::kUndecided) return false;
  if (point.takes.size() >= kDecidingTakes) return false;
  Figures bare = point.figures;
  for (auto& [name, figure] : bare) figure.lower.reset(), figure.upper.reset();
  return CheckAll(options_.goal.constraints, bare) == Holds::kYes;
}

bool Evidence::Doubtful(const Point& point) const {
  const bool against = point.holds == Holds::kNo || point.holds == Holds::kUndecided;
  if (!against || Usable(point, false) || point.takes.size() >= kBelievedTakes) return false;
  if (point.misses() > point.utilities.size()) return false;
  return NearMiss(point, 1.25 * kSlowTake / static_cast<double>(point.takes.size()));
}

bool Evidence::NearMiss(const Point& point, double share) const {
  if (!point.ranked() || point.holds == Holds::kUnknown) return false;
  for (const Constraint& constraint : options_.goal.constraints) {
    const Holds holds = Check(constraint, point.figures);
    if (holds != Holds::kNo && holds != Holds::kUndecided) continue;
    const double value = point.figures.find(constraint.field)->second.value;
    if (!(value > 0) || constraint.limit <= 0) return false;
    if (std::abs(std::log(value / constraint.limit)) > share) return false;
  }
  return true;
}

std::optional<double> Evidence::Violation(const Point& point) const {
  if (!point.ranked() || point.holds == Holds::kUnknown) return std::nullopt;
  double sum = 0;
  for (const Constraint& constraint : options_.goal.constraints) {
    const double value = point.figures.find(constraint.field)->second.value;
    if (!(value > 0) || constraint.limit <= 0) continue;
    const double over = std::log(value / constraint.limit);
    sum += std::max(0.0, constraint.at_most ? over : -over);
  }
  return sum;
}

const Point* Evidence::Best(size_t configuration, bool strict) const {
  const Tried* tried = Find(configuration);
  if (tried == nullptr || tried->refused) return nullptr;
  const Point* best = nullptr;
  for (const auto& [load, point] : tried->points) {
    if (!Usable(point, strict)) continue;
    if (best == nullptr || point.utility > best->utility) best = &point;
  }
  return best;
}

double Evidence::load_cost() const {
  return loads_ == 0 ? Seconds(options_.load_cost) : load_seconds_ / loads_;
}

double Evidence::warmup_cost() const {
  return warmups_ == 0 ? Seconds(options_.warmup_cost) : warmup_seconds_ / warmups_;
}

double Evidence::TakeCost(Nanos window) const {
  return static_cast<double>(options_.parts) * (warmup_cost() + Seconds(window));
}

double Evidence::Cost(const Trial& trial) const {
  return (loaded_ == trial.configuration ? 0 : load_cost()) + TakeCost(trial.window);
}

}  // namespace sextant::analyze
