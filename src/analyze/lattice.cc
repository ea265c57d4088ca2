#include "analyze/lattice.h"

#include <algorithm>
#include <cstdlib>

namespace sextant::analyze {
namespace {

// Of an axis of names, at most so many other values are neighbours.
constexpr size_t kNames = 16;
constexpr double kFar = 1e6;

}  // namespace

Lattice::Lattice(const Space& space) : space_(space) {
  for (const Axis& axis : space.axes) {
    ordered_.push_back(std::all_of(axis.values.begin(), axis.values.end(),
                                   [](const auto& value) { return value.AsDouble().has_value(); }));
  }
  for (size_t c = 0; c < space.configurations.size(); ++c) {
    if (space.configurations[c].coordinates.size() == ordered_.size() && !ordered_.empty())
      by_place_.push_back(static_cast<uint32_t>(c));
  }
  std::sort(by_place_.begin(), by_place_.end(),
            [&](uint32_t a, uint32_t b) { return PlaceOf(a) < PlaceOf(b); });
}

const Lattice::Place& Lattice::PlaceOf(size_t configuration) const {
  return space_.configurations[configuration].coordinates;
}

uint32_t Lattice::size(size_t axis) const {
  return static_cast<uint32_t>(space_.axes[axis].values.size());
}

std::optional<size_t> Lattice::At(const Place& place) const {
  const auto found =
      std::lower_bound(by_place_.begin(), by_place_.end(), place,
                       [&](uint32_t c, const Place& wanted) { return PlaceOf(c) < wanted; });
  if (found == by_place_.end() || PlaceOf(*found) != place) return std::nullopt;
  return *found;
}

std::optional<size_t> Lattice::Centre() const {
  Place middle;
  for (size_t axis = 0; axis < axes(); ++axis) middle.push_back((size(axis) - 1) / 2);
  if (const auto at = At(middle)) return at;
  std::optional<size_t> nearest;
  long least = 0;
  for (const uint32_t c : by_place_) {
    long away = 0;
    for (size_t axis = 0; axis < axes(); ++axis)
      away += std::labs(static_cast<long>(PlaceOf(c)[axis]) - static_cast<long>(middle[axis]));
    if (!nearest || away < least) nearest = c, least = away;
  }
  return nearest;
}

bool Lattice::AsksForMore(size_t a, size_t b) const {
  const Place &x = PlaceOf(a), &y = PlaceOf(b);
  if (a == b || x.size() != axes() || y.size() != axes() || axes() == 0) return false;
  for (size_t axis = 0; axis < axes(); ++axis) {
    if (ordered_[axis] ? x[axis] < y[axis] : x[axis] != y[axis]) return false;
  }
  return true;
}

double Lattice::Distance(size_t a, size_t b) const {
  const Place &x = PlaceOf(a), &y = PlaceOf(b);
  if (x.size() != axes() || y.size() != axes() || a == b) return a == b ? 0 : kFar;
  double most = 0, sum = 0;
  for (size_t axis = 0; axis < axes(); ++axis) {
    const double steps = ordered_[axis]
                             ? std::abs(static_cast<double>(x[axis]) - static_cast<double>(y[axis]))
                             : (x[axis] == y[axis] ? 0 : 1);
    most = std::max(most, steps), sum += steps;
  }
  return most + 0.01 * sum;
}

std::vector<uint32_t> Lattice::Steps(uint32_t at, size_t axis, uint32_t stride) const {
  std::vector<uint32_t> out;
  if (stride == 0) return out;
  if (ordered_[axis]) {
    const uint32_t last = size(axis) - 1;
    // A stride over the edge ends at the edge.
    if (at > 0) out.push_back(at - std::min(at, stride));
    if (at < last) out.push_back(std::min(last, at + stride));
    return out;
  }
  for (uint32_t value = 0; value < size(axis) && out.size() < kNames; ++value) {
    if (value != at) out.push_back(value);
  }
  return out;
}

std::vector<size_t> Lattice::Neighbours(size_t configuration,
                                        const std::vector<uint32_t>& strides) const {
  std::vector<size_t> out;
  const Place& home = PlaceOf(configuration);
  if (home.size() != axes()) return out;
  const auto add = [&](const Place& place) {
    if (const auto at = At(place)) out.push_back(*at);
  };
  for (size_t i = 0; i < axes(); ++i) {
    for (const uint32_t step : Steps(home[i], i, strides[i])) {
      Place place = home;
      place[i] = step;
      add(place);
      for (size_t j = i + 1; j < axes(); ++j) {
        if (!ordered_[i] || !ordered_[j]) continue;
        for (const uint32_t other : Steps(home[j], j, strides[j])) {
          Place diagonal = place;
          diagonal[j] = other;
          add(diagonal);
        }
      }
    }
  }
  return out;
}

}  // namespace sextant::analyze
