// Spaces of thousands of configurations with few measurements.
//
// Coarse to fine: a first wave looks at the middle of the lattice, at what is some strides away
// from it along every axis and every diagonal of two, and at a few places drawn by chance. From
// then on each wave looks around the leader; when the leader stays, the stride is halved (a compass
// search: Hooke and Jeeves, "Direct search solution of numerical and statistical problems", 1961;
// Kolda, Lewis and Torczon, SIAM Review 2003). A configuration is loaded once per wave, its load
// starts where the nearest one that was searched has its knee, and it is left as soon as it is
// dominated. The default comes first and is searched like any other, but nothing starts from it.
// When the stride is one and nothing around the leader is unseen, what is close gets second looks
// (racing); when these change the leader, the climb goes on from there. A surface on which nothing
// differs by more than takes do is not searched any finer. The confirmation ends it.
//
// Cliffs: a configuration that cannot be loaded keeps coarse waves from trying those that ask for
// more of everything; around the leader everything is tried, so a leader at the edge is seen to
// be at the edge.
#include <algorithm>
#include <cmath>
#include <deque>
#include <set>

#include "analyze/lattice.h"
#include "analyze/racing_search.h"
#include "base/random.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

// Up to so many configurations are all looked at.
constexpr size_t kAll = 10;
// Standard errors for leaving a configuration early; it may be looked at again.
constexpr double kLeaving = 2;
// Configurations that must agree until the surface counts as flat, and the ratio of their variance
// to that of takes below which they do.
constexpr size_t kFlatOf = 7;
constexpr double kFlat = 1.6;
// Of the limit, by which a constraint may be missed where it is worth looking beside.
constexpr double kNearMiss = 0.15;
// One probe by chance for so many configurations, and how many at most.
constexpr size_t kPerProbe = 20, kMostProbes = 8;
// Of searches as they are: of a wave, what is visited each time that strides are halved; looks of a
// visit, and how many more each time that the number of loads doubles; loadings of a visit.
constexpr double kOfAWave = 0.4, kLooks = 1.1, kLooksPerDoubling = 0.24, kLoadsPerVisit = 1.3;

class AdaptiveSearch final : public RacingSearch {
 public:
  AdaptiveSearch(const Space& space, const SearchOptions& options)
      : RacingSearch(space, options), random_(options.seed) {
    for (size_t axis = 0; axis < lattice_.axes(); ++axis)
      strides_.push_back(lattice_.ordered(axis) ? std::max(1U, lattice_.size(axis) * 3 / 8) : 1);
    for (const uint32_t stride : strides_)
      halvings_ = std::max(halvings_, 1 + std::floor(std::log2(static_cast<double>(stride))));
    wave_.push_back(0);
  }

 private:
  std::optional<Trial> Explore() override {
    for (;;) {
      if (auto trial = ContinueVisit()) return trial;
      visiting_.reset();
      if (!wave_.empty()) {
        visiting_ = wave_.front();
        wave_.pop_front();
        continue;
      }
      if (auto trial = RepeatLeader()) return trial;
      if (PlanWave()) continue;
      if (auto trial = Retry()) {
        visiting_ = trial->configuration;
        return trial;
      }
      // Where nothing differs second looks would only feed the confirmation, which looks anyway.
      if (auto trial = flat_ ? std::nullopt : SecondLook()) return trial;
      if (!PlanWave()) return std::nullopt;
    }
  }

  Trial Look(size_t configuration, size_t load, std::string reason) const {
    return {configuration, load, options_.shortest_window, std::move(reason)};
  }

  // The next load of the configuration that is loaded, unless it is out of the race.
  std::optional<Trial> ContinueVisit() {
    if (!visiting_) return std::nullopt;
    const size_t configuration = *visiting_;
    const bool first = configuration == 0;
    const Tried* tried = evidence_.Find(configuration);
    const auto leader = tried == nullptr ? std::nullopt : Leader(knowledge(), false);
    if (!first && leader && leader != configuration && Hopeless(configuration, *leader))
      return std::nullopt;
    const auto reference = first ? std::nullopt : Reference(configuration);
    // The default's knee is of interest where it is all that there is; else that of the first one
    // that others can start from.
    const bool knee = first ? space_.configurations.size() == 1 : !reference;
    const auto load = loads_.Next(configuration, reference, knee);
    if (!load) {
      searched_.insert(configuration);
      return std::nullopt;
    }
    const Point* known = evidence_.Find(configuration, *load);
    if (known != nullptr) return std::nullopt;
    return Look(configuration, *load, tried == nullptr ? "first look" : "looks for the best load");
  }

  bool Hopeless(size_t configuration, size_t leader) const {
    const Point& best = *evidence_.Best(leader, false);
    if (evidence_.Best(configuration, false) != nullptr) {
      return Dominated(evidence_, configuration, best, kLeaving, loads_.Potential(configuration));
    }
    // Within its constraints it can only be worse than beyond them, where more is better.
    const auto& objectives = options_.goal.objectives;
    if (std::any_of(objectives.begin(), objectives.end(),
                    [](const Objective& o) { return o.better != Better::kHigher; }))
      return false;
    const Tried& tried = *evidence_.Find(configuration);
    return std::any_of(tried.points.begin(), tried.points.end(), [&](const auto& entry) {
      const Point& point = entry.second;
      return point.ranked() && Below(evidence_, point, best, kLeaving, kSlowTake);
    });
  }

  // The nearest configuration whose loads were searched to the end. Not the default, which has no
  // place on the axes: with one instance and no batching it may be at its knee where others have
  // hardly begun.
  std::optional<size_t> Reference(size_t configuration) const {
    std::optional<size_t> nearest;
    double least = 0;
    for (const size_t other : searched_) {
      if (other == configuration || evidence_.Best(other, false) == nullptr) continue;
      if (lattice_.PlaceOf(other).size() != lattice_.axes()) continue;
      const double distance = lattice_.Distance(configuration, other);
      if (!nearest || distance < least) nearest = other, least = distance;
    }
    return nearest;
  }

  // A leader by a single look may lead by chance.
  std::optional<Trial> RepeatLeader() {
    const auto leader = Leader(knowledge(), false);
    if (!leader || flat_) return std::nullopt;
    const Point& best = *evidence_.Best(*leader, false);
    if (evidence_.tried().size() < 2) return std::nullopt;
    if (best.takes.size() > 1) {
      const auto load = loads_.Around(*leader);
      if (!load || evidence_.Find(*leader, *load) != nullptr) return std::nullopt;
      return Look(*leader, *load, "looks around the leader's load");
    }
    // Nothing is steered by it where all were looked at; the confirmation repeats it anyway.
    if (evidence_.tried().size() == space_.configurations.size()) return std::nullopt;
    return Look(*leader, best.load, "repeats the leader");
  }

  bool PlanWave() {
    if (!started_) {
      started_ = true;
      PlanFirstWave();
      return !wave_.empty();
    }
    if (Flat()) return false;
    const auto centre = Centre();
    if (!centre) return Search();
    for (;;) {
      if (centre_ == centre && done_) {
        if (!Refine()) {
          return evidence_.Best(*centre, false) == nullptr ? Search() : PlanAroundNearMiss(*centre);
        }
      }
      centre_ = centre, done_ = true;
      AddWave(lattice_.Neighbours(*centre, strides_));
      if (!wave_.empty()) return true;
    }
  }

  void PlanFirstWave() {
    const size_t configurations = space_.configurations.size();
    if (configurations <= kAll) {
      std::vector<size_t> all;
      for (size_t c = 1; c < configurations; ++c) all.push_back(c);
      AddWave(all);
      return;
    }
    const auto centre = lattice_.Centre();
    if (!centre) return;
    std::vector<size_t> wave = lattice_.Neighbours(*centre, strides_);
    wave.push_back(*centre);
    const size_t probes = std::min(kMostProbes, configurations / kPerProbe);
    for (size_t i = 0; i < probes; ++i) wave.push_back(1 + random_.Below(configurations - 1));
    AddWave(std::move(wave));
  }

  // In an order by chance, so that drift favours no direction.
  void AddWave(std::vector<size_t> wave) {
    for (size_t i = wave.size(); i > 1; --i) std::swap(wave[i - 1], wave[random_.Below(i)]);
    for (const size_t configuration : wave) {
      const bool known = evidence_.Find(configuration) != nullptr ||
                         std::find(wave_.begin(), wave_.end(), configuration) != wave_.end();
      if (!known && !BeyondACliff(configuration)) wave_.push_back(configuration);
    }
  }

  // Where none that has a place keeps the constraints: the one that misses them by least, from
  // which the way to those that do is shortest (Deb, "An efficient constraint handling method for
  // genetic algorithms", 2000, has the same order).
  std::optional<size_t> NearestToFeasible() const {
    std::optional<size_t> nearest;
    double least = 0;
    for (const auto& [configuration, tried] : evidence_.tried()) {
      if (lattice_.PlaceOf(configuration).size() != lattice_.axes()) continue;
      for (const auto& [load, point] : tried.points) {
        const auto violation = evidence_.Violation(point);
        if (!violation || (nearest && *violation >= least)) continue;
        nearest = configuration, least = *violation;
      }
    }
    return nearest;
  }

  // The leader that has a place, best first among what was tried.
  std::optional<size_t> Centre() const {
    std::optional<size_t> centre;
    double most = 0;
    for (const auto& [configuration, tried] : evidence_.tried()) {
      const Point* point = evidence_.Best(configuration, false);
      if (point == nullptr || lattice_.PlaceOf(configuration).size() != lattice_.axes() ||
          lattice_.axes() == 0)
        continue;
      const double value = evidence_.Lower(*point, 0.5);
      if (!centre || value > most) centre = configuration, most = value;
    }
    if (centre || lattice_.axes() == 0 || options_.goal.constraints.empty()) return centre;
    return NearestToFeasible();
  }

  // Nothing that has a place may win yet: places by chance, a few at a time, and not for ever.
  bool Search() {
    const size_t configurations = space_.configurations.size();
    if (evidence_.tried().size() >= configurations || ++searches_ > kMostProbes) return false;
    std::vector<size_t> wave;
    for (size_t i = 0; i < kMostProbes / 2; ++i)
      wave.push_back(1 + random_.Below(configurations - 1));
    AddWave(std::move(wave));
    return !wave_.empty();
  }

  // A better one that misses its constraints by little: beside it may be one that does not. With
  // few loads to choose from, one step of load is worth more than many of the configuration.
  bool PlanAroundNearMiss(size_t centre) {
    if (options_.goal.constraints.empty()) return false;
    const Point* best = evidence_.Best(centre, false);
    std::optional<size_t> missed;
    double most = best == nullptr ? 0 : best->utility;
    for (const auto& [configuration, tried] : evidence_.tried()) {
      for (const auto& [load, point] : tried.points) {
        if (evidence_.Usable(point, false) || !evidence_.NearMiss(point, kNearMiss)) continue;
        if (point.utility <= most) continue;
        most = point.utility, missed = configuration;
      }
    }
    if (!missed) return false;
    AddWave(lattice_.Neighbours(*missed, strides_));
    return !wave_.empty();
  }

  bool Refine() {
    bool finer = false;
    for (uint32_t& stride : strides_) {
      if (stride > 1) stride /= 2, finer = true;
    }
    return finer;
  }

  bool Coarse() const {
    return std::any_of(strides_.begin(), strides_.end(), [](uint32_t s) { return s > 1; });
  }

  bool BeyondACliff(size_t configuration) const {
    if (!Coarse()) return false;
    return std::any_of(evidence_.tried().begin(), evidence_.tried().end(), [&](const auto& entry) {
      return entry.second.refused && lattice_.AsksForMore(configuration, entry.first);
    });
  }

  // Do the configurations differ by no more than takes of one do?
  bool Flat() {
    std::vector<double> values;
    double expected = 0;
    for (const auto& [configuration, tried] : evidence_.tried()) {
      const Point* point = evidence_.Best(configuration, false);
      if (point == nullptr) return flat_ = false;
      values.push_back(point->utility);
      expected += std::pow(evidence_.Error(*point), 2);
    }
    if (values.size() < kFlatOf) return flat_ = false;
    const auto n = static_cast<double>(values.size());
    double mean = 0, squares = 0;
    for (const double v : values) mean += v / n;
    for (const double v : values) squares += (v - mean) * (v - mean);
    return flat_ = squares / (n - 1) < kFlat * expected / n;
  }

  // By experience with simulated surfaces of all sizes (bench/search_surfaces.cc, sizes).
  Effort ToExplore() const override {
    const auto configurations = static_cast<double>(space_.configurations.size());
    double visits = configurations;
    if (space_.configurations.size() > kAll && lattice_.axes() > 0) {
      const auto axes = static_cast<double>(lattice_.axes());
      const double wave = 2 + 2 * axes * (axes + 1);
      const double probes = std::min<double>(kMostProbes, configurations / kPerProbe);
      visits = std::min(visits, wave + probes + kOfAWave * wave * halvings_);
    }
    size_t loads = 1;
    for (const auto& of : space_.loads_of) loads = std::max(loads, of.size());
    const double doublings = std::log2(static_cast<double>(loads));
    const double all = visits * (kLooks + kLooksPerDoubling * doublings) + 1.5 * doublings;
    const double trials = std::min(all, 1.5 * static_cast<double>(space_.points()));
    const auto done = static_cast<double>(seen_);
    Effort out{
        .trials = std::max({trials - done, 0.1 * done, 1.0 + static_cast<double>(wave_.size())}),
        .window = options_.shortest_window};
    out.loads = out.trials * (kLoadsPerVisit * visits) / trials;
    return out;
  }

  void Seen(const Outcome& /*outcome*/) override { ++seen_; }

  Random random_;
  std::vector<uint32_t> strides_;
  double halvings_ = 1;  // of the longest, until it is one
  std::deque<size_t> wave_;
  std::optional<size_t> visiting_, centre_;
  std::set<size_t> searched_;  // whose loads were searched to the end
  bool started_ = false, done_ = false, flat_ = false;
  size_t searches_ = 0;
  uint64_t seen_ = 0;
};

}  // namespace

std::unique_ptr<Search> MakeAdaptiveSearch(const Space& space, const SearchOptions& options) {
  return std::make_unique<AdaptiveSearch>(space, options);
}

}  // namespace sextant::analyze
