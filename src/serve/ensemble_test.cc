#include "serve/ensemble.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "base/files.h"
#include "base/strings.h"
#include "serve/core.h"

namespace sextant::serve {
namespace {

// Answers of requests that are under way, in the order of their arrival.
struct Answers {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Result<kserve::InferResponse>> all;
};

class KeepingSink final : public OutcomeSink {
 public:
  explicit KeepingSink(Answers& answers) : answers_(answers) {}
  void OnOutcome(const kserve::InferRequest&, Outcome&& outcome) override {
    const std::scoped_lock lock(answers_.mutex);
    answers_.all.push_back(std::move(outcome.response));
    answers_.changed.notify_all();
  }

 private:
  Answers& answers_;
};

class Ensembles : public testing::Test {
 protected:
  ~Ensembles() override {
    core_.repository().UnloadAll(1s);
    std::filesystem::remove_all(directory_);
  }
  void Write(const std::string& name, const std::string& config) {
    std::filesystem::create_directories(JoinPath(directory_, name));
    ASSERT_TRUE(
        WriteFileAtomic(JoinPath(JoinPath(directory_, name), "config.pbtxt"), config).has_value());
  }
  void WriteStep(const std::string& name, const std::string& backend,
                 const std::string& more = "") {
    Write(name, Format("backend: '{}' max_batch_size: 4 "
                       "input {{ name: 'X' data_type: TYPE_INT32 dims: [ 2 ] }} "
                       "output {{ name: 'Y' data_type: TYPE_INT32 dims: [ 2 ] }} {}",
                       backend, more));
  }
  // "first second third": each takes what the one before made.
  void WriteChain(const std::string& name, const std::string& models) {
    std::string config =
        "platform: 'ensemble' max_batch_size: 4 "
        "input { name: 'X' data_type: TYPE_INT32 dims: [ 2 ] } "
        "output { name: 'Y' data_type: TYPE_INT32 dims: [ 2 ] } ensemble_scheduling { ";
    const std::vector<std::string_view> steps = Split(models, ' ');
    for (size_t i = 0; i < steps.size(); ++i) {
      config += Format(
          "step {{ model_name: '{}' model_version: -1 input_map {{ key: 'X' value: '{}' }} "
          "output_map {{ key: 'Y' value: '{}' }} }} ",
          steps[i], i == 0 ? "X" : Format("t{}", i),
          i + 1 == steps.size() ? "Y" : Format("t{}", i + 1));
    }
    Write(name, config + "}");
  }
  std::string Load(const std::string& name) {
    const Result<void> loaded = core_.repository().Load(name, std::nullopt);
    return loaded.has_value() ? "loaded" : loaded.error().message();
  }
  void Send(const std::string& model) {
    auto request = std::make_unique<kserve::InferRequest>();
    request->model_name = model;
    request->inputs.push_back({.name = "X",
                               .type = kserve::DataType::kInt32,
                               .shape = {1, 2},
                               .data = std::string_view("\1\0\0\0\2\0\0\0", 8),
                               .shared_memory = {}});
    core_.Infer(std::move(request), std::make_unique<KeepingSink>(answers_), false);
  }
  std::vector<Result<kserve::InferResponse>>& Wait(size_t count) {
    std::unique_lock lock(answers_.mutex);
    answers_.changed.wait_for(lock, 20s, [&] { return answers_.all.size() >= count; });
    EXPECT_EQ(answers_.all.size(), count);
    return answers_.all;
  }
  kserve::ModelStatistics Counts(const std::string& model) {
    return core_.Statistics(model, "").value().front();
  }

  Log log_;
  SimulatedGpus gpus_;
  BackendContext context_{.log = log_, .gpus = &gpus_};
  const std::string directory_ = *MakeTempDirectory("sextant-ensemble-");
  Answers answers_;
  Core core_{{directory_}, context_, true};
};

TEST_F(Ensembles, OfModelsThatAnswerAtOnceAnswerAtOnce) {
  // All steps run within the call that brings the request, one inside the other.
  WriteStep("a", "null");
  WriteChain("inner", "a a a");
  WriteChain("outer", "inner a inner");
  ASSERT_EQ(Load("outer"), "loaded");
  core_.SetServing(true);
  for (int i = 0; i < 100; ++i) Send("outer");
  for (const auto& answer : Wait(100)) {
    ASSERT_TRUE(answer.has_value()) << answer.error().message();
    EXPECT_EQ(answer->outputs.size(), 1U);
    EXPECT_EQ(answer->model_name, "outer");
  }
  EXPECT_EQ(Counts("outer").execution_count, 100U);
  EXPECT_EQ(Counts("inner").execution_count, 200U);
  EXPECT_EQ(Counts("a").execution_count, 700U);
}

TEST_F(Ensembles, MixModelsWithThreadsAndWithout) {
  const std::string echo =
      "parameters { key: 'output' value { string_value: 'echo' } } "
      "parameters { key: 'service_time' value { string_value: '20us' } } "
      "instance_group { count: 2 } dynamic_batching { }";
  WriteStep("echo", "simulated", echo);
  WriteStep("null", "null");
  WriteChain("echoes", "echo echo");
  WriteChain("mixed", "echo null echoes null");
  ASSERT_EQ(Load("mixed"), "loaded");
  core_.SetServing(true);
  for (int i = 0; i < 200; ++i) Send(i % 2 == 0 ? "mixed" : "echoes");
  for (const auto& answer : Wait(200)) {
    ASSERT_TRUE(answer.has_value()) << answer.error().message();
    if (answer->model_name == "echoes") {
      EXPECT_EQ(answer->outputs.at(0).data, std::string_view("\1\0\0\0\2\0\0\0", 8));
    }
  }
  EXPECT_EQ(Counts("echo").inference_count, 500U);
  EXPECT_EQ(Counts("null").inference_count, 200U);
}

TEST_F(Ensembles, AnswerWhatIsUnderWayWhenAModelOfTheirsGoes) {
  WriteStep("slow", "simulated",
            "parameters { key: 'service_time' value { string_value: '5ms' } }");
  WriteChain("chain", "slow slow");
  ASSERT_EQ(Load("chain"), "loaded");
  core_.SetServing(true);
  for (int i = 0; i < 10; ++i) Send("chain");
  ASSERT_TRUE(core_.repository().Unload("slow", 20s).has_value());
  for (const auto& answer : Wait(10)) EXPECT_TRUE(answer.has_value()) << answer.error().message();
  EXPECT_FALSE(core_.repository().Find("chain", "").has_value());
  ASSERT_EQ(Load("slow"), "loaded");
  EXPECT_TRUE(core_.repository().Find("chain", "").has_value());
}

TEST_F(Ensembles, AreGivenUpWithTheirStepsWhenTheTimeIsOver) {
  WriteStep("slow", "simulated",
            "parameters { key: 'service_time' value { string_value: '60s' } }");
  WriteChain("chain", "slow slow");
  ASSERT_EQ(Load("chain"), "loaded");
  core_.SetServing(true);
  for (int i = 0; i < 3; ++i) Send("chain");
  core_.repository().UnloadAll(Nanos(0));
  for (const auto& answer : Wait(3)) EXPECT_FALSE(answer.has_value());
}

TEST_F(Ensembles, ThatContainEachOtherAreRefused) {
  WriteChain("a", "b");
  WriteChain("b", "c");
  WriteChain("c", "a");
  EXPECT_NE(Load("a").find("circular dependency between ensembles: a -> b -> c -> a"),
            std::string::npos);
  EXPECT_NE(Load("b").find("b -> c -> a -> b"), std::string::npos);
}

TEST_F(Ensembles, TakeWithThemWhatWasLoadedForThemAlone) {
  for (const char* name : {"a", "b", "c"}) WriteStep(name, "null");
  WriteChain("first", "a b c");
  WriteChain("second", "b");
  ASSERT_EQ(Load("first"), "loaded");
  ASSERT_EQ(Load("second"), "loaded");
  ASSERT_EQ(Load("c"), "loaded");
  ASSERT_TRUE(core_.repository().Unload("first", 1s, true).has_value());
  const auto there = [&](const std::string& name) {
    return core_.repository().Find(name, "").has_value();
  };
  EXPECT_FALSE(there("a"));
  EXPECT_TRUE(there("b")) << "the other ensemble has it";
  EXPECT_TRUE(there("c")) << "it was loaded by its name";
}

}  // namespace
}  // namespace sextant::serve
