// What exhaustive and adaptive search share: evidence, the confirmation that ends both, the budget.
//
// Racing: what is dominated with confidence gets no more time, what is close gets more (Maron and
// Moore, "Hoeffding races", 1994; Birattari et al., "A racing algorithm for configuring
// metaheuristics", 2002). Here with normal bounds at a level that Bonferroni corrects for the
// number of configurations tried, constraints inside the decision, and paired rounds at the end.
// Threads: plain values.
#pragma once

#include <vector>

#include "analyze/conclude.h"
#include "analyze/lattice.h"

namespace sextant::analyze {

class RacingSearch : public Search {
 public:
  RacingSearch(const Space& space, const SearchOptions& options);

  std::optional<Trial> Next() final;
  void Report(const Outcome& outcome) final;
  Conclusion Conclude() const final;
  Remaining Estimate() const override;

 protected:
  // The next look before the confirmation; nothing: there is nothing more to be found.
  virtual std::optional<Trial> Explore() = 0;
  virtual void Seen(const Outcome& /*outcome*/) {}
  // Expected before the confirmation: trials, and how often what is measured changes.
  struct Effort {
    double trials = 0, loads = 0;
    double most = 1.4;  // times that many, rarely more
    Nanos window{0};
  };
  virtual Effort ToExplore() const = 0;

  Knowledge knowledge() const { return {space_, options_, evidence_, confirmation_}; }
  // Configurations that could still be the best and rest on too little: a single take, two that
  // contradict each other, an undecided constraint.
  std::optional<Trial> SecondLook() const;
  // A configuration that was refused, once more, after all others had their turn: a port that was
  // taken or memory that another held for a moment must not decide. Of those that could not be
  // loaded twice, what asks for more of everything is believed to be refused, too.
  std::optional<Trial> Retry() const;

  const Space& space_;
  const SearchOptions options_;
  Evidence evidence_;
  LoadSearch loads_;
  const Lattice lattice_;

 private:
  struct Wanted {
    Trial trial;
    bool again = false;  // only because what it rests on may have been a slow take
  };
  std::optional<Wanted> SecondLook(size_t configuration, const Tried& tried,
                                   std::optional<size_t> leader) const;
  std::optional<Trial> Confirm();
  std::optional<Trial> NextRound();
  bool JoinRivals();
  std::vector<size_t> RunnerUp(size_t leader) const;
  bool Tied(size_t leader, const std::vector<size_t>& rivals) const;
  bool Affordable(const Trial& trial, double reserve) const;
  // Seconds, for the rounds; and what of them is kept of the budget.
  double TimeToConfirm() const;
  double Reserve() const;
  Nanos LeastBudget() const;
  Nanos ConfirmWindow() const;

  Confirmation confirmation_;
  std::optional<Trial> asked_;
  bool confirming_ = false;  // what was asked is a take of a round
  uint64_t confirming_takes_ = 0;
  bool explored_ = false;
  Cut cut_ = Cut::kNothing;
};

std::unique_ptr<Search> MakeExhaustiveSearch(const Space& space, const SearchOptions& options);
std::unique_ptr<Search> MakeAdaptiveSearch(const Space& space, const SearchOptions& options);

}  // namespace sextant::analyze
