// Names of what is one of several models' that are served together: "resnet:instance_group.count",
// "resnet:latency_p99". A name without a model is all models'. Pure.
#pragma once

#include <cstdint>
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

// What names without a model are of.
enum class Unowned : uint8_t {
  kAll,   // of all models, which are measured together
  kMain,  // of the model that is measured; the others are behind it (an ensemble's steps)
};

// What is said of this model, without its name; what is said of all goes first, so that what is
// said of it alone counts. The main model's name is empty.
std::vector<kserve::FieldSetting> SettingsOf(std::span<const kserve::FieldSetting> settings,
                                             std::string_view model, Unowned unowned);

}  // namespace sextant::analyze
