#include "cli/analyze_together.h"

#include <algorithm>

#include "analyze/owned_name.h"
#include "base/files.h"
#include "cli/perf_composing.h"
#include "cli/perf_mix.h"
#include "kserve/model_config.h"

namespace sextant::cli {
namespace {

using analyze::OwnedName;
using analyze::SplitOwner;
using analyze::WithOwner;

std::vector<MixEntry> EntriesOf(const AnalyzeOptions& options) {
  Result<std::vector<MixEntry>> mix = ParseMix(options.mix);
  return mix.has_value() ? *std::move(mix) : std::vector<MixEntry>();
}

bool OfModel(std::string_view field) {
  const analyze::Field* known = analyze::FindField(field);
  return known != nullptr && known->of_model;
}

// The same objective of several models is one with the weights of all.
void AddObjective(analyze::Objective objective, std::vector<analyze::Objective>& out) {
  const auto same = std::find_if(out.begin(), out.end(),
                                 [&](const auto& o) { return o.field == objective.field; });
  if (same == out.end()) return out.push_back(std::move(objective));
  same->weight += objective.weight;
}

void JoinGoal(const ModelPlan& plan, double weighting, analyze::Goal& out) {
  for (analyze::Objective objective : plan.search.goal.objectives) {
    objective.weight *= weighting;
    if (OfModel(objective.field)) objective.field = WithOwner(plan.name, objective.field);
    AddObjective(std::move(objective), out.objectives);
  }
  for (analyze::Constraint constraint : plan.search.goal.constraints) {
    if (OfModel(constraint.field)) {
      constraint.field = WithOwner(plan.name, constraint.field);
      constraint.text = WithOwner(plan.name, constraint.text);
    }
    const bool had = std::any_of(out.constraints.begin(), out.constraints.end(),
                                 [&](const auto& c) { return c.text == constraint.text; });
    if (!had) out.constraints.push_back(std::move(constraint));
  }
}

// Fields under the model's name; of a load's axis that several have, all their values.
void JoinSpace(const ModelPlan& plan, analyze::SpaceSpec& out) {
  for (const analyze::AxisSpec& axis : plan.space.axes) {
    if (!analyze::IsLoadAxis(axis.name)) {
      out.axes.push_back(axis);
      out.axes.back().name = WithOwner(plan.name, axis.name);
      continue;
    }
    const auto same = std::find_if(out.axes.begin(), out.axes.end(),
                                   [&](const auto& a) { return a.name == axis.name; });
    if (same == out.axes.end()) {
      out.axes.push_back(axis);
    } else {
      same->values.insert(same->values.end(), axis.values.begin(), axis.values.end());
    }
  }
}

}  // namespace

std::vector<std::string> MixModels(const AnalyzeOptions& options) {
  std::vector<std::string> out;
  for (const MixEntry& entry : EntriesOf(options)) {
    if (std::find(out.begin(), out.end(), entry.model.name) == out.end())
      out.push_back(entry.model.name);
  }
  return out;
}

void CheckTogether(const AnalyzeOptions& options, const AddMistake& add) {
  if (!options.models.empty())
    add("--mix and -m, --model-names exclude each other: the mix names the models that are served "
        "together; those of -m are analyzed one after the other");
  if (!options.data_sets.empty())
    add("--mix and --data-set exclude each other: --input-data MODEL=SOURCE gives each model its "
        "data");
  if (options.results_for == ResultsFor::kSeed000)
    add("--mix and --compat seed-000 exclude each other: its files know one model");
  const std::vector<MixEntry> mix = EntriesOf(options);
  if (!mix.empty() && mix.front().concurrency > 0 &&
      (!options.concurrencies.empty() || !options.rates.empty()))
    add("--mix with concurrency=N is one load: -c and --request-rate take weights, such as "
        "A:0.7,B:0.3");
}

void AddOwnLoad(const AnalyzeOptions& options, analyze::SpaceSpec& space) {
  uint64_t total = 0;
  for (const MixEntry& entry : EntriesOf(options)) total += entry.concurrency;
  if (total == 0 || space.Find("concurrency") != nullptr) return;
  space.axes.push_back({.name = "concurrency", .values = {text::Json(total)}, .expression = {}});
}

void CheckOwners(const AnalyzeOptions& options, std::span<const std::string> behind,
                 const analyze::SearchOptions& search, const AddMistake& add) {
  std::vector<std::string> labels(behind.begin(), behind.end());
  for (const MixEntry& entry : EntriesOf(options)) labels.push_back(entry.label);
  const auto check = [&](std::string_view option, std::string_view field) {
    const OwnedName split = SplitOwner(field);
    const std::string model(split.model);
    if (model.empty()) return;
    const auto fault = [&](std::string_view what) {
      add(Format("{} '{}': {}", option, Printable(field, 60), what));
    };
    if (std::find(labels.begin(), labels.end(), model) == labels.end()) {
      fault(labels.empty() ? Format("'{}:' stands before figures of one of several models (--mix)",
                                    Printable(model, 60))
                           : Format("there is no model '{}' among them ({})", Printable(model, 60),
                                    Join(labels, ", ")));
    } else if (options.mix.empty() && !split.name.starts_with("server_") &&
               split.name != "batch_mean") {
      fault(
          "of a model behind another only the server's statistics are known: batch_mean, "
          "server_queue, server_compute_infer, ...");
    }
  };
  for (const analyze::Objective& o : search.goal.objectives) check("--objective", o.field);
  for (const analyze::Constraint& c : search.goal.constraints) check("--constraint", c.field);
  for (const std::string& field : search.pareto_fields) check("--pareto", field);
}

namespace {

// Adds the model, once, and those behind it. A file that cannot be read is somebody else's to say.
void AddWithSteps(const std::string& repository, const std::string& model,
                  std::vector<std::string>& out) {
  if (std::find(out.begin(), out.end(), model) != out.end()) return;
  out.push_back(model);
  if (repository.empty()) return;
  const auto config = kserve::ReadModelConfig(JoinPath(repository, model));
  if (!config.has_value() || !*config) return;
  for (const auto& step : (*config)->ensemble_scheduling().step())
    AddWithSteps(repository, step.model_name(), out);
}

}  // namespace

std::vector<std::string> WithModelsBehind(const AnalyzeOptions& options, const std::string& model) {
  std::vector<std::string> out;
  AddWithSteps(options.repository, model, out);
  const auto named = ParseComposingModels(options.bls_composing_models);
  for (const ModelRef& behind : named.has_value() ? *named : std::vector<ModelRef>())
    AddWithSteps(options.repository, behind.name, out);
  return out;
}

ModelPlan JoinPlans(std::vector<ModelPlan> plans, const analyze::ModelAnalyzerConfig& file,
                    std::vector<std::string>& notes) {
  ModelPlan out = plans.front();
  out.models.clear();
  out.space.axes.clear();
  out.search.goal = {.objectives = {}, .constraints = {}};
  std::vector<std::string> names, mix;
  for (const ModelPlan& plan : plans) {
    const auto model = std::find_if(file.models.begin(), file.models.end(),
                                    [&](const auto& m) { return m.name == plan.name; });
    JoinGoal(plan, model == file.models.end() ? 1 : model->weighting, out.search.goal);
    JoinSpace(plan, out.space);
    names.push_back(plan.name);
    mix.push_back(Format("{}:1", plan.name));
    out.rates |= plan.rates;
    if (model != file.models.end() && model->perf_flags != file.models.front().perf_flags) {
      notes.push_back(
          Format("perf_analyzer_flags of '{}' differ from those of '{}', which are taken for all "
                 "models that are measured together",
                 plan.name, plans.front().name));
    }
  }
  notes.push_back(
      "run_config_profile_models_concurrently_enable: all models under one load, with equal shares "
      "of the requests; --mix gives others, or each its own concurrency");
  out.name = Join(names, "+");
  if (!file.checkpoint_directory.empty() &&
      out.options.journal == JoinPath(file.checkpoint_directory, plans.front().name + ".jsonl"))
    out.options.journal = JoinPath(file.checkpoint_directory, out.name + ".jsonl");
  out.models = std::move(names);
  out.options.mix = Join(mix, ",");
  out.options.model.clear();
  return out;
}

}  // namespace sextant::cli
