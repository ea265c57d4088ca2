#include "stats/quantile.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <vector>

#include "stats/interval.h"

namespace sextant::stats {
namespace {

// P(B <= k) for B ~ Binomial(n, p); k may be -1.
double BinomialCdf(double n, double p, double k) {
  if (k < 0) return 0;
  if (k >= n) return 1;
  return boost::math::cdf(boost::math::binomial(n, p), k);
}

}  // namespace

std::optional<RankInterval> QuantileRanks(uint64_t n, double p, double confidence) {
  if (n == 0) return std::nullopt;
  const auto size = static_cast<double>(n);
  const double tail = (1 - confidence) / 2;
  // Equal tails first: the largest lower rank and the smallest upper rank that leave at most the
  // tail outside. The library's quantiles, rounded as its policies say, are only the starting
  // points.
  const boost::math::binomial law(size, p);
  double lower = boost::math::quantile(law, tail);
  while (lower > 0 && BinomialCdf(size, p, lower - 1) > tail) --lower;
  while (BinomialCdf(size, p, lower) <= tail) ++lower;
  double upper = boost::math::quantile(law, 1 - tail);
  while (upper > 1 && BinomialCdf(size, p, upper - 2) >= 1 - tail) --upper;
  while (BinomialCdf(size, p, upper - 1) < 1 - tail) ++upper;
  if (lower < 1 || upper > size) return std::nullopt;
  // The binomial is discrete, so equal tails enclose more than asked; take in whichever end is
  // cheaper as long as the confidence holds.
  const auto coverage = [&](double l, double u) {
    return BinomialCdf(size, p, u - 1) - BinomialCdf(size, p, l - 1);
  };
  for (;;) {
    const double raised = coverage(lower + 1, upper), lowered = coverage(lower, upper - 1);
    if (std::max(raised, lowered) < confidence || lower + 1 >= upper) break;
    raised >= lowered ? ++lower : --upper;
  }
  return RankInterval{static_cast<uint64_t>(lower), static_cast<uint64_t>(upper)};
}

uint64_t QuantileNeeds(double p, double confidence) {
  const double tail = (1 - confidence) / 2;
  // Some value must lie above with confidence 1 - tail (p^n <= tail) and some below ((1-p)^n <=
  // tail).
  const double side = std::max(p, 1 - p);
  auto n = static_cast<uint64_t>(std::max(1.0, std::floor(std::log(tail) / std::log(side)) - 2));
  while (!QuantileRanks(n, p, confidence)) ++n;
  return n;
}

double DesignEffect(std::span<const Batch> batches, double confidence) {
  std::vector<double> above, count;
  double n = 0;
  for (const Batch& batch : batches) {
    above.push_back(static_cast<double>(batch.above));
    count.push_back(static_cast<double>(batch.count));
    n += count.back();
  }
  const IntervalEstimate share = BatchMeans(above, count, confidence);
  if (!share.known || share.value <= 0 || share.value >= 1) return 1;
  const double z =
      boost::math::quantile(boost::math::complement(boost::math::normal(), (1 - confidence) / 2));
  const double binomial = z * std::sqrt(share.value * (1 - share.value) / n);
  return std::max(1.0, share.half_width * share.half_width / (binomial * binomial));
}

double QuantileDesignEffect(double value, std::span<const Histogram* const> parts) {
  std::vector<Batch> batches;
  for (const Histogram* part : parts) batches.push_back({part->count(), part->CountAbove(value)});
  return DesignEffect(batches);
}

QuantileEstimate EstimateQuantile(const Histogram& values, double p, double design_effect,
                                  double confidence) {
  QuantileEstimate out{.p = p, .design_effect = std::max(1.0, design_effect)};
  const uint64_t n = values.count();
  if (n == 0) {
    out.needs = QuantileNeeds(p, confidence);
    return out;
  }
  out.value = values.Quantile(p);
  const auto effective = static_cast<uint64_t>(static_cast<double>(n) / out.design_effect);
  const std::optional<RankInterval> ranks = QuantileRanks(effective, p, confidence);
  if (!ranks) {
    out.needs = static_cast<uint64_t>(
        std::ceil(static_cast<double>(QuantileNeeds(p, confidence)) * out.design_effect));
    return out;
  }
  // Ranks of the effective sample, stretched to the whole one: rank k of few values stands for what
  // lies between k - 1 and k of them, so its middle is taken; without that the highest rank of a
  // small effective sample would be the maximum of all.
  const auto stretch = [&](uint64_t rank) {
    const double position = (static_cast<double>(rank) - 0.5) / static_cast<double>(effective) *
                                static_cast<double>(n) +
                            0.5;
    return std::clamp<uint64_t>(static_cast<uint64_t>(std::llround(position)), 1, n);
  };
  out.lower = std::min(values.ValueAtRank(stretch(ranks->lower)), out.value);
  out.upper = std::max(values.ValueAtRank(stretch(ranks->upper)), out.value);
  return out;
}

}  // namespace sextant::stats
