// What a simulated quantity does over time: for the simulated driver (nvml_sim.cc). Pure, except
// that a replay reads its file when it is parsed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sextant::gpu::sim {

class Waveform {
 public:
  // constant V | constant na | square LOW HIGH PERIOD [DUTY] | sine MEAN AMPLITUDE PERIOD |
  // ramp FROM TO SECONDS | noise MEAN DEVIATION [SEED] | replay FILE
  //
  // Numbers may be sizes ("20GiB"). A square begins high. Noise is normal, not below zero, anew
  // every 10 ms. A replay's file has lines "SECONDS,VALUE"; a value holds until the next, and after
  // the last it begins again. "na" is what a driver says that does not know.
  static Result<Waveform> Parse(std::span<const std::string_view> words);
  static Waveform Constant(double value);

  // Nothing: not available.
  std::optional<double> At(double seconds) const;
  // The mean over [from, to], to a thousandth; At(to) when that is no span.
  std::optional<double> Mean(double from, double to) const;

 private:
  enum class Kind { kConstant, kSquare, kSine, kRamp, kNoise, kReplay };
  Kind kind_ = Kind::kConstant;
  bool available_ = true;
  double a_ = 0, b_ = 0, period_ = 1, duty_ = 0.5;
  uint64_t seed_ = 1;
  std::vector<std::pair<double, double>> rows_;
};

// What an interface shows of a quantity: refreshed every `refresh_s`, and then the mean of the last
// `average_s`.
struct Shown {
  Waveform waveform;
  double refresh_s = 0, average_s = 0;
  std::optional<double> At(double seconds) const;
};

// A number or a size.
std::optional<double> ParseAmount(std::string_view text);

}  // namespace sextant::gpu::sim
