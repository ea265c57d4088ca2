// When requests are due in an open loop: absolute times, whatever becomes of earlier requests.
// Pure.
//
// A schedule is one stream of arrivals, drawn from one seed, and dealt out in turn: of `step`
// parts, the part `first` takes the arrivals first, first + step, ... So every arrival is taken
// exactly once, and the stream is the same however many workers or machines share it. For that each
// part draws the whole stream, which costs it some 20 ns per arrival of others.
//
// A law says how arrivals follow each other when one is expected per unit; a rate turns units into
// time. Arrival j of the law, at u(j), is due at the time t until which u(j) arrivals are expected:
// the integral of the rate over [0, t] is u(j). By this change of time a Poisson law over a profile
// is exactly the Poisson process with that rate (Cinlar, "Introduction to Stochastic Processes",
// 1975, section 4.7); no arrival is drawn and thrown away.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace sextant::load {

// How arrivals follow each other.
struct ArrivalLaw {
  enum class Kind : uint8_t {
    kConstant,  // evenly
    kPoisson,   // independently
    kGamma,     // gamma-distributed distances: cv < 1 is more even than Poisson, cv > 1 burstier
    kBurst      // `size` at once, the bursts evenly
  };
  Kind kind = Kind::kConstant;
  double cv = 1;      // coefficient of variation of the distances
  uint64_t size = 1;  // of a burst
  bool operator==(const ArrivalLaw&) const = default;
};
// "constant", "poisson", "gamma:CV" (CV from 0.01 to 100), "burst:N" (N from 1 to 1000000).
Result<ArrivalLaw> ParseArrivalLaw(std::string_view text);
std::string ArrivalLawName(const ArrivalLaw& law);

// A rate that changes with time, and ends.
class RateProfile {
 public:
  enum class Shape : uint8_t { kLinear, kStep };
  // From `from` to `to` per second, over `length_s`.
  struct Segment {
    double begin_s = 0, length_s = 0, from = 0, to = 0;
    double expected_before = 0;  // arrivals until its begin
    double expected() const { return (from + to) / 2 * length_s; }
  };

  // Points "0s:100,30s:500,60s:100" (time:rate), between which the rate is a straight line, or
  // stays as it is until the next point (kStep); or a ramp "100..500/30s". The first point is at
  // 0s, the last one ends the schedule; two points at one time are a jump. All mistakes at once.
  static Result<RateProfile> Parse(std::string_view text, Shape shape);

  const std::vector<Segment>& segments() const { return segments_; }
  Nanos length() const { return FromSeconds(segments_.back().begin_s + segments_.back().length_s); }
  double expected() const { return segments_.back().expected_before + segments_.back().expected(); }
  double mean_rate() const { return expected() / (static_cast<double>(length().count()) / 1e9); }
  const std::string& text() const { return text_; }

 private:
  std::vector<Segment> segments_;  // without empty ones
  std::string text_;               // as it was written, and its shape
};

// Arrivals that were recorded or written down (load/trace.h reads them).
struct Replay {
  std::string kind;            // "trace", "intervals", "fixed schedule"
  std::vector<Nanos> due;      // ascending, from 0 on
  std::vector<uint32_t> rows;  // of the data set, one per arrival; empty: not stated
  Nanos period{0};             // > 0: begins anew after so long, for ever
  double mean_rate() const;
};

// The arrivals of a level. With neither profile nor replay they have the level's rate.
struct ArrivalPlan {
  ArrivalLaw law;
  std::shared_ptr<const RateProfile> profile;
  std::shared_ptr<const Replay> replay;

  // When the schedule ends; no arrival is later. Nothing: it never ends.
  std::optional<Nanos> length() const;
  // The rate that is due on average, where the plan itself says it.
  std::optional<double> mean_rate() const;
  std::string Describe() const;  // "poisson", "gamma:0.5", "trace"
};

class Schedule {
 public:
  static constexpr Nanos kNever = Nanos::max();
  virtual ~Schedule() = default;
  // The next due time since the schedule's origin; never decreasing. kNever: it has ended.
  virtual Nanos Next() = 0;
  // The row of the data set that goes with what Next() returned last, where a trace names it.
  virtual uint32_t row() const { return 0; }
};

// Which arrivals of a stream.
struct Part {
  uint64_t first = 0, step = 1;
  // The part's part `index` of `count`.
  Part Of(uint64_t index, uint64_t count) const { return {first + step * index, step * count}; }
};

// A part of the arrivals. `rate`, per second, counts where the plan has none of its own.
std::unique_ptr<Schedule> MakeSchedule(const ArrivalPlan& plan, double rate, Part part,
                                       const Random& random);

}  // namespace sextant::load
