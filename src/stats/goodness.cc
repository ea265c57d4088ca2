#include "stats/goodness.h"

#include <algorithm>
#include <cmath>

namespace sextant::stats {

KolmogorovSmirnov TestLaw(std::vector<double> sample,
                          const std::function<double(double)>& cumulative) {
  KolmogorovSmirnov out;
  if (sample.empty()) return out;
  std::sort(sample.begin(), sample.end());
  const auto n = static_cast<double>(sample.size());
  for (size_t i = 0; i < sample.size(); ++i) {
    const double f = cumulative(sample[i]);
    const auto rank = static_cast<double>(i);
    out.distance = std::max({out.distance, f - rank / n, (rank + 1) / n - f});
  }
  const double scaled = (std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n)) * out.distance;
  double sum = 0, sign = 1;
  for (int k = 1; k <= 100; ++k) {
    const double term = std::exp(-2.0 * k * k * scaled * scaled);
    sum += sign * term;
    sign = -sign;
    if (term < 1e-12) break;
  }
  out.probability = scaled < 0.2 ? 1 : std::clamp(2 * sum, 0.0, 1.0);
  return out;
}

}  // namespace sextant::stats
