#include "serve/service_law.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace sextant::serve {
namespace {

ServiceLaw Law(std::string_view text) {
  const Result<ServiceLaw> law = ServiceLaw::Parse(text);
  EXPECT_TRUE(law.has_value()) << text;
  return law.has_value() ? *law : ServiceLaw();
}
double Millis(Nanos d) { return Seconds(d) * 1e3; }

TEST(NormalQuantile, IsThatOfTheTables) {
  EXPECT_NEAR(NormalQuantile(0.5), 0, 1e-14);
  EXPECT_NEAR(NormalQuantile(0.9), 1.2815515655446004, 1e-12);
  EXPECT_NEAR(NormalQuantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(NormalQuantile(0.99), 2.3263478740408408, 1e-12);
  EXPECT_NEAR(NormalQuantile(0.999), 3.090232306167813, 1e-11);
  EXPECT_NEAR(NormalQuantile(0.9999), 3.719016485455709, 1e-10);
  EXPECT_NEAR(NormalQuantile(0.01), -2.3263478740408408, 1e-12);
}

TEST(NormalQuantile, InvertsTheDistributionFunctionFarIntoBothTails) {
  for (double p = 1e-11; p < 0.5; p *= 3) {
    EXPECT_NEAR(0.5 * std::erfc(-NormalQuantile(p) / std::sqrt(2.0)) / p, 1, 1e-9) << p;
    EXPECT_NEAR(NormalQuantile(1 - p), -NormalQuantile(p), 1e-3 * std::abs(NormalQuantile(p))) << p;
  }
}

TEST(ServiceLaws, ReadWhatTheyWrite) {
  for (const std::string_view text : {"fixed(10ms)", "normal(10ms, 1ms)", "lognormal(10ms, 0.5)",
                                      "exponential(10ms)", "bimodal(5ms, 50ms, 0.1)"}) {
    EXPECT_EQ(Law(text).Text(), text);
  }
  EXPECT_EQ(Law("  2.5ms ").Text(), "fixed(2.5ms)");
  EXPECT_EQ(Law("normal( 1s ,10ms)").Text(), "normal(1s, 10ms)");
}

TEST(ServiceLaws, HaveTheQuantilesOfTheirClosedForms) {
  const double z99 = 2.3263478740408408;
  EXPECT_EQ(Law("fixed(10ms)").Quantile(0.99), 10ms);
  EXPECT_EQ(Law("normal(100ms, 10ms)").Quantile(0.5), 100ms);
  EXPECT_NEAR(Millis(Law("normal(100ms, 10ms)").Quantile(0.99)), 100 + 10 * z99, 1e-5);
  EXPECT_NEAR(Millis(Law("lognormal(100ms, 0.5)").Quantile(0.5)), 100, 1e-5);
  EXPECT_NEAR(Millis(Law("lognormal(100ms, 0.5)").Quantile(0.99)), 100 * std::exp(0.5 * z99), 1e-4);
  EXPECT_NEAR(Millis(Law("exponential(100ms)").Quantile(0.5)), 100 * std::log(2), 1e-5);
  EXPECT_NEAR(Millis(Law("exponential(100ms)").Quantile(0.99)), 100 * std::log(100), 1e-4);
  EXPECT_EQ(Law("bimodal(5ms, 50ms, 0.1)").Quantile(0.89), 5ms);
  EXPECT_EQ(Law("bimodal(5ms, 50ms, 0.1)").Quantile(0.91), 50ms);
}

TEST(ServiceLaws, HaveTheMeansOfTheirClosedForms) {
  EXPECT_EQ(Law("fixed(10ms)").Mean(), 10ms);
  EXPECT_EQ(Law("normal(10ms, 1ms)").Mean(), 10ms);
  EXPECT_EQ(Law("exponential(10ms)").Mean(), 10ms);
  EXPECT_NEAR(Millis(Law("lognormal(10ms, 0.5)").Mean()), 10 * std::exp(0.125), 1e-5);
  EXPECT_NEAR(Millis(Law("bimodal(5ms, 50ms, 0.1)").Mean()), 9.5, 1e-6);
}

TEST(ServiceLaws, DrawWhatTheyDeclare) {
  for (const std::string_view text : {"normal(100ms, 10ms)", "lognormal(100ms, 0.5)",
                                      "exponential(100ms)", "bimodal(5ms, 50ms, 0.1)"}) {
    const ServiceLaw law = Law(text);
    Random random(17);
    constexpr int kDraws = 200'000;
    std::vector<Nanos> drawn;
    double sum = 0;
    for (int i = 0; i < kDraws; ++i) {
      drawn.push_back(law.Draw(random));
      sum += Seconds(drawn.back());
    }
    std::sort(drawn.begin(), drawn.end());
    EXPECT_NEAR(sum / kDraws / Seconds(law.Mean()), 1, 0.01) << text;
    for (const double p : {0.05, 0.25, 0.5, 0.75, 0.95, 0.99}) {
      // The share below the quantile is p, to five standard deviations; ties count to either side.
      const Nanos quantile = law.Quantile(p);
      const auto below = std::lower_bound(drawn.begin(), drawn.end(), quantile) - drawn.begin();
      const auto through = std::upper_bound(drawn.begin(), drawn.end(), quantile) - drawn.begin();
      const double slack = 5 * std::sqrt(p * (1 - p) * kDraws);
      EXPECT_LE(static_cast<double>(below), p * kDraws + slack) << text << " " << p;
      EXPECT_GE(static_cast<double>(through), p * kDraws - slack) << text << " " << p;
    }
  }
}

TEST(ServiceLaws, NeverDrawATimeBelowZeroNorBeyondWhatHasNanoseconds) {
  Random random(3);
  for (const std::string_view text : {"normal(1ms, 100ms)", "lognormal(1h, 100)"}) {
    const ServiceLaw law = Law(text);
    for (int i = 0; i < 10'000; ++i) {
      const Nanos drawn = law.Draw(random);
      ASSERT_GE(drawn, Nanos(0)) << text;
      ASSERT_LE(drawn, Nanos(1'000'000'000'000'000'000)) << text;
    }
  }
}

TEST(ServiceLaws, ThatMakeNoSenseAreRefusedWithWhatIsWrong) {
  const auto fault = [](std::string_view text) {
    const Result<ServiceLaw> law = ServiceLaw::Parse(text);
    return law.has_value() ? "accepted" : law.error().message();
  };
  EXPECT_NE(fault("gamma(1ms)").find("no such law"), std::string::npos);
  EXPECT_NE(fault("10").find("no such law"), std::string::npos);
  EXPECT_NE(fault("fixed(10ms").find("')' is missing"), std::string::npos);
  EXPECT_NE(fault("fixed(1ms, 2ms)").find("takes 1 arguments"), std::string::npos);
  EXPECT_NE(fault("normal(1ms)").find("takes 2 arguments"), std::string::npos);
  EXPECT_NE(fault("normal(1ms, 3)").find("not a duration"), std::string::npos);
  EXPECT_NE(fault("bimodal(1ms, 2ms, 1.5)").find("out of range"), std::string::npos);
  EXPECT_NE(fault("lognormal(1ms, -1)").find("out of range"), std::string::npos);
  EXPECT_NE(fault("lognormal(1ms, nan)").find("out of range"), std::string::npos);
  EXPECT_NE(fault("fixed(300000h)").find("too long"), std::string::npos);
  EXPECT_NE(fault("").find("write fixed(10ms)"), std::string::npos);
}

}  // namespace
}  // namespace sextant::serve
