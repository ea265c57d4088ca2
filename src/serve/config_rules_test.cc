#include "serve/config_rules.h"

#include <gtest/gtest.h>

#include <set>

#include "base/strings.h"
#include "kserve/model_config.h"

namespace sextant::serve {
namespace {

namespace pb = google::protobuf;

constexpr std::string_view kPlain =
    "name: 'm' backend: 'simulated' max_batch_size: 8 "
    "input [ { name: 'X' data_type: TYPE_FP32 dims: [ 4 ] } ] "
    "output [ { name: 'Y' data_type: TYPE_FP32 dims: [ 4 ] } ] ";

inference::ModelConfig Parse(std::string_view more) {
  const auto config = kserve::ParseModelConfig(std::string(kPlain) + std::string(more));
  EXPECT_TRUE(config.has_value()) << config.error().message();
  return config.has_value() ? *config : inference::ModelConfig();
}

struct Verdict {
  ErrorCode code;
  std::string text;
};
std::optional<Verdict> Check(inference::ModelConfig config) {
  NormalizeConfig(config);
  const Result<void> checked = CheckConfig(config);
  if (checked.has_value()) return std::nullopt;
  return Verdict{checked.error().code(), checked.error().message()};
}
std::string Fault(std::string_view more) {
  const auto verdict = Check(Parse(more));
  return verdict ? verdict->text : "accepted";
}

// Sets a field to something that is not its default.
void SetSomething(pb::Message& message, const pb::FieldDescriptor& field) {
  const pb::Reflection& r = *message.GetReflection();
  const bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      static_cast<void>(many ? r.AddMessage(&message, &field) : r.MutableMessage(&message, &field));
      return;
    case pb::FieldDescriptor::CPPTYPE_STRING:
      return many ? r.AddString(&message, &field, "x") : r.SetString(&message, &field, "x");
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return many ? r.AddBool(&message, &field, true) : r.SetBool(&message, &field, true);
    case pb::FieldDescriptor::CPPTYPE_ENUM:
      return many ? r.AddEnumValue(&message, &field, 1) : r.SetEnumValue(&message, &field, 1);
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return many ? r.AddInt32(&message, &field, 1) : r.SetInt32(&message, &field, 1);
    case pb::FieldDescriptor::CPPTYPE_UINT32:
      return many ? r.AddUInt32(&message, &field, 1) : r.SetUInt32(&message, &field, 1);
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return many ? r.AddInt64(&message, &field, 1) : r.SetInt64(&message, &field, 1);
    case pb::FieldDescriptor::CPPTYPE_UINT64:
      return many ? r.AddUInt64(&message, &field, 1) : r.SetUInt64(&message, &field, 1);
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      return many ? r.AddFloat(&message, &field, 1) : r.SetFloat(&message, &field, 1);
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      return many ? r.AddDouble(&message, &field, 1) : r.SetDouble(&message, &field, 1);
  }
}

// Every field of `part`'s type but the honoured ones must be refused under its path.
void ExpectRefused(const std::function<pb::Message&(inference::ModelConfig&)>& part,
                   const std::string& prefix, const std::set<std::string>& honoured) {
  inference::ModelConfig sample = Parse("");
  const pb::Descriptor& type = *part(sample).GetDescriptor();
  std::set<std::string> known;
  for (int i = 0; i < type.field_count(); ++i) {
    const pb::FieldDescriptor& field = *type.field(i);
    known.insert(std::string(field.name()));
    if (honoured.contains(std::string(field.name()))) continue;
    inference::ModelConfig config = Parse("");
    SetSomething(part(config), field);
    const std::string path = prefix + std::string(field.name());
    const auto verdict = Check(config);
    ASSERT_TRUE(verdict.has_value()) << path << " is ignored in silence";
    EXPECT_EQ(verdict->code, ErrorCode::kUnsupported) << path;
    EXPECT_NE(verdict->text.find("'" + path + "' is not supported"), std::string::npos)
        << path << ": " << verdict->text;
  }
  for (const std::string& name : honoured) EXPECT_TRUE(known.contains(name)) << prefix << name;
}

TEST(EverythingUnsupported, IsRefusedByNameAtTheTop) {
  ExpectRefused(
      [](inference::ModelConfig& c) -> pb::Message& { return c; }, "",
      {"name", "platform", "backend", "version_policy", "max_batch_size", "input", "output",
       "optimization", "ensemble_scheduling", "dynamic_batching", "sequence_batching",
       "instance_group", "default_model_filename", "parameters", "model_transaction_policy"});
}

TEST(EverythingUnsupported, IsRefusedByNameInTensors) {
  ExpectRefused([](inference::ModelConfig& c) -> pb::Message& { return *c.mutable_input(0); },
                "input.", {"name", "data_type", "dims", "optional", "format"});
  ExpectRefused([](inference::ModelConfig& c) -> pb::Message& { return *c.mutable_output(0); },
                "output.", {"name", "data_type", "dims", "label_filename"});
}

TEST(EverythingUnsupported, IsRefusedByNameInInstanceGroups) {
  ExpectRefused(
      [](inference::ModelConfig& c) -> pb::Message& {
        return c.instance_group_size() > 0 ? *c.mutable_instance_group(0) : *c.add_instance_group();
      },
      "instance_group.", {"name", "kind", "count"});
}

TEST(EverythingUnsupported, IsRefusedByNameInBatchingAndOptimization) {
  ExpectRefused(
      [](inference::ModelConfig& c) -> pb::Message& { return *c.mutable_dynamic_batching(); },
      "dynamic_batching.",
      {"preferred_batch_size", "max_queue_delay_microseconds", "priority_levels",
       "default_priority_level", "default_queue_policy", "priority_queue_policy"});
  ExpectRefused([](inference::ModelConfig& c) -> pb::Message& { return *c.mutable_optimization(); },
                "optimization.", {"input_pinned_memory", "output_pinned_memory"});
}

TEST(EverythingUnsupported, IsRefusedByNameInEnsembles) {
  ExpectRefused(
      [](inference::ModelConfig& c) -> pb::Message& {
        return c.ensemble_scheduling().step_size() > 0
                   ? *c.mutable_ensemble_scheduling()->mutable_step(0)
                   : *c.mutable_ensemble_scheduling()->add_step();
      },
      "ensemble_scheduling.step.", {"model_name", "model_version", "input_map", "output_map"});
}

TEST(EverythingUnsupported, IsRefusedByNameInSequenceBatching) {
  ExpectRefused(
      [](inference::ModelConfig& c) -> pb::Message& { return *c.mutable_sequence_batching(); },
      "sequence_batching.",
      {"direct", "oldest", "max_sequence_idle_microseconds", "control_input"});
  ExpectRefused(
      [](inference::ModelConfig& c) -> pb::Message& {
        return *c.mutable_sequence_batching()->mutable_oldest();
      },
      "sequence_batching.oldest.",
      {"max_candidate_sequences", "preferred_batch_size", "max_queue_delay_microseconds"});
}

TEST(EverythingUnsupported, IsNamedAllAtOnceAndItsPartsAreNotListedApart) {
  const std::string fault =
      Fault("sequence_batching { state { input_name: 'S' } } response_cache { enable: true }");
  EXPECT_NE(fault.find("'sequence_batching.state' is not supported"), std::string::npos) << fault;
  EXPECT_NE(fault.find("'response_cache' is not supported"), std::string::npos) << fault;
  EXPECT_EQ(fault.find("input_name"), std::string::npos) << fault;
}

TEST(ConfigRules, AcceptEverythingHonoured) {
  EXPECT_EQ(Fault(""), "accepted");
  EXPECT_EQ(Fault("version_policy { specific { versions: [ 1, 3 ] } } "
                  "instance_group [ { name: 'a' kind: KIND_CPU count: 3 } ] "
                  "dynamic_batching { preferred_batch_size: [ 4, 8 ] "
                  "  max_queue_delay_microseconds: 100 priority_levels: 2 "
                  "  default_priority_level: 1 "
                  "  default_queue_policy { timeout_action: DELAY max_queue_size: 5 "
                  "    default_timeout_microseconds: 10 allow_timeout_override: true } "
                  "  priority_queue_policy { key: 2 value { max_queue_size: 1 } } } "
                  "model_transaction_policy { decoupled: true } "
                  "parameters { key: 'a' value { string_value: 'b' } }"),
            "accepted");
}

TEST(ConfigRules, CompleteAConfigurationAsTritonDoes) {
  inference::ModelConfig config =
      Parse("instance_group [ { } ] dynamic_batching { priority_levels: 3 }");
  NormalizeConfig(config);
  EXPECT_EQ(config.version_policy().latest().num_versions(), 1U);
  EXPECT_EQ(config.instance_group(0).name(), "m_0");
  EXPECT_EQ(config.instance_group(0).count(), 1);
  EXPECT_EQ(config.instance_group(0).kind(), inference::ModelInstanceGroup::KIND_CPU);
  ASSERT_EQ(config.dynamic_batching().preferred_batch_size_size(), 1);
  EXPECT_EQ(config.dynamic_batching().preferred_batch_size(0), 8);
  EXPECT_EQ(config.dynamic_batching().default_priority_level(), 2U);
  inference::ModelConfig twice = config;
  NormalizeConfig(twice);
  EXPECT_EQ(twice.SerializeAsString(), config.SerializeAsString());
}

TEST(ConfigRules, RefuseValuesThatMakeNoSense) {
  const auto contains = [](std::string_view more, std::string_view words) {
    const std::string fault = Fault(more);
    EXPECT_NE(fault.find(words), std::string::npos) << more << ": " << fault;
  };
  contains("instance_group [ { kind: KIND_GPU } ]", "KIND_GPU");
  contains("instance_group [ { kind: KIND_CPU count: 5000 } ]", "more than 1024");
  contains("dynamic_batching { preferred_batch_size: [ 9 ] }", "<= max batch size");
  contains("dynamic_batching { preferred_batch_size: [ 0 ] }", "must be positive");
  contains("dynamic_batching { default_priority_level: 2 }", "default priority level");
  contains("dynamic_batching { priority_queue_policy { key: 4 value { } } }", "level 4");
  contains("input [ { name: 'X' data_type: TYPE_FP32 dims: [ 1 ] } ]", "'X' is defined twice");
  contains("input [ { name: 'Z' dims: [ 1 ] } ]", "'Z' must specify a 'data_type'");
  contains("input [ { name: 'Z' data_type: TYPE_FP32 } ]", "'Z' must specify 'dims'");
  contains("output [ { name: 'Z' data_type: TYPE_FP32 dims: [ 0 ] } ]", "must be positive or -1");
  contains("input [ { name: 'Z' data_type: TYPE_FP32 dims: [ 1 ] format: FORMAT_NHWC } ]",
           "'format'");
}

std::string Controls(std::string_view controls) {
  return Format("sequence_batching {{ direct {{ }} control_input [ {} ] }}", controls);
}

TEST(ConfigRules, AcceptSequencesAndCompleteThem) {
  EXPECT_EQ(Fault(Controls(
                "{ name: 'S' control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 "
                "] } ] }, { name: 'I' control [ { kind: CONTROL_SEQUENCE_CORRID data_type: "
                "TYPE_STRING } ] }")),
            "accepted");
  inference::ModelConfig config =
      Parse("sequence_batching { oldest { max_candidate_sequences: 3 } }");
  NormalizeConfig(config);
  EXPECT_EQ(config.sequence_batching().max_sequence_idle_microseconds(), 1'000'000U);
  EXPECT_EQ(config.sequence_batching().oldest().preferred_batch_size(0), 8);
}

TEST(ConfigRules, RefuseSequencesThatMakeNoSense) {
  const auto contains = [](const std::string& more, std::string_view words) {
    const std::string fault = Fault(more);
    EXPECT_NE(fault.find(words), std::string::npos) << more << ": " << fault;
  };
  const std::string flag =
      "control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ]";
  contains(Controls("{ " + flag + " }"), "must have a name");
  contains(Controls("{ name: 'X' " + flag + " }"), "'X' is an input already");
  contains(Controls("{ name: 'S' }"), "exactly one control, not 0");
  contains(Controls("{ name: 'S' " + flag + " }, { name: 'T' " + flag + " }"),
           "multiple CONTROL_SEQUENCE_START tensors");
  contains(Controls("{ name: 'S' control [ { kind: CONTROL_SEQUENCE_END } ] }"),
           "must specify either 'int32_false_true', 'fp32_false_true' or 'bool_false_true'");
  contains(
      Controls("{ name: 'S' control [ { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 1 ] } ] }"),
      "'fp32_false_true' must have exactly 2 entries for CONTROL_SEQUENCE_END");
  contains(Controls("{ name: 'S' control [ { kind: CONTROL_SEQUENCE_END fp32_false_true: [ 0, 1 ] "
                    "bool_false_true: [ false, true ] } ] }"),
           "more than one from");
  contains(
      Controls("{ name: 'S' control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32 } ] "
               "}"),
      "unexpected data type for control CONTROL_SEQUENCE_CORRID");
  contains("sequence_batching { direct { minimum_slot_utilization: 1.5 } }", "(0.0, 1.0]");
  contains("sequence_batching { oldest { } }", "max_candidate_sequences must be from 1");
  contains(
      "sequence_batching { oldest { max_candidate_sequences: 2 preferred_batch_size: [ 0, 9 ] } }",
      "must be positive for m; sequence batching preferred batch size must be <= max batch size");
}

TEST(ConfigRules, WantAtLeastOneInputAndOneOutput) {
  const auto verdict = Check(inference::ModelConfig());
  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->code, ErrorCode::kInvalidArgument);
  EXPECT_NE(verdict->text.find("no inputs"), std::string::npos);
  EXPECT_NE(verdict->text.find("no outputs"), std::string::npos);
}

}  // namespace
}  // namespace sextant::serve
