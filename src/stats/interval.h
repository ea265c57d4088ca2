// Confidence intervals for rates and means of correlated series, by the method of batch means.
//
// A window is cut into equal intervals of time; y_i is what happened in interval i and x_i what it
// is measured against (its length for a rate, its number of requests for a mean). The estimate is
// the ratio sum(y) / sum(x). Neighbouring intervals are correlated, so they are joined into fewer,
// longer batches until the batches' residuals show no correlation, and the interval is Student's
// with the batches as the sample (Law and Kelton, "Simulation Modeling and Analysis", ch. 9; the
// correction for what correlation is left follows Skart: Tafazzoli, Wilson, Lada and Steiger,
// 2011).
#pragma once

#include <cstdint>
#include <span>

namespace sextant::stats {

struct IntervalEstimate {
  double value = 0;
  double half_width = 0;   // the interval is value +- half_width; meaningless unless `known`
  bool known = false;      // false: too few batches
  int batches = 0;         // on which the interval rests
  double correlation = 0;  // lag 1, between those batches
  double lower() const { return value - half_width; }
  double upper() const { return value + half_width; }
  // half_width / value; infinite when the value is 0.
  double relative() const;
};

// y and x have the same length, x_i >= 0. Fewer than 5 intervals give no interval.
IntervalEstimate BatchMeans(std::span<const double> y, std::span<const double> x,
                            double confidence = 0.95);

// Student's t quantile: T(df) exceeds it with probability `upper_tail`.
double StudentQuantile(double degrees_of_freedom, double upper_tail);

// Wilson's score interval for a share of k in n (Wilson 1927); n > 0.
IntervalEstimate ShareInterval(uint64_t k, uint64_t n, double confidence = 0.95);

// Bounds of a share of k in n, exact at any n (Clopper and Pearson 1934): each is wrong with a
// probability of at most (1 - confidence) / 2. n > 0; k and n need not be whole numbers, because
// requests that are alike are worth less than one each.
struct ShareBounds {
  double lower = 0, upper = 1;
};
ShareBounds ExactShare(double k, double n, double confidence = 0.95);

}  // namespace sextant::stats
