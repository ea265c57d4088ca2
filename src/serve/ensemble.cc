#include "serve/ensemble.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <vector>

#include "base/strings.h"
#include "serve/core.h"
#include "serve/ensemble_graph.h"
#include "serve/loaded_model.h"

namespace sextant::serve {
namespace {

struct Plan {
  inference::ModelConfig config;
  EnsembleGraph graph;
  FindModel find;
};

// An ensemble's tensor. The data is in the ensemble's own request or in a step's response.
struct Value {
  kserve::DataType type{};
  kserve::Shape shape;
  std::string_view data;
};

// One request of an ensemble, kept by the steps that are under way.
class EnsembleRun : public std::enable_shared_from_this<EnsembleRun> {
 public:
  EnsembleRun(std::shared_ptr<const Plan> plan, PendingRequest&& request)
      : plan_(std::move(plan)),
        request_(std::move(request)),
        wanted_(WantedOutputs(plan_->config, *request_.request)),
        needed_(plan_->graph.StepsFor(wanted_)),
        values_(plan_->graph.tensors.size()) {}

  void Start();

 private:
  class StepSink;
  // What a step that does not batch as the ensemble does gets more or less: one dimension of 1.
  enum class Adjustment : uint8_t { kNone, kAdded, kDropped };

  // Marks the steps that can go now as begun; with the lock.
  std::vector<size_t> TakeReady();
  void Begin(const std::vector<size_t>& steps);
  Result<PendingRequest> MakeRequest(size_t step, const LoadedModel& model, Adjustment& adjustment);
  void OnStep(size_t step, Adjustment adjustment, Outcome&& outcome);
  void KeepOutputs(size_t step, Adjustment adjustment, kserve::InferResponse&& response);
  void Finish();

  const std::shared_ptr<const Plan> plan_;
  PendingRequest request_;
  const std::vector<int> wanted_;
  std::vector<bool> needed_;  // and not begun
  std::mutex mutex_;          // guards what follows, and needed_
  std::vector<std::optional<Value>> values_;
  std::vector<std::unique_ptr<kserve::InferResponse>> responses_;  // what values_ lie in
  size_t under_way_ = 0;
  std::optional<Outcome> failure_;
  ExecutionTimes times_;
};

class EnsembleRun::StepSink final : public OutcomeSink {
 public:
  StepSink(std::shared_ptr<EnsembleRun> run, size_t step, Adjustment adjustment)
      : run_(std::move(run)), step_(step), adjustment_(adjustment) {}
  void OnOutcome(const kserve::InferRequest&, Outcome&& outcome) override {
    run_->OnStep(step_, adjustment_, std::move(outcome));
  }

 private:
  const std::shared_ptr<EnsembleRun> run_;
  const size_t step_;
  const Adjustment adjustment_;
};

void EnsembleRun::Start() {
  std::vector<size_t> ready;
  {
    const std::scoped_lock lock(mutex_);
    const inference::ModelConfig& config = plan_->config;
    for (int i = 0; i < config.input_size(); ++i) {
      for (const kserve::InferInput& input : request_.request->inputs) {
        if (input.name == config.input(i).name())
          values_[plan_->graph.inputs[static_cast<size_t>(i)]] =
              Value{input.type, input.shape, input.data};
      }
    }
    ready = TakeReady();
  }
  if (ready.empty()) return Finish();  // every output is an input
  Begin(ready);
}

std::vector<size_t> EnsembleRun::TakeReady() {
  std::vector<size_t> ready;
  for (size_t i = 0; i < needed_.size() && !failure_; ++i) {
    const auto& inputs = plan_->graph.steps[i].inputs;
    if (!needed_[i] || !std::all_of(inputs.begin(), inputs.end(),
                                    [&](const auto& m) { return values_[m.tensor].has_value(); }))
      continue;
    needed_[i] = false;
    ready.push_back(i);
  }
  under_way_ += ready.size();
  return ready;
}

void EnsembleRun::Begin(const std::vector<size_t>& steps) {
  for (const size_t i : steps) {
    const EnsembleGraph::Step& step = plan_->graph.steps[i];
    Adjustment adjustment = Adjustment::kNone;
    std::shared_ptr<LoadedModel> model;
    const auto make = [&]() -> Result<PendingRequest> {
      SEXTANT_ASSIGN(model, plan_->find(step.model, step.VersionText()));
      SEXTANT_ASSIGN(PendingRequest made, MakeRequest(i, *model, adjustment));
      SEXTANT_ASSIGN(made.batch_size, CheckRequest(model->config(), *made.request));
      return made;
    };
    Result<PendingRequest> made = make();
    if (!made.has_value()) {
      OnStep(i, adjustment, {.response = std::move(made).error()});
      continue;
    }
    made->sink = std::make_unique<StepSink>(shared_from_this(), i, adjustment);
    model->Infer(*std::move(made));
  }
}

Result<PendingRequest> EnsembleRun::MakeRequest(size_t step, const LoadedModel& model,
                                                Adjustment& adjustment) {
  const EnsembleGraph::Step& from = plan_->graph.steps[step];
  PendingRequest out{.request = std::make_unique<kserve::InferRequest>(), .arrived = SteadyNow()};
  kserve::InferRequest& request = *out.request;
  request.model_name = from.model;
  request.model_version = from.VersionText();
  request.id = request_.request->id;
  request.parameters = request_.request->parameters;
  const bool batches = model.config().max_batch_size() > 0;
  const std::scoped_lock lock(mutex_);
  for (const EnsembleGraph::Mapping& mapping : from.inputs) {
    const Value& value = *values_[mapping.tensor];
    kserve::InferInput& input = request.inputs.emplace_back();
    input.name = mapping.name;
    input.type = value.type;
    input.shape = value.shape;
    input.data = value.data;
    const auto& defined = model.config().input();
    const auto definition = std::find_if(defined.begin(), defined.end(),
                                         [&](const auto& d) { return d.name() == mapping.name; });
    if (definition == defined.end()) continue;  // CheckRequest says so
    const size_t rank = static_cast<size_t>(definition->dims_size()) + (batches ? 1 : 0);
    if (batches && input.shape.size() + 1 == rank) {
      input.shape.insert(input.shape.begin(), 1);
      adjustment = Adjustment::kAdded;
    } else if (!batches && input.shape.size() == rank + 1 && input.shape[0] == 1) {
      input.shape.erase(input.shape.begin());
      adjustment = Adjustment::kDropped;
    }
  }
  for (const EnsembleGraph::Mapping& mapping : from.outputs) {
    kserve::RequestedOutput& output = request.outputs.emplace_back();
    output.name = mapping.name;
    output.binary = true;
  }
  return out;
}

void EnsembleRun::OnStep(size_t step, Adjustment adjustment, Outcome&& outcome) {
  std::vector<size_t> ready;
  bool finished = false;
  {
    const std::scoped_lock lock(mutex_);
    times_.compute_input += outcome.times.compute_input;
    times_.compute_infer += outcome.times.compute_infer;
    times_.compute_output += outcome.times.compute_output;
    if (outcome.response.has_value()) {
      KeepOutputs(step, adjustment, *std::move(outcome.response));
    } else if (!failure_) {
      failure_ = Outcome{.response = Error(outcome.response.error().code(),
                                           Format("in ensemble '{}', {}", plan_->config.name(),
                                                  outcome.response.error().message())),
                         .reset_connection = outcome.reset_connection};
    }
    ready = TakeReady();
    finished = --under_way_ == 0;
  }
  if (finished) return Finish();
  Begin(ready);
}

void EnsembleRun::KeepOutputs(size_t step, Adjustment adjustment,
                              kserve::InferResponse&& response) {
  const auto& kept =
      *responses_.emplace_back(std::make_unique<kserve::InferResponse>(std::move(response)));
  for (const EnsembleGraph::Mapping& mapping : plan_->graph.steps[step].outputs) {
    const auto output = std::find_if(kept.outputs.begin(), kept.outputs.end(),
                                     [&](const auto& o) { return o.name == mapping.name; });
    if (output == kept.outputs.end()) continue;  // what needs it is not executed
    Value value{output->type, output->shape, output->data};
    if (adjustment == Adjustment::kAdded && !value.shape.empty())
      value.shape.erase(value.shape.begin());
    if (adjustment == Adjustment::kDropped) value.shape.insert(value.shape.begin(), 1);
    values_[mapping.tensor] = std::move(value);
  }
}

void EnsembleRun::Finish() {
  // Nothing is under way any more: this thread is alone.
  Outcome outcome{.response = kserve::InferResponse(), .times = times_};
  if (failure_) {
    outcome = *std::move(failure_);
  } else {
    for (const int index : wanted_) {
      const auto& value = values_[plan_->graph.outputs[static_cast<size_t>(index)]];
      if (!value) continue;
      kserve::InferOutput& output = outcome.response->outputs.emplace_back();
      output.name = plan_->config.output(index).name();
      output.type = value->type;
      output.shape = value->shape;
      output.data = std::string(value->data);
    }
  }
  request_.Answer(std::move(outcome));
}

class Ensemble final : public BackendModel {
 public:
  explicit Ensemble(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {}
  Result<std::unique_ptr<ModelInstance>> CreateInstance(int) override {
    return Internal("an ensemble has no instances");
  }
  bool AnswersLater() const override { return true; }
  void Start(PendingRequest&& request) override {
    std::make_shared<EnsembleRun>(plan_, std::move(request))->Start();
  }

 private:
  const std::shared_ptr<const Plan> plan_;
};

class EnsembleBackend final : public Backend {
 public:
  explicit EnsembleBackend(FindModel find) : find_(std::move(find)) {}
  Result<void> CompleteConfig(inference::ModelConfig&, const std::string&) override { return {}; }
  Result<void> CheckConfig(const inference::ModelConfig&) override { return {}; }
  Result<std::unique_ptr<BackendModel>> Load(const inference::ModelConfig& config,
                                             const std::string&) override {
    std::vector<std::shared_ptr<LoadedModel>> models;
    std::vector<const inference::ModelConfig*> configs;
    for (const auto& step : EnsembleGraph(config).steps) {
      Result<std::shared_ptr<LoadedModel>> model = find_(step.model, step.VersionText());
      if (!model.has_value()) {
        return InvalidArgument(
            step.version >= 0 && find_(step.model, "").has_value()
                ? Format("ensemble '{}' depends on '{}' whose required version {} is not loaded",
                         config.name(), step.model, step.version)
                : Format("ensemble {} contains models that are not available or ambiguous: {}",
                         config.name(), step.model));
      }
      configs.push_back(&(*model)->config());
      models.push_back(*std::move(model));
    }
    SEXTANT_TRY(CheckSteps(config, configs));
    return std::unique_ptr<BackendModel>(std::make_unique<Ensemble>(
        std::make_shared<Plan>(Plan{config, EnsembleGraph(config), find_})));
  }
  bool NeedsFiles() const override { return false; }

 private:
  const FindModel find_;
};

}  // namespace

std::unique_ptr<Backend> MakeEnsembleBackend(FindModel find) {
  return std::make_unique<EnsembleBackend>(std::move(find));
}

}  // namespace sextant::serve
