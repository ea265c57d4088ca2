// How much time does finding the best configuration take? On simulated surfaces whose truth is
// known.
//
//   search_surfaces peaked|ridge|cliff|flat SEEDS [CONSTRAINTS]
//
// Prints a line of JSON: medians over the seeds of the seconds measured (windows alone) by the
// adaptive search and by Model Analyzer's brute force and quick search
// (src/analyze/peer_searches.h),
//   found    until the leader is, and stays, truly within 3 % of the best
//   explored until the confirmation began
//   total    until the verdict
// and their ratios to the peers' totals; the share of runs that name a configuration beyond 3 %
// (missed), that say `wins` of one that is truly more than 0.5 % below the best (false_wins), and
// that end in a tie.
//
//   search_surfaces sizes      over spaces of many sizes: trials, loads and seconds that the
//                              adaptive search takes, median and 90th percentile of 40 seeds, and
//                              what it announced
//   search_surfaces scale      the cost of deciding in a space of 100 000 points: CPU s, MiB
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "analyze/peer_searches.h"
#include "analyze/simulated_surface.h"

namespace {

using namespace sextant;
using namespace sextant::analyze;

constexpr double kWithin = 0.03, kTied = 0.005;

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Of the best true throughput, the share that is missing at this point; all where it may not be.
double Regret(const SimulatedSurface& surface, const Goal& goal, double best, size_t configuration,
              size_t load) {
  const Figures truth = surface.Truth(configuration, load);
  if (truth.empty() || CheckAll(goal.constraints, truth) != Holds::kYes) return 1;
  return 1 - truth.at("throughput").value / best;
}

struct Run {
  double found = 0, explored = 0, total = 0, elapsed = 0, regret = 1;
  size_t trials = 0, loads = 0;
  bool wins = false, tie = false, false_win = false;
};

// The best of a configuration at any load: what "truly better" is about.
double BestOf(const SimulatedSurface& surface, const Goal& goal, size_t configuration) {
  double best = 0;
  for (const uint32_t load : surface.space().loads_of[configuration]) {
    const Figures truth = surface.Truth(configuration, load);
    if (!truth.empty() && CheckAll(goal.constraints, truth) == Holds::kYes)
      best = std::max(best, truth.at("throughput").value);
  }
  return best;
}

Run RunAdaptive(SimulatedSurface& surface, const SearchOptions& options) {
  const auto search = MakeSearch(surface.space(), options);
  const double best = BestThroughput(surface, options.goal);
  Run run;
  bool confirming = false;
  while (const auto trial = search->Next()) {
    if (trial->reason.starts_with("confirms") && !confirming) {
      confirming = true;
      run.explored = surface.measured_s();
    }
    search->Report(surface.Measure(*trial));
    ++run.trials;
    const Conclusion now = search->Conclude();
    const Standing& first = now.ranking.front();
    const double regret =
        first.load ? Regret(surface, options.goal, best, first.configuration, *first.load) : 1;
    if (regret <= kWithin && run.regret > kWithin) run.found = surface.measured_s();
    run.regret = regret;
  }
  run.total = surface.measured_s(), run.elapsed = surface.elapsed_s(), run.loads = surface.loads();
  if (!confirming) run.explored = run.total;
  const Conclusion end = search->Conclude();
  const Standing& first = end.ranking.front();
  run.wins = first.kind == Standing::Kind::kWins;
  run.tie = first.kind == Standing::Kind::kTies;
  run.false_win =
      run.wins && BestOf(surface, options.goal, first.configuration) < (1 - kTied) * best;
  return run;
}

struct Sums {
  std::vector<double> found, explored, total, elapsed, trials, loads;
  double missed = 0, wins = 0, ties = 0, false_wins = 0;
};

struct PeerSums {
  std::vector<double> measured, launches, starts;
  double missed = 0;
  void Add(const PeerResult& result, double regret) {
    measured.push_back(result.measured_s);
    launches.push_back(static_cast<double>(result.launches));
    starts.push_back(static_cast<double>(result.starts));
    missed += result.found && regret <= kWithin ? 0 : 1;
  }
};

void Print(const std::string& name, int seeds, const Sums& ours, const PeerSums& brute,
           const PeerSums& quick) {
  const double n = seeds, of_brute = Median(brute.measured), of_quick = Median(quick.measured);
  std::printf(
      "{\"surface\": \"%s\", \"seeds\": %d, \"found_s\": %.1f, \"explored_s\": %.1f, "
      "\"total_s\": %.1f, \"elapsed_s\": %.0f, \"trials\": %.0f, \"loads\": %.0f, "
      "\"missed\": %.4f, \"wins\": %.4f, \"ties\": %.4f, \"false_wins\": %.4f, "
      "\"brute_s\": %.0f, \"brute_launches\": %.0f, \"brute_starts\": %.0f, "
      "\"brute_missed\": %.4f, \"quick_s\": %.0f, \"quick_launches\": %.0f, "
      "\"quick_starts\": %.0f, \"quick_missed\": %.4f, \"found_of_brute\": %.4f, "
      "\"explored_of_brute\": %.4f, \"total_of_brute\": %.4f, \"found_of_quick\": %.4f, "
      "\"explored_of_quick\": %.4f, \"total_of_quick\": %.4f}\n",
      name.c_str(), seeds, Median(ours.found), Median(ours.explored), Median(ours.total),
      Median(ours.elapsed), Median(ours.trials), Median(ours.loads), ours.missed / n, ours.wins / n,
      ours.ties / n, ours.false_wins / n, of_brute, Median(brute.launches), Median(brute.starts),
      brute.missed / n, of_quick, Median(quick.launches), Median(quick.starts), quick.missed / n,
      Median(ours.found) / of_brute, Median(ours.explored) / of_brute,
      Median(ours.total) / of_brute, Median(ours.found) / of_quick,
      Median(ours.explored) / of_quick, Median(ours.total) / of_quick);
}

void Compare(SurfaceKind kind, int seeds, const Goal& goal) {
  Sums ours;
  PeerSums brute, quick;
  for (int seed = 1; seed <= seeds; ++seed) {
    SurfaceOptions of{.kind = kind, .seed = static_cast<uint64_t>(seed)};
    SimulatedSurface a(of), b(of), c(of);
    SearchOptions options{
        .kind = SearchOptions::Kind::kAdaptive, .goal = goal, .seed = static_cast<uint64_t>(seed)};
    const Run run = RunAdaptive(a, options);
    ours.found.push_back(run.found), ours.explored.push_back(run.explored);
    ours.total.push_back(run.total), ours.elapsed.push_back(run.elapsed);
    ours.trials.push_back(static_cast<double>(run.trials));
    ours.loads.push_back(static_cast<double>(run.loads));
    ours.missed += run.regret > kWithin ? 1 : 0;
    ours.wins += run.wins ? 1 : 0, ours.ties += run.tie ? 1 : 0;
    ours.false_wins += run.false_win ? 1 : 0;
    const double best = BestThroughput(b, goal);
    const PeerResult by_brute = BruteForce(b, goal), by_quick = QuickSearch(c, goal);
    brute.Add(by_brute, Regret(b, goal, best, by_brute.configuration, by_brute.load));
    quick.Add(by_quick, Regret(c, goal, best, by_quick.configuration, by_quick.load));
  }
  Print(SurfaceName(kind), seeds, ours, brute, quick);
}

void Scale() {
  SimulatedSurface surface(
      {.kind = SurfaceKind::kPeaked, .seed = 1, .instances = 50, .batches = 14, .delays = 13});
  const auto usage = [] {
    rusage r{};
    getrusage(RUSAGE_SELF, &r);
    return static_cast<double>(r.ru_maxrss) / 1024;
  };
  const double memory = usage(), before = CpuSeconds();
  const auto search = MakeSearch(surface.space(), {.kind = SearchOptions::Kind::kAdaptive});
  size_t trials = 0, points = 0;
  while (const auto trial = search->Next()) {
    search->Report(surface.Measure(*trial));
    search->Estimate();
    ++trials;
  }
  const Conclusion end = search->Conclude();
  for (const auto& loads : surface.space().loads_of) points += loads.size();
  const Standing& first = end.ranking.front();
  const double regret =
      Regret(surface, {}, BestThroughput(surface, {}), first.configuration, *first.load);
  std::printf(
      "{\"points\": %zu, \"regret\": %.4f, \"trials\": %zu, \"measured_s\": %.0f, \"cpu_s\": %.3f, "
      "\"mib\": %.1f, \"process_mib\": %.1f, \"verdict\": \"%s\"}\n",
      points, regret, trials, surface.measured_s(), CpuSeconds() - before, usage() - memory,
      usage(), end.verdict.c_str());
}

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

// Do the times that are announced before the first point hold?
void Size(SurfaceKind kind, const SurfaceOptions& size, const char* constraints) {
  std::vector<double> trials, explored, elapsed, loads;
  Search::Remaining told;
  size_t points = 0, configurations = 0;
  Goal goal;
  if (*constraints != 0) goal.constraints = *ParseConstraints(constraints);
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SurfaceOptions of = size;
    of.kind = kind, of.seed = seed;
    SimulatedSurface surface(of);
    points = surface.space().points(), configurations = surface.space().configurations.size();
    const auto search = MakeSearch(surface.space(), {.kind = SearchOptions::Kind::kAdaptive,
                                                     .goal = goal,
                                                     .seed = seed,
                                                     .load_cost = FromSeconds(of.load_s),
                                                     .warmup_cost = FromSeconds(of.warmup_s)});
    told = search->Estimate();
    double n = 0, before = 0;
    while (const auto trial = search->Next()) {
      if (!trial->reason.starts_with("confirms")) ++before;
      search->Report(surface.Measure(*trial));
      ++n;
    }
    trials.push_back(n), explored.push_back(before), elapsed.push_back(surface.elapsed_s());
    loads.push_back(static_cast<double>(surface.loads()));
  }
  std::printf(
      "{\"surface\": \"%s\", \"constraints\": \"%s\", \"configurations\": %zu, \"points\": %zu, "
      "\"explored\": %.0f, \"loads\": %.0f, \"trials\": [%.0f, %.0f], \"told_trials\": [%llu, "
      "%llu], "
      "\"seconds\": [%.0f, %.0f], \"told_s\": [%.0f, %.0f]}\n",
      SurfaceName(kind).c_str(), constraints, configurations, points, Median(explored),
      Median(loads), Median(trials), Quantile(trials, 0.9),
      static_cast<unsigned long long>(told.trials),
      static_cast<unsigned long long>(told.most_trials), Median(elapsed), Quantile(elapsed, 0.9),
      Seconds(told.time), Seconds(told.most_time));
}

void Sizes() {
  for (const SurfaceKind kind :
       {SurfaceKind::kPeaked, SurfaceKind::kRidge, SurfaceKind::kCliff, SurfaceKind::kFlat}) {
    for (const char* constraints : {"", "p99<50ms"}) {
      for (const auto& [instances, batches, delays] :
           {std::array{3U, 1U, 1U}, std::array{3U, 3U, 1U}, std::array{4U, 5U, 1U},
            std::array{5U, 8U, 1U}, std::array{5U, 8U, 5U}, std::array{50U, 14U, 13U}}) {
        for (const uint32_t loads : {1U, 7U, 11U}) {
          Size(kind, {.instances = instances, .batches = batches, .delays = delays, .loads = loads},
               constraints);
        }
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "scale") return Scale(), 0;
  if (what == "sizes") return Sizes(), 0;
  Goal goal;
  if (argc > 3) {
    auto constraints = ParseConstraints(argv[3]);
    if (!constraints.has_value())
      return std::fprintf(stderr, "%s\n", constraints.error().message().c_str()), 2;
    goal.constraints = *std::move(constraints);
  }
  for (const SurfaceKind kind :
       {SurfaceKind::kPeaked, SurfaceKind::kRidge, SurfaceKind::kCliff, SurfaceKind::kFlat}) {
    if (SurfaceName(kind) == what)
      return Compare(kind, argc > 2 ? std::atoi(argv[2]) : 10, goal), 0;
  }
  std::fprintf(
      stderr,
      "usage: search_surfaces peaked|ridge|cliff|flat SEEDS [CONSTRAINTS] | sizes | scale\n");
  return 2;
}
