// A log-linear histogram of durations with fixed memory.
//
// Values are non-negative integers (nanoseconds by convention). Each power of two is divided into
// 2^precision_bits equal buckets, so a value is known to within half a bucket: a relative error of
// at most 2^-(precision_bits + 1), 0.098 % with the default of 9. Values up to 2^42 - 1 (73 minutes
// in ns) have buckets; larger ones are counted in the last bucket and in clamped(). Count, sum, sum
// of squares, minimum and maximum are exact at any magnitude (128-bit sums). The layout is
// HdrHistogram's (Tene, 2014) without its decimal digits.
//
// Threads: none of its own. Record() neither allocates nor branches on data beyond the clamp.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sextant::stats {

class Histogram {
 public:
  static constexpr int kDefaultPrecisionBits = 9;
  // For per-interval series: 0.8 % and 19 KiB.
  static constexpr int kCoarsePrecisionBits = 6;
  static constexpr int kRangeBits = 42;

  explicit Histogram(int precision_bits = kDefaultPrecisionBits);

  void Record(int64_t value) {
    const uint64_t v = value < 0 ? 0 : static_cast<uint64_t>(value);
    ++buckets_[BucketOf(v)];
    ++count_;
    sum_ += v;
    squares_ += static_cast<unsigned __int128>(v) * v;
    if (v < min_) min_ = v;
    if (v > max_) max_ = v;
  }
  // Adds `other`, which must have the same precision; exact.
  void Merge(const Histogram& other);
  void Reset();

  uint64_t count() const { return count_; }
  // Exact; 0 when empty.
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  uint64_t max() const { return max_; }
  double mean() const;
  // Sample standard deviation (n - 1); 0 for fewer than two values.
  double standard_deviation() const;
  double sum() const { return static_cast<double>(sum_); }
  // How many values were beyond the range of the buckets.
  uint64_t clamped() const;
  int precision_bits() const { return precision_bits_; }

  // The value of rank k in 1..count() (1 is the smallest), to within the precision; the ends are
  // exact.
  double ValueAtRank(uint64_t k) const;
  // Nearest-rank quantile, p in (0, 1]: the value of rank ceil(p * count). 0 when empty.
  double Quantile(double p) const;
  // How many recorded values are certainly larger than `value` (to within the precision).
  uint64_t CountAbove(double value) const;

  // Non-empty buckets as (index, count), ascending: with the precision, all that is needed to write
  // a histogram down and to merge it exactly elsewhere.
  std::vector<std::pair<uint32_t, uint64_t>> NonEmptyBuckets() const;
  struct Exact {
    uint64_t min = 0, max = 0;
    // Sums split into 64-bit halves, high first.
    uint64_t sum_high = 0, sum_low = 0, squares_high = 0, squares_low = 0;
  };
  Exact exact() const;
  // Rebuilds a histogram from its parts. kCorrupt when they do not fit together.
  static Result<Histogram> FromParts(int precision_bits,
                                     const std::vector<std::pair<uint32_t, uint64_t>>& buckets,
                                     const Exact& exact);
  // Bounds of a bucket: [first, second).
  std::pair<uint64_t, uint64_t> BucketBounds(uint32_t index) const;

 private:
  uint32_t BucketOf(uint64_t v) const {
    // The lowest 2^(precision+1) values have a bucket each.
    const int exponent = std::bit_width(v) - 1 - precision_bits_;
    if (exponent <= 0) return static_cast<uint32_t>(v);
    const uint32_t index =
        (static_cast<uint32_t>(exponent) << precision_bits_) + static_cast<uint32_t>(v >> exponent);
    return index < last_ ? index : last_;
  }

  int precision_bits_;
  uint32_t last_;  // index of the last bucket, which also takes everything beyond the range
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  unsigned __int128 sum_ = 0, squares_ = 0;
  uint64_t min_ = UINT64_MAX, max_ = 0;
};

}  // namespace sextant::stats
