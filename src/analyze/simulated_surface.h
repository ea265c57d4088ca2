// SIMULATION, for tests and bench/search_surfaces.cc; not part of the program.
//
// A server whose truth is known: throughput and p99 as functions of the configuration (instances,
// max_batch_size, optionally a queue delay) and the concurrency, by a plausible law. Up to its knee
// a closed loop's throughput is n / R0, beyond it the capacity; in between a smooth minimum of
// both, far beyond it a slow fall. Latency is n / X (Little). What the surfaces differ in is the
// capacity: one peak, a diagonal ridge, growth up to a memory limit beyond which configurations
// collapse or cannot be loaded, or the same everywhere.
//
// Measurements are as from a real server: a second's throughput has a standard deviation of 2.5 %
// that falls with the root of the window, takes differ by 0.8 % more, the whole drifts by 2 % over
// minutes, and one take in twenty is 10 % slow.
// Threads: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analyze/search.h"
#include "base/random.h"

namespace sextant::analyze {

enum class SurfaceKind : uint8_t { kPeaked, kRidge, kCliff, kFlat };
std::string SurfaceName(SurfaceKind kind);

struct SurfaceOptions {
  SurfaceKind kind = SurfaceKind::kPeaked;
  uint64_t seed = 1;
  uint32_t instances = 5, batches = 8, delays = 1, loads = 11;
  double noise = 1;       // times what is said above
  double load_s = 3;      // to load a configuration
  double warmup_s = 0.5;  // before a take
};

class SimulatedSurface {
 public:
  explicit SimulatedSurface(const SurfaceOptions& options);

  const Space& space() const { return space_; }
  bool Loads(size_t configuration) const;
  double Throughput(size_t configuration, size_t load) const;
  double P99(size_t configuration, size_t load) const;
  Figures Truth(size_t configuration, size_t load) const;

  Outcome Measure(const Trial& trial);
  // For the comparators: a stretch of one launch; LaunchFactor() is what all its windows share.
  double LaunchFactor();
  Figures Window(size_t configuration, size_t load, double seconds, double launch_factor);

  double measured_s() const { return measured_s_; }  // windows alone
  double elapsed_s() const { return now_s_; }        // with loading and warm-up
  uint64_t loads() const { return loads_; }
  // Time that passes without a window, such as a process that starts.
  void Pass(double seconds) { now_s_ += seconds; }

 private:
  struct Law {
    double capacity, idle;  // inferences per second, seconds
    bool loads;
  };
  Law LawOf(double instances, double batch, double delay) const;
  double Drift() const;

  SurfaceOptions options_;
  Space space_;
  std::vector<Law> laws_;
  Random random_;
  double phase_[2];
  std::optional<size_t> loaded_;
  double measured_s_ = 0, now_s_ = 0;
  uint64_t loads_ = 0;
};

// The best true value of the goal over all points whose constraints hold, as a throughput.
double BestThroughput(const SimulatedSurface& surface, const Goal& goal);

}  // namespace sextant::analyze
