// Does the interval of the load at which a constraint breaks hold the truth? On servers whose law
// is known, measured with the noise of real ones, by the search itself.
#include "analyze/breaking_load.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "analyze/search.h"
#include "base/random.h"

namespace sextant::analyze {
namespace {

struct Server {
  std::function<double(double)> throughput, p99;  // over the load
  run::LoadMode mode = run::LoadMode::kConcurrency;
  bool intervals = true;  // of the percentiles
};

// A closed loop: n / R0 up to the knee, the capacity beyond it.
Server Closed() {
  const auto x = [](double n) {
    return std::pow(std::pow(0.008 / n, 4) + std::pow(1 / 2000.0, 4), -0.25);
  };
  return {.throughput = x, .p99 = [x](double n) { return n / x(n) * (1.3 + 0.7 * x(n) / 2000); }};
}

// An open loop into one queue (M/M/1): the 99th percentile of its sojourn time.
Server Open() {
  return {.throughput = [](double rate) { return std::min(rate, 1000.0); },
          .p99 = [](double rate) { return rate < 995 ? std::log(100) / (1000 - rate) : 1.0; },
          .mode = run::LoadMode::kRequestRate};
}

// Where the p99 comes to 50 ms.
double Truth(const Server& server, double limit) {
  double low = 1, high = 10000;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (server.p99(middle) < limit ? low : high) = middle;
  }
  return low;
}

Space Loads(const Server& server, const std::vector<double>& values) {
  Space space;
  space.configurations.resize(1);
  space.loads_of.resize(1);
  for (const double value : values) {
    space.loads_of[0].push_back(static_cast<uint32_t>(space.loads.size()));
    Load& load = space.loads.emplace_back();
    load.point.mode = server.mode, load.point.value = value;
  }
  return space;
}

Outcome Measure(const Server& server, const Space& space, const Trial& trial, Random& random) {
  const double seconds = Seconds(trial.window), load = space.loads[trial.load].point.value;
  const double sd = 0.025 / std::sqrt(seconds), slow = random.Uniform() < 0.05 ? 0.9 : 1;
  const double factor = slow * (1 + 0.016 * random.Normal()) * (1 + sd * random.Normal());
  const double told = 2.26 * sd * std::sqrt(random.Gamma(4.5) / 4.5), of_p99 = 2.5 * sd;
  const double x = server.throughput(load) * factor;
  const double p99 = server.p99(load) / factor * std::exp(of_p99 * random.Normal());
  Outcome out{.trial = trial, .figures = {}, .cost_s = seconds + 0.5};
  out.figures["throughput"] = {x, x * (1 - told), x * (1 + told)};
  out.figures["latency_p99"] = {p99, {}, {}};
  if (server.intervals)
    out.figures["latency_p99"] = {p99, p99 * (1 - 2 * of_p99), p99 * (1 + 2 * of_p99)};
  return out;
}

struct Shares {
  double known = 0, inside = 0, near = 0, between = 0, width = 0;
};

// Over 400 seeds: the share of runs that tell where it breaks, of these the share whose interval
// holds the truth, of those whose estimate is within 5 %, of those where it lies between the loads
// measured on either side, and the mean width, relative.
Shares Play(const Server& server, const std::vector<double>& loads, const std::string& constraint) {
  const Space space = Loads(server, loads);
  Shares out;
  const int seeds = 400;
  for (int seed = 1; seed <= seeds; ++seed) {
    Random random(static_cast<uint64_t>(seed));
    SearchOptions options{.kind = SearchOptions::Kind::kAdaptive};
    options.goal.constraints = *ParseConstraints(constraint);
    const auto search = MakeSearch(space, options);
    while (const auto trial = search->Next())
      search->Report(Measure(server, space, *trial, random));
    const Standing standing = search->Conclude().ranking.front();
    if (!standing.breaking_load) continue;
    const Figure& at = *standing.breaking_load;
    const double truth = Truth(server, options.goal.constraints[0].limit);
    out.known += 1.0 / seeds;
    out.inside += *at.lower <= truth && truth <= *at.upper ? 1 : 0;
    out.near += std::abs(at.value / truth - 1) < 0.05 ? 1 : 0;
    const bool bracket = standing.load_within && standing.load_beyond;
    out.between += bracket && at.value > 0.95 * *standing.load_within &&
                           at.value < 1.05 * *standing.load_beyond
                       ? 1
                       : 0;
    out.width += (*at.upper - *at.lower) / truth;
  }
  for (double* share : {&out.inside, &out.near, &out.between, &out.width})
    *share /= out.known * seeds;
  return out;
}

std::vector<double> Steps(double from, double to, double step) {
  std::vector<double> out;
  for (double v = from; v <= to; v += step) out.push_back(v);
  return out;
}

std::vector<double> Powers(int most) {
  std::vector<double> out;
  for (int i = 0; i <= most; ++i) out.push_back(std::exp2(i));
  return out;
}

void Holds95(const Shares& shares) {
  EXPECT_GE(shares.known, 0.9);
  EXPECT_GE(shares.inside, 0.9);
  EXPECT_LE(shares.inside, 0.99);
  EXPECT_GE(shares.between, 0.85);
}

TEST(BreakingLoads, IntervalHoldsTheTruthWhereConcurrenciesAreDense) {
  const Shares shares = Play(Closed(), Steps(2, 200, 2), "p99<50ms");
  Holds95(shares);
  EXPECT_GE(shares.near, 0.75);
}

TEST(BreakingLoads, IntervalHoldsTheTruthWhereRatesAreDense) {
  const Shares shares = Play(Open(), Steps(10, 1200, 10), "p99<50ms");
  Holds95(shares);
  EXPECT_GE(shares.near, 0.95);
}

TEST(BreakingLoads, IntervalHoldsTheTruthBetweenPowersOfTwo) {
  for (const char* constraint : {"p99<22ms", "p99<50ms", "p99<90ms"}) {
    SCOPED_TRACE(constraint);
    const Shares shares = Play(Closed(), Powers(10), constraint);
    Holds95(shares);
    EXPECT_LE(shares.width, 0.6);
  }
}

TEST(BreakingLoads, PercentilesWithoutIntervalsHaveTheSpreadOfTheirTakes) {
  Server server = Closed();
  server.intervals = false;
  Holds95(Play(server, Powers(10), "p99<50ms"));
}

}  // namespace
}  // namespace sextant::analyze
