// The order of several settings, and whether what they make is a configuration that a server takes.
#include <algorithm>

#include "base/strings.h"
#include "kserve/config_fields.h"

namespace sextant::kserve {
namespace {

// Whether `path` lies within what `outer` names.
bool Within(std::string_view path, std::string_view outer) {
  return path.size() > outer.size() && path.starts_with(outer) &&
         (path[outer.size()] == '.' || path[outer.size()] == '[');
}

void CheckPreferred(const ModelConfig& config, std::string_view what, const auto& sizes,
                    std::vector<std::string>& faults) {
  for (const int32_t size : sizes) {
    if (size > 0 && size <= config.max_batch_size()) continue;
    faults.push_back(Format("{}.preferred_batch_size {} is not from 1 to max_batch_size {}", what,
                            size, config.max_batch_size()));
  }
}

void CheckGroups(const ModelConfig& config, std::vector<std::string>& faults) {
  if (config.has_ensemble_scheduling() && config.instance_group_size() > 0)
    faults.push_back("an ensemble has no instance_group: its parts have");
  for (const inference::ModelInstanceGroup& group : config.instance_group()) {
    if (group.count() < 0)
      faults.push_back(Format("instance_group.count {} is below 0", group.count()));
    if (group.kind() == inference::ModelInstanceGroup::KIND_CPU && group.gpus_size() > 0)
      faults.push_back("an instance_group of KIND_CPU has no gpus");
  }
}

}  // namespace

std::vector<FieldSetting> InOrder(std::span<const FieldSetting> settings) {
  std::vector<FieldSetting> out;
  for (const FieldSetting& setting : settings) {
    const bool removed = std::any_of(settings.begin(), settings.end(), [&](const FieldSetting& s) {
      return s.value.IsNull() && Within(setting.path, s.path);
    });
    if (!removed) out.push_back(setting);
  }
  const auto depth = [](const FieldSetting& s) {
    return std::count(s.path.begin(), s.path.end(), '.') +
           std::count(s.path.begin(), s.path.end(), '[');
  };
  std::stable_sort(out.begin(), out.end(), [&](const FieldSetting& a, const FieldSetting& b) {
    const auto da = depth(a), db = depth(b);
    return da != db ? da < db : a.value.IsNull() && !b.value.IsNull();
  });
  return out;
}

std::vector<std::string> CheckSense(const ModelConfig& config) {
  std::vector<std::string> faults;
  const int64_t max_batch = config.max_batch_size();
  if (max_batch < 0) faults.push_back(Format("max_batch_size {} is below 0", max_batch));
  if (config.has_dynamic_batching()) {
    const inference::ModelDynamicBatching& batching = config.dynamic_batching();
    if (max_batch == 0) {
      faults.push_back("dynamic_batching needs max_batch_size of at least 1; it is 0");
    } else {
      CheckPreferred(config, "dynamic_batching", batching.preferred_batch_size(), faults);
    }
    if (batching.default_priority_level() > batching.priority_levels()) {
      faults.push_back(
          Format("dynamic_batching.default_priority_level {} is above priority_levels {}",
                 batching.default_priority_level(), batching.priority_levels()));
    }
  }
  if (config.sequence_batching().has_oldest() && max_batch > 0) {
    CheckPreferred(config, "sequence_batching.oldest",
                   config.sequence_batching().oldest().preferred_batch_size(), faults);
  }
  if (config.response_cache().enable() && config.model_transaction_policy().decoupled())
    faults.push_back("response_cache does not work with a decoupled model");
  CheckGroups(config, faults);
  return faults;
}

}  // namespace sextant::kserve
