// The best load of one configuration, found with few looks at an ordered list of loads.
//
// Over the logarithm of the load, the logarithm of the throughput rises and flattens (and may fall
// again), and latency rises: so what lies beyond a measured load is bounded by the slope before
// it, and where a constraint breaks is found by interpolation between a load within and one
// beyond (regula falsi on the logarithms, kept inside the bracket), on values that isotonic
// regression made monotone. Loads are taken in chains: those that differ only in their value.
// Pure but for the evidence that it reads.
#pragma once

#include <optional>
#include <vector>

#include "analyze/evidence.h"

namespace sextant::analyze {

// Loads of one configuration that differ in their value alone, ascending.
using Chain = std::vector<uint32_t>;
std::vector<Chain> ChainsOf(const Space& space, size_t configuration);

struct LoadProfile {
  std::optional<size_t> knee;  // the lowest load measured at nearly the highest throughput
  std::optional<double> within, beyond;
};

class LoadSearch {
 public:
  LoadSearch(const Space& space, const SearchOptions& options, const Evidence& evidence)
      : space_(space), options_(options), evidence_(evidence) {}

  // The load to look at next in this configuration, nothing when more looks at other loads cannot
  // gain anything worth it. `reference`: a configuration whose loads were searched before, from
  // whose knee it starts; none: from the middle, and in wider steps. With `knee` it goes on until
  // the knee is located, too.
  std::optional<size_t> Next(size_t configuration, std::optional<size_t> reference,
                             bool knee) const;
  // Loads around the best of a configuration that leads, whatever others suggest.
  std::optional<size_t> Around(size_t configuration) const;
  LoadProfile Profile(size_t configuration) const;
  // How much the utility may still gain at loads not yet looked at; 0: nothing worth it.
  double Potential(size_t configuration) const;

 private:
  struct View;
  double GainOfOthers(size_t load) const;
  View Look(size_t configuration, const Chain& chain) const;
  size_t Guess(const Chain& chain, std::optional<size_t> reference) const;
  std::optional<size_t> InChain(const View& view, const Chain& chain,
                                std::optional<size_t> reference, bool knee) const;
  std::optional<size_t> TowardsFeasible(const View& view, const Chain& chain) const;
  std::optional<size_t> Climb(const View& view, const Chain& chain, bool full) const;
  bool Saturated(const View& view, const Chain& chain, std::optional<size_t> reference) const;
  std::optional<size_t> TowardsKnee(const View& view) const;
  size_t Boundary(const View& view, const Chain& chain, size_t within, size_t beyond) const;

  const Space& space_;
  const SearchOptions& options_;
  const Evidence& evidence_;
};

}  // namespace sextant::analyze
