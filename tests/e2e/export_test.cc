// --profile-export-file from end to end: what every request's line says, against the report of the
// same run; and --periodic-concurrency-range, against when the server says that requests came.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"
#include "run/profile_export.h"

namespace sextant::e2e {
namespace {

const ModelText kModel{.instances = 8,
                       .max_batch_size = 4,
                       .batching = "",
                       .parameters = {{"service_time", "exponential(2ms)"}, {"output", "echo"}}};

run::ProfileExport ReadExport(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text.has_value()) {
    ADD_FAILURE() << text.error().message();
    return {};
  }
  const auto read = run::ParseProfileExport(*text);
  if (read.has_value()) return *read;
  ADD_FAILURE() << read.error().message();
  return {};
}

std::vector<double> Latencies(const run::ProfileExport::Experiment& experiment) {
  std::vector<double> out;
  for (const run::ProfileExport::Request& request : experiment.requests)
    out.push_back(static_cast<double>(request.responses.back() - request.timestamp));
  return out;
}

// What can be computed from the single requests is what the report says of them.
void ExpectSameFigures(const run::ProfileExport::Experiment& experiment, const run::Level& level) {
  const std::vector<double> latencies = Latencies(experiment);
  ASSERT_EQ(latencies.size(), level.succeeded);
  const double mean = std::accumulate(latencies.begin(), latencies.end(), 0.0) /
                      static_cast<double>(latencies.size());
  // A histogram's classes are a thousandth wide.
  EXPECT_NEAR(mean, level.latency.histogram.mean(), 0.002 * mean);
  for (const double p : {0.5, 0.9, 0.99}) {
    const double quantile = Quantile(latencies, p);
    EXPECT_NEAR(quantile, level.latency.histogram.Quantile(p), 0.003 * quantile) << p;
  }
  ASSERT_EQ(experiment.window_boundaries.size(), 2u);
  for (const run::ProfileExport::Request& request : experiment.requests) {
    EXPECT_GE(request.timestamp, experiment.window_boundaries.front());
    EXPECT_LT(request.timestamp, experiment.window_boundaries.back());
  }
}

struct Load {
  std::string protocol;
  std::vector<std::string> options;
  std::string mode;
  size_t values;  // of a response: 16 for each row of a batch
};

TEST(ProfileExport, LatenciesOfTheFileAreThoseOfTheReport) {
  Serve serve({{"m", kModel.Config()}});
  const Load loads[] = {
      {"http", {"--concurrency-range=3", "--requests=600"}, "concurrency", 16},
      {"grpc", {"--concurrency-range=3", "--requests=600", "-b", "2"}, "concurrency", 32},
      {"grpc", {"--concurrency-range=3", "--requests=600", "--streaming"}, "concurrency", 16},
      {"http", {"--request-rate-range=400", "--duration=1s"}, "request_rate", 16},
      {"grpc",
       {"--request-rate-range=400", "--duration=1s", "--request-distribution=poisson"},
       "request_rate",
       16}};
  for (const Load& load : loads) {
    SCOPED_TRACE(load.protocol + " " + Join(load.options, " "));
    TempDirectory directory;
    const std::string path = directory.File("export.json");
    std::vector<std::string> options = load.options;
    options.insert(options.end(), {"--warmup=0", "--profile-export-file", path});
    const PerfResult result = RunPerf(Against(serve, load.protocol, "m", options));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const run::ProfileExport file = ReadExport(path);
    ASSERT_EQ(file.experiments.size(), 1u);
    EXPECT_EQ(file.service_kind, "triton");
    const run::ProfileExport::Experiment& experiment = file.experiments[0];
    EXPECT_EQ(experiment.mode, load.mode);
    ExpectSameFigures(experiment, result.level());
    for (const run::ProfileExport::Request& request : experiment.requests) {
      const text::Json* input = request.inputs.Find("X");
      ASSERT_TRUE(input != nullptr && input->IsArray());
      ASSERT_EQ(input->array().size(), 16u);
      ASSERT_EQ(request.outputs.size(), 1u);
      const text::Json* output = request.outputs[0].Find("Y");
      ASSERT_TRUE(output != nullptr && output->IsArray());
      ASSERT_EQ(output->array().size(), load.values);
      for (size_t i = 0; i < 16; ++i) ASSERT_EQ(output->array()[i], input->array()[i]);
    }
  }
}

TEST(ProfileExport, EveryLevelAndEveryWindowIsThere) {
  Serve serve({{"m", kModel.Config()}});
  TempDirectory directory;
  const std::string path = directory.File("export.json");
  const PerfResult result =
      RunPerf(Against(serve, "http", "m",
                      {"--concurrency-range=1:3", "--compat", "perf_analyzer", "-p", "100", "-s",
                       "999", "--profile-export-file", path}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const run::ProfileExport file = ReadExport(path);
  ASSERT_EQ(file.experiments.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const run::ProfileExport::Experiment& experiment = file.experiments[i];
    EXPECT_EQ(experiment.value, text::Json(static_cast<int64_t>(i + 1)));
    EXPECT_EQ(experiment.window_boundaries.size(), 4u) << "three windows";
    EXPECT_EQ(experiment.requests.size(), result.run->levels[i].succeeded);
    EXPECT_TRUE(
        std::is_sorted(experiment.window_boundaries.begin(), experiment.window_boundaries.end()));
  }
}

TEST(ProfileExport, FailedRequestsAreTheReportsAndNotTheFiles) {
  ModelText model = kModel;
  model.parameters["error_rate"] = "internal:0.2";
  Serve serve({{"m", model.Config()}});
  TempDirectory directory;
  const std::string path = directory.File("export.json");
  const PerfResult result = RunPerf(Against(
      serve, "http", "m",
      {"--concurrency-range=2", "--requests=300", "--warmup=0", "--profile-export-file", path}));
  EXPECT_GT(result.level().failed, 0u);
  ExpectSameFigures(ReadExport(path).experiments.at(0), result.level());
}

TEST(ProfileExport, AKillLeavesTheFinishedLevels) {
  Serve serve({{"m", kModel.Config()}});
  TempDirectory directory;
  const std::string path = directory.File("export.json");
  Perf perf(Against(serve, "http", "m",
                    {"--concurrency-range=1,2,3", "--duration=300ms", "--warmup=0",
                     "--profile-export-file", path}));
  const bool two = WaitFor(std::chrono::seconds(30), [&] {
    const auto text = ReadFile(path);
    const auto read = text.has_value() ? run::ParseProfileExport(*text) : text.error();
    return read.has_value() && read->experiments.size() >= 2;
  });
  perf.process().Signal(SIGKILL);
  perf.Finish();
  ASSERT_TRUE(two);
  EXPECT_GE(ReadExport(path).experiments.size(), 2u);
  EXPECT_EQ(ListDirectory(directory.path())->size(), 1u) << "and nothing else";
}

TEST(ProfileExport, MistakesAreSaidTogether) {
  TempDirectory directory;
  const std::string there = directory.Write("there.json", "mine");
  const std::vector<std::string> options = {"-m",
                                            "m",
                                            "--profile-export-file",
                                            there,
                                            "--periodic-concurrency-range",
                                            "4:9:2",
                                            "--concurrency-range",
                                            "2",
                                            "--warmup",
                                            "3"};
  std::vector<std::string> arguments = {"perf"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  PerfResult result = RunSextant(arguments);
  EXPECT_EQ(result.exit_code, 2);
  for (const std::string_view part :
       {"there.json': it exists", "'4:9:2': steps of 2 from 4 do not meet 9",
        "it needs --streaming and -i grpc",
        "--periodic-concurrency-range and --concurrency-range exclude each other",
        "--periodic-concurrency-range and --warmup exclude each other"})
    EXPECT_NE(result.err.find(part), std::string::npos) << part << "\nin\n" << result.err;
  arguments.insert(arguments.end(), {"--compat", "perf_analyzer"});
  EXPECT_EQ(RunSextant(arguments).exit_code, 99);
  EXPECT_EQ(*ReadFile(there), "mine");
  result = RunSextant({"perf", "-m", "m", "--request-period", "3", "--profile-export-tensors",
                       "none", "--periodic-concurrency-range", "0:2"});
  EXPECT_NE(result.err.find("--profile-export-tensors belongs to"), std::string::npos);
  EXPECT_NE(result.err.find("'0:2': write START:END"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("needs --profile-export-file"), std::string::npos) << result.err;
}

std::string Decoupled(std::map<std::string, std::string> parameters) {
  const ModelText model{
      .instances = 16, .max_batch_size = 0, .batching = "", .parameters = std::move(parameters)};
  return model.Config() + "model_transaction_policy { decoupled: true }\n";
}

TEST(ProfileExport, EveryResponseOfADecoupledModelHasItsTime) {
  Serve serve(
      {{"m", Decoupled(
                 {{"service_time", "fixed(10ms)"}, {"responses", "3"}, {"response_gap", "5ms"}})}});
  TempDirectory directory;
  const std::string path = directory.File("export.json");
  const PerfResult result = RunPerf(Against(
      serve, "grpc", "m",
      {"--concurrency-range=2", "--requests=40", "--warmup=0", "--profile-export-file", path}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const run::ProfileExport file = ReadExport(path);
  ExpectSameFigures(file.experiments.at(0), result.level());
  for (const run::ProfileExport::Request& request : file.experiments[0].requests) {
    size_t with_outputs = 0;
    for (const text::Json& output : request.outputs)
      with_outputs += output.Find("Y")->array().size() == 16 ? 1 : 0;
    EXPECT_EQ(with_outputs, 3u);
    // None can come earlier; one that comes late brings its successor nearer.
    for (size_t i = 0; i < 3; ++i)
      EXPECT_GE(request.responses[i] - request.timestamp, 10'000'000u + i * 5'000'000u);
  }
}

// The nth request in order of time.
std::vector<run::ProfileExport::Request> InOrder(const run::ProfileExport& file) {
  std::vector<run::ProfileExport::Request> out = file.experiments.at(0).requests;
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.timestamp < b.timestamp; });
  return out;
}

std::vector<std::string> Periodic(const std::string& range, const std::string& path) {
  return {"--streaming", "--periodic-concurrency-range", range, "--request-period",
          "3",           "--profile-export-file",        path};
}

TEST(PeriodicConcurrency, AStepBeginsWithTheLastResponseThatTheStepBeforeNeeded) {
  Serve serve({{"m", Decoupled({{"service_time", "fixed(20ms)"},
                                {"responses", "12"},
                                {"response_gap", "10ms"}})}});
  TempDirectory directory;
  const std::string path = directory.File("export.json");
  const PerfResult result = RunPerf(Against(serve, "grpc", "m", Periodic("2:8:2", path)));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().succeeded, 8u);
  const auto requests = InOrder(ReadExport(path));
  ASSERT_EQ(requests.size(), 8u);
  for (size_t i = 2; i < 8; ++i) {
    const size_t step = i / 2 * 2;  // the first of its step
    const uint64_t needed =
        std::max(requests[step - 1].responses.at(2), requests[step - 2].responses.at(2));
    EXPECT_GE(requests[i].timestamp, needed);
    EXPECT_LT(requests[i].timestamp, needed + 8'000'000) << "at once, before the next response";
    EXPECT_LT(requests[i].timestamp, requests[step - 1].responses.back()) << "they overlap";
  }
}

TEST(PeriodicConcurrency, RequestsThatEndBeforeThePeriodOrFailDoNotEndTheRun) {
  Serve serve({{"m", Decoupled({{"service_time", "fixed(5ms)"},
                                {"responses", "2"},
                                {"error_rate", "internal:0.3"}})}});
  TempDirectory directory;
  const std::string path = directory.File("export.json");
  const PerfResult result = RunPerf(Against(serve, "grpc", "m", Periodic("1:30", path)));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.level().scheduled, 30u);
  EXPECT_EQ(result.level().succeeded + result.level().failed, 30u);
  EXPECT_EQ(ReadExport(path).experiments.at(0).requests.size(), result.level().succeeded);
}

}  // namespace
}  // namespace sextant::e2e
