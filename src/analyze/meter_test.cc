#include "analyze/meter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "net/http_server.h"

namespace sextant::analyze {
namespace {

std::optional<double> Value(const Figures& figures, std::string_view name) {
  const auto found = figures.find(name);
  return found == figures.end() ? std::nullopt : std::optional(found->second.value);
}

// Values, but for the rounding of means; all that there are, unless `all` is false.
void ExpectFigures(const Figures& figures, const std::map<std::string, double>& truth,
                   bool all = true) {
  for (const auto& [name, value] : truth) {
    ASSERT_TRUE(figures.contains(name)) << name;
    EXPECT_NEAR(figures.at(name).value, value, 1e-9 * value) << name;
  }
  EXPECT_TRUE(!all || figures.size() == truth.size()) << figures.size();
}

DeviceFigures Device(std::string name, std::map<std::string, double> values,
                     std::string scope = "device") {
  DeviceFigures out{.device = std::move(name),
                    .name = {},
                    .source = "nvml",
                    .scope = std::move(scope),
                    .figures = {}};
  for (const auto& [field, value] : values) out.figures[field] = {value, {}, {}};
  return out;
}

run::Level SomeLevel() {
  run::Level level;
  level.scheduled = 1000, level.succeeded = 990, level.failed = 8, level.unfinished = 2;
  level.throughput = {.value = 400, .half_width = 4, .known = true};
  level.request_rate = {.value = 100, .half_width = 9, .known = false};
  level.latency.mean = {.value = 2e6, .half_width = 1e5, .known = true};
  level.latency.percentiles = {{.p = 0.5, .value = 1.5e6, .lower = 1.4e6, .upper = 1.6e6},
                               {.p = 0.99, .value = 9e6, .lower = 8e6, .upper = {}},
                               {.p = 0.999, .value = 1e7, .lower = {}, .upper = {}}};
  level.latency.histogram.Record(12'000'000);
  return level;
}

TEST(FiguresOf, AreInBaseUnitsWithTheirIntervals) {
  const Figures figures = FiguresOf(SomeLevel());
  EXPECT_EQ(figures.at("throughput").value, 400);
  EXPECT_EQ(figures.at("requests").value, 990);
  EXPECT_EQ(figures.at("throughput").lower, 396);
  EXPECT_EQ(figures.at("throughput").upper, 404);
  EXPECT_EQ(figures.at("request_rate").value, 100);
  EXPECT_FALSE(figures.at("request_rate").lower.has_value()) << "it is not known";
  EXPECT_DOUBLE_EQ(figures.at("latency_avg").value, 0.002);
  EXPECT_DOUBLE_EQ(*figures.at("latency_avg").upper, 0.0021);
  EXPECT_DOUBLE_EQ(figures.at("latency_p50").value, 0.0015);
  EXPECT_DOUBLE_EQ(*figures.at("latency_p50").lower, 0.0014);
  EXPECT_DOUBLE_EQ(*figures.at("latency_p99").lower, 0.008);
  EXPECT_FALSE(figures.at("latency_p99").upper.has_value());
  EXPECT_DOUBLE_EQ(figures.at("latency_p99.9").value, 0.01);
  EXPECT_DOUBLE_EQ(figures.at("latency_max").value, 0.012);
  EXPECT_DOUBLE_EQ(figures.at("error_rate").value, 0.01) << "unfinished ones count";
  EXPECT_LT(*figures.at("error_rate").lower, 0.01);
  EXPECT_GT(*figures.at("error_rate").upper, 0.01);
  for (const auto& [name, figure] : figures) EXPECT_NE(FindField(name), nullptr) << name;
  for (const char* name : {"first_response", "between_responses", "server_queue", "batch_mean"})
    EXPECT_FALSE(figures.contains(name)) << name;
}

TEST(FiguresOf, ALevelWithoutSuccessHasAnErrorRateAndNothingElse) {
  run::Level level = SomeLevel();
  level.succeeded = 0, level.failed = 1000, level.unfinished = 0;
  const Figures figures = FiguresOf(level);
  EXPECT_EQ(figures.size(), 1U);
  EXPECT_EQ(figures.at("error_rate").value, 1);
  EXPECT_TRUE(FiguresOf(run::Level()).empty()) << "nothing was asked";
}

TEST(FiguresOf, ResponsesThatNeverCameAreMissingAndNotZero) {
  run::Level level = SomeLevel();
  level.responses.emplace();
  EXPECT_FALSE(FiguresOf(level).contains("first_response"));
  EXPECT_FALSE(FiguresOf(level).contains("between_responses"));
  level.responses->first.Record(3'000'000);
  level.responses->between.Record(1'000'000);
  EXPECT_NEAR(*Value(FiguresOf(level), "first_response"), 0.003, 1e-5);
  EXPECT_NEAR(*Value(FiguresOf(level), "between_responses"), 0.001, 1e-5);
}

TEST(FiguresOf, TheServersTimesAreOfAllVersionsByTheirRequests) {
  run::Level level = SomeLevel();
  level.server = {{.model = "m",
                   .version = "1",
                   .inference_count = 600,
                   .execution_count = 100,
                   .success_count = 300,
                   .queue_us = 100,
                   .compute_infer_us = 1000},
                  {.model = "m",
                   .version = "2",
                   .inference_count = 200,
                   .execution_count = 100,
                   .success_count = 100,
                   .queue_us = 500,
                   .compute_infer_us = 2000},
                  {.model = "m", .version = "3"}};
  const Figures figures = FiguresOf(level);
  EXPECT_DOUBLE_EQ(*Value(figures, "server_queue"), 200e-6);
  EXPECT_DOUBLE_EQ(*Value(figures, "server_compute_infer"), 1250e-6);
  EXPECT_DOUBLE_EQ(*Value(figures, "batch_mean"), 4);
  level.server = {{.model = "m", .version = "1", .inference_count = 8, .execution_count = 2}};
  EXPECT_EQ(Value(FiguresOf(level), "batch_mean"), 4);
  EXPECT_FALSE(FiguresOf(level).contains("server_queue")) << "of no request";
}

TEST(AddTotals, SumsMeansAndMaximaOverDevices) {
  Figures totals;
  AddTotals({Device("GPU-1", {{"gpu_memory_used", 3e9},
                              {"gpu_power", 100},
                              {"gpu_utilization", 0.5},
                              {"gpu_utilization_p95", 0.9},
                              {"gpu_memory_utilization", 0.2},
                              {"gpu_memory_utilization_p95", 0.3},
                              {"gpu_memory_used_mean", 2e9},
                              {"gpu_sm_clock", 1e9},
                              {"gpu_memory_clock", 2e9},
                              {"gpu_sm_occupancy", 0.25},
                              {"gpu_temperature_max", 70}}),
             Device("GPU-2", {{"gpu_memory_used", 5e9},
                              {"gpu_power", 200},
                              {"gpu_utilization", 1},
                              {"gpu_utilization_p95", 0.7},
                              {"gpu_memory_utilization", 0.4},
                              {"gpu_memory_utilization_p95", 0.6},
                              {"gpu_memory_used_mean", 4e9},
                              {"gpu_sm_clock", 2e9},
                              {"gpu_memory_clock", 2e9},
                              {"gpu_sm_occupancy", 0.75},
                              {"gpu_temperature_max", 60}})},
            totals);
  EXPECT_EQ(Value(totals, "gpu_memory_used"), 8e9);
  EXPECT_EQ(Value(totals, "gpu_power"), 300);
  EXPECT_EQ(Value(totals, "gpu_utilization"), 0.75);
  EXPECT_EQ(Value(totals, "gpu_temperature_max"), 70);
  EXPECT_EQ(Value(totals, "gpu_utilization_p95"), 0.9);
  EXPECT_DOUBLE_EQ(*Value(totals, "gpu_memory_utilization"), 0.3);
  EXPECT_EQ(Value(totals, "gpu_memory_utilization_p95"), 0.6);
  EXPECT_EQ(Value(totals, "gpu_memory_used_mean"), 6e9);
  EXPECT_EQ(Value(totals, "gpu_sm_clock"), 1.5e9);
  EXPECT_EQ(Value(totals, "gpu_memory_clock"), 2e9);
  EXPECT_EQ(Value(totals, "gpu_sm_occupancy"), 0.5);
  EXPECT_EQ(totals.size(), 11U);
  for (const auto& [name, figure] : totals) EXPECT_NE(FindField(name), nullptr) << name;
}

TEST(AddTotals, ASumOverSomeOfTheDevicesIsMissing) {
  Figures totals;
  AddTotals({Device("GPU-1", {{"gpu_memory_used", 3e9}, {"gpu_utilization", 0.5}}),
             Device("GPU-2", {{"gpu_utilization", 0.7}})},
            totals);
  EXPECT_FALSE(totals.contains("gpu_memory_used"));
  EXPECT_TRUE(totals.contains("gpu_utilization"));
  Figures none;
  AddTotals({}, none);
  EXPECT_TRUE(none.empty());
}

TEST(AddTotals, InstancesOfAGpuAreNotCountedBesideIt) {
  const std::vector<DeviceFigures> devices{
      Device("GPU-1", {{"gpu_memory_used", 10e9}, {"gpu_power", 300}}),
      Device("MIG-a", {{"gpu_memory_used", 4e9}, {"gpu_sm_active", 0.5}}, "mig_instance"),
      Device("MIG-b", {{"gpu_memory_used", 5e9}, {"gpu_sm_active", 0.7}}, "mig_instance")};
  Figures totals;
  AddTotals(devices, totals);
  EXPECT_EQ(Value(totals, "gpu_memory_used"), 10e9);
  EXPECT_EQ(Value(totals, "gpu_power"), 300);
  EXPECT_EQ(Value(totals, "gpu_sm_active"), 0.6) << "which only they have";
  Figures instances;
  AddTotals({devices[1], devices[2]}, instances);
  EXPECT_EQ(Value(instances, "gpu_memory_used"), 9e9);
}

TEST(AddDerived, EnergyIsOfAllDevicesOverTheInferences) {
  Figures figures;
  AddDerived({Device("GPU-1", {{"energy", 300}}), Device("GPU-2", {{"energy", 100}})}, 200, 2,
             figures);
  EXPECT_EQ(Value(figures, "energy_per_inference"), 2);
  EXPECT_EQ(figures.size(), 1U);
  Figures some;
  AddDerived({Device("GPU-1", {{"energy", 300}}), Device("GPU-2", {})}, 200, 2, some);
  AddDerived({Device("GPU-1", {{"energy", 300}})}, 0, 2, some);
  AddDerived({}, 200, 2, some);
  EXPECT_TRUE(some.empty()) << "of some devices, for nothing, or of none";
}

TEST(AddCost, HasTheIntervalOfTheThroughputTurnedOver) {
  Figures figures{{"throughput", {1000, 800, 1250}}};
  AddCost({Device("GPU-1", {}), Device("GPU-2", {})}, {.per_hour = 3.6}, figures);
  const Figure cost = figures.at("cost_per_million");
  EXPECT_DOUBLE_EQ(cost.value, 2);
  EXPECT_DOUBLE_EQ(*cost.lower, 1.6);
  EXPECT_DOUBLE_EQ(*cost.upper, 2.5);
  Figures open{{"throughput", {1000, -5, {}}}};
  AddCost({}, {.per_hour = 3.6, .gpus = 1}, open);
  EXPECT_DOUBLE_EQ(open.at("cost_per_million").value, 1) << "none is seen, and one is paid for";
  EXPECT_FALSE(open.at("cost_per_million").upper || open.at("cost_per_million").lower);
  Figures without;
  AddCost({Device("GPU-1", {})}, {.per_hour = 3.6}, without);
  EXPECT_TRUE(without.empty());
  // Of how many GPUs the price is nobody knows; and a price that was taken back leaves no cost.
  AddCost({}, {.per_hour = 3.6}, open);
  EXPECT_FALSE(open.contains("cost_per_million"));
  AddCost({Device("GPU-1", {})}, {}, figures);
  EXPECT_FALSE(figures.contains("cost_per_million"));
}

TEST(AddDerived, TheLongestThrottlingIsAShareOfTheWindow) {
  Figures figures;
  AddDerived({Device("GPU-1", {{"throttled_s", 0.5}}), Device("GPU-2", {{"throttled_s", 1}})}, 1, 4,
             figures);
  EXPECT_EQ(Value(figures, "gpu_throttled"), 0.25);
}

// Says at /metrics what it is told to, and at /dcgm something else.
class Exporter final : public net::HttpHandler {
 public:
  void OnRequest(const net::HttpRequest& request, net::HttpReply reply) override {
    const std::scoped_lock lock(mutex_);
    ++asked;
    reply.Send(
        {.fields = "Content-Type: text/plain\r\n", .body = request.path == "/dcgm" ? dcgm : text_});
  }
  void Say(std::string text) {
    const std::scoped_lock lock(mutex_);
    text_ = std::move(text);
  }
  std::string dcgm;
  std::atomic<int> asked{0};

 private:
  std::mutex mutex_;
  std::string text_;
};

class Meters : public testing::Test {
 protected:
  Meters()
      : threads_(*net::IoThreads::Start(1, "test")),
        server_(
            *net::HttpServer::Start(*threads_, (*net::Resolve({"127.0.0.1", 0}))[0], exporter_)) {}

  std::string Url(std::string_view path) const {
    return Format("http://127.0.0.1:{}{}", server_->address().port(), path);
  }
  Baseline Window(MeterOptions options, const std::string& text) {
    exporter_.Say(text);
    options.scrape_interval = 1h;
    meter_ = *Meter::Start(options);
    SEXTANT_CHECK(meter_->Follow({}, Url("/metrics")).has_value(), "the URL is one");
    exporter_.asked = 0;
    meter_->Begin();
    // A window of no length has no values.
    while (exporter_.asked <= static_cast<int>(options.metrics_urls.size()))
      std::this_thread::yield();
    meter_->End();
    return meter_->Take(flags_);
  }

  std::unique_ptr<net::IoThreads> threads_;
  Exporter exporter_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<Meter> meter_;
  std::vector<std::string> flags_;
};

const char* const kTriton =
    "nv_gpu_utilization{gpu_uuid=\"GPU-a\"} 0.25\n"
    "nv_gpu_memory_used_bytes{gpu_uuid=\"GPU-a\"} 1e9\n"
    "nv_gpu_memory_total_bytes{gpu_uuid=\"GPU-a\"} 4e9\n"
    "nv_cpu_utilization 0.5\n"
    "nv_cpu_memory_used_bytes 6e9\n"
    "nv_cpu_memory_total_bytes 8e9\n";
const char* const kDcgm =
    "DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\"GPU-a\"} 50\n"
    "DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",UUID=\"GPU-b\"} 100\n"
    "DCGM_FI_DEV_FB_USED{gpu=\"0\",UUID=\"GPU-a\",GPU_I_ID=\"3\"} 100\n";

TEST_F(Meters, TheServersOwnMetricsServeWhereNothingBetterIs) {
  const Baseline out = Window({.gpus = GpuSource::kMetrics}, kTriton);
  ASSERT_EQ(out.devices.size(), 1U);
  EXPECT_EQ(out.devices[0].device, "GPU-a");
  EXPECT_EQ(out.devices[0].source, "server");
  EXPECT_EQ(out.devices[0].scope, "device");
  EXPECT_EQ(Value(out.figures, "gpu_utilization"), 0.25);
  EXPECT_EQ(Value(out.figures, "gpu_memory_used"), 1e9);
  EXPECT_EQ(Value(out.figures, "gpu_memory_free"), 3e9);
  EXPECT_EQ(meter_->Describe(), "metrics of the server");
}

TEST_F(Meters, AnExporterIsPreferredToTheServer) {
  exporter_.dcgm = kDcgm;
  const Baseline out =
      Window({.gpus = GpuSource::kMetrics, .metrics_urls = {Url("/dcgm")}}, kTriton);
  ASSERT_EQ(out.devices.size(), 3U);
  for (const DeviceFigures& device : out.devices) EXPECT_EQ(device.source, "dcgm-exporter");
  EXPECT_EQ(out.devices[1].device, "GPU-a/3");
  EXPECT_EQ(out.devices[1].scope, "mig_instance");
  EXPECT_EQ(Value(out.figures, "gpu_utilization"), 0.75) << "not the server's 0.25 among them";
  EXPECT_EQ(Value(out.figures, "gpu_memory_used"), 100 * 1048576.0);
}

TEST_F(Meters, AnExportersClocksAndActivityAreInBaseUnits) {
  const Baseline out = Window({.gpus = GpuSource::kMetrics},
                              "DCGM_FI_DEV_SM_CLOCK{gpu=\"0\",UUID=\"GPU-a\"} 1980\n"
                              "DCGM_FI_DEV_MEM_CLOCK{gpu=\"0\",UUID=\"GPU-a\"} 2619\n"
                              "DCGM_FI_DEV_MEM_COPY_UTIL{gpu=\"0\",UUID=\"GPU-a\"} 30\n"
                              "DCGM_FI_DEV_FB_USED{gpu=\"0\",UUID=\"GPU-a\"} 100\n"
                              "DCGM_FI_PROF_SM_OCCUPANCY{gpu=\"0\",UUID=\"GPU-a\"} 0.4\n");
  ExpectFigures(out.devices.at(0).figures, {{"gpu_sm_clock", 1.98e9},
                                            {"gpu_memory_clock", 2.619e9},
                                            {"gpu_memory_utilization", 0.3},
                                            {"gpu_memory_utilization_max", 0.3},
                                            {"gpu_memory_used", 100 * 1048576.0},
                                            {"gpu_memory_used_mean", 100 * 1048576.0},
                                            {"gpu_sm_occupancy", 0.4}});
  ExpectFigures(out.figures, {{"gpu_sm_clock", 1.98e9}, {"gpu_sm_occupancy", 0.4}}, false);
}

TEST_F(Meters, ANodeAgentIsPreferredToAnExporterAndTheServer) {
  exporter_.dcgm = std::string(kDcgm) +
                   "sextant_gpu_utilization_ratio{gpu=\"0\",uuid=\"GPU-a\"} 0.5\n"
                   "sextant_gpu_utilization_ratio{gpu=\"1\",uuid=\"GPU-b\"} 0.75\n"
                   "sextant_gpu_memory_used_bytes{gpu=\"0\",uuid=\"GPU-a\"} 1e9\n"
                   "sextant_gpu_memory_total_bytes{gpu=\"0\",uuid=\"GPU-a\"} 4e9\n"
                   "sextant_gpu_power_watts{gpu=\"0\",uuid=\"GPU-a\"} 300\n"
                   "sextant_gpu_energy_joules_total{gpu=\"0\",uuid=\"GPU-a\"} 1e6\n"
                   "sextant_gpu_sm_active_ratio{gpu=\"0\",uuid=\"GPU-a\"} 0.8\n"
                   "sextant_gpu_sm_occupancy_ratio{gpu=\"0\",uuid=\"GPU-a\"} 0.4\n"
                   "sextant_gpu_tensor_active_ratio{gpu=\"0\",uuid=\"GPU-a\"} 0.2\n"
                   "sextant_gpu_dram_active_ratio{gpu=\"0\",uuid=\"GPU-a\"} 0.6\n";
  const Baseline out = Window({.metrics_urls = {Url("/dcgm")}}, kTriton);
  EXPECT_EQ(meter_->Describe(), "metrics of the node agent (NVML: the server runs elsewhere)");
  ASSERT_EQ(out.devices.size(), 2U) << "and no instance, of which only the exporter tells";
  for (const DeviceFigures& device : out.devices) EXPECT_EQ(device.source, "node agent");
  EXPECT_EQ(out.devices[0].device, "GPU-a");
  EXPECT_EQ(out.devices[0].scope, "device");
  ExpectFigures(out.devices[0].figures, {{"gpu_utilization", 0.5},
                                         {"gpu_utilization_max", 0.5},
                                         {"gpu_memory_used", 1e9},
                                         {"gpu_memory_used_mean", 1e9},
                                         {"gpu_memory_free", 3e9},
                                         {"gpu_power", 300},
                                         {"gpu_sm_active", 0.8},
                                         {"gpu_sm_occupancy", 0.4},
                                         {"gpu_tensor_active", 0.2},
                                         {"gpu_dram_active", 0.6},
                                         {"energy", 0}});
  EXPECT_EQ(Value(out.figures, "gpu_utilization"), 0.625);
}

TEST_F(Meters, OnlyTheDevicesThatWereAskedForCount) {
  const Baseline out = Window({.gpus = GpuSource::kMetrics, .devices = {"GPU-b"}}, kDcgm);
  ASSERT_EQ(out.devices.size(), 1U);
  EXPECT_EQ(out.devices[0].device, "GPU-b");
  const Baseline begins = Window({.gpus = GpuSource::kMetrics, .devices = {"GPU-a"}}, kDcgm);
  EXPECT_EQ(begins.devices.size(), 2U) << "with its instance";
  EXPECT_EQ(meter_->Describe(), "metrics of the dcgm-exporter");
  const Baseline none = Window({.gpus = GpuSource::kMetrics, .devices = {"GPU-x"}}, kDcgm);
  EXPECT_TRUE(none.devices.empty());
  EXPECT_EQ(meter_->Describe(),
            "metrics of the dcgm-exporter; no GPU is GPU-x (--gpus), there are: GPU-a, GPU-a/3, "
            "GPU-b");
}

// Metrics do not tell the driver's numbers.
TEST_F(Meters, DevicesByNumbersAreAnErrorWhereMetricsTellOfThem) {
  for (const std::vector<std::string>& devices :
       {std::vector<std::string>{"0"}, std::vector<std::string>{"GPU-a", "1"}}) {
    exporter_.Say(kDcgm);
    meter_ = *Meter::Start({.gpus = GpuSource::kMetrics, .devices = devices});
    const auto followed = meter_->Follow({}, Url("/metrics"));
    ASSERT_FALSE(followed.has_value());
    EXPECT_EQ(followed.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_TRUE(followed.error().message().starts_with(
        Format("--gpus {}: metrics of the dcgm-exporter name GPUs by UUID, numbers need NVML",
               devices.back())))
        << followed.error().message();
    EXPECT_NE(followed.error().message().find("give UUIDs"), std::string::npos);
    // Of no GPU they mean nothing, and do no harm.
    exporter_.Say("nv_cpu_utilization 0.5\n");
    EXPECT_TRUE(meter_->Follow({}, Url("/metrics")).has_value());
    meter_ = *Meter::Start({.gpus = GpuSource::kNone, .devices = devices});
    EXPECT_TRUE(meter_->Follow({}, Url("/metrics")).has_value());
  }
}

TEST_F(Meters, NoneMeansNone) {
  const Baseline out = Window({.gpus = GpuSource::kNone}, std::string(kTriton) + kDcgm);
  EXPECT_TRUE(out.devices.empty());
  EXPECT_FALSE(out.figures.contains("gpu_utilization"));
  EXPECT_EQ(meter_->Describe(), "none (--gpu-source none)");
}

TEST_F(Meters, TheHostOfARemoteServerIsTheOneThatItsMetricsTellOf) {
  const Baseline remote = Window({.gpus = GpuSource::kMetrics, .local = false}, kTriton);
  EXPECT_EQ(Value(remote.figures, "cpu_host"), 0.5);
  EXPECT_EQ(Value(remote.figures, "memory_host"), 6e9);
  const Baseline silent = Window({.gpus = GpuSource::kMetrics, .local = false}, "x 1\n");
  for (const char* name : {"cpu_host", "memory_host"})
    EXPECT_FALSE(silent.figures.contains(name)) << "not ours: " << name;
  const Baseline local = Window({.gpus = GpuSource::kMetrics, .local = true}, kTriton);
  ASSERT_TRUE(local.figures.contains("memory_host"));
  EXPECT_NE(Value(local.figures, "memory_host"), 6e9) << "what we see ourselves";
}

TEST_F(Meters, NvmlThatWasAskedForMustBeThereOneThatWasNotSaysWhy) {
  const auto asked = Meter::Start({.gpus = GpuSource::kNvml, .nvml_library = "/nowhere.so"});
  ASSERT_FALSE(asked.has_value());
  EXPECT_TRUE(asked.error().message().starts_with("--gpu-source nvml: "));
  const auto automatic = Meter::Start({.local = true, .nvml_library = "/nowhere.so"});
  ASSERT_TRUE(automatic.has_value());
  EXPECT_NE((*automatic)->Describe().find("/nowhere.so"), std::string::npos)
      << (*automatic)->Describe();
  const auto remote = Meter::Start({.local = false});
  ASSERT_TRUE(remote.has_value());
  EXPECT_NE((*remote)->Describe().find("the server runs elsewhere"), std::string::npos);
}

TEST_F(Meters, AnEndpointThatIsNoUrlIsAnError) {
  meter_ = *Meter::Start({.gpus = GpuSource::kNone, .metrics_urls = {"ftp://a"}});
  const auto followed = meter_->Follow({}, "");
  ASSERT_FALSE(followed.has_value());
  EXPECT_TRUE(followed.error().message().starts_with("--metrics-url: "));
}

}  // namespace
}  // namespace sextant::analyze
