// What perf reports of a server's metrics against what the server knows: simulated GPUs have
// declared signals, and the truth log says when they were busy.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"

namespace sextant::e2e {
namespace {

ModelText OnGpu() {
  return {.parameters = {{"service_time", "fixed(10ms)"},
                         {"gpu_device", "3"},
                         {"gpu_utilization", "0.8"},
                         {"gpu_memory", "1GiB"},
                         {"gpu_memory_total", "8GiB"},
                         {"gpu_idle_watts", "50"},
                         {"gpu_busy_watts", "200"}}};
}

std::string MetricsUrl(const Serve& serve) {
  return Format("http://127.0.0.1:{}/metrics", serve.metrics_port());
}

const run::MetricRecord* Find(const run::Level& level, std::string_view quantity) {
  for (const run::MetricRecord& m : level.metrics) {
    if (m.quantity == quantity) return &m;
  }
  return nullptr;
}

// How long the only instance executed within the window.
double BusySeconds(const std::vector<Truth>& log, const Window& window) {
  double sum = 0;
  for (const Truth& t : log)
    sum += std::max(0.0, std::min(t.ended, window.end) - std::max(t.started, window.begin));
  return sum;
}

TEST(CollectMetrics, GpuFiguresAreTheServersTruthOverExactlyTheWindow) {
  // Half busy: the interval does not divide the window, so only readings at its edges can be right.
  Serve serve({{"m", OnGpu().Config()}});
  TempDirectory directory;
  const std::string csv = directory.File("out.csv");
  const PerfResult result = RunPerf(
      Against(serve, "http", "m",
              {"--request-rate-range=50", "--duration=2300ms", "--warmup=300ms",
               "--collect-metrics", "--metrics-url=" + MetricsUrl(serve), "--metrics-interval=700",
               "--metric=nv_inference_request_success", "--verbose-csv", "-f", csv}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const run::Level& level = result.level();
  const Window window = SteadyWindow(level);
  const double busy = BusySeconds(serve.StopAndReadTruth(), window) / (window.end - window.begin);
  // Reading takes its time at both edges: a request more or less.
  const double slack = 0.015;

  const run::MetricRecord* utilization = Find(level, "gpu_utilization");
  ASSERT_NE(utilization, nullptr) << result.out;
  EXPECT_EQ(utilization->device, "GPU-5e87a111-0000-0000-0000-000000000003");
  EXPECT_NEAR(*utilization->mean, 0.8 * busy, slack);
  EXPECT_GE(utilization->samples, 4u);
  EXPECT_NEAR(utilization->span_s, level.window_s, 0.1);
  EXPECT_NEAR(*Find(level, "gpu_power")->mean, 50 + 200 * busy, 200 * slack);
  const run::MetricRecord* energy = Find(level, "gpu_energy");
  EXPECT_NEAR(*energy->increase / energy->span_s, 50 + 200 * busy, 200 * slack);
  EXPECT_FALSE(energy->mean);
  EXPECT_EQ(Find(level, "gpu_memory_used")->max, 1024.0 * 1024 * 1024);
  EXPECT_EQ(Find(level, "gpu_memory_total")->max, 8.0 * 1024 * 1024 * 1024);
  EXPECT_NE(Find(level, "cpu_utilization"), nullptr);
  const run::MetricRecord* successes = Find(level, "nv_inference_request_success");
  ASSERT_NE(successes, nullptr);
  EXPECT_EQ(successes->labels, "{model=\"m\",version=\"1\"}");
  EXPECT_NEAR(*successes->increase, static_cast<double>(level.completed), 3);

  EXPECT_NE(result.out.find("GPU-5e87a111-0000-0000-0000-000000000003: utilization "),
            std::string::npos)
      << result.out;
  EXPECT_NE(ReadFile(csv)->find(
                "Avg GPU Utilization,Avg GPU Power Usage,Max GPU Memory Usage,Total GPU Memory\n"),
            std::string::npos);
  EXPECT_NE(ReadFile(csv)->find("GPU-5e87a111-0000-0000-0000-000000000003:1073741824;,"
                                "GPU-5e87a111-0000-0000-0000-000000000003:8589934592;\n"),
            std::string::npos)
      << *ReadFile(csv);
}

TEST(CollectMetrics, AnEndpointThatIsNotThereIsSaidAndTheRunGoesOn) {
  Serve serve({{"m", ModelText().Config()}});
  const PerfResult result =
      RunPerf(Against(serve, "grpc", "m",
                      {"--duration=300ms", "--collect-metrics", "--metrics-url=127.0.0.1:1/metrics",
                       "--metrics-url=" + MetricsUrl(serve), "--metric=no_such_metric"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("warning: metrics: http://127.0.0.1:1/metrics: "), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("no endpoint has a metric 'no_such_metric'"), std::string::npos);
  const run::Level& level = result.level();
  ASSERT_EQ(level.metric_sources.size(), 2u);
  EXPECT_EQ(level.metric_sources[0].failed, level.metric_sources[0].scrapes);
  EXPECT_GE(level.metric_sources[0].failed, 1u);
  EXPECT_EQ(level.metric_sources[1].failed, 0u);
  EXPECT_EQ(Find(level, "gpu_utilization"), nullptr) << "there is no GPU: missing is not zero";
  EXPECT_NE(Find(level, "memory_used"), nullptr);
  EXPECT_NE(result.out.find(" readings failed: "), std::string::npos) << result.out;
}

TEST(CollectMetrics, OptionsThatNeedItSaySo) {
  const PerfResult result = RunSextant(
      {"perf", "-m", "m", "--metrics-url=ftp://a", "--metric=x", "--metrics-interval=5000"});
  EXPECT_EQ(result.exit_code, 2);
  for (const char* text :
       {"--metrics-url: 'ftp://a'", "--metrics-url needs --collect-metrics",
        "--metric needs --collect-metrics", "--metrics-interval needs --collect-metrics"})
    EXPECT_NE(result.err.find(text), std::string::npos) << text << "\nin " << result.err;
}

}  // namespace
}  // namespace sextant::e2e
