// The monotone function nearest to noisy values: isotonic regression.
//
// Weighted least squares by pooling neighbours that are in the wrong order (pool adjacent
// violators: Ayer, Brunk, Ewing, Reid and Silverman, "An empirical distribution function for
// sampling with incomplete information", 1955). O(n). Pure.
#pragma once

#include <span>
#include <vector>

namespace sextant::analyze {

// Of values in order, with their weights (> 0), the nearest that nowhere falls.
std::vector<double> IsotonicFit(std::span<const double> values, std::span<const double> weights);
// The same, that falls nowhere before its maximum and rises nowhere after it: throughput over load.
std::vector<double> UnimodalFit(std::span<const double> values, std::span<const double> weights);

}  // namespace sextant::analyze
