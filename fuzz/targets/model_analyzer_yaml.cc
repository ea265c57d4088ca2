// Model Analyzer's configuration file, and the space that it asks for.
#include "analyze/model_analyzer_yaml.h"

#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  const auto config = analyze::ReadModelAnalyzerYaml(AsText(data, size));
  if (!config.has_value()) {
    Require(!config.error().message().empty());
    return 0;
  }
  Require(!config->models.empty());
  static const kserve::ModelConfig model = kserve::ParseModelConfig("max_batch_size: 8").value();
  for (const analyze::ModelAnalyzerModel& of : config->models) {
    analyze::AutomaticOptions options;
    options.cores = 4;
    options.bounds = config->bounds;
    options.rates = config->rate_search;
    const analyze::AutomaticSpace automatic =
        analyze::CompleteSpace({.axes = of.axes, .where = {}}, model, options);
    analyze::SpaceModel facts = analyze::ModelOf(model);
    facts.most_points = 300;
    const auto space = analyze::MakeSpace(automatic.spec, facts);
    if (space.has_value()) Require(space->configurations[0].settings.empty());
  }
  return 0;
}
