// Names of what is one of several models' that are served together: "resnet:instance_group.count",
// "resnet:latency_p99". A name without a model is all models'. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kserve/field_setting.h"

namespace sextant::analyze {

struct OwnedName {
  std::string_view model;  // empty: of all
  std::string_view name;
};
// At the last colon before any bracket: neither fields nor figures have one.
OwnedName SplitOwner(std::string_view name);
// The name itself where there is no model.
std::string WithOwner(std::string_view model, std::string_view name);

// What is said of this model and of all, without the model's name; what is said of it alone goes
// last, so that it is what counts.
std::vector<kserve::FieldSetting> SettingsOf(std::span<const kserve::FieldSetting> settings,
                                             std::string_view model);

}  // namespace sextant::analyze
