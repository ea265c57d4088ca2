#include "analyze/load_search.h"

#include <algorithm>
#include <cmath>

#include "analyze/isotonic.h"

namespace sextant::analyze {
namespace {

// Less is not worth a look at another load.
constexpr double kWorth = 0.015;
// Less is not worth locating a constraint's limit any better.
constexpr double kWorthOfLimit = 0.005;
// What others have not shown, loads that were not looked at may still bring.
constexpr double kUnseen = 0.05;
// Where no other was measured at such a load, anything is possible.
constexpr double kUnknownGain = 100;
// Throughput no longer grows from where it has reached this share of its maximum.
constexpr double kAtKnee = 0.97;

bool SameChain(const Load& a, const Load& b) {
  return a.point.mode == b.point.mode && a.point.batch_size == b.point.batch_size &&
         a.point.arrivals == b.point.arrivals && a.data == b.data && a.take == b.take;
}

// Does a violated constraint ask for less load, or for more?
bool AsksForLess(const Constraint& constraint) { return constraint.at_most; }

}  // namespace

std::vector<Chain> ChainsOf(const Space& space, size_t configuration) {
  std::vector<Chain> chains;
  for (const uint32_t load : space.loads_of[configuration]) {
    auto same = std::find_if(chains.rbegin(), chains.rend(), [&](const Chain& chain) {
      return SameChain(space.loads[chain.front()], space.loads[load]);
    });
    if (same == chains.rend()) {
      chains.push_back({load});
    } else {
      same->push_back(load);
    }
  }
  return chains;
}

// A chain with what is known at each of its loads.
struct LoadSearch::View {
  enum class State : uint8_t { kUnseen, kUsable, kTooMuch, kTooLittle, kUnknown };
  struct Place {
    State state = State::kUnseen;
    const Point* point = nullptr;
  };
  std::vector<Place> places;
  std::optional<size_t> best;  // usable, with the highest utility
  bool any = false;

  std::optional<size_t> SeenBelow(size_t at) const {
    while (at-- > 0) {
      if (places[at].state != State::kUnseen) return at;
    }
    return std::nullopt;
  }
  std::optional<size_t> SeenAbove(size_t at) const {
    while (++at < places.size()) {
      if (places[at].state != State::kUnseen) return at;
    }
    return std::nullopt;
  }
  double Utility(size_t at) const { return places[at].point->utility; }
  bool Usable(size_t at) const { return places[at].state == State::kUsable; }
};

LoadSearch::View LoadSearch::Look(size_t configuration, const Chain& chain) const {
  using State = View::State;
  View view;
  view.places.resize(chain.size());
  for (size_t i = 0; i < chain.size(); ++i) {
    const Point* point = evidence_.Find(configuration, chain[i]);
    if (point == nullptr) continue;
    view.any = true;
    State& state = view.places[i].state;
    view.places[i].point = point;
    if (evidence_.Usable(*point, false)) {
      state = State::kUsable;
      if (!view.best || point->utility > view.Utility(*view.best)) view.best = i;
      continue;
    }
    // What failed failed of too much load, as far as one can guess.
    state = State::kTooMuch;
    if (!point->measured()) continue;
    if (!point->ranked() || point->holds == Holds::kUnknown) state = State::kUnknown;
    for (const Constraint& constraint : options_.goal.constraints) {
      if (Check(constraint, point->figures) == Holds::kNo && !AsksForLess(constraint))
        state = State::kTooLittle;
    }
  }
  return view;
}

// Where the nearest known configuration is at its knee, and one step more: this one's may be later.
size_t LoadSearch::Guess(const Chain& chain, std::optional<size_t> reference) const {
  const Point* best = reference ? evidence_.Best(*reference, false) : nullptr;
  if (best == nullptr) return chain.size() / 2;
  size_t load = best->load;
  const LoadProfile profile = Profile(*reference);
  if (profile.knee && !profile.beyond) {
    const auto& of = space_.loads_of[*reference];
    auto after = std::find(of.begin(), of.end(), *profile.knee);
    if (after != of.end() && std::next(after) != of.end()) ++after;
    const Point* knee = evidence_.Find(*reference, *profile.knee);
    const bool good = knee != nullptr && knee->utility > best->utility - 2 * kWorth;
    if (after != of.end() && good) load = std::min<size_t>(load, *after);
  }
  const auto place = std::lower_bound(chain.begin(), chain.end(), load);
  return std::min<size_t>(static_cast<size_t>(place - chain.begin()), chain.size() - 1);
}

// Between a load within and one beyond, where the constraint's figure meets its limit.
size_t LoadSearch::Boundary(const View& view, const Chain& chain, size_t within,
                            size_t beyond) const {
  size_t next = (within + beyond) / 2;
  for (const Constraint& constraint : options_.goal.constraints) {
    const Point *a = view.places[within].point, *b = view.places[beyond].point;
    const auto at_a = a->figures.find(constraint.field), at_b = b->figures.find(constraint.field);
    if (at_a == a->figures.end() || at_b == b->figures.end() || constraint.limit <= 0) continue;
    // A latency that is not yet queueing says little of where it will; the slope of what comes
    // after is that of the load itself, which gives a second guess from above.
    const double x = std::log(space_.loads[chain[within]].point.value);
    const double y = std::log(space_.loads[chain[beyond]].point.value);
    const double va = std::log(at_a->second.value), vb = std::log(at_b->second.value);
    const double limit = std::log(constraint.limit);
    if (!(va < limit) || !(vb > limit)) continue;
    const double chord = x + (y - x) * (limit - va) / (vb - va);
    const double meets = (chord + std::max(chord, y - (vb - limit))) / 2;
    const auto over = std::find_if(chain.begin(), chain.end(), [&](uint32_t load) {
      return std::log(space_.loads[load].point.value) > meets;
    });
    next = static_cast<size_t>(over - chain.begin());
    next = next == 0 ? 0 : next - 1;
    if (next <= within) next = within + 1;
  }
  return std::clamp(next, within + 1, beyond - 1);
}

std::optional<size_t> LoadSearch::TowardsFeasible(const View& view, const Chain& chain) const {
  using State = View::State;
  std::optional<size_t> too_much, too_little;
  for (size_t i = 0; i < view.places.size(); ++i) {
    const State state = view.places[i].state;
    // A figure that is missing here will be missing elsewhere.
    if (state == State::kUnknown) return std::nullopt;
    if (state == State::kTooMuch && !too_much) too_much = i;
    if (state == State::kTooLittle) too_little = i;
  }
  const size_t low = too_little ? *too_little + 1 : 0;
  const size_t high = too_much ? *too_much : chain.size();
  if (low >= high) return std::nullopt;
  if (!too_much) return std::min(high - 1, low + (high - low) / 2);
  // Beyond the knee latency grows with the load.
  size_t next = (low + high) / 2;
  const Point* point = view.places[*too_much].point;
  for (const Constraint& constraint : options_.goal.constraints) {
    const auto figure = point->figures.find(constraint.field);
    if (figure == point->figures.end() || constraint.limit <= 0) continue;
    const double times = figure->second.value / constraint.limit;
    const double value = space_.loads[chain[high]].point.value;
    while (next > low && space_.loads[chain[next]].point.value > value / times) --next;
  }
  return std::clamp(next, low, high - 1);
}

// Around the best: up and down as long as the slope so far promises a gain.
std::optional<size_t> LoadSearch::Climb(const View& view, const Chain& chain, bool full) const {
  const size_t b = *view.best, n = chain.size();
  const auto below = view.SeenBelow(b), above = view.SeenAbove(b);
  const auto slope = [&](size_t from, size_t to) {
    return (view.Utility(to) - view.Utility(from)) / static_cast<double>(to - from);
  };
  const auto promises = [&](double per_step, size_t steps) {
    return per_step * static_cast<double>(steps) > kWorth;
  };
  // With many loads a step is small, and what counts is how far it is to the next that is known.
  const size_t room = above ? *above - b : std::max<size_t>(1, (n - b) / 4);
  const bool blind = !below || !view.Usable(*below);
  const double rise = blind ? 1 : slope(*below, b) * static_cast<double>(room);
  if (above && room > 1 && !view.Usable(*above) && rise > kWorthOfLimit)
    return Boundary(view, chain, b, *above);
  if (rise > kWorth && b + 1 < n) {
    if (!above) return full ? b + (n - b) / 2 : b + 1;
    if (room > 1 && below) return b + room / 2;
  }
  const bool falling = above && view.Usable(*above) && promises(-slope(b, *above), 1);
  // With a constraint that breaks above, throughput rises up to it: nothing is to be had below.
  const bool look_down = falling || (full && !above);
  if (look_down && b > 0) {
    if (!below) return full ? b / 2 : b - 1;
    if (b - *below > 1 && falling) return b - (b - *below) / 2;
  }
  return std::nullopt;
}

// Halves the stretch in which throughput comes to its maximum.
std::optional<size_t> LoadSearch::TowardsKnee(const View& view) const {
  double most = 0;
  for (const View::Place& place : view.places) {
    if (place.point == nullptr || !place.point->measured()) continue;
    const auto figure = place.point->figures.find("throughput");
    if (figure == place.point->figures.end()) return std::nullopt;
    most = std::max(most, figure->second.value);
  }
  std::optional<size_t> short_of, reached;
  for (size_t i = 0; i < view.places.size() && !reached; ++i) {
    const Point* point = view.places[i].point;
    if (point == nullptr || !point->measured()) continue;
    if (point->figures.find("throughput")->second.value >= kAtKnee * most) {
      reached = i;
    } else {
      short_of = i;
    }
  }
  if (!reached || *reached == 0) return std::nullopt;
  if (!short_of) return *reached / 2;
  return *reached - *short_of > 1 ? std::optional((*reached + *short_of) / 2) : std::nullopt;
}

std::optional<size_t> LoadSearch::InChain(const View& view, const Chain& chain,
                                          std::optional<size_t> reference, bool knee) const {
  if (!view.any) return Guess(chain, reference);
  if (!view.best) return TowardsFeasible(view, chain);
  if (Saturated(view, chain, reference)) return std::nullopt;
  if (const auto next = Climb(view, chain, !reference)) return next;
  return knee ? TowardsKnee(view) : std::nullopt;
}

std::optional<size_t> LoadSearch::Next(size_t configuration, std::optional<size_t> reference,
                                       bool knee) const {
  const Tried* tried = evidence_.Find(configuration);
  if (tried != nullptr && tried->refused) return std::nullopt;
  const Point* known = reference ? evidence_.Best(*reference, false) : nullptr;
  if (known == nullptr) reference.reset();
  for (const Chain& chain : ChainsOf(space_, configuration)) {
    // Of several chains only the one that was best elsewhere: another batch size is another
    // question, which the reference has answered.
    if (known != nullptr && !SameChain(space_.loads[known->load], space_.loads[chain.front()]))
      continue;
    const View view = Look(configuration, chain);
    if (const auto next = InChain(view, chain, reference, knee)) return chain[*next];
  }
  return std::nullopt;
}

// At a load beyond the reference's knee it does just what the reference does: what limits both is
// not the load, which would limit one more than the other.
bool LoadSearch::Saturated(const View& view, const Chain& chain,
                           std::optional<size_t> reference) const {
  if (!reference) return false;
  const Point* same = evidence_.Find(*reference, chain[*view.best]);
  const LoadProfile profile = Profile(*reference);
  if (same == nullptr) same = evidence_.Best(*reference, false);
  if (same == nullptr || !same->ranked() || !profile.knee || profile.beyond) return false;
  return chain[*view.best] > *profile.knee &&
         std::abs(view.Utility(*view.best) - same->utility) < 2 * kWorth;
}

std::optional<size_t> LoadSearch::Around(size_t configuration) const {
  const Point* best = evidence_.Best(configuration, false);
  if (best == nullptr) return std::nullopt;
  for (const Chain& chain : ChainsOf(space_, configuration)) {
    if (!SameChain(space_.loads[chain.front()], space_.loads[best->load])) continue;
    const View view = Look(configuration, chain);
    if (!view.best) continue;
    if (const auto next = Climb(view, chain, false)) return chain[*next];
  }
  return std::nullopt;
}

double LoadSearch::Potential(size_t configuration) const {
  const Point* best = evidence_.Best(configuration, false);
  if (best == nullptr) return 0;
  for (const Chain& chain : ChainsOf(space_, configuration)) {
    const View view = Look(configuration, chain);
    if (!view.best || chain[*view.best] != best->load) continue;
    if (!Climb(view, chain, false)) return 0;
    const auto below = view.SeenBelow(*view.best);
    if (!below || !view.Usable(*below)) return GainOfOthers(best->load);
    return std::max(0.0, (view.Utility(*view.best) - view.Utility(*below)) /
                             static_cast<double>(*view.best - *below));
  }
  return 0;
}

// What others gained from this load, or from the nearest below it that they were measured at, to
// their best. The default does not count where it is not one of them: its knee may be elsewhere.
double LoadSearch::GainOfOthers(size_t load) const {
  std::optional<double> most;
  for (const auto& [configuration, tried] : evidence_.tried()) {
    if (tried.points.size() < 2) continue;
    const Point* best = evidence_.Best(configuration, false);
    auto here = tried.points.upper_bound(load);
    if (here == tried.points.begin() || best == nullptr) continue;
    --here;
    if (!here->second.ranked() || !SameChain(space_.loads[here->first], space_.loads[load]))
      continue;
    most = std::max(most.value_or(0), best->utility - here->second.utility);
  }
  return most ? *most + kUnseen : kUnknownGain;
}

LoadProfile LoadSearch::Profile(size_t configuration) const {
  LoadProfile profile;
  const Point* best = evidence_.Best(configuration, false);
  for (const Chain& chain : ChainsOf(space_, configuration)) {
    if (best != nullptr && !SameChain(space_.loads[chain.front()], space_.loads[best->load]))
      continue;
    std::vector<double> throughput, weights;
    std::vector<size_t> loads;
    for (const uint32_t load : chain) {
      const Point* point = evidence_.Find(configuration, load);
      if (point == nullptr) continue;
      const double value = space_.loads[load].point.value;
      // Undecided on the wrong side of the limit: not known to be within at any rate.
      const bool beyond = !point->measured() || point->holds == Holds::kNo ||
                          (point->holds == Holds::kUndecided && !evidence_.Usable(*point, false));
      if (!beyond && point->holds == Holds::kYes) profile.within = value, profile.beyond.reset();
      if (beyond && !profile.beyond) profile.beyond = value;
      const auto figure = point->figures.find("throughput");
      if (figure == point->figures.end()) continue;
      throughput.push_back(figure->second.value);
      weights.push_back(static_cast<double>(point->takes.size()));
      loads.push_back(load);
    }
    if (throughput.size() < 2) break;
    const std::vector<double> fit = UnimodalFit(throughput, weights);
    const double most = *std::max_element(fit.begin(), fit.end());
    for (size_t i = 0; i < fit.size() && !profile.knee; ++i) {
      if (fit[i] >= kAtKnee * most) profile.knee = loads[i];
    }
    break;
  }
  return profile;
}

}  // namespace sextant::analyze
