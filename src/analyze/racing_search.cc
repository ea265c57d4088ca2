#include "analyze/racing_search.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::analyze {
namespace {

// So many join at a time once the nearest was beaten: the more share the leader's takes the better,
// but a round must not take so long that drift tells its takes apart.
constexpr size_t kGroup = 6;
// So many takes, ever longer, are for deciding a constraint before the confirmation adds its own.
constexpr size_t kLongerTakes = 7;
// Of the budget, what is kept for the confirmation at most.
constexpr double kReserveShare = 0.35;
constexpr size_t kReservedContenders = 3;
// What rounds take, by experience: usually, and in one search of ten; and how many of the takes
// need their configuration loaded.
constexpr double kTakesOfRounds = 9, kMostTakesOfRounds = 26, kLoadsPerTake = 0.7;

}  // namespace

RacingSearch::RacingSearch(const Space& space, const SearchOptions& options)
    : space_(space),
      options_(options),
      evidence_(options_),
      loads_(space_, options_, evidence_),
      lattice_(space_) {}

std::optional<Trial> RacingSearch::Next() {
  if (asked_) return asked_;
  confirming_ = false;
  if (!explored_) {
    auto trial = Explore();
    if (trial && !Affordable(*trial, Reserve())) {
      cut_ = Cut::kSearch;
      trial.reset();
    }
    if (trial) return asked_ = std::move(trial);
    explored_ = true;
  }
  auto trial = Confirm();
  if (trial && !Affordable(*trial, 0)) {
    if (cut_ == Cut::kNothing) cut_ = Cut::kRounds;
    trial.reset();
  }
  return asked_ = std::move(trial);
}

void RacingSearch::Report(const Outcome& outcome) {
  const bool in_round = confirming_ && asked_ &&
                        asked_->configuration == outcome.trial.configuration &&
                        asked_->load == outcome.trial.load;
  asked_.reset();
  evidence_.Add(outcome);
  Seen(outcome);
  if (!in_round) return;
  ++confirming_takes_;
  const Point* point = evidence_.Find(outcome.trial.configuration, outcome.trial.load);
  const auto utility = outcome.status == Outcome::Status::kMeasured
                           ? evidence_.Utility(outcome.figures)
                           : std::nullopt;
  if (utility && point != nullptr && evidence_.Usable(*point, false)) {
    confirmation_.Report(outcome.trial.configuration, *utility);
  } else if (outcome.status == Outcome::Status::kMeasured) {
    confirmation_.Drop(outcome.trial.configuration);
  } else {
    confirmation_.Miss(outcome.trial.configuration);
  }
}

Conclusion RacingSearch::Conclude() const {
  Conclusion out = analyze::Conclude(knowledge(), cut_);
  if (cut_ != Cut::kNothing && out.ranking.empty())
    out.verdict +=
        Format("; a first point needs a --budget of at least {}", HumanDuration(LeastBudget()));
  return out;
}

bool RacingSearch::Affordable(const Trial& trial, double reserve) const {
  if (!options_.budget) return true;
  return evidence_.spent() + evidence_.Cost(trial) + reserve <= Seconds(*options_.budget);
}

double RacingSearch::TimeToConfirm() const {
  const double take = evidence_.load_cost() + evidence_.TakeCost(ConfirmWindow());
  const size_t rivals = space_.configurations.size() - 1;
  return rivals == 0 ? 0 : static_cast<double>(kLeastRounds * kReservedContenders) * take;
}

double RacingSearch::Reserve() const {
  if (!options_.budget) return 0;
  return std::min(TimeToConfirm(), kReserveShare * Seconds(*options_.budget));
}

// In whole seconds, for people.
Nanos RacingSearch::LeastBudget() const {
  const double first = evidence_.load_cost() + evidence_.TakeCost(options_.shortest_window);
  const double least = std::min(first + TimeToConfirm(), first / (1 - kReserveShare));
  return FromSeconds(std::ceil(least));
}

// A take costs its loading and warm-up; the time at which half of its variance is what takes differ
// by anyway makes the most of that.
Nanos RacingSearch::ConfirmWindow() const {
  const double overhead = evidence_.load_cost() + evidence_.warmup_cost();
  const double shortest = Seconds(options_.shortest_window);
  return FromSeconds(std::clamp(std::sqrt(overhead),
                                std::min(2 * shortest, Seconds(options_.longest_window)),
                                Seconds(options_.longest_window)));
}

std::optional<Trial> RacingSearch::SecondLook() const {
  const auto leader = Leader(knowledge(), false);
  std::vector<Trial> wanted;
  size_t rivals = 0, others = 0;
  for (const auto& [configuration, tried] : evidence_.tried()) {
    auto look = SecondLook(configuration, tried, leader);
    if (!look) continue;
    (look->again ? rivals : others) += configuration == leader && look->again ? 0 : 1;
    wanted.push_back(std::move(look->trial));
  }
  // A single rival is measured against the leader in rounds whatever a second look says of it,
  // unless the search might go on from there.
  const bool all = evidence_.tried().size() == space_.configurations.size();
  if (wanted.empty() || (all && others == 0 && rivals <= 1)) return std::nullopt;
  // What is loaded goes first: it costs no switch.
  const auto loaded = std::find_if(wanted.begin(), wanted.end(), [&](const Trial& trial) {
    return trial.configuration == evidence_.loaded();
  });
  return loaded == wanted.end() ? wanted.front() : *loaded;
}

std::optional<Trial> RacingSearch::Retry() const {
  const auto believed = [&](size_t configuration) {
    return std::any_of(evidence_.tried().begin(), evidence_.tried().end(), [&](const auto& entry) {
      return entry.second.refused && entry.second.refusals > 1 &&
             lattice_.AsksForMore(configuration, entry.first);
    });
  };
  std::optional<size_t> next;
  for (const auto& [configuration, tried] : evidence_.tried()) {
    if (!tried.refused || tried.refusals != 1 || believed(configuration)) continue;
    // What asks for the least comes first.
    if (!next || lattice_.AsksForMore(*next, configuration)) next = configuration;
  }
  if (!next) return std::nullopt;
  // Where the server died under a load, less of it may do.
  const Tried& tried = *evidence_.Find(*next);
  const size_t load = tried.points.empty() ? tried.refused_at : space_.loads_of[*next].front();
  return Trial{*next, load, options_.shortest_window, "tries again what was refused"};
}

std::optional<RacingSearch::Wanted> RacingSearch::SecondLook(size_t configuration,
                                                             const Tried& tried,
                                                             std::optional<size_t> leader) const {
  const Point* best = leader ? evidence_.Best(*leader, false) : nullptr;
  const double bound = RacingBound(evidence_.tried().size());
  const auto look = [&](const Point& point, double longer, std::string reason, bool again = false) {
    const Nanos window = FromSeconds(longer * Seconds(options_.shortest_window));
    return Wanted{
        {configuration, point.load, std::min(window, options_.longest_window), std::move(reason)},
        again};
  };
  // The default is what all are compared with: where its constraints break matters, too.
  for (const auto& [load, point] : tried.points) {
    const bool close =
        configuration == 0 || best == nullptr || !Below(evidence_, point, *best, bound, kSlowTake);
    if (close && point.ranked() && evidence_.Doubtful(point)) return look(point, 1, "looks again");
  }
  const Point* point = evidence_.Best(configuration, false);
  if (point == nullptr || best == nullptr) return std::nullopt;
  const bool far = configuration != *leader && Dominated(evidence_, configuration, *best, bound);
  if (far && configuration != 0) return std::nullopt;
  if (point->holds == Holds::kUndecided && point->takes.size() < kLongerTakes)
    return look(*point, std::min<double>(4, 1 + static_cast<double>(point->takes.size())),
                "decides a constraint");
  if (far || evidence_.Slack(configuration, *point) == 0) return std::nullopt;
  return look(*point, 1, "second look", true);
}

// True when somebody joined.
bool RacingSearch::JoinRivals() {
  const auto leader = Leader(knowledge(), true);
  if (!leader) return false;
  const Point& best = *evidence_.Best(*leader, true);
  std::vector<size_t> rivals = Rivals(knowledge(), *leader);
  // Dropped on unpaired looks; before it is called worse it gets paired ones.
  if (rivals.empty() && confirmation_.contenders().empty()) rivals = RunnerUp(*leader);
  // One that ties settles the verdict: the others need not be looked at.
  if (Tied(*leader, rivals)) return false;
  // The nearest first, alone: where that ties, nothing more is to be known.
  const size_t group = confirmation_.contenders().size() < 2 ? 1 : kGroup;
  size_t joined = 0;
  confirmation_.Join({*leader, best.load});
  for (size_t i = 0; i < rivals.size() && joined < group; ++i) {
    if (confirmation_.Has(rivals[i])) continue;
    confirmation_.Join({rivals[i], evidence_.Best(rivals[i], false)->load});
    ++joined;
  }
  return joined > 0;
}

std::vector<size_t> RacingSearch::RunnerUp(size_t leader) const {
  std::vector<size_t> out;
  const Point* best = nullptr;
  for (const auto& [configuration, tried] : evidence_.tried()) {
    const Point* point = evidence_.Best(configuration, false);
    if (configuration == leader || point == nullptr) continue;
    if (best != nullptr && point->utility < best->utility) continue;
    best = point;
    out = {configuration};
  }
  return out;
}

bool RacingSearch::Tied(size_t leader, const std::vector<size_t>& rivals) const {
  return std::any_of(rivals.begin(), rivals.end(), [&](size_t rival) {
    return confirmation_.Compare(leader, rival).verdict == Paired::Verdict::kTie;
  });
}

std::optional<Trial> RacingSearch::NextRound() {
  const Nanos window = ConfirmWindow();
  const auto next = confirmation_.Next(evidence_.TakeVariance(window), evidence_.loaded());
  if (!next) return std::nullopt;
  confirming_ = true;
  return Trial{next->configuration, next->load, window,
               Format("confirms, round {}", confirmation_.rounds())};
}

std::optional<Trial> RacingSearch::Confirm() {
  // Who was lost in a round, or beaten, makes room for others.
  for (size_t attempt = 0; attempt <= evidence_.tried().size(); ++attempt) {
    const auto leader = Leader(knowledge(), true);
    if (leader && !confirmation_.in_round() && Tied(*leader, Rivals(knowledge(), *leader)))
      return std::nullopt;
    if (auto trial = NextRound()) return trial;
    if (!JoinRivals()) return std::nullopt;
  }
  return std::nullopt;
}

Search::Remaining RacingSearch::Estimate() const {
  const Effort before = explored_ ? Effort() : ToExplore();
  double takes = 0, most_takes = 0;
  if (space_.configurations.size() > 1 && (!explored_ || asked_)) {
    const auto done = std::min(static_cast<double>(confirming_takes_), kTakesOfRounds);
    takes = std::max(1.0, kTakesOfRounds - done);
    most_takes = std::max(takes, kMostTakesOfRounds - static_cast<double>(confirming_takes_));
  }
  const double load = evidence_.load_cost(), of_round = evidence_.TakeCost(ConfirmWindow());
  const auto seconds = [&](double times, double rounds) {
    return times * (before.trials * evidence_.TakeCost(before.window) + before.loads * load) +
           rounds * (of_round + kLoadsPerTake * load);
  };
  Remaining out;
  out.trials = static_cast<uint64_t>(std::ceil(before.trials + takes));
  out.most_trials = static_cast<uint64_t>(std::ceil(before.most * before.trials + most_takes));
  out.time = FromSeconds(seconds(1, takes));
  out.most_time = FromSeconds(seconds(before.most, most_takes));
  if (options_.budget) {
    const Nanos left = std::max(Nanos(0), *options_.budget - FromSeconds(evidence_.spent()));
    const auto fit = [&](uint64_t& trials, Nanos& time) {
      if (time <= left) return;
      trials = static_cast<uint64_t>(static_cast<double>(trials) * Seconds(left) / Seconds(time));
      time = left;
    };
    fit(out.trials, out.time), fit(out.most_trials, out.most_time);
    out.most_trials = std::max(out.trials, out.most_trials);
  }
  out.least_budget = LeastBudget();
  return out;
}

}  // namespace sextant::analyze
