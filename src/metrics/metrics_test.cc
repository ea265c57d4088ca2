#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <mutex>
#include <thread>

#include "base/strings.h"
#include "metrics/collector.h"
#include "net/http_server.h"

namespace sextant::metrics {
namespace {

std::vector<Observation> ObserveText(std::string_view text, std::vector<std::string> wanted = {}) {
  return Observe(text::ParseExposition(text, text::ExpositionFormat::kText), wanted);
}

const Observation* Find(const std::vector<Observation>& all, std::string_view quantity,
                        std::string_view device = "") {
  for (const Observation& o : all) {
    if (o.quantity == quantity && o.device == device) return &o;
  }
  return nullptr;
}

TEST(Observe, KnowsAGpuWhateverTheExporterAndItsLabels) {
  const auto all = ObserveText(
      "nv_gpu_utilization{gpu_uuid=\"GPU-a\",host=\"x\"} 2.5e-1\n"
      "DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",UUID=\"GPU-b\",pod=\"p\"} 50\n"
      "DCGM_FI_DEV_GPU_UTIL{gpu=\"1\",UUID=\"GPU-b\",pod=\"q\"} 50\n"
      "DCGM_FI_DEV_GPU_UTIL{gpu=\"2\",UUID=\"GPU-c\",GPU_I_ID=\"3\"} 75\n"
      "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu=\"1\",UUID=\"GPU-b\"} 5000\n"
      "nv_gpu_power_usage{gpu_uuid=\"GPU-a\"} NaN\n"
      "nv_gpu_power_usage 3\n");
  EXPECT_EQ(Find(all, "gpu_utilization", "GPU-a")->value, 0.25);
  EXPECT_EQ(Find(all, "gpu_utilization", "GPU-b")->value, 0.5);
  EXPECT_EQ(Find(all, "gpu_utilization", "GPU-c/3")->value, 0.75);
  EXPECT_EQ(Find(all, "gpu_energy", "GPU-b")->value, 5);
  EXPECT_TRUE(Find(all, "gpu_energy", "GPU-b")->cumulative);
  EXPECT_EQ(all.size(), 4u) << "NaN is missing, and so is a GPU without its name";
}

TEST(Observe, AddsUpPartsAndMissesTheWholeWithoutThem) {
  const auto all = ObserveText(
      "DCGM_FI_DEV_FB_USED{UUID=\"a\"} 1\nDCGM_FI_DEV_FB_FREE{UUID=\"a\"} 3\n"
      "DCGM_FI_DEV_FB_USED{UUID=\"b\"} 1\n"
      "node_memory_MemTotal_bytes 10\nnode_memory_MemAvailable_bytes 4\n"
      "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 5\n"
      "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 2\n"
      "node_cpu_seconds_total{cpu=\"1\",mode=\"user\"} 1\n");
  EXPECT_EQ(Find(all, "gpu_memory_total", "a")->value, 4.0 * 1024 * 1024);
  EXPECT_EQ(Find(all, "gpu_memory_total", "b"), nullptr);
  EXPECT_EQ(Find(all, "memory_used")->value, 6);
  EXPECT_EQ(Find(all, "cpu_busy")->value, 3);
  EXPECT_EQ(Find(all, "cpu_time")->value, 8);
}

TEST(Observe, TakesWhatIsAskedForByItsNameOrItsFamilys) {
  const auto all = ObserveText(
      "# TYPE wait histogram\nwait_sum{m=\"x\"} 4\nwait_count{m=\"x\"} 2\nother 1\nmine{a=\"b\"} "
      "7\n",
      {"wait", "mine"});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].quantity, "wait_sum");
  EXPECT_TRUE(all[0].cumulative);
  EXPECT_EQ(all[2].labels, "{a=\"b\"}");
  EXPECT_FALSE(all[2].cumulative);
}

Observation Gauge(double value) {
  return {.quantity = "g", .family = "g", .device = {}, .labels = {}, .unit = {}, .value = value};
}
Observation Counter(double value) {
  return {.quantity = "c",
          .family = "c",
          .device = {},
          .labels = {},
          .unit = {},
          .cumulative = true,
          .value = value};
}
Instant At(double s) { return Instant(FromSeconds(1000 + s)); }

TEST(SeriesStore, TheMeanIsOverTimeAndTheFirstValueBelongsToBefore) {
  SeriesStore store;
  store.Add(At(-0.5), {Gauge(100)});
  store.Add(At(0.01), {Gauge(50)});
  store.Add(At(1), {Gauge(2)});
  store.Add(At(1.51), {Gauge(8)});
  store.Add(At(3), {Gauge(1000)});
  const auto all = store.Summarize(At(0), At(1.5));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].samples, 2u);
  EXPECT_EQ(all[0].min, 2);
  EXPECT_EQ(all[0].max, 8);
  EXPECT_NEAR(*all[0].mean, (2 * 0.99 + 8 * 0.51) / 1.5, 1e-9);
  EXPECT_FALSE(all[0].increase);
}

TEST(SeriesStore, ACounterThatStartsAnewLosesNothingItSaid) {
  SeriesStore store;
  for (const auto& [s, value] :
       std::vector<std::pair<double, double>>{{0, 100}, {1, 110}, {2, 5}, {3, 25}, {4, 99}})
    store.Add(At(s), {Counter(value)});
  const auto all = store.Summarize(At(0), At(3));
  EXPECT_EQ(all[0].increase, 10 + 5 + 20);
  EXPECT_EQ(all[0].span_s, 3);
  EXPECT_EQ(all[0].samples, 4u);
  EXPECT_FALSE(all[0].mean);
}

TEST(SeriesStore, WhatWasNotSeenInTheWindowIsMissing) {
  SeriesStore store;
  store.Add(At(0), {Counter(1)});
  EXPECT_FALSE(store.Summarize(At(0), At(9))[0].increase) << "one value makes no difference";
  EXPECT_TRUE(store.Summarize(At(5), At(9)).empty());
  store.Add(At(12), {Counter(3)});
  EXPECT_TRUE(store.Summarize(At(5), At(9)).size() <= 1);
  store.Forget(At(12));
  EXPECT_TRUE(store.Summarize(At(0), At(9)).empty());
}

TEST(Endpoint, TakesWhatIsLeftOutFromTriton) {
  EXPECT_EQ(ParseEndpoint("gpu7")->url, "http://gpu7:8002/metrics");
  EXPECT_EQ(ParseEndpoint("http://[::1]:9400/x?y=z")->url, "http://[::1]:9400/x?y=z");
  EXPECT_EQ(ParseEndpoint("http://a/m")->authority, "a:8002");
  EXPECT_EQ(ParseEndpoint("https://a")->url, "https://a:8002/metrics");
  EXPECT_TRUE(ParseEndpoint("https://a")->secure);
  EXPECT_FALSE(ParseEndpoint("ftp://a").has_value());
  EXPECT_FALSE(ParseEndpoint("http://a:1/b c").has_value());
  EXPECT_FALSE(ParseEndpoint("http://a:port").has_value());
}

// Counts how often it is asked, and keeps quiet when told to.
class Exporter final : public net::HttpHandler {
 public:
  void OnRequest(const net::HttpRequest& request, net::HttpReply reply) override {
    if (silent) {
      const std::scoped_lock lock(mutex_);
      held_.push_back(std::move(reply));
      return;
    }
    if (request.path != "/metrics") return reply.Send({.status = 404, .fields = {}, .body = {}});
    reply.Send({.fields = "Content-Type: text/plain\r\n",
                .body = Format("# TYPE asked_total counter\nasked_total {}\nnv_cpu_utilization "
                               "0.5\nbroken line\n",
                               ++asked)});
  }
  // Replies may not outlive their server.
  void DropHeld() {
    const std::scoped_lock lock(mutex_);
    held_.clear();
    silent = false;
  }
  std::atomic<bool> silent{false};
  std::atomic<int> asked{0};

 private:
  std::mutex mutex_;
  std::vector<net::HttpReply> held_;
};

class CollectorTest : public ::testing::Test {
 protected:
  CollectorTest()
      : threads_(*net::IoThreads::Start(1, "test")),
        server_(
            *net::HttpServer::Start(*threads_, (*net::Resolve({"127.0.0.1", 0}))[0], exporter_)) {}
  ~CollectorTest() override { exporter_.DropHeld(); }
  std::unique_ptr<Collector> Start(std::string_view path, Nanos interval) {
    CollectorOptions options{
        .interval = interval, .timeout = 100ms, .wanted = {"asked_total", "nowhere"}};
    options.endpoints.push_back(
        *ParseEndpoint(Format("http://127.0.0.1:{}{}", server_->address().port(), path)));
    return *Collector::Start(options);
  }
  std::unique_ptr<net::IoThreads> threads_;
  Exporter exporter_;
  std::unique_ptr<net::HttpServer> server_;
};

TEST_F(CollectorTest, ReadsAtTheEdgesHoweverLongTheIntervalOnOneConnection) {
  const auto collector = Start("/metrics", 1h);
  EXPECT_EQ(collector->Complaints(),
            std::vector<std::string>{"no endpoint has a metric 'nowhere'"});
  collector->Edge();
  while (exporter_.asked < 2) std::this_thread::yield();
  collector->Edge();
  const auto reports = collector->Take();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].scrapes, 2u);
  EXPECT_EQ(reports[0].failed, 0u);
  EXPECT_EQ(reports[0].bad_lines, 1u);
  EXPECT_EQ(reports[0].bad_line, "line 4: a value that is no number");
  ASSERT_EQ(reports[0].summaries.size(), 2u);
  EXPECT_EQ(reports[0].summaries[0].increase, 1);
  EXPECT_EQ(reports[0].summaries[1].mean, 0.5);
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(CollectorTest, ReadsAtItsInterval) {
  const auto collector = Start("/metrics", 2ms);
  while (exporter_.asked < 5) std::this_thread::yield();
}

TEST_F(CollectorTest, AnEndpointThatFailsIsCountedAndItsFiguresAreMissing) {
  const auto collector = Start("/elsewhere", 1h);
  ASSERT_EQ(collector->Complaints().size(), 3u);
  EXPECT_NE(collector->Complaints()[0].find("HTTP 404"), std::string::npos);
  collector->Edge();
  collector->Edge();
  const auto reports = collector->Take();
  EXPECT_GE(reports[0].failed, 1u);
  EXPECT_EQ(reports[0].failed, reports[0].scrapes);
  EXPECT_TRUE(reports[0].summaries.empty());
}

TEST_F(CollectorTest, AnEndpointThatKeepsQuietCostsItsTimeoutAndNoMore) {
  const auto collector = Start("/metrics", 10ms);
  exporter_.silent = true;
  const Instant begin = SteadyNow();
  collector->Edge();
  EXPECT_LT(SteadyNow() - begin, 50ms);
  collector->Edge();
  const auto reports = collector->Take();
  EXPECT_GE(reports[0].failed, 1u);
  EXPECT_GE(reports[0].missed, 1u);
  EXPECT_NE(reports[0].fault.find("no answer within"), std::string::npos);
}

}  // namespace
}  // namespace sextant::metrics
