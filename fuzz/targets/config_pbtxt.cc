// config.pbtxt, through everything that reads it before a model is loaded.
#include "kserve/model_config.h"
#include "serve/batch_queue.h"
#include "serve/config_rules.h"
#include "serve/ensemble_graph.h"
#include "serve/sequence_queue.h"
#include "serve/simulated_model.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sextant;  // NOLINT
  auto config = kserve::ParseModelConfig(AsText(data, size));
  if (!config.has_value()) {
    static_cast<void>(kserve::ParseModelConfigJson(AsText(data, size)));
    return 0;
  }
  // The JSON form reads back as the same configuration.
  const std::string json = kserve::ModelConfigToJson(*config);
  if (const auto again = kserve::ParseModelConfigJson(json); again.has_value())
    Require(kserve::ModelConfigToJson(*again) == json);
  serve::NormalizeConfig(*config);
  static_cast<void>(serve::SimulatedModel::Parse(*config));
  if (!serve::CheckConfig(*config).has_value()) return 0;
  serve::BatchQueue queue(*config);
  if (config->has_ensemble_scheduling()) serve::EnsembleGraph graph(*config);
  if (config->has_sequence_batching()) serve::SequenceQueue sequences(*config, 2);
  return 0;
}
