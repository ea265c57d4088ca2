// Axes and conditions: a line each, with '?' in front of conditions; and the same bytes as YAML.
#include "analyze/space.h"
#include "analyze/automatic_space.h"
#include "analyze/parse_space.h"
#include "base/strings.h"
#include "target.h"
#include "text/yaml.h"

namespace {

// Of one model, or of two together.
void Make(const sextant::analyze::SpaceSpec& spec, bool together = false) {
  using namespace sextant;  // NOLINT
  static const kserve::ModelConfig config =
      kserve::ParseModelConfig("max_batch_size: 8 instance_group { count: 2 }").value();
  static const std::vector<analyze::NamedConfig> two{{"a", config}, {"b-2", {}}};
  analyze::SpaceModel model = together ? analyze::ModelOf(two) : analyze::ModelOf(config);
  model.most_points = 500;
  const auto space = analyze::MakeSpace(spec, model);
  if (!space.has_value()) return;
  Require(!space->configurations.empty() && space->configurations[0].settings.empty());
  Require(space->loads_of.size() == space->configurations.size());
  Require(space->points() <= model.most_points);
  for (size_t i = 0; i < space->configurations.size(); ++i) {
    const analyze::Configuration& c = space->configurations[i];
    Require(i == 0 || c.coordinates.size() == space->axes.size());
    for (size_t j = 0; j < c.coordinates.size(); ++j)
      Require(c.coordinates[j] < space->axes[j].values.size());
    for (const uint32_t load : space->loads_of[i]) Require(load < space->loads.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const std::string_view text = AsText(data, size);
  std::vector<std::string> set, where;
  for (const std::string_view line : Split(text, '\n')) {
    if (line.empty()) continue;
    if (line[0] == '?') {
      where.emplace_back(line.substr(1));
    } else {
      set.emplace_back(line);
    }
  }
  if (const auto spec = analyze::ParseSpace(set, where); spec.has_value()) Make(*spec);
  static const std::vector<std::string> models{"a", "b-2"};
  if (const auto spec = analyze::ParseSpace(set, where, models); spec.has_value())
    Make(*spec, true);
  if (const auto yaml = text::ParseYaml(text); yaml.has_value()) {
    if (const auto spec = analyze::ParseSpaceYaml(*yaml, text); spec.has_value()) Make(*spec);
  }
  return 0;
}
