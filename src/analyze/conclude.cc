#include "analyze/conclude.h"

#include <algorithm>
#include <cmath>

#include "analyze/breaking_load.h"
#include "base/strings.h"
#include "stats/interval.h"

namespace sextant::analyze {
namespace {

// Names in a sentence.
constexpr size_t kNamed = 4;

using Kind = Standing::Kind;

struct Ranked {
  Standing standing;
  double order = 0;  // within the kind, larger is better
};

// "the default", and of others the name that they were given, or their number.
std::string NameOf(const SearchOptions& options, size_t configuration) {
  if (configuration == 0) return "the default";
  return configuration < options.names.size() ? options.names[configuration]
                                              : Format("config_{}", configuration);
}

std::string Percent(double share) { return Format("{:.2g} %", std::abs(share) * 100); }

std::string Listed(const SearchOptions& options, const std::vector<size_t>& configurations) {
  std::string out;
  const size_t named = std::min(configurations.size(), kNamed);
  const size_t left = configurations.size() - named;
  for (size_t i = 0; i < named; ++i) {
    const bool last = i + 1 == named && left == 0;
    AppendFormat(out, "{}{}", i == 0 ? "" : (last ? " and " : ", "),
                 NameOf(options, configurations[i]));
  }
  if (left > 0) AppendFormat(out, " and {} others", left);
  return out;
}

std::string ConstraintsText(const Goal& goal) {
  std::string out;
  for (const Constraint& constraint : goal.constraints)
    AppendFormat(out, "{}{}", out.empty() ? "" : ", ", constraint.text);
  return out;
}

// By how much nothing misses the constraints at its nearest point, as a logarithm; its figures are
// those there, so that one sees how far away it is. Where that cannot be said for any, the point
// with the highest utility.
double ShowNearest(const Knowledge& knowledge, const Tried& tried, Standing& standing) {
  constexpr double kNotKnown = 1e9;
  const Point* nearest = nullptr;
  double least = 0;
  for (const auto& [load, point] : tried.points) {
    if (!point.measured()) continue;
    const double missed = knowledge.evidence.Violation(point).value_or(kNotKnown);
    const bool better = nearest == nullptr || missed < least ||
                        (missed == least && point.ranked() && point.utility > nearest->utility);
    if (better) nearest = &point, least = missed;
  }
  if (nearest == nullptr) return kNotKnown;
  standing.nearest_load = nearest->load;
  standing.figures = nearest->figures;
  standing.takes = nearest->takes.size();
  return least;
}

// Why a configuration whose points were measured has none that may win.
void Exclude(const Knowledge& knowledge, const Tried& tried, Standing& standing) {
  const Goal& goal = knowledge.options.goal;
  std::string missing;
  bool undecided = false, violated = false;
  for (const auto& [load, point] : tried.points) {
    if (!point.measured()) continue;
    for (const Constraint& constraint : goal.constraints) {
      const Holds holds = Check(constraint, point.figures);
      if (holds == Holds::kUnknown) missing = constraint.field;
      if (holds == Holds::kNo) violated = true;
    }
    undecided = undecided || point.holds == Holds::kUndecided;
    for (const Objective& objective : goal.objectives) {
      if (!point.figures.contains(objective.field)) missing = objective.field;
    }
  }
  if (!missing.empty()) {
    standing.kind = Kind::kUnknown;
    standing.why = Format("{} is missing: it cannot be known whether it would do", missing);
  } else if (undecided) {
    standing.kind = Kind::kUnknown;
    standing.why = Format("{} could not be shown to hold", ConstraintsText(goal));
  } else if (violated) {
    standing.kind = Kind::kInfeasible;
    standing.why = Format("no load measured at which {} holds", ConstraintsText(goal));
  } else {
    standing.kind = Kind::kFailed;
    standing.why = tried.refused ? "could not be loaded" : "could not be measured";
  }
}

Figure GainOver(const Knowledge& knowledge, size_t configuration, const Point& point) {
  const Point* base = knowledge.evidence.Best(0, true);
  if (base == nullptr) base = knowledge.evidence.Best(0, false);
  if (base == nullptr) return {};
  if (configuration == 0) return {0, 0, 0};
  double difference = point.utility - base->utility;
  double half =
      kNormal95 * std::hypot(knowledge.evidence.Error(point), knowledge.evidence.Error(*base));
  const Paired paired = knowledge.confirmation.Compare(configuration, 0);
  if (paired.known()) difference = paired.difference, half = paired.half_width;
  return {std::expm1(difference), std::expm1(difference - half), std::expm1(difference + half)};
}

// Against the leader: ties or loses, and why.
void Place(const Knowledge& knowledge, size_t leader, const Point& point, Standing& standing) {
  const Point& best = *knowledge.evidence.Best(leader, true);
  const Paired paired = knowledge.confirmation.Compare(leader, standing.configuration);
  const std::string name = NameOf(knowledge.options, leader);
  if (paired.known()) {
    const bool loses = paired.verdict == Paired::Verdict::kBetter;
    standing.kind = loses ? Kind::kLoses : Kind::kTies;
    standing.why = Format("{} {} by {} +- {} in {} paired rounds",
                          loses ? "worse than" : "cannot be told from", name,
                          Percent(paired.difference), Percent(paired.half_width), paired.rounds);
    return;
  }
  const double bound = RacingBound(knowledge.evidence.tried().size());
  standing.kind = Dominated(knowledge.evidence, standing.configuration, best, bound) ? Kind::kLoses
                                                                                     : Kind::kTies;
  standing.why = standing.kind == Kind::kLoses
                     ? Format("{} below {}", Percent(best.utility - point.utility), name)
                     : Format("cannot be told from {} by what was measured", name);
}

// In the chain of the load at which it does best.
std::optional<Figure> BreakingLoadOf(const Knowledge& knowledge, size_t configuration,
                                     const Point& best) {
  if (knowledge.options.goal.constraints.empty()) return std::nullopt;
  const std::vector<Chain> chains = ChainsOf(knowledge.space, configuration);
  const auto of_best = std::find_if(chains.begin(), chains.end(), [&](const Chain& chain) {
    return std::find(chain.begin(), chain.end(), best.load) != chain.end();
  });
  if (of_best == chains.end()) return std::nullopt;
  return BreakingLoad(knowledge.space, knowledge.options, knowledge.evidence, configuration,
                      *of_best);
}

// Said after why it stands where it does.
void TellBreakingLoads(const Knowledge& knowledge, std::vector<Standing>& ranking) {
  for (Standing& standing : ranking) {
    if (!standing.breaking_load) continue;
    const Figure& at = *standing.breaking_load;
    const bool rate =
        knowledge.space.loads[*standing.load].point.mode == run::LoadMode::kRequestRate;
    AppendFormat(standing.why, "; {} holds up to {} {:.4g}{} [{:.4g}, {:.4g}]",
                 ConstraintsText(knowledge.options.goal), rate ? "rate" : "concurrency", at.value,
                 rate ? "/s" : "", *at.lower, *at.upper);
  }
}

Ranked Stand(const Knowledge& knowledge, size_t configuration, const Tried& tried,
             std::optional<size_t> leader) {
  Ranked out;
  Standing& standing = out.standing;
  standing.configuration = configuration;
  const Point* point = knowledge.evidence.Best(configuration, true);
  if (point == nullptr) {
    Exclude(knowledge, tried, standing);
    if (standing.kind != Kind::kFailed) out.order = -ShowNearest(knowledge, tried, standing);
    return out;
  }
  standing.load = point->load;
  standing.figures = point->figures;
  standing.takes = point->takes.size();
  standing.gain = GainOver(knowledge, configuration, *point);
  const LoadSearch loads(knowledge.space, knowledge.options, knowledge.evidence);
  const LoadProfile profile = loads.Profile(configuration);
  standing.load_within = profile.within, standing.load_beyond = profile.beyond;
  standing.knee = profile.knee;
  standing.breaking_load = BreakingLoadOf(knowledge, configuration, *point);
  // Among those that tie, what was measured longer comes before what chance may have lifted.
  out.order = knowledge.evidence.Lower(*point, 1);
  if (configuration == leader) {
    standing.kind = Kind::kTies;  // unless it is alone
  } else {
    Place(knowledge, *leader, *point, standing);
  }
  return out;
}

std::string Winner(const Knowledge& knowledge, const Standing& winner, size_t tried) {
  const std::string name = NameOf(knowledge.options, winner.configuration);
  if (tried == 1) return Format("{} is the only one that was measured", name);
  if (winner.configuration == 0) return Format("{} wins: nothing tried is better", name);
  if (!winner.gain.lower) return Format("{} wins: the default does not meet the goal", name);
  const size_t of = knowledge.space.configurations.size();
  return Format("{} wins: {:.3g} % [{:.3g}, {:.3g}] better than the default{}", name,
                winner.gain.value * 100, *winner.gain.lower * 100, *winner.gain.upper * 100,
                tried < of ? Format(", and better than all others of the {} tried", tried) : "");
}

std::string NobodyWins(const Conclusion& conclusion, const SearchOptions& options) {
  const auto any = [&](Kind kind) {
    return std::any_of(conclusion.ranking.begin(), conclusion.ranking.end(),
                       [&](const Standing& s) { return s.kind == kind; });
  };
  if (conclusion.ranking.empty()) return "nothing was measured";
  for (const Standing& standing : conclusion.ranking) {
    if (standing.kind == Kind::kUnknown) return Format("nothing can win: {}", standing.why);
  }
  if (any(Kind::kInfeasible)) {
    const Standing& first = conclusion.ranking.front();
    return Format("infeasible: no configuration meets {}{}", ConstraintsText(options.goal),
                  conclusion.ranking.size() > 1
                      ? Format("; {} comes nearest", NameOf(options, first.configuration))
                      : "");
  }
  return "no configuration could be measured";
}

void Settle(const Knowledge& knowledge, Conclusion& conclusion) {
  std::vector<size_t> tied;
  for (const Standing& standing : conclusion.ranking) {
    if (standing.kind == Kind::kWins || standing.kind == Kind::kTies)
      tied.push_back(standing.configuration);
  }
  if (tied.empty()) {
    conclusion.verdict = NobodyWins(conclusion, knowledge.options);
    return;
  }
  Standing& first = conclusion.ranking.front();
  if (tied.size() > 1) {
    first.why = "the best, but not by more than chance allows";
    conclusion.verdict = Listed(knowledge.options, tied) + " tie";
    return;
  }
  first.kind = Kind::kWins;
  first.why = "better than every other";
  conclusion.verdict = Winner(knowledge, first, conclusion.ranking.size());
}

// A verdict stands for what was measured; this says what was not.
std::string WhatTheBudgetCut(const Knowledge& knowledge, const Conclusion& conclusion, Cut cut) {
  if (cut == Cut::kNothing) return "";
  const size_t tried = conclusion.ranking.size(), of = knowledge.space.configurations.size();
  if (cut == Cut::kSearch) {
    return tried < of ? Format("; the budget ended the search with {} of {} configurations tried",
                               tried, of)
                      : "; the budget ended the search before all loads worth a look had one";
  }
  const bool wins = !conclusion.ranking.empty() && conclusion.ranking[0].kind == Kind::kWins;
  return wins ? "; the budget ended the rounds that were to confirm it"
              : "; the budget was spent before rounds could tell them apart";
}

}  // namespace

double RacingBound(size_t configurations) {
  const auto n = static_cast<double>(std::max<size_t>(configurations, 1));
  return stats::StudentQuantile(1e6, 0.025 / n);
}

bool Below(const Evidence& evidence, const Point& point, const Point& leader, double bound,
           double hope) {
  const double error = std::hypot(evidence.Error(point), evidence.Error(leader));
  return point.utility + hope + bound * error < leader.utility;
}

bool Dominated(const Evidence& evidence, size_t configuration, const Point& leader, double bound,
               double potential) {
  const Point* point = evidence.Best(configuration, false);
  if (point == nullptr) return false;
  return Below(evidence, *point, leader, bound, evidence.Slack(configuration, *point) + potential);
}

std::optional<size_t> Leader(const Knowledge& knowledge, bool strict) {
  const Evidence& evidence = knowledge.evidence;
  const auto confirmed = knowledge.confirmation.Leader();
  if (confirmed && knowledge.confirmation.rounds() >= kClearRounds &&
      evidence.Best(*confirmed, strict) != nullptr)
    return confirmed;
  std::optional<size_t> leader;
  double most = 0;
  for (const auto& [configuration, tried] : evidence.tried()) {
    const Point* point = evidence.Best(configuration, strict);
    if (point == nullptr) continue;
    // A little in favour of what was measured longer: chance lifts single looks most.
    const double value = evidence.Lower(*point, 0.5);
    if (!leader || value > most) leader = configuration, most = value;
  }
  return leader;
}

std::vector<size_t> Rivals(const Knowledge& knowledge, size_t leader) {
  const Evidence& evidence = knowledge.evidence;
  const Point* best = evidence.Best(leader, false);
  const double bound = RacingBound(evidence.tried().size());
  std::vector<std::pair<double, size_t>> found;
  for (const auto& [configuration, tried] : evidence.tried()) {
    if (configuration == leader) continue;
    const Point* point = evidence.Best(configuration, false);
    if (point == nullptr) continue;
    const Paired paired = knowledge.confirmation.Compare(leader, configuration);
    if (paired.verdict == Paired::Verdict::kBetter) continue;
    const bool open = !paired.known();
    if (open && Dominated(evidence, configuration, *best, bound)) continue;
    found.emplace_back(-point->utility, configuration);
  }
  std::sort(found.begin(), found.end());
  std::vector<size_t> out;
  for (const auto& [order, configuration] : found) out.push_back(configuration);
  return out;
}

Conclusion Conclude(const Knowledge& knowledge, Cut cut) {
  const auto leader = Leader(knowledge, true);
  std::vector<Ranked> all;
  for (const auto& [configuration, tried] : knowledge.evidence.tried())
    all.push_back(Stand(knowledge, configuration, tried, leader));
  std::stable_sort(all.begin(), all.end(), [](const Ranked& a, const Ranked& b) {
    return a.standing.kind != b.standing.kind ? a.standing.kind < b.standing.kind
                                              : a.order > b.order;
  });
  Conclusion out;
  out.budget_spent = cut != Cut::kNothing;
  for (Ranked& ranked : all) out.ranking.push_back(std::move(ranked.standing));
  Settle(knowledge, out);
  TellBreakingLoads(knowledge, out.ranking);
  out.verdict += WhatTheBudgetCut(knowledge, out, cut);
  std::vector<const Figures*> points;
  for (const Standing& standing : out.ranking)
    points.push_back(standing.load ? &standing.figures : nullptr);
  out.pareto = ParetoSet(knowledge.options.pareto_fields, points);
  return out;
}

}  // namespace sextant::analyze
