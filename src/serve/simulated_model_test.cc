#include "serve/simulated_model.h"

#include <gtest/gtest.h>

#include <map>

#include "kserve/model_config.h"

namespace sextant::serve {
namespace {

inference::ModelConfig Config(const std::map<std::string, std::string>& parameters) {
  inference::ModelConfig config = *kserve::ParseModelConfig(
      "input [ { name: 'X' data_type: TYPE_FP32 dims: [ 4 ] } ] "
      "output [ { name: 'Y' data_type: TYPE_FP32 dims: [ 4 ] } ]");
  for (const auto& [name, value] : parameters)
    (*config.mutable_parameters())[name].set_string_value(value);
  return config;
}
SimulatedModel Parse(const std::map<std::string, std::string>& parameters) {
  const auto model = SimulatedModel::Parse(Config(parameters));
  EXPECT_TRUE(model.has_value()) << model.error().message();
  return model.has_value() ? *model : SimulatedModel();
}
std::string Fault(const std::string& name, const std::string& value) {
  const auto model = SimulatedModel::Parse(Config({{name, value}}));
  return model.has_value() ? "accepted" : model.error().message();
}

TEST(SimulatedModels, AreQuickAndFaultlessUnlessToldOtherwise) {
  const SimulatedModel model = Parse({});
  EXPECT_EQ(model.service.Text(), "fixed(1ms)");
  EXPECT_TRUE(model.faults.empty());
  EXPECT_TRUE(model.stalls.empty());
  EXPECT_FALSE(model.gpu.has_value());
  EXPECT_EQ(model.ExecutionTime(3ms, 8, 4, 4, 32), 3ms);
}

TEST(SimulatedModels, TakeEveryParameter) {
  inference::ModelConfig config = Config({{"service_time", "normal(5ms, 1ms)"},
                                          {"per_item", "250us"},
                                          {"contention", "0.1"},
                                          {"memory_base", "1GiB"},
                                          {"memory_per_instance", "2MiB"},
                                          {"memory_per_item", "3KiB"},
                                          {"memory_limit", "4GiB"},
                                          {"cliff", "7"},
                                          {"error_rate", "reset:0.1, hang:0.2"},
                                          {"stalls", "1s+2s, 5s+500ms"},
                                          {"responses", "3"},
                                          {"response_gap", "4ms"},
                                          {"output", "constant(2.5)"},
                                          {"seed", "99"},
                                          {"gpu_device", "2"},
                                          {"gpu_utilization", "0.75"},
                                          {"gpu_memory", "100MiB"},
                                          {"gpu_memory_per_execution", "5MiB"},
                                          {"gpu_memory_total", "8GiB"},
                                          {"gpu_busy_watts", "150"},
                                          {"gpu_idle_watts", "30"}});
  config.mutable_model_transaction_policy()->set_decoupled(true);
  const auto parsed = SimulatedModel::Parse(config);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
  const SimulatedModel& model = *parsed;
  EXPECT_EQ(model.service.Text(), "normal(5ms, 1ms)");
  EXPECT_EQ(model.per_item, 250us);
  EXPECT_EQ(model.contention, 0.1);
  EXPECT_EQ(model.memory_base, uint64_t{1} << 30);
  EXPECT_EQ(model.memory_per_instance, uint64_t{2} << 20);
  EXPECT_EQ(model.memory_per_item, uint64_t{3} << 10);
  EXPECT_EQ(model.memory_limit, uint64_t{4} << 30);
  EXPECT_EQ(model.cliff, 7);
  ASSERT_EQ(model.faults.size(), 2U);
  EXPECT_EQ(model.faults[0], std::pair(FaultKind::kReset, 0.1));
  EXPECT_EQ(model.faults[1], std::pair(FaultKind::kHang, 0.2));
  ASSERT_EQ(model.stalls.size(), 2U);
  EXPECT_EQ(model.stalls[1].at, 5s);
  EXPECT_EQ(model.stalls[1].length, 500ms);
  EXPECT_EQ(model.responses, 3);
  EXPECT_EQ(model.response_gap, 4ms);
  EXPECT_EQ(model.output, SimulatedModel::Output::kConstant);
  EXPECT_EQ(model.constant, 2.5);
  EXPECT_EQ(model.seed, 99U);
  ASSERT_TRUE(model.gpu.has_value());
  EXPECT_EQ(model.gpu->device, 2);
  EXPECT_EQ(model.gpu->utilization, 0.75);
  EXPECT_EQ(model.gpu->memory_bytes, uint64_t{100} << 20);
  EXPECT_EQ(model.gpu->busy_memory_bytes, uint64_t{5} << 20);
  EXPECT_EQ(model.gpu->total_memory_bytes, uint64_t{8} << 30);
  EXPECT_EQ(model.gpu->busy_watts, 150);
  EXPECT_EQ(model.gpu->idle_watts, 30);
}

TEST(SimulatedModels, RefuseAWrongValueOfEveryParameterByItsName) {
  const std::pair<const char*, const char*> wrong[] = {{"service_time", "soon"},
                                                       {"per_item", "3"},
                                                       {"contention", "-1"},
                                                       {"memory_base", "much"},
                                                       {"memory_per_instance", "-1"},
                                                       {"memory_per_item", "1XB"},
                                                       {"memory_limit", ""},
                                                       {"cliff", "steep"},
                                                       {"error_rate", "1.5"},
                                                       {"error_rate", "explosion:0.1"},
                                                       {"error_rate", "internal:0.6,reset:0.6"},
                                                       {"stalls", "5s"},
                                                       {"stalls", "5s+2s,6s+1s"},
                                                       {"stalls", "5s+200000h"},
                                                       {"responses", "1.5"},
                                                       {"response_gap", "x"},
                                                       {"output", "noise"},
                                                       {"output", "constant(x)"},
                                                       {"seed", "-4"},
                                                       {"gpu_device", "1.5"},
                                                       {"gpu_utilization", "1.1"},
                                                       {"gpu_memory", "x"},
                                                       {"gpu_memory_per_execution", "x"},
                                                       {"gpu_memory_total", "x"},
                                                       {"gpu_busy_watts", "-1"},
                                                       {"gpu_idle_watts", "nan"}};
  for (const auto& [name, value] : wrong) {
    const std::string fault = Fault(name, value);
    EXPECT_NE(fault.find(std::string("'") + name + "'"), std::string::npos)
        << name << "=" << value << ": " << fault;
  }
}

TEST(SimulatedModels, RefuseAnUnknownParameterWithTheNearestName) {
  const std::string fault = Fault("service_tiem", "1ms");
  EXPECT_NE(fault.find("'service_tiem' is unknown"), std::string::npos) << fault;
  EXPECT_NE(fault.find("did you mean 'service_time'?"), std::string::npos) << fault;
}

TEST(SimulatedModels, AnswerManyTimesOnlyWhenDecoupled) {
  EXPECT_NE(Fault("responses", "2").find("decoupled: true"), std::string::npos);
}

TEST(SimulatedModels, AddUpSequencesOfNumbersOnly) {
  inference::ModelConfig config = Config({{"output", "sequence_sum"}});
  const auto fault = [&] {
    const auto model = SimulatedModel::Parse(config);
    return model.has_value() ? "accepted" : model.error().message();
  };
  EXPECT_NE(fault().find("needs sequence_batching"), std::string::npos) << fault();
  config.mutable_sequence_batching();
  EXPECT_EQ(fault(), "accepted");
  config.mutable_input(0)->set_dims(0, -1);
  EXPECT_NE(fault().find("fixed dims"), std::string::npos) << fault();
  config.mutable_input(0)->set_data_type(inference::TYPE_STRING);
  EXPECT_NE(fault().find("same type"), std::string::npos) << fault();
  config.mutable_output(0)->set_data_type(inference::TYPE_STRING);
  EXPECT_NE(fault().find("must be of integers, FP32 or FP64"), std::string::npos) << fault();
}

TEST(SimulatedModels, EchoOnlyWhatHasTheSameType) {
  inference::ModelConfig config = Config({{"output", "echo"}});
  EXPECT_TRUE(SimulatedModel::Parse(config).has_value());
  config.mutable_output(0)->set_data_type(inference::TYPE_INT8);
  const auto refused = SimulatedModel::Parse(config);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("output 'Y'"), std::string::npos);
}

TEST(SimulatedModels, TakeLongerForMoreItemsForMoreNeighboursAndBeyondTheirMemory) {
  const SimulatedModel model = Parse({{"per_item", "2ms"},
                                      {"contention", "0.5"},
                                      {"memory_base", "10B"},
                                      {"memory_per_instance", "10B"},
                                      {"memory_per_item", "1B"},
                                      {"memory_limit", "50B"},
                                      {"cliff", "3"}});
  EXPECT_EQ(model.ExecutionTime(10ms, 5, 1, 2, 5), 20ms);
  EXPECT_EQ(model.ExecutionTime(10ms, 5, 3, 2, 15), 40ms);
  EXPECT_EQ(model.ExecutionTime(10ms, 5, 1, 2, 20), 20ms);  // 50 bytes: at the limit
  EXPECT_EQ(model.ExecutionTime(10ms, 5, 1, 2, 21), 60ms);
  EXPECT_EQ(model.ExecutionTime(10ms, 5, 1, 3, 10), 20ms);  // another instance takes its part
  EXPECT_EQ(model.ExecutionTime(10ms, 5, 1, 3, 11), 60ms);
}

TEST(SimulatedModels, NeverTakeLongerThanCanBeWaitedFor) {
  const SimulatedModel model = Parse({{"contention", "1000000"}, {"per_item", "1h"}});
  const Nanos time = model.ExecutionTime(100h, 1000, 1000, 1000, 1000);
  EXPECT_GT(time, 100h);
  EXPECT_LT(time, 24h * 365 * 11);
}

TEST(SimulatedModels, FailAsOftenAsDeclared) {
  const SimulatedModel model = Parse({{"error_rate", "unavailable:0.1, reset:0.02"}});
  Random random(5);
  std::map<FaultKind, int> drawn;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) ++drawn[model.DrawFault(random)];
  EXPECT_NEAR(drawn[FaultKind::kUnavailable], 10'000, 500);
  EXPECT_NEAR(drawn[FaultKind::kReset], 2'000, 220);
  EXPECT_EQ(drawn[FaultKind::kNone] + drawn[FaultKind::kUnavailable] + drawn[FaultKind::kReset],
            kDraws);
  const SimulatedModel always = Parse({{"error_rate", "1"}});
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(always.DrawFault(random), FaultKind::kInternal);
}

TEST(SimulatedModels, DoNoWorkDuringAStall) {
  const SimulatedModel model = Parse({{"stalls", "10s+5s, 20s+1s"}});
  EXPECT_EQ(model.EndOfWork(1s, 2s), 3s);
  EXPECT_EQ(model.EndOfWork(8s, 2s), 10s);   // ends as the stall begins
  EXPECT_EQ(model.EndOfWork(9s, 2s), 16s);   // half before, half after
  EXPECT_EQ(model.EndOfWork(12s, 2s), 17s);  // begins within
  EXPECT_EQ(model.EndOfWork(15s, 2s), 17s);  // begins as it ends
  EXPECT_EQ(model.EndOfWork(9s, 7s), 22s);   // through both: 1 s, 5 s, 1 s
  EXPECT_EQ(model.EndOfWork(30s, 1s), 31s);
}

}  // namespace
}  // namespace sextant::serve
