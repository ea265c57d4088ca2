#include "analyze/isotonic.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace sextant::analyze {
namespace {

struct Block {
  double sum = 0, weight = 0;
  size_t count = 0;
  double mean() const { return sum / weight; }
};

double Misfit(std::span<const double> fit, std::span<const double> values,
              std::span<const double> weights) {
  double sum = 0;
  for (size_t i = 0; i < fit.size(); ++i)
    sum += weights[i] * (fit[i] - values[i]) * (fit[i] - values[i]);
  return sum;
}

}  // namespace

std::vector<double> IsotonicFit(std::span<const double> values, std::span<const double> weights) {
  SEXTANT_CHECK(values.size() == weights.size(), "a weight per value");
  std::vector<Block> blocks;
  for (size_t i = 0; i < values.size(); ++i) {
    Block block{values[i] * weights[i], weights[i], 1};
    while (!blocks.empty() && blocks.back().mean() >= block.mean()) {
      const Block& before = blocks.back();
      block = {block.sum + before.sum, block.weight + before.weight, block.count + before.count};
      blocks.pop_back();
    }
    blocks.push_back(block);
  }
  std::vector<double> out;
  out.reserve(values.size());
  for (const Block& block : blocks) out.insert(out.end(), block.count, block.mean());
  return out;
}

std::vector<double> UnimodalFit(std::span<const double> values, std::span<const double> weights) {
  std::vector<double> best(values.begin(), values.end());
  double least = std::numeric_limits<double>::infinity();
  // Each place may be the first after the top; load lists are short.
  for (size_t top = values.size(); top >= 1; --top) {
    std::vector<double> fit = IsotonicFit(values.first(top), weights.first(top));
    std::vector<double> mirrored(values.rbegin(), values.rend() - static_cast<ptrdiff_t>(top));
    std::vector<double> mirrored_weights(weights.rbegin(),
                                         weights.rend() - static_cast<ptrdiff_t>(top));
    const std::vector<double> fall = IsotonicFit(mirrored, mirrored_weights);
    fit.insert(fit.end(), fall.rbegin(), fall.rend());
    const double misfit = Misfit(fit, values, weights);
    // Of equals the one whose top is latest: what only rises has no peak.
    if (misfit < least * (1 - 1e-12)) least = misfit, best = std::move(fit);
  }
  return best;
}

}  // namespace sextant::analyze
