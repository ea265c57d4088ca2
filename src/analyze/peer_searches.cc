#include "analyze/peer_searches.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace sextant::analyze {
namespace {

constexpr int kTrials = 10, kAgree = 3;
constexpr double kStable = 0.1;
constexpr double kRequests = 50;  // of a counted window
constexpr size_t kTries = 4;
constexpr double kGain = 0.05;

// Measures as perf_analyzer does, and keeps the books.
class Peer {
 public:
  Peer(SimulatedSurface& surface, const Goal& goal) : surface_(surface), goal_(goal) {}

  // Nothing when the configuration does not load.
  std::optional<double> Measure(size_t configuration, size_t load) {
    const auto key = std::pair(configuration, load);
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    if (started_ != configuration) ++result_.starts, started_ = configuration;
    if (!surface_.Loads(configuration)) return std::nullopt;
    ++result_.launches;
    const double factor = surface_.LaunchFactor();
    const double quanta =
        std::max(1.0, std::ceil(kRequests / surface_.Throughput(configuration, load)));
    std::vector<double> rates, p99s;
    while (rates.size() < kTrials && !Agree(rates)) {
      const Figures figures = surface_.Window(configuration, load, quanta, factor);
      result_.measured_s += quanta;
      rates.push_back(figures.at("throughput").value);
      p99s.push_back(figures.at("latency_p99").value);
    }
    const double rate = LastMean(rates), p99 = LastMean(p99s);
    known_[key] = rate;
    const Figures all{{"throughput", {rate, {}, {}}}, {"latency_p99", {p99, {}, {}}}};
    const bool passes = CheckAll(goal_.constraints, all) == Holds::kYes;
    if (passes && (!result_.found || rate > best_)) {
      best_ = rate;
      result_.found = true, result_.configuration = configuration, result_.load = load;
    }
    return rate;
  }

  // The highest throughput, nothing when it does not load.
  std::optional<double> SweepConcurrency(size_t configuration) {
    std::vector<double> rates;
    for (const uint32_t load : surface_.space().loads_of[configuration]) {
      const auto rate = Measure(configuration, load);
      if (!rate) return std::nullopt;
      rates.push_back(*rate);
      if (rates.size() < kTries) continue;
      const double first = rates[rates.size() - kTries];
      const double most = *std::max_element(rates.end() - kTries, rates.end());
      if (most - first <= kGain * first) break;
    }
    return *std::max_element(rates.begin(), rates.end());
  }

  const PeerResult& result() const { return result_; }

 private:
  static double LastMean(const std::vector<double>& values) {
    const auto n = static_cast<ptrdiff_t>(std::min<size_t>(values.size(), kAgree));
    double sum = 0;
    for (auto it = values.end() - n; it != values.end(); ++it) sum += *it;
    return sum / static_cast<double>(n);
  }

  static bool Agree(const std::vector<double>& rates) {
    if (rates.size() < kAgree) return false;
    const double mean = LastMean(rates);
    return std::all_of(rates.end() - kAgree, rates.end(),
                       [&](double r) { return std::abs(r - mean) <= kStable * mean; });
  }

  SimulatedSurface& surface_;
  const Goal& goal_;
  PeerResult result_;
  std::map<std::pair<size_t, size_t>, double> known_;
  std::optional<size_t> started_;
  double best_ = 0;
};

size_t At(const Space& space, size_t instance, size_t batch) {
  return 1 + instance * space.axes[1].values.size() + batch;
}

using Coordinate = std::pair<int, int>;  // batch, instance

class Climb {
 public:
  Climb(const Space& space, Peer& peer) : space_(space), peer_(peer) {}

  void Run() {
    Coordinate home{0, 0};
    while (++visits_[home] <= 2) {
      const double here = Value(home);
      // Three coordinates within the radius must be known before a step.
      const double batch = Value({home.first + Direction(home.first, 0), home.second});
      const double instance = Value({home.first, home.second + Direction(home.second, 1)});
      const Coordinate step{Steps(Gain(here, batch)) * Direction(home.first, 0),
                            Steps(Gain(here, instance)) * Direction(home.second, 1)};
      Coordinate next{Clamp(home.first + step.first, 0), Clamp(home.second + step.second, 1)};
      if (next == home) break;
      // Back to the best that is known when the step was not one up.
      if (Value(next) < here) next = Best();
      if (next == home) break;
      home = next;
    }
  }

  std::vector<size_t> Top(size_t count) const {
    std::vector<std::pair<double, size_t>> sorted;
    for (const auto& [at, value] : values_)
      if (value > 0) sorted.emplace_back(-value, Configuration(at));
    std::sort(sorted.begin(), sorted.end());
    std::vector<size_t> out;
    for (size_t i = 0; i < std::min(count, sorted.size()); ++i) out.push_back(sorted[i].second);
    return out;
  }

 private:
  int Last(int dimension) const {
    return static_cast<int>(space_.axes[dimension == 0 ? 1 : 0].values.size()) - 1;
  }
  int Clamp(int value, int dimension) const { return std::clamp(value, 0, Last(dimension)); }
  int Direction(int value, int dimension) const { return value < Last(dimension) ? 1 : -1; }
  static int Steps(double gain) {
    const double size = std::abs(gain);
    const int steps = size > 1 ? 3 : size > 0.3 ? 2 : size > 0.09 ? 1 : 0;
    return gain < 0 ? -steps : steps;
  }
  static double Gain(double from, double to) {
    return from + to <= 0 ? 0 : 2 * (to - from) / (from + to);
  }
  size_t Configuration(Coordinate at) const {
    return At(space_, static_cast<size_t>(at.second), static_cast<size_t>(at.first));
  }
  double Value(Coordinate at) {
    if (const auto known = values_.find(at); known != values_.end()) return known->second;
    const double formula = 2 * std::exp2(at.first) * (at.second + 1);
    const size_t load = static_cast<size_t>(std::clamp(
        std::round(std::log2(formula)), 0.0, static_cast<double>(space_.loads.size() - 1)));
    return values_[at] = peer_.Measure(Configuration(at), load).value_or(0);
  }
  Coordinate Best() const {
    return std::max_element(values_.begin(), values_.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; })
        ->first;
  }

  const Space& space_;
  Peer& peer_;
  std::map<Coordinate, double> values_;
  std::map<Coordinate, int> visits_;
};

}  // namespace

PeerResult BruteForce(SimulatedSurface& surface, const Goal& goal) {
  Peer peer(surface, goal);
  const Space& space = surface.space();
  peer.SweepConcurrency(0);
  for (size_t instance = 0; instance < space.axes[0].values.size(); ++instance) {
    double most = 0;
    for (size_t batch = 0; batch < space.axes[1].values.size(); ++batch) {
      const auto rate = peer.SweepConcurrency(At(space, instance, batch));
      if (!rate || *rate <= most) break;
      most = *rate;
    }
  }
  return peer.result();
}

PeerResult QuickSearch(SimulatedSurface& surface, const Goal& goal) {
  Peer peer(surface, goal);
  const Space& space = surface.space();
  Climb climb(space, peer);
  climb.Run();
  peer.SweepConcurrency(0);
  for (const size_t configuration : climb.Top(3)) peer.SweepConcurrency(configuration);
  return peer.result();
}

}  // namespace sextant::analyze
