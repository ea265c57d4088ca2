// Distribution-free confidence bounds for quantiles.
//
// Of n independent values, the number below the true p-quantile is binomial(n, p), whatever their
// distribution. So the order statistics X(l) and X(u) enclose the quantile with probability
// P(l <= B < u), B ~ Binomial(n, p): the ranks are chosen so that this is at least the confidence
// (David and Nagaraja, "Order Statistics", 2003, section 7.1). When no such u <= n exists the
// sample is too small to bound the quantile from above, and that is what is reported.
//
// Latencies that follow each other are seldom independent: a stall delays many at once. The number
// of values is therefore divided by the design effect (Kish, 1965), estimated from how much more
// the count above the quantile varies between batches of consecutive values than a binomial would.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "stats/histogram.h"

namespace sextant::stats {

struct RankInterval {
  uint64_t lower = 0, upper = 0;  // 1-based ranks, lower <= upper
};

// The ranks that bound the p-quantile, 0 < p < 1, of n independent values; nothing when n is too
// small.
std::optional<RankInterval> QuantileRanks(uint64_t n, double p, double confidence = 0.95);

// The smallest n for which QuantileRanks exists: p99 needs 368 at 95 %.
uint64_t QuantileNeeds(double p, double confidence = 0.95);

// Consecutive parts of one sample, for the design effect.
struct Batch {
  uint64_t count = 0;  // values in the batch
  uint64_t above = 0;  // of them, above the quantile
};
// How many dependent values are worth one independent one; at least 1: the squared ratio of the
// interval that batch means (stats/interval.h) give for the share above, to the binomial one. With
// fewer than 5 batches nothing can be said and it is 1.
double DesignEffect(std::span<const Batch> batches, double confidence = 0.95);

struct QuantileEstimate {
  double p = 0;
  double value = 0;  // nearest rank
  std::optional<double> lower, upper;
  double design_effect = 1;
  uint64_t needs = 0;  // > 0: too few values for an interval, this many are needed
};
// The design effect for the quantile whose value this is, from histograms (of any precision) of
// consecutive parts of the sample.
double QuantileDesignEffect(double value, std::span<const Histogram* const> parts);
// The quantile of a histogram's values with its interval.
QuantileEstimate EstimateQuantile(const Histogram& values, double p, double design_effect = 1,
                                  double confidence = 0.95);

}  // namespace sextant::stats
