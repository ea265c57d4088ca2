#include "serve/config_rules.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/strings.h"
#include "kserve/model_config.h"
#include "kserve/tensor.h"
#include "serve/ensemble_graph.h"
#include "serve/sequence_controls.h"

namespace sextant::serve {
namespace {

// Dotted paths that are honoured (kserve::SetFields).
constexpr std::array kHonoured = {
    "name",
    "platform",
    "backend",
    "max_batch_size",
    "version_policy",
    "version_policy.latest",
    "version_policy.latest.num_versions",
    "version_policy.all",
    "version_policy.specific",
    "version_policy.specific.versions",
    "input",
    "input.name",
    "input.data_type",
    "input.dims",
    "input.optional",
    "input.format",
    "output",
    "output.name",
    "output.data_type",
    "output.dims",
    "output.label_filename",
    "instance_group",
    "instance_group.name",
    "instance_group.kind",
    "instance_group.count",
    "dynamic_batching",
    "dynamic_batching.preferred_batch_size",
    "dynamic_batching.max_queue_delay_microseconds",
    "dynamic_batching.priority_levels",
    "dynamic_batching.default_priority_level",
    "dynamic_batching.default_queue_policy",
    "dynamic_batching.default_queue_policy.timeout_action",
    "dynamic_batching.default_queue_policy.default_timeout_microseconds",
    "dynamic_batching.default_queue_policy.allow_timeout_override",
    "dynamic_batching.default_queue_policy.max_queue_size",
    "dynamic_batching.priority_queue_policy",
    "dynamic_batching.priority_queue_policy.timeout_action",
    "dynamic_batching.priority_queue_policy.default_timeout_microseconds",
    "dynamic_batching.priority_queue_policy.allow_timeout_override",
    "dynamic_batching.priority_queue_policy.max_queue_size",
    "sequence_batching",
    "sequence_batching.direct",
    "sequence_batching.direct.max_queue_delay_microseconds",
    "sequence_batching.direct.minimum_slot_utilization",
    "sequence_batching.oldest",
    "sequence_batching.oldest.max_candidate_sequences",
    "sequence_batching.oldest.preferred_batch_size",
    "sequence_batching.oldest.max_queue_delay_microseconds",
    "sequence_batching.max_sequence_idle_microseconds",
    "sequence_batching.control_input",
    "sequence_batching.control_input.name",
    "sequence_batching.control_input.control",
    "sequence_batching.control_input.control.kind",
    "sequence_batching.control_input.control.int32_false_true",
    "sequence_batching.control_input.control.fp32_false_true",
    "sequence_batching.control_input.control.bool_false_true",
    "sequence_batching.control_input.control.data_type",
    "ensemble_scheduling",
    "ensemble_scheduling.step",
    "ensemble_scheduling.step.model_name",
    "ensemble_scheduling.step.model_version",
    "ensemble_scheduling.step.input_map",
    "ensemble_scheduling.step.output_map",
    "default_model_filename",
    "parameters",
    "parameters.string_value",
    "model_transaction_policy",
    "model_transaction_policy.decoupled",
    // Triton writes these defaults into every configuration that it gives out. On a CPU pinned
    // memory means nothing, also to Triton.
    "optimization",
    "optimization.input_pinned_memory",
    "optimization.input_pinned_memory.enable",
    "optimization.output_pinned_memory",
    "optimization.output_pinned_memory.enable",
};

// Triton's, in microseconds.
constexpr uint64_t kDefaultSequenceIdle = 1'000'000;

}  // namespace

void NormalizeConfig(inference::ModelConfig& config) {
  if (config.version_policy().policy_choice_case() ==
      inference::ModelVersionPolicy::POLICY_CHOICE_NOT_SET) {
    config.mutable_version_policy()->mutable_latest()->set_num_versions(1);
  }
  if (config.has_ensemble_scheduling()) {
    // It has no instances, and none of the defaults that are about them.
    config.mutable_model_transaction_policy();
    return;
  }
  if (config.instance_group_size() == 0) config.add_instance_group();
  for (int i = 0; i < config.instance_group_size(); ++i) {
    inference::ModelInstanceGroup& group = *config.mutable_instance_group(i);
    if (group.name().empty()) group.set_name(Format("{}_{}", config.name(), i));
    if (group.count() <= 0) group.set_count(1);
    if (group.kind() == inference::ModelInstanceGroup::KIND_AUTO)
      group.set_kind(inference::ModelInstanceGroup::KIND_CPU);
  }
  if (config.has_dynamic_batching() && config.dynamic_batching().preferred_batch_size().empty() &&
      config.max_batch_size() > 0) {
    config.mutable_dynamic_batching()->add_preferred_batch_size(config.max_batch_size());
  }
  if (config.has_dynamic_batching() && config.dynamic_batching().priority_levels() > 0 &&
      config.dynamic_batching().default_priority_level() == 0) {
    config.mutable_dynamic_batching()->set_default_priority_level(
        (config.dynamic_batching().priority_levels() + 1) / 2);
  }
  if (config.has_sequence_batching()) {
    inference::ModelSequenceBatching& batching = *config.mutable_sequence_batching();
    if (batching.max_sequence_idle_microseconds() == 0)
      batching.set_max_sequence_idle_microseconds(kDefaultSequenceIdle);
    if (batching.has_oldest() && batching.oldest().preferred_batch_size().empty() &&
        config.max_batch_size() > 0) {
      batching.mutable_oldest()->add_preferred_batch_size(config.max_batch_size());
    }
  }
  inference::ModelOptimizationPolicy& optimization = *config.mutable_optimization();
  if (!optimization.has_input_pinned_memory())
    optimization.mutable_input_pinned_memory()->set_enable(true);
  if (!optimization.has_output_pinned_memory())
    optimization.mutable_output_pinned_memory()->set_enable(true);
}

namespace {

void CheckTensors(const inference::ModelConfig& config, std::vector<std::string>& faults) {
  std::set<std::string> names;
  const auto check = [&](const auto& tensor, std::string_view what) {
    if (tensor.name().empty()) faults.push_back(Format("an {} has no name", what));
    if (!names.insert(Format("{} {}", what, tensor.name())).second)
      faults.push_back(Format("{} '{}' is defined twice", what, tensor.name()));
    if (!kserve::DataTypeFromConfig(tensor.data_type()))
      faults.push_back(Format("{} '{}' must specify a 'data_type'", what, tensor.name()));
    if (tensor.dims().empty())
      faults.push_back(Format("{} '{}' must specify 'dims'", what, tensor.name()));
    for (const int64_t dim : tensor.dims()) {
      if (dim < 1 && dim != -1)
        faults.push_back(
            Format("{} '{}' dimension must be positive or -1, not {}", what, tensor.name(), dim));
    }
  };
  for (const auto& input : config.input()) {
    check(input, "input");
    if (input.format() != inference::ModelInput::FORMAT_NONE)
      faults.push_back(Format("input '{}': 'format' is not supported", input.name()));
  }
  for (const auto& output : config.output()) check(output, "output");
  if (config.input().empty()) faults.emplace_back("the model has no inputs");
  if (config.output().empty()) faults.emplace_back("the model has no outputs");
}

void CheckBatching(const inference::ModelConfig& config, std::vector<std::string>& faults) {
  if (config.max_batch_size() < 0) faults.emplace_back("'max_batch_size' must be non-negative");
  if (!config.has_dynamic_batching()) return;
  const inference::ModelDynamicBatching& batching = config.dynamic_batching();
  for (const int32_t size : batching.preferred_batch_size()) {
    if (size <= 0) faults.emplace_back("dynamic batching preferred size must be positive");
    if (config.max_batch_size() > 0 && size > config.max_batch_size()) {
      faults.push_back(Format("dynamic batching preferred size must be <= max batch size for {}",
                              config.name()));
    }
  }
  if (batching.default_priority_level() > batching.priority_levels()) {
    faults.emplace_back("default priority level must be in range [1, priority_levels]");
  }
  for (const auto& [level, policy] : batching.priority_queue_policy()) {
    if (level < 1 || level > batching.priority_levels())
      faults.push_back(Format("priority_queue_policy for level {}, which does not exist", level));
  }
}

}  // namespace

Result<void> CheckConfig(const inference::ModelConfig& config) {
  std::vector<std::string> unsupported, faults;
  for (const std::string& path : kserve::SetFields(config)) {
    const bool honoured = std::find(kHonoured.begin(), kHonoured.end(), path) != kHonoured.end();
    // The parts of something unsupported need no lines of their own.
    const bool covered =
        std::any_of(unsupported.begin(), unsupported.end(),
                    [&](const std::string& outer) { return path.starts_with(outer + "."); });
    if (!honoured && !covered) unsupported.push_back(path);
  }
  CheckTensors(config, faults);
  CheckBatching(config, faults);
  CheckSequenceBatching(config, faults);
  CheckEnsemble(config, faults);
  for (const inference::ModelInstanceGroup& group : config.instance_group()) {
    if (group.kind() != inference::ModelInstanceGroup::KIND_CPU) {
      faults.push_back(
          Format("instance group {} has kind {}: there are only KIND_CPU instances here",
                 group.name(), inference::ModelInstanceGroup::Kind_Name(group.kind())));
    }
    if (group.count() > 1024)
      faults.push_back(Format("instance group {} has more than 1024 instances", group.name()));
  }
  for (const std::string& path : unsupported)
    faults.push_back(Format("'{}' is not supported by sextant serve", path));
  if (faults.empty()) return {};
  return Error(unsupported.empty() ? ErrorCode::kInvalidArgument : ErrorCode::kUnsupported,
               Join(faults, "; "));
}

}  // namespace sextant::serve
