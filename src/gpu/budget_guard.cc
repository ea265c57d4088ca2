#include "gpu/budget_guard.h"

#include <algorithm>

namespace sextant::gpu {

double BudgetGuard::TierShare(size_t tier, const Stretch& stretch) const {
  return cost_s_[tier] / Seconds(periods_[tier] * stretch[tier]);
}

double BudgetGuard::Share(const Stretch& stretch) const {
  double share = 0;
  for (size_t tier = 0; tier < kTiers; ++tier) share += TierShare(tier, stretch);
  return share;
}

BudgetGuard::Stretch BudgetGuard::Fitting(double budget) const {
  constexpr double kWorthwhile = 0.05;  // of the budget
  Stretch stretch{1, 1, 1, 1};
  for (size_t tier = 0; tier < kTiers; ++tier) {
    while (Share(stretch) > budget && stretch[tier] < kMost[tier] &&
           TierShare(tier, stretch) > kWorthwhile * budget)
      stretch[tier] *= 2;
  }
  return stretch;
}

void BudgetGuard::Ran(Tier tier, Nanos inside, double budget) {
  constexpr double kHorizonS = 10;
  constexpr uint64_t kBeginning = 30;  // runs, in which the mean comes to where it belongs
  const size_t i = Index(tier);
  // The first run finds the driver cold and says nothing about the others.
  if (++runs_[i] == 1) return;
  const double weight =
      std::clamp(Seconds(Period(tier)) / kHorizonS, runs_[i] <= kBeginning ? 0.1 : 0.0, 0.3);
  cost_s_[i] += weight * (Seconds(inside) - cost_s_[i]);
  if (Share() > budget) {
    stretch_ = Fitting(budget);
  } else if (const Stretch shorter = Fitting(0.7 * budget); Share(shorter) > Share()) {
    // Well within the budget with shorter periods: some air, or it would go to and fro.
    stretch_ = shorter;
  }
}

}  // namespace sextant::gpu
