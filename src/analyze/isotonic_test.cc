// Isotonic and unimodal fits; takes of one point as one.
#include "analyze/isotonic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "analyze/takes.h"
#include "base/random.h"

namespace sextant::analyze {
namespace {

using Values = std::vector<double>;

TEST(IsotonicFit, PoolsWhatIsInTheWrongOrder) {
  const Values ones(6, 1);
  EXPECT_EQ(IsotonicFit(Values{1, 2, 3, 4, 5, 6}, ones), (Values{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(IsotonicFit(Values{3, 1, 2, 5, 4, 6}, ones), (Values{2, 2, 2, 4.5, 4.5, 6}));
  EXPECT_EQ(IsotonicFit(Values{4, 1}, Values{3, 1}), (Values{3.25, 3.25}));
  EXPECT_TRUE(IsotonicFit({}, {}).empty());
}

TEST(IsotonicFit, IsNearerThanAnyOtherMonotoneSequence) {
  Random random(5);
  Values values, weights;
  for (int i = 0; i < 12; ++i)
    values.push_back(random.Normal()), weights.push_back(0.5 + random.Uniform());
  const auto misfit = [&](const Values& fit) {
    double sum = 0;
    for (size_t i = 0; i < fit.size(); ++i) sum += weights[i] * std::pow(fit[i] - values[i], 2);
    return sum;
  };
  const Values fit = IsotonicFit(values, weights);
  for (int trial = 0; trial < 2000; ++trial) {
    Values other = fit;
    for (double& v : other) v += 0.1 * random.Normal();
    for (size_t i = 1; i < other.size(); ++i) other[i] = std::max(other[i], other[i - 1]);
    EXPECT_GE(misfit(other), misfit(fit));
  }
}

TEST(UnimodalFit, RisesThenFalls) {
  const Values ones(6, 1);
  EXPECT_EQ(UnimodalFit(Values{1, 3, 7, 6, 4, 2}, ones), (Values{1, 3, 7, 6, 4, 2}));
  EXPECT_EQ(UnimodalFit(Values{1, 2, 3, 4, 5, 6}, ones), (Values{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(UnimodalFit(Values{6, 5, 4, 3, 2, 1}, ones), (Values{6, 5, 4, 3, 2, 1}));
  const Values fit = UnimodalFit(Values{1, 5, 4, 9, 3, 4}, ones);
  EXPECT_EQ(fit, (Values{1, 4.5, 4.5, 9, 3.5, 3.5}));
}

TEST(Takes, OfOnePointAreOneWithTheScatterBetweenThemInTheInterval) {
  const auto take = [](double value, double half) {
    return Take{1s, {{"throughput", {value, value - half, value + half}}}};
  };
  const std::vector<Take> close{take(100, 1), take(100.5, 1)}, apart{take(100, 1), take(110, 1)};
  const Figure a = CombineTakes(close).at("throughput"), b = CombineTakes(apart).at("throughput");
  EXPECT_NEAR(a.value, 100.25, 1e-9);
  EXPECT_NEAR(b.value, 105, 1e-9);
  EXPECT_GT(*b.upper - *b.lower, 2 * (*a.upper - *a.lower));
}

TEST(Takes, IntervalHoldsTheTruthWhereTakesDrift) {
  Random random(11);
  int inside = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    std::vector<Take> takes;
    for (int i = 0; i < 5; ++i) {
      const double value = 100 * (1 + 0.015 * random.Normal()) + 0.5 * random.Normal();
      takes.push_back({1s, {{"throughput", {value, value - 0.98, value + 0.98}}}});
    }
    const Figure figure = CombineTakes(takes).at("throughput");
    inside += *figure.lower <= 100 && 100 <= *figure.upper ? 1 : 0;
  }
  EXPECT_GT(inside, 880);
}

TEST(Takes, KeepMaximaMinimaAndWhatOnlySomeHave) {
  const std::vector<Take> takes{{1s,
                                 {{"latency_max", {2, {}, {}}},
                                  {"gpu_memory_used", {5, {}, {}}},
                                  {"gpu_memory_used_mean", {1, {}, {}}},
                                  {"gpu_memory_free", {3, {}, {}}},
                                  {"requests", {100, {}, {}}},
                                  {"latency_avg", {1, {}, {}}}}},
                                {3s,
                                 {{"latency_max", {1, {}, {}}},
                                  {"gpu_memory_used", {6, {}, {}}},
                                  {"gpu_memory_used_mean", {5, {}, {}}},
                                  {"gpu_memory_free", {2, {}, {}}},
                                  {"requests", {300, {}, {}}},
                                  {"latency_avg", {2, {}, {}}},
                                  {"gpu_power", {70, {}, {}}}}}};
  const Figures figures = CombineTakes(takes);
  EXPECT_EQ(figures.at("latency_max").value, 2);
  EXPECT_EQ(figures.at("gpu_memory_used").value, 6);
  EXPECT_EQ(figures.at("gpu_memory_used_mean").value, 4) << "a mean is none, be it of memory";
  EXPECT_EQ(figures.at("gpu_memory_free").value, 2);
  EXPECT_EQ(figures.at("requests").value, 400) << "what all rest on together";
  EXPECT_EQ(figures.at("latency_avg").value, 1.75);
  EXPECT_EQ(figures.at("gpu_power").value, 70);
}

}  // namespace
}  // namespace sextant::analyze
