// When requests are due in an open loop: absolute times, whatever becomes of earlier requests.
// Pure.
//
// A load of rate r on n workers: constant arrivals are dealt out in turn (worker w takes arrivals
// w, w + n, ...), Poisson arrivals are n independent streams of rate r / n, whose union is Poisson
// again.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace sextant::load {

enum class Arrivals : uint8_t { kConstant, kPoisson };
std::string_view ArrivalsName(Arrivals arrivals);

class Schedule {
 public:
  virtual ~Schedule() = default;
  // The next due time since the schedule's origin; never decreasing.
  virtual Nanos Next() = 0;
};

class ConstantSchedule final : public Schedule {
 public:
  // The arrivals first, first + step, ... of a stream of `rate` per second.
  ConstantSchedule(double rate, uint64_t first, uint64_t step)
      : rate_(rate), next_(first), step_(step) {}
  Nanos Next() override {
    // From the index and not by adding up, so that nothing drifts.
    const Nanos due = FromSeconds(static_cast<double>(next_) / rate_);
    next_ += step_;
    return due;
  }

 private:
  const double rate_;
  uint64_t next_;
  const uint64_t step_;
};

class PoissonSchedule final : public Schedule {
 public:
  PoissonSchedule(double rate, Random random) : mean_(1e9 / rate), random_(random) {}
  Nanos Next() override {
    time_ += random_.Exponential(mean_);
    return Nanos(static_cast<int64_t>(time_));
  }

 private:
  const double mean_;  // nanoseconds
  Random random_;
  double time_ = 0;  // exact to a nanosecond for 104 days
};

// Worker `worker`'s part of the arrivals.
std::unique_ptr<Schedule> MakeSchedule(Arrivals arrivals, double rate, uint64_t worker,
                                       uint64_t workers, const Random& random);

}  // namespace sextant::load
