#include "serve/ensemble_graph.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/strings.h"
#include "kserve/tensor.h"

namespace sextant::serve {
namespace {

using inference::ModelConfig;
using Step = inference::ModelEnsembling::Step;

// Maps have no order of their own; this one makes messages and runs the same every time.
std::map<std::string, std::string> Sorted(
    const google::protobuf::Map<std::string, std::string>& m) {
  return {m.begin(), m.end()};
}

std::string Named(const Step& step, int i) {
  return Format("step {} (model '{}')", i, Printable(step.model_name(), 80));
}

// What each step needs must come from somewhere, once.
void CheckFlow(const ModelConfig& config, std::vector<std::string>& faults) {
  const auto& steps = config.ensemble_scheduling().step();
  std::map<std::string, std::string> made;  // tensor and what makes it
  std::set<std::string> used;
  for (const auto& input : config.input()) made[input.name()] = "an input of the ensemble";
  for (int i = 0; i < steps.size(); ++i) {
    for (const auto& [name, tensor] : Sorted(steps[i].output_map())) {
      const auto [it, first] = made.emplace(tensor, Named(steps[i], i));
      if (!first) {
        faults.push_back(Format("ensemble tensor '{}' is made by {} and by {}", tensor, it->second,
                                Named(steps[i], i)));
      }
    }
  }
  for (int i = 0; i < steps.size(); ++i) {
    for (const auto& [name, tensor] : Sorted(steps[i].input_map())) {
      used.insert(tensor);
      if (!made.contains(tensor)) {
        faults.push_back(
            Format("{} takes ensemble tensor '{}', which neither an input nor a step makes",
                   Named(steps[i], i), tensor));
      }
    }
  }
  for (const auto& output : config.output()) {
    if (!made.contains(output.name()))
      faults.push_back(Format("no step makes the ensemble's output '{}'", output.name()));
  }
  for (const auto& input : config.input()) {
    if (!used.contains(input.name()))
      faults.push_back(Format("no step takes the ensemble's input '{}'", input.name()));
  }
}

// Steps that wait for each other.
void CheckCycle(const ModelConfig& config, std::vector<std::string>& faults) {
  const auto& steps = config.ensemble_scheduling().step();
  std::set<std::string> there;
  for (const auto& input : config.input()) there.insert(input.name());
  std::vector<bool> done(static_cast<size_t>(steps.size()));
  for (bool progress = true; progress;) {
    progress = false;
    for (int i = 0; i < steps.size(); ++i) {
      const auto& needed = steps[i].input_map();
      if (done[static_cast<size_t>(i)] ||
          !std::all_of(needed.begin(), needed.end(),
                       [&](const auto& m) { return there.contains(m.second); }))
        continue;
      done[static_cast<size_t>(i)] = progress = true;
      for (const auto& [name, tensor] : steps[i].output_map()) there.insert(tensor);
    }
  }
  std::vector<std::string> waiting;
  for (int i = 0; i < steps.size(); ++i) {
    if (!done[static_cast<size_t>(i)]) waiting.push_back(Named(steps[i], i));
  }
  if (!waiting.empty())
    faults.push_back(
        Format("the ensemble has a cycle: {} would wait for each other", Join(waiting, ", ")));
}

kserve::Shape FullShape(const ModelConfig& model, const auto& tensor) {
  kserve::Shape out;
  if (model.max_batch_size() > 0) out.push_back(-1);
  out.insert(out.end(), tensor.dims().begin(), tensor.dims().end());
  return out;
}

// Open dimensions agree with every size, and one of the two may lack a batch dimension.
bool ShapesAgree(const kserve::Shape& a, const kserve::Shape& b) {
  const size_t common = std::min(a.size(), b.size());
  if (std::max(a.size(), b.size()) > common + 1) return false;
  return std::equal(a.end() - static_cast<ptrdiff_t>(common), a.end(),
                    b.end() - static_cast<ptrdiff_t>(common),
                    [](int64_t x, int64_t y) { return x == y || x == -1 || y == -1; });
}

// What is known of an ensemble's tensor, and from which model.
struct Known {
  std::string model;
  int type;
  kserve::Shape shape;
};

class StepCheck {
 public:
  explicit StepCheck(const ModelConfig& config) : config_(config) {
    for (const auto& input : config.input()) Learn(input.name(), config, input);
    for (const auto& output : config.output()) Learn(output.name(), config, output);
  }

  void Check(const Step& step, const ModelConfig& model) {
    if (model.max_batch_size() > 0 && model.max_batch_size() < config_.max_batch_size()) {
      faults.push_back(
          Format("ensemble {} allows maximum batch size {}, but it contains model {} "
                 "which only allows maximum batch size to be {}",
                 config_.name(), config_.max_batch_size(), model.name(), model.max_batch_size()));
    }
    if (model.model_transaction_policy().decoupled()) {
      faults.push_back(Format(
          "model {} is decoupled: sextant serve has no ensembles with such steps", model.name()));
    }
    for (const auto& [name, tensor] : Sorted(step.input_map())) {
      const auto* input = FindIn(model.input(), name);
      if (input == nullptr) {
        Fault(Format("ensemble tensor {} is mapping to non-existing input {} in model {}", tensor,
                     name, model.name()));
      } else {
        Learn(tensor, model, *input);
      }
    }
    for (const auto& input : model.input()) {
      if (!input.optional() && !step.input_map().contains(input.name())) {
        Fault(Format("input {} in model {} is not mapped to any ensemble tensors", input.name(),
                     model.name()));
      }
    }
    for (const auto& [name, tensor] : Sorted(step.output_map())) {
      const auto* output = FindIn(model.output(), name);
      if (output == nullptr) {
        Fault(Format("ensemble tensor {} is mapped from non-existing output {} in model {}", tensor,
                     name, model.name()));
      } else {
        Learn(tensor, model, *output);
      }
    }
  }

  std::vector<std::string> faults;

 private:
  template <typename Tensors>
  static auto FindIn(const Tensors& tensors, const std::string& name) -> decltype(&tensors[0]) {
    for (const auto& tensor : tensors) {
      if (tensor.name() == name) return &tensor;
    }
    return nullptr;
  }
  void Fault(const std::string& text) {
    faults.push_back(Format("in ensemble {}, {}", config_.name(), text));
  }
  void Learn(const std::string& tensor, const ModelConfig& model, const auto& found) {
    const Known now{model.name(), found.data_type(), FullShape(model, found)};
    const auto [it, first] = known_.emplace(tensor, now);
    const Known& before = it->second;
    if (first) return;
    if (before.type != now.type) {
      Fault(
          Format("ensemble tensor {}: inconsistent data type: {} is inferred from model {} while "
                 "{} is inferred from model {}",
                 tensor, inference::DataType_Name(before.type), before.model,
                 inference::DataType_Name(now.type), now.model));
    } else if (!ShapesAgree(before.shape, now.shape)) {
      Fault(
          Format("ensemble tensor {}: inconsistent shape: {} is inferred from model {} while {} is "
                 "inferred from model {}",
                 tensor, kserve::FormatShape(before.shape), before.model,
                 kserve::FormatShape(now.shape), now.model));
    }
  }

  const ModelConfig& config_;
  std::map<std::string, Known> known_;
};

}  // namespace

void CheckEnsemble(const ModelConfig& config, std::vector<std::string>& faults) {
  const bool named = config.platform() == "ensemble";
  if (named != config.has_ensemble_scheduling()) {
    faults.push_back(Format(
        "platform \"ensemble\" and 'ensemble_scheduling' belong together for {}", config.name()));
  }
  if (!config.has_ensemble_scheduling()) return;
  if (!config.backend().empty()) faults.push_back("an ensemble has no 'backend'");
  if (config.instance_group_size() > 0)
    faults.push_back(
        Format("instance group should not be specified for ensemble '{}'", config.name()));
  if (config.parameters_size() > 0)
    faults.push_back(Format("an ensemble has no parameters here: '{}'", config.name()));
  for (const auto& input : config.input()) {
    if (input.optional())
      faults.push_back(Format("input '{}' of an ensemble cannot be optional", input.name()));
  }
  const auto& steps = config.ensemble_scheduling().step();
  if (steps.empty())
    faults.push_back(Format("must specify 'step' for ensemble '{}'", config.name()));
  for (int i = 0; i < steps.size(); ++i) {
    const auto missing = [&](bool is, std::string_view what) {
      if (is)
        faults.push_back(
            Format("must specify '{}' in step {} of ensemble '{}'", what, i, config.name()));
    };
    missing(steps[i].model_name().empty(), "model_name");
    missing(steps[i].input_map().empty(), "input_map");
    missing(steps[i].output_map().empty(), "output_map");
  }
  const size_t before = faults.size();
  CheckFlow(config, faults);
  if (faults.size() == before) CheckCycle(config, faults);
}

EnsembleGraph::EnsembleGraph(const ModelConfig& config) {
  std::map<std::string, size_t> index;
  const auto tensor = [&](const std::string& name) {
    const auto [it, added] = index.emplace(name, tensors.size());
    if (added) tensors.push_back(name);
    return it->second;
  };
  for (const auto& input : config.input()) inputs.push_back(tensor(input.name()));
  for (const auto& output : config.output()) outputs.push_back(tensor(output.name()));
  for (const auto& from : config.ensemble_scheduling().step()) {
    Step& step = steps.emplace_back();
    step.model = from.model_name();
    step.version = from.model_version();
    for (const auto& [name, value] : Sorted(from.input_map()))
      step.inputs.push_back({name, tensor(value)});
    for (const auto& [name, value] : Sorted(from.output_map()))
      step.outputs.push_back({name, tensor(value)});
  }
}

std::vector<bool> EnsembleGraph::StepsFor(const std::vector<int>& wanted) const {
  std::vector<bool> tensor(tensors.size()), needed(steps.size());
  for (const int output : wanted) tensor[outputs[static_cast<size_t>(output)]] = true;
  for (bool progress = true; progress;) {
    progress = false;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (needed[i] || std::none_of(steps[i].outputs.begin(), steps[i].outputs.end(),
                                    [&](const Mapping& m) { return tensor[m.tensor]; }))
        continue;
      needed[i] = progress = true;
      for (const Mapping& input : steps[i].inputs) tensor[input.tensor] = true;
    }
  }
  return needed;
}

Result<void> CheckSteps(const ModelConfig& config, const std::vector<const ModelConfig*>& models) {
  StepCheck check(config);
  for (size_t i = 0; i < models.size(); ++i)
    check.Check(config.ensemble_scheduling().step(static_cast<int>(i)), *models[i]);
  if (check.faults.empty()) return {};
  return InvalidArgument(Join(check.faults, "; "));
}

}  // namespace sextant::serve
