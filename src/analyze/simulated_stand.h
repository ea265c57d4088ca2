// SIMULATION, for tests; not part of the program.
//
// A stand over a simulated surface whose every figure is a function of configuration, load, take
// and seed: what is measured in pieces, by several processes one after the other, is the same as in
// one. Some configurations cannot be loaded, some points cannot be measured, and one load kills the
// server. No time passes unless `point_time` says so.
// Threads: plain values.
#pragma once

#include <string>
#include <vector>

#include "analyze/analysis.h"
#include "analyze/simulated_surface.h"

namespace sextant::analyze {

struct SimulatedStandOptions {
  SurfaceOptions surface;
  uint64_t seed = 1;
  Nanos point_time{0};  // really spent on each point and each loading
  bool faults = true;
};

// The stand learns from being told what begins which take it is.
class SimulatedStand : public Stand, public Watcher {
 public:
  explicit SimulatedStand(const SimulatedStandOptions& options);

  // With settings, which tell the configurations apart.
  const Space& space() const { return space_; }
  std::vector<std::string> names() const;
  const std::vector<size_t>& loaded() const { return loaded_; }  // in their order
  uint64_t measured() const { return measured_; }

  Result<LoadReport> LoadConfiguration(size_t configuration) override;
  Measured Measure(const Trial& trial) override;
  void Begins(const PointRecord& point) override { take_ = point.take; }

 private:
  Random RandomOf(uint64_t a, uint64_t b, uint64_t c) const;
  void Spend() const;

  const SimulatedStandOptions options_;
  SimulatedSurface surface_;
  Space space_;
  std::vector<size_t> loaded_;
  uint64_t measured_ = 0;
  int take_ = 1;
};

}  // namespace sextant::analyze
