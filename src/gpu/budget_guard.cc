#include "gpu/budget_guard.h"

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

void BudgetGuard::Ran(Tier tier, Nanos inside) {
  constexpr double kWeight = 0.2;  // of the newest
  const size_t i = Index(tier);
  // The first run finds the driver cold and says nothing about the others.
  if (++runs_[i] == 1) return;
  cost_s_[i] =
      runs_[i] == 2 ? Seconds(inside) : cost_s_[i] + kWeight * (Seconds(inside) - cost_s_[i]);
  if (Share() > budget_) {
    stretch_ = Fitting(budget_);
  } else if (const Stretch shorter = Fitting(0.7 * budget_); Share(shorter) > Share()) {
    // Well within the budget with shorter periods: some air, or it would go to and fro.
    stretch_ = shorter;
  }
}

}  // namespace sextant::gpu
