#include "serve/ensemble_graph.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "kserve/model_config.h"

namespace sextant::serve {
namespace {

using inference::ModelConfig;

std::string Tensors(const std::string& dims = "2", const std::string& type = "TYPE_INT32",
                    int count = 1) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += Format("input {{ name: 'IN{}' data_type: {} dims: [ {} ] }} ", i, type, dims);
    out += Format("output {{ name: 'OUT{}' data_type: {} dims: [ {} ] }} ", i, type, dims);
  }
  return out;
}

// "a IN0=x OUT0=y": a step of model a.
std::string Step(const std::string& text) {
  const std::vector<std::string_view> words = Split(text, ' ');
  std::string out = Format("step {{ model_name: '{}' model_version: -1 ", words[0]);
  for (size_t i = 1; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    out += Format("{} {{ key: '{}' value: '{}' }} ",
                  words[i].starts_with("IN") ? "input_map" : "output_map",
                  words[i].substr(0, equals), words[i].substr(equals + 1));
  }
  return out + "} ";
}

ModelConfig Ensemble(const std::vector<std::string>& steps, const std::string& more = Tensors()) {
  std::string text = "name: 'e' platform: 'ensemble' max_batch_size: 4 " + more;
  text += "ensemble_scheduling { ";
  for (const std::string& step : steps) text += Step(step);
  auto config = kserve::ParseModelConfig(text + "}");
  EXPECT_TRUE(config.has_value()) << config.error().message();
  return *config;
}

std::string Faults(const ModelConfig& config) {
  std::vector<std::string> faults;
  CheckEnsemble(config, faults);
  return Join(faults, "; ");
}

TEST(AnEnsemble, MayHaveItsStepsInAnyOrder) {
  EXPECT_EQ(Faults(Ensemble({"b IN0=x OUT0=OUT0", "a IN0=IN0 OUT0=x"})), "");
  EXPECT_EQ(Faults(Ensemble({"a IN0=IN0 OUT0=x", "b IN0=x OUT0=OUT0"})), "");
}

TEST(AnEnsemble, IsRefusedForWhatDoesNotFitTogether) {
  const auto contains = [](const ModelConfig& config, std::string_view words) {
    const std::string faults = Faults(config);
    EXPECT_NE(faults.find(words), std::string::npos) << faults;
  };
  contains(Ensemble({}), "must specify 'step'");
  contains(Ensemble({"a OUT0=OUT0"}), "must specify 'input_map' in step 0");
  contains(Ensemble({"a IN0=IN0"}), "must specify 'output_map' in step 0");
  contains(Ensemble({"a IN0=ghost OUT0=OUT0"}),
           "step 0 (model 'a') takes ensemble tensor 'ghost', which neither");
  contains(Ensemble({"a IN0=IN0 OUT0=x"}), "no step makes the ensemble's output 'OUT0'");
  contains(Ensemble({"a IN0=IN0 OUT0=OUT0"}, Tensors("2", "TYPE_INT32", 2)),
           "no step takes the ensemble's input 'IN1'");
  contains(Ensemble({"a IN0=IN0 OUT0=OUT0", "b IN0=IN0 OUT0=OUT0"}),
           "'OUT0' is made by step 0 (model 'a') and by step 1 (model 'b')");
  contains(Ensemble({"a IN0=IN0 IN1=y OUT0=x", "b IN0=x OUT0=y", "c IN0=x OUT0=OUT0"}),
           "has a cycle: step 0 (model 'a'), step 1 (model 'b'), step 2 (model 'c')");
  ModelConfig config = Ensemble({"a IN0=IN0 OUT0=OUT0"});
  config.add_instance_group();
  config.set_backend("simulated");
  contains(config, "no 'backend'; instance group should not be specified");
  config = ModelConfig();
  config.set_platform("ensemble");
  contains(config, "belong together");
}

TEST(AnEnsemble, ExecutesOnlyTheStepsThatItsOutputsNeed) {
  const EnsembleGraph graph(
      Ensemble({"a IN0=IN0 OUT0=x", "b IN0=x OUT0=OUT0", "c IN0=IN1 OUT0=OUT1"},
               Tensors("2", "TYPE_INT32", 2)));
  EXPECT_EQ(graph.StepsFor({0}), (std::vector<bool>{true, true, false}));
  EXPECT_EQ(graph.StepsFor({1}), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(graph.StepsFor({0, 1}), (std::vector<bool>{true, true, true}));
}

// The fault of an ensemble of one step with this model.
std::string StepFault(const std::string& model, const std::string& step = "a IN0=IN0 OUT0=OUT0") {
  const ModelConfig part = *kserve::ParseModelConfig("name: 'a' " + model);
  const Result<void> checked = CheckSteps(Ensemble({step}), {&part});
  return checked.has_value() ? "fits" : checked.error().message();
}

TEST(TheModelsOfAnEnsemble, MustFitIt) {
  EXPECT_EQ(StepFault("max_batch_size: 4 " + Tensors()), "fits");
  EXPECT_EQ(StepFault("max_batch_size: 9 " + Tensors("-1")), "fits");
  // Without a batch dimension of its own it gets the ensemble's.
  EXPECT_EQ(StepFault(Tensors("-1, 2")), "fits");
  EXPECT_EQ(StepFault(Tensors()), "fits");
  EXPECT_EQ(StepFault("max_batch_size: 2 " + Tensors()),
            "ensemble e allows maximum batch size 4, but it contains model a which only allows "
            "maximum batch size to be 2");
  EXPECT_EQ(
      StepFault("max_batch_size: 4 " + Tensors("3")),
      "in ensemble e, ensemble tensor IN0: inconsistent shape: [-1,2] is inferred from model e "
      "while [-1,3] is inferred from model a; in ensemble e, ensemble tensor OUT0: inconsistent "
      "shape: [-1,2] is inferred from model e while [-1,3] is inferred from model a");
  EXPECT_NE(StepFault("max_batch_size: 4 " + Tensors("2", "TYPE_FP32"))
                .find("IN0: inconsistent data type: TYPE_INT32 is inferred from model e while "
                      "TYPE_FP32 is inferred from model a"),
            std::string::npos);
  EXPECT_EQ(StepFault("max_batch_size: 4 " + Tensors("2", "TYPE_INT32", 2)),
            "in ensemble e, input IN1 in model a is not mapped to any ensemble tensors");
  EXPECT_NE(StepFault("max_batch_size: 4 " + Tensors(), "a IN7=IN0 OUT7=OUT0")
                .find("tensor IN0 is mapping to non-existing input IN7 in model a"),
            std::string::npos);
  EXPECT_NE(StepFault("max_batch_size: 4 " + Tensors(), "a IN0=IN0 OUT7=OUT0")
                .find("tensor OUT0 is mapped from non-existing output OUT7 in model a"),
            std::string::npos);
  EXPECT_NE(StepFault("max_batch_size: 4 model_transaction_policy { decoupled: true } " + Tensors())
                .find("model a is decoupled"),
            std::string::npos);
}

}  // namespace
}  // namespace sextant::serve
