// Samples of one quantity, as they come, made into what it did over a window. Pure: instants are
// arguments, and do not go back.
//
// The mean is over time: between two samples the quantity is taken to go straight from one to the
// other, before the first and after the last to stay. What nobody looked at for longer than a gap
// weighs no more than that gap, so that a device that stopped answering does not weigh in with its
// last value.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.h"
#include "gpu/sampler.h"

namespace sextant::gpu {

class SignalWindow {
 public:
  void Begin(Instant at);
  void Add(Instant at, double value, Nanos gap);
  Signal Close(Instant at) const;

 private:
  // For the percentile. Beyond this many, every second one is dropped, and from then on not kept.
  static constexpr size_t kMostKept = 8192;

  Instant begin_{}, last_at_{};
  Nanos gap_{0};
  uint64_t samples_ = 0, stride_ = 1;
  double last_ = 0, min_ = 0, max_ = 0;
  double area_ = 0, weight_s_ = 0;
  std::vector<double> kept_;
};

// A counter that only grows, such as energy: how much it grew in a window. The window's edges lie
// between readings; there it is taken to grow evenly.
class CounterWindow {
 public:
  void Begin(Instant at);
  void Add(Instant at, double value, Nanos gap);
  // Nothing when it was not read for longer than a gap at either edge, or went back.
  std::optional<double> Close(Instant at) const;

 private:
  struct Reading {
    Instant at;
    double value;
  };
  Instant begin_{};
  Nanos gap_{0};
  bool went_back_ = false;
  std::optional<Reading> first_;  // in the window, or at its edge
  std::optional<Reading> last_;   // may be from before the window
};

}  // namespace sextant::gpu
