// Several models together: names of what is one model's, from what people write to figures.
#include "analyze/owned_name.h"

#include <gtest/gtest.h>

#include "analyze/automatic_space.h"
#include "analyze/meter.h"
#include "analyze/objective.h"
#include "analyze/parse_space.h"
#include "base/strings.h"

namespace sextant::analyze {
namespace {

using text::Json;
using Words = std::vector<std::string>;
const Words kModels{"resnet", "2d-cnn"};

NamedConfig Model(std::string name, std::string_view pbtxt) {
  return {std::move(name), kserve::ParseModelConfig(pbtxt).value()};
}

std::string Faults(const Words& set, const Words& where = {}, const Words& models = kModels) {
  const Result<SpaceSpec> spec = ParseSpace(set, where, models);
  return spec.has_value() ? "" : spec.error().message();
}

Words Configurations(const Space& space) {
  Words out;
  for (size_t i = 0; i < space.configurations.size(); ++i)
    out.push_back(DescribeConfiguration(space, i));
  return out;
}

Space Make(const std::vector<NamedConfig>& models, const Words& set, const Words& where = {}) {
  Words names;
  for (const NamedConfig& model : models) names.push_back(model.name);
  const Result<SpaceSpec> spec = ParseSpace(set, where, names);
  EXPECT_TRUE(spec.has_value()) << (spec.has_value() ? "" : spec.error().message());
  if (!spec.has_value()) return {};
  Result<Space> space = MakeSpace(*spec, ModelOf(models));
  EXPECT_TRUE(space.has_value()) << (space.has_value() ? "" : space.error().message());
  return space.has_value() ? *std::move(space) : Space();
}

TEST(OwnedNames, AreSplitBeforeAnyBracket) {
  const auto split = [](std::string_view name) {
    const OwnedName out = SplitOwner(name);
    return Format("{}|{}", out.model, out.name);
  };
  EXPECT_EQ(split("resnet:max_batch_size"), "resnet|max_batch_size");
  EXPECT_EQ(split("max_batch_size"), "|max_batch_size");
  EXPECT_EQ(split("parameters[a:b]"), "|parameters[a:b]");
  EXPECT_EQ(split("m:parameters[a:b]"), "m|parameters[a:b]");
  EXPECT_EQ(WithOwner("m", "x"), "m:x");
  EXPECT_EQ(WithOwner("", "x"), "x");
}

TEST(OwnedNames, OfAModelCountMoreThanThoseOfAll) {
  const std::vector<kserve::FieldSetting> settings{
      {"a:max_batch_size", Json(2)}, {"max_batch_size", Json(8)}, {"b:x", Json(3)}};
  const auto of_a = SettingsOf(settings, "a");
  ASSERT_EQ(of_a.size(), 2U);
  EXPECT_EQ(of_a[1].path, "max_batch_size");
  EXPECT_EQ(of_a[1].value, Json(2));
  EXPECT_EQ(SettingsOf(settings, "c").size(), 1U);
}

TEST(SpaceOfSeveralModels, HasAxesOfEachAndOfAll) {
  const std::vector<NamedConfig> models{Model("resnet", "max_batch_size: 8"),
                                        Model("2d-cnn", "max_batch_size: 4")};
  EXPECT_EQ(
      Configurations(Make(models, {"resnet:instances=1,2", "2d-cnn:instances=1,2"})),
      (Words{"default", "resnet:instances=1, 2d-cnn:instances=2",
             "resnet:instances=2, 2d-cnn:instances=1", "resnet:instances=2, 2d-cnn:instances=2"}));
  EXPECT_EQ(Configurations(Make(models, {"resnet:instances=1,2", "2d-cnn:instances=1,2"},
                                {"resnet:instances + 2d-cnn:instances <= 3"})),
            (Words{"default", "resnet:instances=1, 2d-cnn:instances=2",
                   "resnet:instances=2, 2d-cnn:instances=1"}));
  EXPECT_EQ(
      Configurations(Make(models, {"resnet:instances=1,2", "2d-cnn:instances=4-resnet:instances"})),
      (Words{"default", "resnet:instances=1, 2d-cnn:instances=3",
             "resnet:instances=2, 2d-cnn:instances=2"}));
  // What is said of all is no model's present value where these differ.
  EXPECT_EQ(Configurations(Make(models, {"max_batch_size=4,8"})),
            (Words{"default", "max_batch_size=4", "max_batch_size=8"}));
}

TEST(SpaceOfSeveralModels, HasBatchesThatAllOfThemTake) {
  const std::vector<NamedConfig> models{Model("resnet", "max_batch_size: 8"),
                                        Model("2d-cnn", "max_batch_size: 4")};
  const Space space = Make(models, {"2d-cnn:max_batch_size=2,16", "batch=1,2,4,8,16"});
  const auto most = [&](size_t configuration) {
    return space.loads[space.loads_of[configuration].back()].point.batch_size;
  };
  EXPECT_EQ(most(0), 4);
  EXPECT_EQ(most(1), 2);
  EXPECT_EQ(most(2), 8) << "the other model takes no more";
}

TEST(SpaceOfSeveralModels, LeavesOutWhatAServerWouldRefuseOfOneOfThem) {
  const std::vector<NamedConfig> models{Model("resnet", "max_batch_size: 8"), Model("2d-cnn", "")};
  const Space space = Make(models, {"dynamic_batching={}", "resnet:instances=2"});
  EXPECT_EQ(Configurations(space), Words{"default"});
  ASSERT_EQ(space.notes.size(), 1U);
  EXPECT_NE(space.notes[0].find("2d-cnn: "), std::string::npos) << space.notes[0];
}

TEST(SpaceOfSeveralModels, NamesWhatIsNoModel) {
  EXPECT_NE(Faults({"bert:instances=1"}).find("there is no model 'bert' in --mix (resnet, 2d-cnn)"),
            std::string::npos)
      << Faults({"bert:instances=1"});
  EXPECT_NE(Faults({"resnet:instances=1"}, {}, {}).find("--mix"), std::string::npos);
  EXPECT_NE(Faults({"resnet:instances=1", "instances=2"}).find("exclude each other"),
            std::string::npos);
  EXPECT_NE(Faults({}, {"bert:instances<=2"}), "");
  EXPECT_NE(Faults({"resnet:instanzes=1"}), "");
  EXPECT_EQ(Faults({"resnet:instances=1", "2d-cnn:instances=2"}), "");
}

Words AxisNames(const AutomaticSpace& space) {
  Words out;
  for (const AxisSpec& axis : space.spec.axes)
    out.push_back(Format("{}*{}", axis.name, axis.values.size()));
  return out;
}

TEST(SpaceOfSeveralModels, IsMadeOfWhatEachAllows) {
  const std::vector<NamedConfig> two{Model("a", "max_batch_size: 8"), Model("b", "")};
  EXPECT_EQ(AxisNames(CompleteSpace({}, two, {.cores = 2})),
            (Words{"a:instance_group.count*2", "a:max_batch_size*4", "a:dynamic_batching*1",
                   "b:instance_group.count*2", "concurrency*11"}));
  std::vector<NamedConfig> many;
  for (const char* name : {"a", "b", "c", "d", "e"})
    many.push_back(Model(name, "max_batch_size: 8"));
  const AutomaticSpace limited = CompleteSpace({}, many, {.cores = 4});
  const Words names = AxisNames(limited);
  EXPECT_EQ(std::count(names.begin(), names.end(), "a:instance_group.count*4"), 1);
  EXPECT_EQ(std::count(names.begin(), names.end(), "a:max_batch_size*4"), 0);
  EXPECT_NE(Join(limited.why, "\n").find("max_batch_size: not varied"), std::string::npos);
}

TEST(GoalsOfSeveralModels, SpeakOfTheirFigures) {
  const auto objectives = ParseObjectives("ResNet:Throughput:2, throughput, b:p99").value();
  ASSERT_EQ(objectives.size(), 3U);
  EXPECT_EQ(objectives[0].field, "ResNet:throughput");
  EXPECT_EQ(objectives[0].weight, 2);
  EXPECT_EQ(objectives[2].field, "b:latency_p99");
  EXPECT_EQ(objectives[2].better, Better::kLower);
  const auto constraints = ParseConstraints("resnet:p99<50ms,errors<1%").value();
  EXPECT_EQ(constraints[0].field, "resnet:latency_p99");
  EXPECT_EQ(constraints[0].limit, 0.05);
  EXPECT_EQ(Check(constraints[0], {{"latency_p99", {0.01, {}, {}}}}), Holds::kUnknown);
  EXPECT_EQ(Check(constraints[0], {{"resnet:latency_p99", {0.01, {}, {}}}}), Holds::kYes);
  const auto of_server = ParseConstraints("resnet:gpu_memory<8GiB");
  ASSERT_FALSE(of_server.has_value());
  EXPECT_NE(of_server.error().message().find("of the whole server"), std::string::npos);
}

TEST(FiguresOfSeveralModels, AreThoseOfTheWholeAndOfEachPart) {
  run::Level part;
  part.scheduled = part.succeeded = 10;
  part.throughput = {.value = 100};
  part.part = run::ModelPart{.name = "b", .version = "2", .share = {}, .concurrency = {}};
  run::Level level;
  level.scheduled = level.succeeded = 20;
  level.throughput = {.value = 300};
  level.models = {part};
  const Figures figures = FiguresOf(level);
  EXPECT_EQ(FindFigure(figures, "throughput")->value, 300);
  EXPECT_EQ(FindFigure(figures, "b@2:throughput")->value, 100);
  EXPECT_EQ(FindFigure(figures, "b@2:error_rate")->value, 0);
}

}  // namespace
}  // namespace sextant::analyze
