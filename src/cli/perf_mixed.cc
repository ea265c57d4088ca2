#include "cli/perf_mixed.h"

#include <algorithm>
#include <set>

#include "cli/perf_data.h"
#include "cli/perf_record.h"

namespace sextant::cli {
namespace {

bool HasInput(const MixedModel& model, std::string_view name) {
  const auto& inputs = model.subject.signature.inputs;
  return std::any_of(inputs.begin(), inputs.end(), [&](const auto& i) { return i.name == name; });
}

bool AnyHasInput(const MixedModels& models, std::string_view name) {
  return std::any_of(models.begin(), models.end(),
                     [&](const auto& model) { return HasInput(*model, name); });
}

std::string InputsOf(const MixedModels& models) {
  std::vector<std::string> out;
  for (const auto& model : models) {
    std::vector<std::string> names;
    for (const auto& input : model->subject.signature.inputs) names.push_back(input.name);
    out.push_back(Format("{}: {}", model->entry.label, Join(names, ", ")));
  }
  return Join(out, "; ");
}

// How many dimensions the inputs leave open that --dim could name in turn.
size_t OpenDimensions(const MixedModel& model, const Plan& plan) {
  size_t most = 0;
  for (const kserve::TensorMetadata& input : model.subject.signature.inputs) {
    if (plan.shapes.contains(input.name)) continue;
    const auto open =
        std::count_if(input.shape.begin(), input.shape.end(), [](int64_t d) { return d < 0; });
    most = std::max(most, static_cast<size_t>(open));
  }
  return most;
}

// Of what was said of all models, the part about inputs that this one has.
void KeepWhatIsHere(MixedModel& model, const MixedModels& models) {
  Plan& plan = model.as.plan;
  const auto not_here = [&](const auto& named) {
    return !named.first.empty() && !HasInput(model, named.first);
  };
  std::erase_if(plan.shapes, not_here);
  std::erase_if(plan.value_rules, not_here);
  std::erase_if(plan.ranges, not_here);
  const size_t open = OpenDimensions(model, plan);
  size_t symbols = 0;
  std::erase_if(plan.dims, [&](const load::DimRule& rule) {
    if (HasInput(model, rule.name)) return false;
    if (rule.index || AnyHasInput(models, rule.name)) return true;
    return symbols++ >= open;  // a name of the user's own, for dimensions that others have
  });
}

// What is said of this model alone goes before.
void PreferOwn(MixedModel& model) {
  Plan &plan = model.as.plan, &own = model.as.own;
  for (auto& [name, shape] : own.shapes) plan.shapes[name] = shape;
  for (auto& [name, rule] : own.value_rules) plan.value_rules[name] = rule;
  for (auto& [name, range] : own.ranges) plan.ranges[name] = range;
  for (const load::DimRule& rule : own.dims) {
    std::erase_if(plan.dims, [&](const load::DimRule& other) {
      return other.name == rule.name && other.index == rule.index;
    });
  }
  plan.dims.insert(plan.dims.begin(), own.dims.begin(), own.dims.end());
}

// What was said of all models, of an input that none has.
void CheckCommonNames(const Plan& plan, const MixedModels& models,
                      std::vector<std::string>& faults) {
  const auto check = [&](std::string_view option, const std::string& name) {
    if (name.empty() || AnyHasInput(models, name)) return;
    faults.push_back(Format("{}: no model of {} has an input '{}' ({})", option, NameMix(plan.mix),
                            Printable(name, 60), InputsOf(models)));
  };
  for (const auto& [name, shape] : plan.shapes) check("--shape", name);
  for (const auto& [name, rule] : plan.value_rules) check("--data", name);
  for (const auto& [name, range] : plan.ranges) check("--random-range", name);
  size_t open = 0, symbols = 0;
  for (const auto& model : models) open = std::max(open, OpenDimensions(*model, model->as.plan));
  for (const load::DimRule& rule : plan.dims) {
    if (rule.index) {
      check("--dim", rule.name);
    } else if (!AnyHasInput(models, rule.name) && symbols++ >= open) {
      faults.push_back(Format("--dim {}: no model of {} has an open dimension left for it",
                              rule.text, NameMix(plan.mix)));
    }
  }
}

Result<void> CheckKind(const MixedModel& model) {
  const auto refuse = [&](std::string_view what) {
    return InvalidArgument(
        Format("model '{}' {}: in a mix each request is one of its own; measure it with -m",
               model.entry.label, what));
  };
  if (model.subject.streams.sequences != nullptr) return refuse("batches sequences");
  if (model.subject.streams.decoupled)
    return refuse("is decoupled, and answers a request with any number of responses");
  return {};
}

Result<void> MakeModelData(MixedModel& model, const MixedModels& models) {
  KeepWhatIsHere(model, models);
  PreferOwn(model);
  SEXTANT_ASSIGN(model.data, MakeData(model.as.options, model.as.plan, model.subject.signature));
  return {};
}

}  // namespace

Result<MixedModels> LearnMix(const PerfOptions& options, const Plan& plan,
                             kserve::ControlClient& client) {
  MixedModels models;
  std::vector<std::string> faults;
  std::optional<ErrorCode> code;
  const auto note = [&](Error error) {
    code = code.value_or(error.code());
    faults.push_back(error.message());
  };
  for (const MixEntry& entry : plan.mix) {
    auto model = std::make_unique<MixedModel>();
    model->entry = entry;
    model->as = OptionsFor(options, plan, entry, [](const std::string&) {});
    Result<Subject> subject = AskServer(model->as.options, model->as.plan, client);
    if (!subject.has_value()) {
      // Whoever cannot be reached is not asked again for each model.
      if (subject.error().code() == ErrorCode::kUnavailable ||
          subject.error().code() == ErrorCode::kDeadlineExceeded)
        return std::move(subject).error();
      note(std::move(subject).error());
      continue;
    }
    model->subject = *std::move(subject);
    if (Result<void> kind = CheckKind(*model); !kind.has_value()) note(std::move(kind).error());
    models.push_back(std::move(model));
  }
  if (!faults.empty()) return Error(*code, Join(faults, "\n"));
  CheckCommonNames(plan, models, faults);
  if (!faults.empty()) return InvalidArgument(Join(faults, "\n"));
  for (const auto& model : models) {
    if (Result<void> made = MakeModelData(*model, models); !made.has_value())
      note(std::move(made).error().In(Format("model '{}'", model->entry.label)));
  }
  if (!faults.empty()) return Error(*code, Join(faults, "\n"));
  return models;
}

Subject DescribeMixed(const MixedModels& models) {
  Subject out;
  out.server = models.front()->subject.server;
  for (const auto& model : models) {
    const MixEntry& entry = model->entry;
    const Subject& subject = model->subject;
    out.statistics |= subject.statistics;
    out.banner.push_back(Format("  Model: {}, {}; input data: {}\n", entry.label,
                                entry.concurrency > 0
                                    ? Format("{} in flight", entry.concurrency)
                                    : Format("{:.4g}% of the requests", entry.share * 100),
                                model->data->description()));
    for (const ModelRef& composing : subject.composing) {
      if (std::find(out.composing.begin(), out.composing.end(), composing) == out.composing.end())
        out.composing.push_back(composing);
    }
    for (const std::string& absent : subject.absent)
      out.absent.push_back(Format("{}: {}", entry.label, absent));
    for (std::string& text : OpenDimensionNotes(model->as.options, model->as.plan, subject))
      out.absent.push_back(Format("{}: {}", entry.label, text));
  }
  return out;
}

Result<void> EncodeMix(const Plan& plan, const Connection& connection,
                       const Credentials& credentials, MixedModels& models) {
  for (size_t i = 0; i < models.size(); ++i) {
    MixedModel& model = *models[i];
    model.as.plan.points = plan.points;
    SEXTANT_ASSIGN(model.requests,
                   EncodeRequests(model.as.options, model.as.plan, model.subject, *model.data,
                                  connection, credentials, nullptr, static_cast<uint16_t>(i)),
                   Format("model '{}'", model.entry.label));
  }
  return {};
}

void FillMix(const MixedModels& models, load::LevelPlan& level) {
  for (const auto& model : models) {
    const MixEntry& entry = model->entry;
    level.mix.push_back({.name = entry.model.name,
                         .version = entry.model.version,
                         .requests = model->requests.at(level.load.batch_size).get(),
                         .share = entry.share,
                         .concurrency = entry.concurrency});
  }
  level.requests = level.mix.front().requests;
}

Result<std::vector<kserve::ModelStatistics>> FetchMixStatistics(kserve::ControlClient& client,
                                                                const MixedModels& models) {
  std::vector<kserve::ModelStatistics> out;
  std::set<std::pair<std::string, std::string>> had;
  const auto fetch = [&](const ModelRef& model) -> Result<void> {
    SEXTANT_ASSIGN(auto more, client.FetchStatistics(model.name, model.version),
                   Format("model '{}'", model.name));
    // Models may call the same others, and be versions of one.
    for (kserve::ModelStatistics& statistics : more) {
      if (had.emplace(statistics.name, statistics.version).second)
        out.push_back(std::move(statistics));
    }
    return {};
  };
  for (const auto& model : models) {
    if (model->subject.statistics) SEXTANT_TRY(fetch(model->entry.model));
  }
  for (const auto& model : models) {
    for (const ModelRef& composing : model->subject.composing) SEXTANT_TRY(fetch(composing));
  }
  return out;
}

text::Json MixJson(const MixedModels& models) {
  text::Json::Array out;
  for (const auto& model : models) {
    text::Json one = ModelJson(model->as.options, model->subject);
    if (model->entry.concurrency > 0) {
      one.Set("concurrency", static_cast<uint64_t>(model->entry.concurrency));
    } else {
      one.Set("share", model->entry.share);
    }
    one.Set("data", model->data->description());
    out.push_back(std::move(one));
  }
  return text::Json(std::move(out));
}

}  // namespace sextant::cli
