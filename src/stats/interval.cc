#include "stats/interval.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>
#include <limits>
#include <vector>

namespace sextant::stats {
namespace {

constexpr int kFewestBatches = 10;  // joining stops here; correlation that is left is corrected for

// Lag-1 autocorrelation of values whose mean is zero by construction.
double Correlation(std::span<const double> residuals) {
  double squares = 0, products = 0;
  for (size_t i = 0; i < residuals.size(); ++i) {
    squares += residuals[i] * residuals[i];
    if (i > 0) products += residuals[i] * residuals[i - 1];
  }
  return squares > 0 ? products / squares : 0;
}

// Sums of `size` neighbours; an incomplete last group joins the one before it.
std::vector<double> Join(std::span<const double> values, size_t size) {
  std::vector<double> out(std::max<size_t>(1, values.size() / size));
  for (size_t i = 0; i < values.size(); ++i) out[std::min(i / size, out.size() - 1)] += values[i];
  return out;
}

}  // namespace

double IntervalEstimate::relative() const {
  return value == 0 ? std::numeric_limits<double>::infinity() : half_width / std::abs(value);
}

double StudentQuantile(double degrees_of_freedom, double upper_tail) {
  return boost::math::quantile(
      boost::math::complement(boost::math::students_t(degrees_of_freedom), upper_tail));
}

IntervalEstimate BatchMeans(std::span<const double> y, std::span<const double> x,
                            double confidence) {
  IntervalEstimate out;
  double total_y = 0, total_x = 0;
  for (size_t i = 0; i < y.size(); ++i) total_y += y[i], total_x += x[i];
  if (total_x <= 0) return out;
  out.value = total_y / total_x;
  if (y.size() < 5) return out;

  for (size_t size = 1;; size *= 2) {
    const std::vector<double> joined_y = Join(y, size), joined_x = Join(x, size);
    const size_t n = joined_y.size();
    std::vector<double> residuals(n);
    double squares = 0;
    for (size_t i = 0; i < n; ++i) {
      residuals[i] = joined_y[i] - out.value * joined_x[i];
      squares += residuals[i] * residuals[i];
    }
    const double correlation = Correlation(residuals);
    // Of n uncorrelated values, the lag-1 correlation has mean about -1/n and deviation 1/sqrt(n).
    const auto count = static_cast<double>(n);
    const bool correlated = correlation + 1 / count > 1 / std::sqrt(count);
    if (correlated && n >= 2 * kFewestBatches) continue;
    // Residual correlation r widens the variance by (1 + r) / (1 - r); the estimate of r is biased
    // down by about 1/n, and a negative one is not used to narrow the interval.
    const double r = std::clamp(correlation + 1 / count, 0.0, 0.9);
    const double variance = squares * count / (count - 1) / (total_x * total_x) * (1 + r) / (1 - r);
    out.half_width = StudentQuantile(count - 1, (1 - confidence) / 2) * std::sqrt(variance);
    out.known = true;
    out.batches = static_cast<int>(n);
    out.correlation = correlation;
    return out;
  }
}

IntervalEstimate ShareInterval(uint64_t k, uint64_t n, double confidence) {
  IntervalEstimate out;
  const auto size = static_cast<double>(n);
  const double z =
      boost::math::quantile(boost::math::complement(boost::math::normal(), (1 - confidence) / 2));
  const double share = static_cast<double>(k) / size;
  const double scale = 1 + z * z / size;
  out.value = (share + z * z / (2 * size)) / scale;  // the interval's centre, not the raw share
  out.half_width = z / scale * std::sqrt(share * (1 - share) / size + z * z / (4 * size * size));
  out.known = true;
  out.batches = static_cast<int>(std::min<uint64_t>(n, 1'000'000));
  return out;
}

ShareBounds ExactShare(double k, double n, double confidence) {
  const double tail = (1 - confidence) / 2;
  ShareBounds out;
  if (k > 0)
    out.lower = k >= n ? std::pow(tail, 1 / n) : boost::math::ibeta_inv(k, n - k + 1, tail);
  if (k < n) out.upper = boost::math::ibeta_inv(k + 1, n - k, 1 - tail);
  return out;
}

}  // namespace sextant::stats
