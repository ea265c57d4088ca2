#include "stats/histogram.h"

#include <algorithm>
#include <cmath>

namespace sextant::stats {

Histogram::Histogram(int precision_bits) : precision_bits_(precision_bits) {
  SEXTANT_CHECK(precision_bits >= 1 && precision_bits <= 14, "histogram precision");
  // Index of the largest value in range, 2^kRangeBits - 1.
  const int exponent = kRangeBits - 1 - precision_bits_;
  last_ = (static_cast<uint32_t>(exponent) << precision_bits_) + (2u << precision_bits_) - 1;
  buckets_.resize(last_ + 1);
}

void Histogram::Merge(const Histogram& other) {
  SEXTANT_CHECK(precision_bits_ == other.precision_bits_,
                "merging histograms of different precision");
  if (other.count_ == 0) return;
  for (uint32_t i = other.BucketOf(other.min_); i <= other.BucketOf(other.max_); ++i)
    buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  squares_ += other.squares_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

void Histogram::Reset() {
  if (count_ == 0) return;
  // Only what was touched: most histograms fill a small part of their range.
  std::fill(buckets_.begin() + BucketOf(min_), buckets_.begin() + BucketOf(max_) + 1, 0);
  count_ = 0;
  sum_ = squares_ = 0;
  min_ = UINT64_MAX;
  max_ = 0;
}

double Histogram::mean() const {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

double Histogram::standard_deviation() const {
  if (count_ < 2) return 0;
  // About the minimum instead of zero: the integers are exact, so nothing cancels but what is
  // equal.
  const unsigned __int128 n = count_, min = min_;
  const auto shifted_sum = static_cast<long double>(sum_ - n * min);
  const auto shifted_squares = static_cast<long double>(squares_ - 2 * min * sum_ + n * min * min);
  const auto size = static_cast<long double>(count_);
  const long double centred = shifted_squares - shifted_sum * shifted_sum / size;
  return static_cast<double>(std::sqrt(std::max<long double>(0, centred / (size - 1))));
}

uint64_t Histogram::clamped() const {
  // Everything in the last bucket above its bounds: known exactly only through the maximum, so the
  // bucket is counted whole when the maximum lies beyond the range.
  return max_ >> kRangeBits != 0 ? buckets_[last_] : 0;
}

double Histogram::ValueAtRank(uint64_t k) const {
  SEXTANT_CHECK(k >= 1 && k <= count_, "rank outside the sample");
  if (k == 1) return static_cast<double>(min_);
  if (k == count_) return static_cast<double>(max_);
  uint64_t seen = 0;
  for (uint32_t i = BucketOf(min_); i <= BucketOf(max_); ++i) {
    seen += buckets_[i];
    if (seen < k) continue;
    const auto [low, high] = BucketBounds(i);
    // The middle of the bucket's values low .. high - 1.
    const double middle = static_cast<double>(low) + static_cast<double>(high - 1 - low) / 2;
    return std::clamp(middle, static_cast<double>(min_), static_cast<double>(max_));
  }
  return static_cast<double>(max_);
}

double Histogram::Quantile(double p) const {
  if (count_ == 0) return 0;
  const double rank = std::ceil(p * static_cast<double>(count_) - 1e-9);
  return ValueAtRank(std::clamp<uint64_t>(static_cast<uint64_t>(std::max(rank, 1.0)), 1, count_));
}

uint64_t Histogram::CountAbove(double value) const {
  if (value < 0) return count_;
  uint64_t above = 0;
  if (count_ == 0 || value >= 0x1p63) return 0;
  for (uint32_t i = BucketOf(static_cast<uint64_t>(value)) + 1; i <= BucketOf(max_); ++i)
    above += buckets_[i];
  return above;
}

std::pair<uint64_t, uint64_t> Histogram::BucketBounds(uint32_t index) const {
  const uint32_t linear = 2u << precision_bits_;
  if (index < linear) return {index, uint64_t{index} + 1};
  const uint32_t exponent = (index >> precision_bits_) - 1;
  const uint64_t mantissa = index - (exponent << precision_bits_);
  return {mantissa << exponent, (mantissa + 1) << exponent};
}

std::vector<std::pair<uint32_t, uint64_t>> Histogram::NonEmptyBuckets() const {
  std::vector<std::pair<uint32_t, uint64_t>> out;
  for (uint32_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] != 0) out.emplace_back(i, buckets_[i]);
  }
  return out;
}

Histogram::Exact Histogram::exact() const {
  return {min(),
          max_,
          static_cast<uint64_t>(sum_ >> 64),
          static_cast<uint64_t>(sum_),
          static_cast<uint64_t>(squares_ >> 64),
          static_cast<uint64_t>(squares_)};
}

Result<Histogram> Histogram::FromParts(int precision_bits,
                                       const std::vector<std::pair<uint32_t, uint64_t>>& buckets,
                                       const Exact& exact) {
  if (precision_bits < 1 || precision_bits > 14) return Corrupt("histogram precision out of range");
  Histogram h(precision_bits);
  for (const auto& [index, count] : buckets) {
    if (index > h.last_) return Corrupt("histogram bucket out of range");
    if (__builtin_add_overflow(h.count_, count, &h.count_))
      return Corrupt("histogram counts overflow");
    h.buckets_[index] += count;
  }
  if (h.count_ == 0) return h;
  if (exact.min > exact.max || h.buckets_[h.BucketOf(exact.min)] == 0 ||
      h.buckets_[h.BucketOf(exact.max)] == 0) {
    return Corrupt("histogram minimum and maximum do not fit its buckets");
  }
  h.min_ = exact.min;
  h.max_ = exact.max;
  h.sum_ = static_cast<unsigned __int128>(exact.sum_high) << 64 | exact.sum_low;
  h.squares_ = static_cast<unsigned __int128>(exact.squares_high) << 64 | exact.squares_low;
  return h;
}

}  // namespace sextant::stats
