// What is wanted of a configuration: parsing, constraints that fail closed, comparisons, the Pareto
// set.
#include "analyze/objective.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace sextant::analyze {
namespace {

Figures Of(double throughput, double p99) {
  return {{"throughput", {throughput, {}, {}}}, {"latency_p99", {p99, {}, {}}}};
}

TEST(Objectives, AreFieldsWithWeightsAndKnowTheirDirection) {
  const auto objectives = ParseObjectives("perf_throughput, p99:2 ,gpu_memory:0.5");
  ASSERT_TRUE(objectives.has_value()) << objectives.error().message();
  ASSERT_EQ(objectives->size(), 3U);
  EXPECT_EQ((*objectives)[0].field, "throughput");
  EXPECT_EQ((*objectives)[0].better, Better::kHigher);
  EXPECT_EQ((*objectives)[1].field, "latency_p99");
  EXPECT_EQ((*objectives)[1].weight, 2);
  EXPECT_EQ((*objectives)[1].better, Better::kLower);
  EXPECT_EQ((*objectives)[2].field, "gpu_memory_used");
}

TEST(Objectives, TellAllMistakesAtOnce) {
  const auto objectives = ParseObjectives("troughput,p99:-1,gpu_bar1_used,,avg:x");
  ASSERT_FALSE(objectives.has_value());
  const std::string& message = objectives.error().message();
  EXPECT_NE(message.find("is throughput meant?"), std::string::npos) << message;
  EXPECT_NE(message.find("'p99:-1': a weight"), std::string::npos) << message;
  EXPECT_NE(message.find("neither more nor less"), std::string::npos) << message;
  EXPECT_NE(message.find("write FIELD"), std::string::npos) << message;
  EXPECT_NE(message.find("'avg:x'"), std::string::npos) << message;
  EXPECT_FALSE(ParseObjectives("p99,latency_p99").has_value());
}

TEST(Constraints, HaveTheUnitsOfTheirFields) {
  const auto constraints = ParseConstraints(
      "p99<50ms, errors<0.1%,gpu_memory_used<=8GiB,throughput>=100/s,gpu_power<250W,errors<=0,"
      "gpu_utilization<0.9");
  ASSERT_TRUE(constraints.has_value()) << constraints.error().message();
  ASSERT_EQ(constraints->size(), 7U);
  EXPECT_DOUBLE_EQ((*constraints)[0].limit, 0.05);
  EXPECT_EQ((*constraints)[0].text, "p99<50ms");
  EXPECT_TRUE((*constraints)[0].at_most);
  EXPECT_DOUBLE_EQ((*constraints)[1].limit, 0.001);
  EXPECT_DOUBLE_EQ((*constraints)[2].limit, 8.0 * 1024 * 1024 * 1024);
  EXPECT_FALSE((*constraints)[3].at_most);
  EXPECT_DOUBLE_EQ((*constraints)[3].limit, 100);
  EXPECT_DOUBLE_EQ((*constraints)[4].limit, 250);
  EXPECT_DOUBLE_EQ((*constraints)[5].limit, 0);
  EXPECT_DOUBLE_EQ((*constraints)[6].limit, 0.9);
}

TEST(Constraints, TellAllMistakesAtOnce) {
  const auto constraints =
      ParseConstraints("p99<50,p99>5ms,throughput<9,errors<150%,memory<x,foo<1,p99,errors<0");
  ASSERT_FALSE(constraints.has_value());
  const std::string& message = constraints.error().message();
  for (const char* part : {"'p99<50'", "'p99>5ms'", "'throughput<9'", "'errors<150%'", "'memory<x'",
                           "'foo<1'", "'p99': write", "'errors<0': nothing is below 0"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " in " << message;
  }
}

TEST(Constraints, FailClosedWhereTheFigureIsMissing) {
  const Constraint constraint{"latency_p99", true, 0.05, "p99<50ms"};
  EXPECT_EQ(Check(constraint, {}), Holds::kUnknown);
  EXPECT_EQ(Check(constraint, {{"latency_p99", {std::nan(""), {}, {}}}}), Holds::kUnknown);
  EXPECT_EQ(Check(constraint, Of(1, 0.05)), Holds::kYes);
  EXPECT_EQ(Check(constraint, Of(1, 0.06)), Holds::kNo);
}

TEST(Constraints, AreUndecidedWhileTheIntervalStraddlesTheLimit) {
  const Constraint most{"latency_p99", true, 0.05, ""}, least{"throughput", false, 100, ""};
  EXPECT_EQ(Check(most, {{"latency_p99", {0.049, 0.045, 0.053}}}), Holds::kUndecided);
  EXPECT_EQ(Check(most, {{"latency_p99", {0.049, 0.045, 0.0499}}}), Holds::kYes);
  EXPECT_EQ(Check(most, {{"latency_p99", {0.06, 0.051, 0.07}}}), Holds::kNo);
  EXPECT_EQ(Check(least, {{"throughput", {105, 99, 111}}}), Holds::kUndecided);
  EXPECT_EQ(Check(least, {{"throughput", {105, 101, 111}}}), Holds::kYes);
}

TEST(Constraints, AViolatedOneSettlesItAndAMissingOneIsWorseThanAnUndecidedOne) {
  const std::vector<Constraint> all{{"latency_p99", true, 0.05, ""},
                                    {"gpu_memory_used", true, 8e9, ""},
                                    {"throughput", false, 100, ""}};
  EXPECT_EQ(CheckAll(all, Of(50, 0.01)), Holds::kNo);
  EXPECT_EQ(CheckAll(all, {{"throughput", {105, 99, 111}}, {"latency_p99", {0.01, {}, {}}}}),
            Holds::kUnknown);
  Figures figures = Of(105, 0.01);
  figures["gpu_memory_used"] = {7e9, {}, {}};
  EXPECT_EQ(CheckAll(all, figures), Holds::kYes);
  EXPECT_EQ(CheckAll({}, {}), Holds::kYes);
}

TEST(Constraints, TakesNoErrorsAtAllAtItsWord) {
  const auto none = *ParseConstraints("errors<=0");
  EXPECT_EQ(CheckAll(none, {{"error_rate", {0, 0, 0.003}}}), Holds::kYes);
  EXPECT_EQ(CheckAll(none, {{"error_rate", {0.001, 1e-5, 0.003}}}), Holds::kNo);
}

TEST(Advantage, IsTheWeightedMeanOfRelativeDifferences) {
  const auto objectives = *ParseObjectives("throughput:3,p99:1");
  const auto a = Advantage(objectives, Of(110, 0.02), Of(100, 0.01));
  ASSERT_TRUE(a.has_value());
  EXPECT_NEAR(a->value, (3 * 10.0 / 105 - 0.01 / 0.015) / 4, 1e-12);
  EXPECT_FALSE(a->lower.has_value());
  EXPECT_FALSE(Advantage(objectives, Of(110, 0.02), {{"throughput", {1, {}, {}}}}).has_value());
  EXPECT_EQ(Advantage(objectives, Of(0, 0), Of(0, 0))->value, 0);
}

TEST(Advantage, OfGpuMemoryAloneAndBesideThroughputIsNotZero) {
  const Figures small{{"throughput", {100, {}, {}}}, {"gpu_memory_used", {1e9, {}, {}}}};
  const Figures large{{"throughput", {100, {}, {}}}, {"gpu_memory_used", {6e10, {}, {}}}};
  EXPECT_GT(Advantage(*ParseObjectives("gpu_memory"), small, large)->value, 1.9);
  EXPECT_GT(Advantage(*ParseObjectives("throughput,gpu_memory"), small, large)->value, 0.9);
}

TEST(Advantage, IntervalContainsTheTruthAsOftenAsItSays) {
  Random random(7);
  const auto objectives = *ParseObjectives("throughput");
  int inside = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto take = [&](double mean, double sd) {
      const double value = mean + sd * random.Normal();
      return Figures{{"throughput", {value, value - 1.96 * sd, value + 1.96 * sd}}};
    };
    const auto a = Advantage(objectives, take(110, 3), take(100, 2));
    const double truth = 10.0 / 105;
    inside += *a->lower <= truth && truth <= *a->upper ? 1 : 0;
  }
  EXPECT_NEAR(inside / 2000.0, 0.95, 0.02);
}

TEST(ParetoSet, IsWhatNothingDominates) {
  const std::vector<std::string> fields{"throughput", "latency_p99"};
  const std::vector<Figures> points{Of(100, 0.01), Of(200, 0.02), Of(150, 0.03),
                                    Of(200, 0.02), Of(200, 0.05), {{"throughput", {900, {}, {}}}}};
  std::vector<const Figures*> pointers;
  for (const Figures& point : points) pointers.push_back(&point);
  // Of equals, none dominates the other; what lacks a figure is not in the set.
  EXPECT_EQ(ParetoSet(fields, pointers), (std::vector<size_t>{0, 1, 3}));
}

TEST(ParetoSet, OfTwoAndThreeFieldsIsWhatAllPairsSay) {
  Random random(3);
  for (const size_t count : {2U, 3U}) {
    std::vector<std::string> fields{"throughput", "latency_p99", "gpu_memory_used"};
    fields.resize(count);
    std::vector<Figures> points(300);
    for (Figures& point : points) {
      for (const std::string& field : fields)
        point[field] = {static_cast<double>(random.Below(20)), {}, {}};
    }
    std::vector<const Figures*> pointers;
    for (const Figures& point : points) pointers.push_back(&point);
    std::vector<size_t> expected;
    for (size_t i = 0; i < points.size(); ++i) {
      const auto dominates = [&](const Figures& a) {
        bool better = false;
        for (const std::string& field : fields) {
          const double sign = FindField(field)->better == Better::kLower ? -1 : 1;
          const double gain = sign * (a.at(field).value - points[i].at(field).value);
          if (gain < 0) return false;
          better = better || gain > 0;
        }
        return better;
      };
      if (std::none_of(points.begin(), points.end(), dominates)) expected.push_back(i);
    }
    EXPECT_EQ(ParetoSet(fields, pointers), expected) << count;
  }
}

}  // namespace
}  // namespace sextant::analyze
