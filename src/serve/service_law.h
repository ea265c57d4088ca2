// How long a simulated model takes: the declared truth that measurements are tested against. Pure.
//
// The time of one execution of a batch of n items while k instances are busy (this one included):
//   (law + per_item * n) * (1 + contention * (k - 1)) * (cliff, if memory is over its limit)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace sextant::serve {

class ServiceLaw {
 public:
  enum class Kind : uint8_t { kFixed, kNormal, kLognormal, kExponential, kBimodal };

  // "fixed(10ms)", "normal(MEAN, DEVIATION)" (cut off at 0), "lognormal(MEDIAN, SIGMA)",
  // "exponential(MEAN)", "bimodal(FAST, SLOW, SHARE_OF_SLOW)"; a bare duration is fixed.
  static Result<ServiceLaw> Parse(std::string_view text);
  std::string Text() const;

  Nanos Draw(Random& random) const;
  // The exact p-quantile, 0 < p < 1 (of normal: without the cut), and the mean.
  Nanos Quantile(double p) const;
  Nanos Mean() const;

  Kind kind = Kind::kFixed;
  Nanos first{0};    // fixed time, mean, median, fast
  Nanos second{0};   // deviation, slow
  double third = 0;  // sigma, share of slow
};

// The inverse of the standard normal distribution function, 1e-12 < p < 1 - 1e-12.
double NormalQuantile(double p);

}  // namespace sextant::serve
