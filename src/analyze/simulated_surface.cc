#include "analyze/simulated_surface.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/strings.h"

namespace sextant::analyze {
namespace {

constexpr double kSecondsNoise = 0.025, kTakeNoise = 0.008, kDrift = 0.02;
constexpr double kSlowShare = 0.05, kSlow = 0.9;
// How sharp the knee is.
constexpr double kSharpness = 4;

double Square(double x) { return x * x; }

}  // namespace

std::string SurfaceName(SurfaceKind kind) {
  switch (kind) {
    case SurfaceKind::kPeaked:
      return "peaked";
    case SurfaceKind::kRidge:
      return "ridge";
    case SurfaceKind::kCliff:
      return "cliff";
    case SurfaceKind::kFlat:
      return "flat";
  }
  return "?";
}

SimulatedSurface::SimulatedSurface(const SurfaceOptions& options)
    : options_(options), random_(options.seed), phase_{0, 0} {
  for (double& phase : phase_) phase = 2 * std::numbers::pi * random_.Uniform();
  Axis instances{"instance_group.count", {}}, batches{"max_batch_size", {}};
  Axis delays{"dynamic_batching.max_queue_delay_microseconds", {}};
  for (uint32_t i = 0; i < options.instances; ++i)
    instances.values.emplace_back(static_cast<int64_t>(i + 1));
  for (uint32_t b = 0; b < options.batches; ++b) batches.values.emplace_back(int64_t{1} << b);
  for (uint32_t d = 0; d < options.delays; ++d)
    delays.values.emplace_back(static_cast<int64_t>(d) * 200);
  space_.axes = {instances, batches};
  if (options.delays > 1) space_.axes.push_back(delays);
  space_.configurations.emplace_back();
  laws_.push_back(LawOf(1, 8, 0));
  for (uint32_t i = 0; i < options.instances; ++i) {
    for (uint32_t b = 0; b < options.batches; ++b) {
      for (uint32_t d = 0; d < options.delays; ++d) {
        Configuration configuration{{i, b}, {}};
        if (options.delays > 1) configuration.coordinates.push_back(d);
        space_.configurations.push_back(configuration);
        laws_.push_back(LawOf(i + 1.0, std::exp2(b), d * 200e-6));
      }
    }
  }
  for (uint32_t l = 0; l < options.loads; ++l) {
    Load load;
    load.point.value = std::exp2(l);
    space_.loads.push_back(load);
  }
  std::vector<uint32_t> all(options.loads);
  for (uint32_t l = 0; l < options.loads; ++l) all[l] = l;
  space_.loads_of.assign(space_.configurations.size(), all);
}

SimulatedSurface::Law SimulatedSurface::LawOf(double instances, double batch, double delay) const {
  Law law{2000, 0.004 + 0.0004 * batch + delay, true};
  const double b = std::log2(batch);
  // A delay helps a little up to a millisecond's third, then only costs.
  const double waiting = 1 - 0.04 * Square((delay - 400e-6) / 1e-3);
  switch (options_.kind) {
    case SurfaceKind::kPeaked:
      law.capacity = 3000 * std::exp(-0.08 * Square(instances - 3.1) - 0.05 * Square(b - 4.1));
      break;
    case SurfaceKind::kRidge: {
      const double along = instances - 0.5 * b, across = instances + 0.8 * b - 6.6;
      law.capacity = 3000 * std::exp(-0.05 * Square(across) - 0.008 * Square(along - 1.2));
      break;
    }
    case SurfaceKind::kCliff: {
      const double memory = instances * (1 + batch / 32);
      law.capacity = 1200 * std::pow(instances, 0.5) * std::pow(batch, 0.15);
      law.loads = memory <= 10;
      // What does not quite fit is moved back and forth.
      if (memory > 8) law.capacity *= 0.3;
      break;
    }
    case SurfaceKind::kFlat:
      law.idle = 0.006;
      return law;
  }
  law.capacity *= waiting;
  return law;
}

bool SimulatedSurface::Loads(size_t configuration) const { return laws_[configuration].loads; }

double SimulatedSurface::Throughput(size_t configuration, size_t load) const {
  const Law& law = laws_[configuration];
  if (!law.loads) return 0;
  const double n = space_.loads[load].point.value;
  const double x = std::pow(
      std::pow(law.idle / n, kSharpness) + std::pow(1 / law.capacity, kSharpness), -1 / kSharpness);
  const double beyond = std::log2(n / (16 * law.capacity * law.idle));
  return x / (1 + 0.01 * std::max(0.0, beyond));
}

double SimulatedSurface::P99(size_t configuration, size_t load) const {
  const Law& law = laws_[configuration];
  const double x = Throughput(configuration, load);
  return space_.loads[load].point.value / x * (1.3 + 0.7 * x / law.capacity);
}

Figures SimulatedSurface::Truth(size_t configuration, size_t load) const {
  const double x = Throughput(configuration, load);
  if (x <= 0) return {};
  return {{"throughput", {x, {}, {}}},
          {"latency_p99", {P99(configuration, load), {}, {}}},
          {"latency_avg", {space_.loads[load].point.value / x, {}, {}}}};
}

double SimulatedSurface::Drift() const {
  const double turn = 2 * std::numbers::pi * now_s_;
  return kDrift * options_.noise *
         (0.6 * std::sin(turn / 420 + phase_[0]) + 0.4 * std::sin(turn / 170 + phase_[1]));
}

double SimulatedSurface::LaunchFactor() {
  const double slow = random_.Uniform() < kSlowShare && options_.noise > 0 ? kSlow : 1;
  return slow * (1 + kTakeNoise * options_.noise * random_.Normal());
}

Figures SimulatedSurface::Window(size_t configuration, size_t load, double seconds,
                                 double launch_factor) {
  const double sd = kSecondsNoise * options_.noise / std::sqrt(seconds);
  const double factor = launch_factor * (1 + Drift()) * (1 + sd * random_.Normal());
  const double x = Throughput(configuration, load) * factor;
  const double n = space_.loads[load].point.value;
  // What the take's own interval knows, from ten batches or so.
  const double told = 2.26 * sd * std::sqrt(random_.Gamma(4.5) / 4.5);
  const double p99_sd = 2.5 * sd;
  const double p99 = P99(configuration, load) / factor * std::exp(p99_sd * random_.Normal());
  Figures out{{"throughput", {x, x * (1 - told), x * (1 + told)}},
              {"latency_avg", {n / x, n / x * (1 - told), n / x * (1 + told)}},
              {"latency_p99", {p99, {}, {}}},
              {"error_rate", {0, {}, {}}}};
  if (x * seconds >= 368)
    out["latency_p99"] = {p99, p99 * (1 - 2 * p99_sd), p99 * (1 + 2 * p99_sd)};
  measured_s_ += seconds;
  now_s_ += seconds;
  return out;
}

Outcome SimulatedSurface::Measure(const Trial& trial) {
  Outcome outcome;
  outcome.trial = trial;
  if (loaded_ != trial.configuration) {
    outcome.load_cost_s = options_.load_s;
    now_s_ += options_.load_s;
    ++loads_;
    loaded_ = trial.configuration;
  }
  if (!Loads(trial.configuration)) {
    outcome.status = Outcome::Status::kRefused;
    loaded_.reset();
    return outcome;
  }
  now_s_ += options_.warmup_s;
  outcome.figures = Window(trial.configuration, trial.load, Seconds(trial.window), LaunchFactor());
  outcome.cost_s = options_.warmup_s + Seconds(trial.window);
  return outcome;
}

double BestThroughput(const SimulatedSurface& surface, const Goal& goal) {
  double best = 0;
  for (size_t c = 0; c < surface.space().configurations.size(); ++c) {
    for (const uint32_t load : surface.space().loads_of[c]) {
      const Figures truth = surface.Truth(c, load);
      if (!truth.empty() && CheckAll(goal.constraints, truth) == Holds::kYes)
        best = std::max(best, truth.at("throughput").value);
    }
  }
  return best;
}

}  // namespace sextant::analyze
