// Configurations as points of a lattice: who is whose neighbour, and how far apart two are.
//
// Values of an axis that are numbers are in order, so neighbours are alike; of one whose values are
// names every other value is one step away. The default configuration has no coordinates: it is
// nobody's neighbour, and far from all. Memory: four bytes per configuration.
// Threads: plain values.
#pragma once

#include <optional>
#include <vector>

#include "analyze/space.h"

namespace sextant::analyze {

class Lattice {
 public:
  explicit Lattice(const Space& space);

  using Place = std::vector<uint32_t>;
  std::optional<size_t> At(const Place& place) const;
  const Place& PlaceOf(size_t configuration) const;
  // The configuration nearest to the middle of all axes; nothing when there is only the default.
  std::optional<size_t> Centre() const;
  // Steps between two, diagonals count once; large when one is the default.
  double Distance(size_t a, size_t b) const;
  // At least as much as `b` on every axis that has an order, and the same on the others.
  bool AsksForMore(size_t a, size_t b) const;
  // Those at `strides` (one per axis) from this one, along every axis and along every diagonal of
  // two; a stride of 0 leaves its axis alone. What the space lacks is left out.
  std::vector<size_t> Neighbours(size_t configuration, const std::vector<uint32_t>& strides) const;
  bool ordered(size_t axis) const { return ordered_[axis]; }
  uint32_t size(size_t axis) const;
  size_t axes() const { return ordered_.size(); }

 private:
  // The places one step away on this axis.
  std::vector<uint32_t> Steps(uint32_t at, size_t axis, uint32_t stride) const;

  const Space& space_;
  std::vector<bool> ordered_;
  std::vector<uint32_t> by_place_;  // configurations in the lexicographic order of their places
};

}  // namespace sextant::analyze
