#include "analyze/owned_name.h"

#include "base/strings.h"

namespace sextant::analyze {

OwnedName SplitOwner(std::string_view name) {
  const size_t colon = name.substr(0, name.find('[')).rfind(':');
  if (colon == std::string_view::npos) return {{}, name};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

std::string WithOwner(std::string_view model, std::string_view name) {
  return model.empty() ? std::string(name) : Format("{}:{}", model, name);
}

std::vector<kserve::FieldSetting> SettingsOf(std::span<const kserve::FieldSetting> settings,
                                             std::string_view model) {
  std::vector<kserve::FieldSetting> out;
  for (const bool own : {false, true}) {
    for (const kserve::FieldSetting& setting : settings) {
      const OwnedName split = SplitOwner(setting.path);
      if (own ? !split.model.empty() && split.model == model : split.model.empty())
        out.push_back({std::string(split.name), setting.value});
    }
  }
  return out;
}

}  // namespace sextant::analyze
