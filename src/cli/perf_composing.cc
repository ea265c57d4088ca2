#include "cli/perf_composing.h"

#include <algorithm>

#include "base/strings.h"

namespace sextant::cli {
namespace {

// Triton refuses ensembles that contain themselves; another server's answer must not hang us.
constexpr int kDeepestEnsemble = 32;

void AddOnce(std::vector<ModelRef>& list, ModelRef model) {
  if (std::find(list.begin(), list.end(), model) == list.end()) list.push_back(std::move(model));
}

void AddSteps(const kserve::ModelConfig& config, kserve::ControlClient& client, int depth,
              std::vector<ModelRef>& out) {
  if (!config.has_ensemble_scheduling() || depth > kDeepestEnsemble) return;
  for (const auto& step : config.ensemble_scheduling().step()) {
    const std::string version =
        step.model_version() > 0 ? Format("{}", step.model_version()) : std::string();
    const Result<kserve::ModelConfig> inner = client.FetchModelConfig(step.model_name(), version);
    // An ensemble does no work itself; its steps do.
    if (inner.has_value() && inner->has_ensemble_scheduling()) {
      AddSteps(*inner, client, depth + 1, out);
    } else {
      AddOnce(out, {step.model_name(), version});
    }
  }
}

}  // namespace

Result<std::vector<ModelRef>> ParseComposingModels(const std::vector<std::string>& lists) {
  std::vector<ModelRef> out;
  const std::string text = Join(lists, ",");
  if (text.empty()) return out;
  for (const std::string_view part : Split(text, ',')) {
    const std::string_view word = TrimSpace(part);
    const size_t colon = word.rfind(':');
    ModelRef model{std::string(word.substr(0, colon)),
                   colon == std::string_view::npos ? "" : std::string(word.substr(colon + 1))};
    const bool bad_version = colon != std::string_view::npos && !ParseUint(model.version);
    if (model.name.empty() || bad_version) {
      return InvalidArgument(Format(
          "--bls-composing-models '{}': write NAME or NAME:VERSION, with commas between them",
          Printable(text, 80)));
    }
    AddOnce(out, std::move(model));
  }
  return out;
}

Result<std::vector<ModelRef>> FindComposingModels(const PerfOptions& options,
                                                  const std::optional<kserve::ModelConfig>& config,
                                                  kserve::ControlClient& client) {
  std::vector<ModelRef> out;
  if (config) AddSteps(*config, client, 0, out);
  SEXTANT_ASSIGN(const std::vector<ModelRef> named,
                 ParseComposingModels(options.bls_composing_models));
  for (const ModelRef& model : named) {
    SEXTANT_TRY(client.FetchStatistics(model.name, model.version),
                Format("--bls-composing-models: model '{}'", Printable(model.name, 80)));
    AddOnce(out, model);
  }
  return out;
}

Result<std::vector<kserve::ModelStatistics>> FetchAllStatistics(
    kserve::ControlClient& client, const ModelRef& model, const std::vector<ModelRef>& composing) {
  SEXTANT_ASSIGN(std::vector<kserve::ModelStatistics> out,
                 client.FetchStatistics(model.name, model.version));
  for (const ModelRef& part : composing) {
    SEXTANT_ASSIGN(std::vector<kserve::ModelStatistics> more,
                   client.FetchStatistics(part.name, part.version),
                   Format("model '{}'", part.name));
    for (kserve::ModelStatistics& statistics : more) out.push_back(std::move(statistics));
  }
  return out;
}

}  // namespace sextant::cli
