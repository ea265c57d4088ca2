// How often a device may be asked, so that the driver is not kept busier than allowed. Pure.
//
// Tiers of calls, each with its period. What a run of a tier costs is a moving mean, over ten
// seconds, of what its runs took inside the driver; where the sum is beyond the budget, periods are
// doubled: first those of the slow tier, then of the medium, then of the fast ones, and of each
// only where that saves something. When calls become cheap again, so do the periods become short.
//
// Time is the clock's and not the processor's: a call that waits holds the driver's lock, and
// others up. So a call during which somebody else had the core looks dear; one of those is no
// reason yet.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace sextant::gpu {

// In the order in which they are lowered. GPM is as fast as the fast tier, and dearer.
enum class Tier : uint8_t { kSlow, kMedium, kGpm, kFast };
constexpr size_t kTiers = 4;

class BudgetGuard {
 public:
  explicit BudgetGuard(std::array<Nanos, kTiers> periods) : periods_(periods) {}

  // A run of the tier took this long inside the driver, and `budget` is the share of time that all
  // of them may take.
  void Ran(Tier tier, Nanos inside, double budget);
  Nanos Period(Tier tier) const { return At(tier) * stretch_[Index(tier)]; }
  bool stretched(Tier tier) const { return stretch_[Index(tier)] > 1; }
  // The share of time inside the driver that is to be expected as it is now, and as it would be
  // with nothing stretched.
  double Share() const { return Share(stretch_); }
  double ShareUnguarded() const { return Share({1, 1, 1, 1}); }

 private:
  using Stretch = std::array<int64_t, kTiers>;
  // Once in a while something must be asked, or nobody would know that it is cheap again.
  static constexpr Stretch kMost = {16, 16, 64, 64};

  static size_t Index(Tier tier) { return static_cast<size_t>(tier); }
  Nanos At(Tier tier) const { return periods_[Index(tier)]; }
  double TierShare(size_t tier, const Stretch& stretch) const;
  double Share(const Stretch& stretch) const;
  Stretch Fitting(double budget) const;

  std::array<Nanos, kTiers> periods_;
  Stretch stretch_{1, 1, 1, 1};
  std::array<double, kTiers> cost_s_{};
  std::array<uint64_t, kTiers> runs_{};
};

}  // namespace sextant::gpu
