// Does a sample follow the law it is said to follow?
#pragma once

#include <functional>
#include <vector>

namespace sextant::stats {

struct KolmogorovSmirnov {
  double distance = 0;  // largest gap between the empirical and the declared distribution function
  double probability = 1;  // of a gap at least as large if the law holds (asymptotic, n >= 35)
};
// One-sample two-sided test (Kolmogorov 1933, Smirnov 1948; the finite-n correction is Stephens',
// 1970).
KolmogorovSmirnov TestLaw(std::vector<double> sample,
                          const std::function<double(double)>& cumulative);

}  // namespace sextant::stats
