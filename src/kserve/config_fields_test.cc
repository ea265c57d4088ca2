#include "kserve/config_fields.h"

#include <gtest/gtest.h>

namespace sextant::kserve {
namespace {

using text::Json;

ModelConfig Config(std::string_view pbtxt) {
  Result<ModelConfig> config = ParseModelConfig(pbtxt);
  EXPECT_TRUE(config.has_value());
  return config.has_value() ? *config : ModelConfig();
}

Json Value(std::string_view json) { return text::ParseJson(json).value(); }

// The configuration as text after one setting, or the error.
std::string After(std::string_view pbtxt, std::string_view path, std::string_view json) {
  ModelConfig config = Config(pbtxt);
  const ModelConfig before = config;
  const Result<void> set = SetField(config, path, Value(json));
  if (set.has_value()) return FormatModelConfig(config);
  EXPECT_EQ(FormatModelConfig(config), FormatModelConfig(before)) << "an error changes nothing";
  return set.error().message();
}

std::string Form(std::string_view pbtxt) { return FormatModelConfig(Config(pbtxt)); }

TEST(ConfigFields, ScalarsOfEveryKindAreSetAndMessagesMadeOnTheWay) {
  EXPECT_EQ(After("", "max_batch_size", "8"), Form("max_batch_size: 8"));
  EXPECT_EQ(After("", "dynamic_batching.max_queue_delay_microseconds", "100"),
            Form("dynamic_batching { max_queue_delay_microseconds: 100 }"));
  EXPECT_EQ(After("", "dynamic_batching.preserve_ordering", "true"),
            Form("dynamic_batching { preserve_ordering: true }"));
  EXPECT_EQ(After("", "optimization.priority", "\"PRIORITY_MAX\""),
            Form("optimization { priority: PRIORITY_MAX }"));
  EXPECT_EQ(After("", "sequence_batching.direct.minimum_slot_utilization", "0.5"),
            Form("sequence_batching { direct { minimum_slot_utilization: 0.5 } }"));
  EXPECT_EQ(After("", "backend", "\"onnxruntime\""), Form("backend: 'onnxruntime'"));
}

TEST(ConfigFields, AnEmptyObjectMakesAMessageAndNullRemovesIt) {
  EXPECT_EQ(After("", "dynamic_batching", "{}"), Form("dynamic_batching {}"));
  EXPECT_EQ(After("dynamic_batching { preserve_ordering: true }", "dynamic_batching", "{}"),
            Form("dynamic_batching {}"));
  EXPECT_EQ(After("name: 'a' dynamic_batching {}", "dynamic_batching", "null"), Form("name: 'a'"));
  EXPECT_EQ(After("name: 'a'", "dynamic_batching.preserve_ordering", "null"), Form("name: 'a'"))
      << "nothing is made only to take something out of it";
  EXPECT_EQ(After("max_batch_size: 8", "max_batch_size", "null"), "");
}

TEST(ConfigFields, ARepeatedMessageWithoutAnIndexMeansAllItsElements) {
  EXPECT_EQ(After("", "instance_group.count", "2"), Form("instance_group { count: 2 }"));
  EXPECT_EQ(After("instance_group { name: 'a' } instance_group { name: 'b' count: 3 }",
                  "instance_group.count", "2"),
            Form("instance_group { name: 'a' count: 2 } instance_group { name: 'b' count: 2 }"));
  EXPECT_EQ(After("instance_group { name: 'a' } instance_group { name: 'b' }",
                  "instance_group[1].count", "2"),
            Form("instance_group { name: 'a' } instance_group { name: 'b' count: 2 }"));
  EXPECT_EQ(After("", "instance_group[0].kind", "\"KIND_CPU\""),
            Form("instance_group { kind: KIND_CPU }"));
  EXPECT_EQ(
      After("", "instance_group[2].count", "1"),
      "'instance_group[2].count': instance_group has 0 elements; an index up to 0 is possible");
}

TEST(ConfigFields, ListsAreReplacedAsAWhole) {
  EXPECT_EQ(After("dynamic_batching { preferred_batch_size: 1 }",
                  "dynamic_batching.preferred_batch_size", "[4,8]"),
            Form("dynamic_batching { preferred_batch_size: [4,8] }"));
  EXPECT_EQ(After("", "dynamic_batching.preferred_batch_size", "4"),
            Form("dynamic_batching { preferred_batch_size: 4 }"));
  EXPECT_EQ(After("instance_group { count: 1 }", "instance_group.gpus", "[0,1]"),
            Form("instance_group { count: 1 gpus: [0,1] }"));
  EXPECT_EQ(After("instance_group { gpus: [0,1] }", "instance_group.gpus[1]", "3"),
            Form("instance_group { gpus: [0,3] }"));
  EXPECT_EQ(After("instance_group { count: 1 }", "instance_group",
                  R"([{"kind": "KIND_CPU", "count": 2}, {"count": 1}])"),
            Form("instance_group { kind: KIND_CPU count: 2 } instance_group { count: 1 }"));
}

TEST(ConfigFields, KeysOfMapsStandInBracketsOrBehindADot) {
  const std::string threads = Form("parameters { key: 'threads' value { string_value: '4' } }");
  EXPECT_EQ(After("", "parameters[threads]", "4"), threads);
  EXPECT_EQ(After("", "parameters.threads", "\"4\""), threads);
  EXPECT_EQ(After("", "parameters.threads.string_value", "\"4\""), threads);
  EXPECT_EQ(After("", "parameters", R"({"threads": {"string_value": "4"}})"), threads);
  EXPECT_EQ(After("", "parameters", R"({"threads": 4})"), threads);
  EXPECT_EQ(After("", "parameters[a.b]", "true"),
            Form("parameters { key: 'a.b' value { string_value: 'true' } }"));
  EXPECT_EQ(After(threads, "parameters[threads]", "null"), "");
  EXPECT_EQ(After("", "parameters[threads]", "null"), "");
  EXPECT_EQ(
      After("", "dynamic_batching.priority_queue_policy[2].max_queue_size", "7"),
      Form("dynamic_batching { priority_queue_policy { key: 2 value { max_queue_size: 7 } } }"));
  EXPECT_EQ(After("", "metric_tags.zone", "\"a\""), Form("metric_tags { key: 'zone' value: 'a' }"));
}

TEST(ConfigFields, DeepPlacesAreReached) {
  EXPECT_EQ(
      After("", "optimization.execution_accelerators.gpu_execution_accelerator",
            R"([{"name": "tensorrt", "parameters": {"precision_mode": "FP16"}}])"),
      Form("optimization { execution_accelerators { gpu_execution_accelerator { name: 'tensorrt' "
           "parameters { key: 'precision_mode' value: 'FP16' } } } }"));
  EXPECT_EQ(
      After("optimization { execution_accelerators { gpu_execution_accelerator { name: 'tensorrt' "
            "} } }",
            "optimization.execution_accelerators.gpu_execution_accelerator.parameters[precision_"
            "mode]",
            "\"FP32\""),
      Form("optimization { execution_accelerators { gpu_execution_accelerator { name: 'tensorrt' "
           "parameters { key: 'precision_mode' value: 'FP32' } } } }"));
}

TEST(ConfigFields, MistakesAreNamedWithWhatIsThereAndWhatIsWanted) {
  EXPECT_EQ(
      After("", "instance_group.cuont", "1"),
      "'instance_group.cuont': 'cuont' is not a field of ModelInstanceGroup; there are name, "
      "kind, count, rate_limiter, gpus, secondary_devices, profile, passive, host_policy; did "
      "you mean 'count'?");
  const std::string top = After("", "max_bach_size", "1");
  EXPECT_TRUE(top.starts_with(
      "'max_bach_size': 'max_bach_size' is not a field of config.pbtxt; there are name, platform"));
  EXPECT_TRUE(top.ends_with("; did you mean 'max_batch_size'?"));
  EXPECT_EQ(After("", "max_batch_size", "\"many\""),
            "'max_batch_size': max_batch_size wants a whole number, not \"many\"");
  EXPECT_EQ(After("", "max_batch_size", "1.5"),
            "'max_batch_size': max_batch_size wants a whole number within its range, not 1.5");
  EXPECT_EQ(
      After("", "max_batch_size", "3000000000"),
      "'max_batch_size': max_batch_size wants a whole number within its range, not 3000000000");
  EXPECT_EQ(
      After("", "instance_group.kind", "\"KIND_GPUS\""),
      "'instance_group.kind': kind wants one of KIND_AUTO, KIND_GPU, KIND_CPU, KIND_MODEL, not "
      "\"KIND_GPUS\"; did you mean 'KIND_GPU'?");
  EXPECT_EQ(After("", "dynamic_batching", "true"),
            "'dynamic_batching': dynamic_batching wants an object of its fields, such as {}, or "
            "null, not true");
  EXPECT_EQ(After("", "max_batch_size.x", "1"),
            "'max_batch_size.x': max_batch_size is a whole number and has no parts");
  EXPECT_EQ(After("", "max_batch_size[0]", "1"),
            "'max_batch_size[0]': max_batch_size is neither a list nor a map");
  EXPECT_EQ(After("", "instance_group[a].count", "1"),
            "'instance_group[a].count': instance_group is a list: an index is wanted in its "
            "brackets, not 'a'");
  EXPECT_EQ(After("", "version_policy.all.x", "1"),
            "'version_policy.all.x': 'x' is not a field of All; there are none");
  EXPECT_EQ(After("", "instance_group[0", "1"),
            "'instance_group[0', column 15: this bracket is not closed");
  EXPECT_EQ(After("", "a..b", "1"), "'a..b', column 3: a field's name is missing");
  EXPECT_EQ(After("", "a[1]b", "1"), "'a[1]b', column 5: a dot is wanted here, or the end");
}

TEST(ConfigFields, HowAModelIsScheduledIsNotExchangedWithoutAWord) {
  EXPECT_EQ(After("sequence_batching {}", "dynamic_batching", "{}"),
            "'dynamic_batching': the model has sequence_batching, and a model has only one of the "
            "two; remove that with sequence_batching=null first");
  const auto changed =
      WithSettings(Config("sequence_batching {}"),
                   std::vector<FieldSetting>{{"dynamic_batching", Value("{}")},
                                             {"sequence_batching", Value("null")}});
  ASSERT_TRUE(changed.has_value());
  EXPECT_TRUE(changed->has_dynamic_batching());
}

TEST(ConfigFields, WhatIsThereIsRead) {
  const ModelConfig config = Config(
      "max_batch_size: 8 dynamic_batching { preferred_batch_size: [4,8] } "
      "instance_group { count: 2 kind: KIND_CPU } instance_group { count: 2 kind: KIND_GPU } "
      "parameters { key: 'threads' value { string_value: '4' } }");
  const auto get = [&](std::string_view path) {
    const Result<Json> value = GetField(config, path);
    return value.has_value() ? text::FormatJson(*value) : value.error().message();
  };
  EXPECT_EQ(get("max_batch_size"), "8");
  EXPECT_EQ(get("dynamic_batching"), R"({"preferred_batch_size":[4,8]})");
  EXPECT_EQ(get("dynamic_batching.max_queue_delay_microseconds"), "0");
  EXPECT_EQ(get("sequence_batching.max_sequence_idle_microseconds"), "null");
  EXPECT_EQ(get("instance_group.count"), "2");
  EXPECT_EQ(get("instance_group.kind"), R"(["KIND_CPU","KIND_GPU"])");
  EXPECT_EQ(get("instance_group[1].kind"), R"("KIND_GPU")");
  EXPECT_EQ(get("instance_group[5].kind"), "null");
  EXPECT_EQ(get("instance_group[0]"), R"({"count":2,"kind":"KIND_CPU"})");
  EXPECT_EQ(get("parameters[threads]"), R"("4")");
  EXPECT_EQ(get("parameters.other"), "null");
  EXPECT_TRUE(get("max_batch").starts_with("'max_batch': 'max_batch' is not a field"));
}

TEST(ConfigFields, EachMeaningHasOneForm) {
  const auto form = [](std::string_view path, std::string_view json) {
    return text::FormatJson(CanonicalValue(path, Value(json)).value());
  };
  EXPECT_EQ(form("parameters[threads]", "4"), R"("4")");
  EXPECT_EQ(form("dynamic_batching.preferred_batch_size", "4"), "[4]");
  EXPECT_EQ(form("instance_group[3].count", "2"), "2") << "of whatever model";
  EXPECT_EQ(form("instance_group.kind", "2"), R"("KIND_CPU")");
  EXPECT_EQ(form("dynamic_batching", R"({"preserve_ordering": false})"), "{}");
  EXPECT_EQ(form("dynamic_batching", "null"), "null");
}

TEST(ConfigFields, SettingsAreMadeFromTheOutsideIn) {
  const auto made = [](std::vector<FieldSetting> settings) {
    const Result<ModelConfig> config = WithSettings(ModelConfig(), settings);
    return config.has_value() ? FormatModelConfig(*config) : config.error().message();
  };
  EXPECT_EQ(made({{"dynamic_batching.max_queue_delay_microseconds", 100},
                  {"dynamic_batching", Value("{}")}}),
            Form("dynamic_batching { max_queue_delay_microseconds: 100 }"));
  EXPECT_EQ(
      made({{"dynamic_batching.max_queue_delay_microseconds", 100}, {"dynamic_batching", {}}}), "")
      << "what is removed stays removed";
  EXPECT_EQ(
      made({{"max_batch_size", "x"}, {"instance_group[1].count", 1}}),
      "'max_batch_size': max_batch_size wants a whole number, not \"x\"\n"
      "'instance_group[1].count': instance_group has 0 elements; an index up to 0 is possible");
}

TEST(ConfigFields, WhatTritonWouldRefuseIsSaid) {
  EXPECT_TRUE(
      CheckSense(Config("max_batch_size: 8 dynamic_batching { preferred_batch_size: 8 }")).empty());
  EXPECT_EQ(
      CheckSense(Config("dynamic_batching {}")),
      std::vector<std::string>{"dynamic_batching needs max_batch_size of at least 1; it is 0"});
  EXPECT_EQ(
      CheckSense(Config("max_batch_size: 4 dynamic_batching { preferred_batch_size: [4,8] }")),
      std::vector<std::string>{
          "dynamic_batching.preferred_batch_size 8 is not from 1 to max_batch_size 4"});
  EXPECT_EQ(CheckSense(Config("ensemble_scheduling {} instance_group { count: -1 }")).size(), 2u);
}

}  // namespace
}  // namespace sextant::kserve
