#include "load/mix.h"

#include <algorithm>
#include <numeric>

namespace sextant::load {

MixStream::MixStream(std::span<const double> shares, Part part, const Random& random)
    : random_(random), seen_(shares.size()), skip_(part.first), step_(part.step) {
  const double whole = std::accumulate(shares.begin(), shares.end(), 0.0);
  double sum = 0;
  for (const double share : shares) below_.push_back((sum += share) / whole);
  // Sums round; every draw is below 1.
  if (!below_.empty()) below_.back() = 1;
}

MixStream::Pick MixStream::Draw() {
  const double draw = random_.Uniform();
  size_t model = 0;
  while (draw >= below_[model]) ++model;
  return {model, arrival_++, seen_[model]++};
}

MixStream::Pick MixStream::Next() {
  for (; skip_ > 0; --skip_) Draw();
  skip_ = step_ - 1;
  return Draw();
}

MixShare ShareOfModel(size_t before, size_t count, Part part) {
  // The first of the model's numbers that is the part's.
  const size_t first = (part.first + part.step - before % part.step) % part.step;
  if (first >= count) return {};
  return {.concurrency = (count - first + part.step - 1) / part.step,
          .rows = {first, std::min<uint64_t>(count, part.step)}};
}

}  // namespace sextant::load
