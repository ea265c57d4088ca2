#include "analyze/space.h"

#include <gtest/gtest.h>

#include <chrono>

#include "analyze/automatic_space.h"
#include "analyze/parse_space.h"
#include "base/strings.h"
#include "text/yaml.h"

namespace sextant::analyze {
namespace {

using text::Json;
using Words = std::vector<std::string>;

kserve::ModelConfig Config(std::string_view pbtxt) {
  return kserve::ParseModelConfig(pbtxt).value();
}

SpaceSpec Spec(const Words& set, const Words& where = {}) {
  Result<SpaceSpec> spec = ParseSpace(set, where);
  EXPECT_TRUE(spec.has_value()) << (spec.has_value() ? "" : spec.error().message());
  return spec.has_value() ? *spec : SpaceSpec();
}

Space Make(std::string_view pbtxt, const Words& set, const Words& where = {}) {
  Result<Space> space = MakeSpace(Spec(set, where), ModelOf(Config(pbtxt)));
  EXPECT_TRUE(space.has_value()) << (space.has_value() ? "" : space.error().message());
  return space.has_value() ? *space : Space();
}

Words Configurations(const Space& space) {
  Words out;
  for (size_t i = 0; i < space.configurations.size(); ++i)
    out.push_back(DescribeConfiguration(space, i));
  return out;
}

// The loads of a configuration as "concurrency" or "batch x concurrency".
std::string Loads(const Space& space, size_t configuration) {
  std::string out;
  for (const uint32_t index : space.loads_of[configuration]) {
    const Load& load = space.loads[index];
    AppendFormat(out, "{}{}x{:g}", out.empty() ? "" : " ", load.point.batch_size, load.point.value);
  }
  return out;
}

std::string Values(std::string_view text) {
  const Result<AxisSpec> axis = ParseAxis(text);
  if (!axis.has_value()) return axis.error().message();
  if (axis->expression) return "= " + axis->expression->text();
  return text::FormatJson(Json(axis->values));
}

TEST(ParseAxis, ListsRangesAndPowersOfTwo) {
  EXPECT_EQ(Values("instance_group.count=1,2,4"), "[1,2,4]");
  EXPECT_EQ(Values("instances= 1..4 "), "[1,2,3,4]");
  EXPECT_EQ(Values("concurrency=log2(1..128)"), "[1,2,4,8,16,32,64,128]");
  EXPECT_EQ(Values("concurrency=log2(3..100)"), "[3,6,12,24,48,96]");
  EXPECT_EQ(Values("dynamic_batching.max_queue_delay_microseconds=0..1000:250"),
            "[0,250,500,750,1000]");
  EXPECT_EQ(Values("concurrency=1..64*4"), "[1,4,16,64]");
  EXPECT_EQ(Values("concurrency=1,2,4..8+2,100"), "[1,2,4,6,8,100]");
  EXPECT_EQ(Values("rate=0.1..0.5:0.1"), "[0.1,0.2,0.30000000000000004,0.4,0.5]");
}

TEST(ParseAxis, WordsSwitchesAndJson) {
  EXPECT_EQ(Values("instance_group.kind=KIND_CPU,KIND_GPU"), R"(["KIND_CPU","KIND_GPU"])");
  EXPECT_EQ(Values("dynamic_batching.preserve_ordering=true,false"), "[true,false]");
  EXPECT_EQ(Values("dynamic_batching={},null"), "[{},null]");
  EXPECT_EQ(Values("dynamic_batching.preferred_batch_size=[4,8],[8]"), "[[4,8],[8]]");
  EXPECT_EQ(Values("parameters[threads]=1,2"), "[1,2]");
  EXPECT_EQ(Values("parameters[a=b]=x"), R"(["x"])");
  EXPECT_EQ(Values("parameters.mode='a, b',\"c\""), R"(["a, b","c"])");
  EXPECT_EQ(Values("default_model_filename=model-1.onnx,model/2"), R"(["model-1.onnx","model/2"])");
  EXPECT_EQ(Values("data=short,long"), R"(["short","long"])");
}

TEST(ParseAxis, ExpressionsFollowOtherAxes) {
  EXPECT_EQ(Values("concurrency=instances"), "= instances");
  EXPECT_EQ(Values("concurrency=max(1, 2*instances*max_batch_size)"),
            "= max(1, 2*instances*max_batch_size)");
  EXPECT_EQ(Values("max_batch_size=4*instances"), "= 4*instances");
}

TEST(ParseAxis, MistakesHaveTheirPlace) {
  EXPECT_EQ(Values("instances"),
            "'instances', column 1: write NAME=VALUES, such as instances=1,2,4");
  EXPECT_EQ(Values("concurrency=1,,4"), "'concurrency=1,,4', column 15: a value is missing");
  EXPECT_EQ(Values("concurrency=0,1.5"),
            "'concurrency=0,1.5', column 13: concurrency wants whole numbers from 1, not 0\n"
            "'concurrency=0,1.5', column 15: concurrency wants whole numbers from 1, not 1.5");
  EXPECT_EQ(Values("concurrency=8..1"),
            "'concurrency=8..1', column 13: '8..1' ends before it begins");
  EXPECT_EQ(Values("concurrency=1..8:0"),
            "'concurrency=1..8:0', column 13: '1..8:0' never gets from its start to its end");
  EXPECT_EQ(Values("concurrency=log2(0..8)"),
            "'concurrency=log2(0..8)', column 13: powers of two begin above 0, as in log2(1..128)");
  EXPECT_EQ(Values("concurrency=2*instnces"),
            "'concurrency=2*instnces', column 15: 'instnces': 'instnces' is not a field of "
            "config.pbtxt; there are name, platform, backend, runtime, version_policy, "
            "max_batch_size, input, output, batch_input, batch_output, optimization, "
            "dynamic_batching, sequence_batching, ensemble_scheduling, instance_group, "
            "default_model_filename, cc_model_filenames, metric_tags, parameters, model_warmup, "
            "model_operations, model_transaction_policy, model_repository_agents, response_cache; "
            "of the load there is 'instances'; a text stands in quotes");
  EXPECT_EQ(Values("concurrency=2*(instances"),
            "'concurrency=2*(instances', column 15: this parenthesis is not closed");
  EXPECT_EQ(
      Values("concurrency=1,instances"),
      "'concurrency=1,instances', column 15: an expression stands alone, without other values");
  EXPECT_EQ(
      Values("instance_group.kind=KIND_CPU,KIND_GPUS"),
      "'instance_group.kind=KIND_CPU,KIND_GPUS', column 30: 'instance_group.kind': kind wants "
      "one of KIND_AUTO, KIND_GPU, KIND_CPU, KIND_MODEL, not \"KIND_GPUS\"; did you mean "
      "'KIND_GPU'?");
  EXPECT_EQ(Values("dynamic_batching=[1"),
            "'dynamic_batching=[1', column 18: '[1' is not JSON: line 1, column 3: Missing a comma "
            "or ']' "
            "after an array element.");
  EXPECT_TRUE(Values("concurency=1").ends_with("of the load there is 'concurrency'"));
  EXPECT_TRUE(Values("concurrency=1..1e9").ends_with("the range has more than 100000 values"));
}

TEST(ParseSpace, AllMistakesAreSaidAtOnce) {
  const Words set{"instances=a b", "concurrency=0", "concurrency=2"};
  const Words where{"instances<=", "instances", "1<instances<4", "kind=='x'"};
  const Result<SpaceSpec> spec = ParseSpace(set, where);
  ASSERT_FALSE(spec.has_value());
  const std::string all = spec.error().message();
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 5) << all;
  EXPECT_NE(all.find("'instances<=', column 12: something is missing here"), std::string::npos)
      << all;
  EXPECT_NE(all.find("this is no condition"), std::string::npos);
  EXPECT_NE(all.find("comparisons are not chained"), std::string::npos);
  EXPECT_FALSE(ParseSpace(Words{"instances=1", "instance_group.count=2"}, {}).has_value());
}

TEST(ParseSpace, YamlSaysTheSame) {
  const std::string source =
      "instance_group.count: [1, 2, 4]\nconcurrency: log2(1..8)\n"
      "dynamic_batching.preferred_batch_size: [[4, 8]]\nmax_batch_size: 8\n"
      "where: [instances*concurrency<=16]\n";
  const Result<SpaceSpec> spec = ParseSpaceYaml(text::ParseYaml(source).value(), source);
  ASSERT_TRUE(spec.has_value()) << spec.error().message();
  EXPECT_EQ(text::FormatJson(Json(spec->Find("instance_group.count")->values)), "[1,2,4]");
  EXPECT_EQ(text::FormatJson(Json(spec->Find("concurrency")->values)), "[1,2,4,8]");
  EXPECT_EQ(text::FormatJson(Json(spec->axes[2].values)), "[[4,8]]");
  EXPECT_EQ(spec->where.size(), 1u);
  const std::string wrong = "instances: [1, x]\nbath: 2\nconcurrency: [1, instances]\n";
  const Result<SpaceSpec> faults = ParseSpaceYaml(text::ParseYaml(wrong).value(), wrong);
  ASSERT_FALSE(faults.has_value());
  EXPECT_TRUE(faults.error().message().starts_with(
      "line 1, column 16: instances: column 1: 'instance_group.count': count wants a whole number, "
      "not \"x\"\nline 2, column 7: 'bath': 'bath' is not a field"))
      << faults.error().message();
  EXPECT_TRUE(
      faults.error().message().ends_with("an expression stands alone, without other values"));
}

TEST(Expression, ArithmeticAndConditions) {
  const auto number = [](std::string_view text) {
    return Expression::ParseNumber(text).value().Number({});
  };
  EXPECT_EQ(number("1+2*3-4/2"), 5);
  EXPECT_EQ(number("-(1+2)*min(3,2,5)"), -6);
  EXPECT_EQ(number("max(1,2)"), 2);
  EXPECT_EQ(number("1/0"), std::nullopt);
  const auto holds = [](std::string_view text, std::vector<Operand> values) {
    return Expression::ParseCondition(text).value().Holds(values);
  };
  const Operand none, two{.number = 2, .text = {}}, cpu{.number = {}, .text = "KIND_CPU"};
  EXPECT_EQ(holds("1<2 and not 2<1 || 1>2", {}), true);
  EXPECT_EQ(holds("a<=2 && a!=3", {two}), true);
  EXPECT_EQ(holds("a=='KIND_CPU' or a==\"KIND_GPU\"", {cpu}), true);
  EXPECT_EQ(holds("a=='2'", {two}), true);
  EXPECT_EQ(holds("a<1", {none}), std::nullopt);
  EXPECT_EQ(holds("a<1 and b>2", {none, two}), false) << "what is known decides";
  EXPECT_EQ(holds("a<1 or b==2", {none, two}), true);
  EXPECT_FALSE(Expression::ParseNumber(std::string(10000, '(')).has_value());
  EXPECT_FALSE(Expression::ParseNumber(std::string(10000, '-') + "1").has_value());
}

TEST(Space, IsTheProductOfItsAxesWithTheDefaultInFront) {
  const Space space =
      Make("max_batch_size: 4", {"instances=1,2", "max_batch_size=4,8", "concurrency=4,1,2"});
  EXPECT_EQ(Configurations(space),
            (Words{"default", "instances=1, max_batch_size=8", "instances=2, max_batch_size=4",
                   "instances=2, max_batch_size=8"}));
  EXPECT_EQ(space.default_coordinates, (std::vector<uint32_t>{0, 0}))
      << "one instance and batches of 4 are what the model has";
  EXPECT_EQ(space.configurations[1].coordinates, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(Loads(space, 0), "1x1 1x2 1x4");
  EXPECT_EQ(space.points(), 12u);
  EXPECT_EQ(ConfigurationName("resnet", 0), "resnet_config_default");
  EXPECT_EQ(ConfigurationName("resnet", 3), "resnet_config_2");
}

TEST(Space, WithoutAxesItIsTheDefaultAtOneRequestInFlight) {
  const Space space = Make("", {});
  EXPECT_EQ(Configurations(space), Words{"default"});
  EXPECT_EQ(Loads(space, 0), "1x1");
  EXPECT_EQ(space.loads[0].point.arrivals, "closed");
}

TEST(Space, DiagonalsFollowTheConfiguration) {
  const Space space =
      Make("max_batch_size: 4", {"instances=1,2,3", "concurrency=2*instances*max_batch_size"});
  EXPECT_EQ(Loads(space, 0), "1x8");
  EXPECT_EQ(Loads(space, 1), "1x16");
  EXPECT_EQ(Loads(space, 2), "1x24");
  EXPECT_EQ(space.loads.size(), 3u);
  const Space batches = Make("max_batch_size: 8",
                             {"batch=max_batch_size", "max_batch_size=4,8", "concurrency=batch/4"});
  EXPECT_EQ(Loads(batches, 0), "8x2");
  EXPECT_EQ(Loads(batches, 1), "4x1");
  const Space none = Make("", {"concurrency=2*max_batch_size"});
  EXPECT_EQ(Loads(none, 0), "1x1") << "at least one request is in flight";
}

TEST(Space, DiagonalsOfTheConfigurationAreAxesToo) {
  const Space space = Make("max_batch_size: 1", {"instances=1,2,4", "max_batch_size=16/instances"});
  EXPECT_EQ(Configurations(space),
            (Words{"default", "instances=1, max_batch_size=16", "instances=2, max_batch_size=8",
                   "instances=4, max_batch_size=4"}));
  EXPECT_EQ(text::FormatJson(Json(space.axes[1].values)), "[4,8,16]");
  EXPECT_EQ(space.configurations[1].coordinates, (std::vector<uint32_t>{0, 2}));
  const auto circle =
      MakeSpace(Spec({"max_batch_size=2*instances", "instances=2*max_batch_size"}), {});
  ASSERT_FALSE(circle.has_value());
  EXPECT_TRUE(circle.error().message().ends_with("put that first"));
}

TEST(Space, ConditionsTakeAwayPointsAndNeverTheDefault) {
  const Space space = Make("max_batch_size: 32 instance_group { count: 8 }",
                           {"instances=1,2,4", "max_batch_size=4,8,16", "concurrency=1,8,64"},
                           {"instances*max_batch_size<=16", "concurrency<=8*instances"});
  EXPECT_EQ(Configurations(space),
            (Words{"default", "instances=1, max_batch_size=4", "instances=1, max_batch_size=8",
                   "instances=1, max_batch_size=16", "instances=2, max_batch_size=4",
                   "instances=2, max_batch_size=8", "instances=4, max_batch_size=4"}));
  EXPECT_EQ(Loads(space, 0), "1x1 1x8 1x64");
  EXPECT_EQ(Loads(space, 1), "1x1 1x8");
}

TEST(Space, BatchesAreNoLargerThanTheConfigurationTakes) {
  const Space space =
      Make("max_batch_size: 4", {"max_batch_size=2,16", "batch=1,4,8", "concurrency=1"});
  EXPECT_EQ(Loads(space, 0), "1x1 4x1");
  EXPECT_EQ(Loads(space, 1), "1x1");
  EXPECT_EQ(Loads(space, 2), "1x1 4x1 8x1");
  const Space one = Make("max_batch_size: 4", {"max_batch_size=2", "batch=4", "concurrency=1"});
  EXPECT_EQ(Configurations(one), Words{"default"});
  ASSERT_EQ(one.notes.size(), 1u);
  EXPECT_TRUE(one.notes[0].starts_with("1 configuration is left out: no load is possible with it"));
}

TEST(Space, WhatLiesWithinSomethingRemovedIsDropped) {
  const Space space =
      Make("max_batch_size: 8",
           {"dynamic_batching={},null", "dynamic_batching.max_queue_delay_microseconds=0,100"});
  EXPECT_EQ(
      Configurations(space),
      (Words{"default", "dynamic_batching={}, dynamic_batching.max_queue_delay_microseconds=0",
             "dynamic_batching={}, dynamic_batching.max_queue_delay_microseconds=100"}));
}

TEST(Space, WhatTheServerWouldRefuseIsLeftOutWithAReason) {
  const Space space = Make("", {"max_batch_size=0,8", "dynamic_batching={}"});
  EXPECT_EQ(Configurations(space), (Words{"default", "max_batch_size=8, dynamic_batching={}"}));
  EXPECT_EQ(space.notes, Words{"1 configuration is left out: dynamic_batching needs max_batch_size "
                               "of at least 1; it is 0"});
}

TEST(Space, LoadsAreOrderedByDataBatchAndValue) {
  const Space space = Make("max_batch_size: 8",
                           {"concurrency=4,1", "batch=8,1", "data=b,a", "take=0,1", "rate=100"});
  Words loads;
  for (const Load& load : space.loads) loads.push_back(DescribeLoad(load));
  EXPECT_EQ(loads.size(), 24u);
  EXPECT_EQ(loads[0], "batch 1, concurrency 1, data b");
  EXPECT_EQ(loads[1], "batch 1, concurrency 1, data b, take 1");
  EXPECT_EQ(loads[4], "batch 1, rate 100/s, data b");
  EXPECT_EQ(loads[6], "batch 8, concurrency 1, data b");
  EXPECT_EQ(loads[12], "batch 1, concurrency 1, data a");
  EXPECT_EQ(space.loads[4].point.arrivals, "poisson");
}

TEST(Space, AHundredThousandPointsAreMadeAtOnce) {
  const SpaceSpec spec =
      Spec({"instances=1..10", "max_batch_size=1..10",
            "dynamic_batching.max_queue_delay_microseconds=0..900:100", "concurrency=1..110"},
           {"instances*max_batch_size<=200 or concurrency<50"});
  SpaceModel model = ModelOf(Config("max_batch_size: 8"));
  model.refuses = nullptr;
  const auto start = std::chrono::steady_clock::now();
  const Result<Space> space = MakeSpace(spec, model);
  const auto taken = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(space.has_value());
  EXPECT_EQ(space->points(), 110'110u);
  EXPECT_LT(taken, 5s) << "a tenth of a second, with slack for slow builds";
  model.most_points = 1000;
  EXPECT_EQ(MakeSpace(spec, model).error().code(), ErrorCode::kResourceExhausted);
}

TEST(Plan, CountsLoadsOfTheServerAndTime) {
  const Space space = Make("", {"instances=1,2", "concurrency=1,2,4"});
  const PlanEstimate plan = EstimatePlan(space, {.load = 3s, .warmup = 1s, .window = 2s});
  EXPECT_EQ(plan.points, 6u);
  EXPECT_EQ(plan.configurations, 2u);
  EXPECT_EQ(plan.server_loads, 2u);
  EXPECT_EQ(plan.time, Nanos(24s));
}

Words Axes(const AutomaticSpace& automatic) {
  Words out;
  for (const AxisSpec& axis : automatic.spec.axes)
    out.push_back(Format("{} {}..{}", axis.name, text::FormatJson(axis.values.front()),
                         text::FormatJson(axis.values.back())));
  return out;
}

TEST(AutomaticSpace, FollowsTheModelAndTheMachine) {
  EXPECT_EQ(Axes(CompleteSpace({}, Config("max_batch_size: 8"), {.cores = 2})),
            (Words{"instance_group.count 1..2", "max_batch_size 1..128", "dynamic_batching {}..{}",
                   "concurrency 1..1024"}));
  EXPECT_EQ(Axes(CompleteSpace({}, Config(""), {.cores = 64, .gpus = 1})),
            (Words{"instance_group.count 1..5", "concurrency 1..32"}));
  EXPECT_EQ(Axes(CompleteSpace(
                {}, Config("max_batch_size: 8 dynamic_batching {} platform: 'tensorrt_plan'"),
                {.cores = 64, .gpus = 2})),
            (Words{"instance_group.count 1..5", "max_batch_size 1..8", "concurrency 1..512"}));
  EXPECT_EQ(Axes(CompleteSpace({}, Config("max_batch_size: 8 sequence_batching {}"), {.cores = 4})),
            (Words{"instance_group.count 1..4", "max_batch_size 1..128", "concurrency 1..1024"}));
  EXPECT_EQ(
      Axes(CompleteSpace({}, Config("max_batch_size: 1 ensemble_scheduling {}"), {.cores = 4})),
      (Words{"concurrency 1..16"}));
  EXPECT_EQ(
      Axes(CompleteSpace({}, Config("max_batch_size: 8"), {.can_configure = false, .rates = true})),
      (Words{"rate 16..8192"}));
}

TEST(AutomaticSpace, AddsOnlyWhatIsMissing) {
  EXPECT_EQ(Axes(CompleteSpace(Spec({"instances=1,2"}), Config("max_batch_size: 4"), {.cores = 8})),
            (Words{"instance_group.count 1..2", "concurrency 1..32"}));
  EXPECT_EQ(Axes(CompleteSpace(Spec({"concurrency=7"}), Config(""), {.cores = 2})),
            (Words{"concurrency 7..7", "instance_group.count 1..2"}));
  const AutomaticSpace said = CompleteSpace({}, Config(""), {.cores = 2});
  EXPECT_EQ(said.why.size(), 3u);
  EXPECT_EQ(said.why[0], "instance_group.count: up to 2 on a CPU with 2 cores");
}

TEST(AutomaticSpace, AModelForTheCpuIsTriedThere) {
  EXPECT_EQ(Axes(CompleteSpace(Spec({"concurrency=1"}), Config(""),
                               {.cores = 2, .gpus = 4, .cpu_only = true})),
            (Words{"concurrency 1..1", "instance_group.count 1..2",
                   "instance_group.kind \"KIND_CPU\"..\"KIND_CPU\""}));
}

TEST(AutomaticSpace, EveryConfigurationOfItCanBeLoaded) {
  for (const std::string_view pbtxt :
       {"max_batch_size: 8", "", "max_batch_size: 2 dynamic_batching {}",
        "max_batch_size: 4 sequence_batching { oldest {} }"}) {
    const kserve::ModelConfig config = Config(pbtxt);
    const AutomaticSpace automatic = CompleteSpace({}, config, {.cores = 3});
    const Result<Space> space = MakeSpace(automatic.spec, ModelOf(config));
    ASSERT_TRUE(space.has_value()) << space.error().message();
    EXPECT_TRUE(space->notes.empty()) << space->notes[0];
  }
}

}  // namespace
}  // namespace sextant::analyze
