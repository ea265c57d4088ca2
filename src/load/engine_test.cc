// The generator against servers that behave as told, in this process: nothing may be lost or
// miscounted.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "load/generate.h"
#include "load/level_math.h"
#include "load/measurement.h"
#include "net/grpc_server.h"
#include "net/http_server.h"

namespace sextant::load {
namespace {

enum class Act { kAnswer, kFail, kBreak, kSilence };

// An HTTP and gRPC server whose answer to request number n is given by a function. Silent requests
// are held until the end.
class ScriptedServer final : public net::HttpHandler, public net::GrpcService {
 public:
  using Script = std::function<Act(uint64_t n)>;
  explicit ScriptedServer(Script script, Nanos delay = Nanos(0))
      : script_(std::move(script)), delay_(delay) {
    Listen();
  }
  ~ScriptedServer() override { Close(); }

  // On free ports the first time, then on the same ones.
  void Listen() {
    closed_ = false;
    threads_ = *net::IoThreads::Start(1, "scripted");
    http_ =
        *net::HttpServer::Start(*threads_, (*net::Resolve({"127.0.0.1", http_port_}))[0], *this);
    http_port_ = http_->address().port();
    grpc_ =
        *net::GrpcServer::Start(*threads_, (*net::Resolve({"127.0.0.1", grpc_port_}))[0], *this);
    grpc_port_ = grpc_->address().port();
  }
  void Close() {
    // What was sent before its client went away may still arrive.
    std::vector<std::thread> timers;
    if (threads_ != nullptr) {
      threads_->RunOn(0, [&] {
        closed_ = true;
        timers.swap(timers_);
      });
    }
    for (std::thread& t : timers) t.join();
    if (threads_ != nullptr) threads_->RunOn(0, [&] { held_.clear(); });
    http_.reset();
    grpc_.reset();
    threads_.reset();
  }
  net::Address address(kserve::Protocol protocol) const {
    return protocol == kserve::Protocol::kHttp ? http_->address() : grpc_->address();
  }

  void OnRequest(const net::HttpRequest&, net::HttpReply reply) override {
    Enter();
    switch (script_(seen_++)) {
      case Act::kAnswer: {
        if (delay_ == Nanos(0)) {
          --in_flight_;
          return reply.Send({});
        }
        auto shared = std::make_shared<net::HttpReply>(std::move(reply));
        return Later([this, shared] {
          --in_flight_;
          shared->Send({});
        });
      }
      case Act::kFail:
        --in_flight_;
        return reply.Send({.status = 503, .body = "{\"error\":\"overloaded\"}"});
      case Act::kBreak:
        --in_flight_;
        return reply.Break();
      case Act::kSilence:
        held_.push_back(std::move(reply));
        return;
    }
  }
  net::GrpcMethodKind FindMethod(std::string_view, uint32_t&) override {
    return net::GrpcMethodKind::kUnary;
  }
  void OnUnary(uint32_t, std::string_view, const net::GrpcCall& call) override {
    Enter();
    --in_flight_;
    switch (script_(seen_++)) {
      case Act::kAnswer:
        return delay_ == Nanos(0) ? call.Reply("") : Later([call] { call.Reply(""); });
      case Act::kFail:
        return call.Finish(net::GrpcStatus::kUnavailable, "overloaded");
      case Act::kBreak:
        return call.Break();
      case Act::kSilence:
        return;
    }
  }
  void OnStreamMessage(uint32_t, std::string_view, const net::GrpcCall&) override {}
  void OnStreamDone(uint32_t, const net::GrpcCall&) override {}
  void OnStreamLost(uint32_t, const net::GrpcCall&) override {}

  uint64_t seen() const { return seen_.load(); }
  int most_in_flight() const { return most_.load(); }

 private:
  void Enter() {
    const int now = ++in_flight_;
    if (now > most_) most_ = now;
  }
  void Later(std::function<void()> task) {
    if (closed_) return;
    timers_.emplace_back([this, task = std::move(task)] {
      std::this_thread::sleep_for(delay_);
      task();
    });
  }

  const Script script_;
  const Nanos delay_;
  std::atomic<uint64_t> seen_{0};
  std::atomic<int> in_flight_{0}, most_{0};
  bool closed_ = false;  // these two: of the server's thread
  std::vector<std::thread> timers_;
  std::unique_ptr<net::IoThreads> threads_;
  std::unique_ptr<net::HttpServer> http_;
  std::unique_ptr<net::GrpcServer> grpc_;
  std::vector<net::HttpReply> held_;
  int http_port_ = 0, grpc_port_ = 0;
};

const ModelSignature kModel{.name = "m",
                            .max_batch_size = 8,
                            .inputs = {{"X", kserve::DataType::kFp32, {16}}},
                            .optional_inputs = {false}};

struct Setup {
  kserve::Protocol protocol = kserve::Protocol::kHttp;
  Nanos timeout{5s};
  size_t workers = 1;
  LevelPlan plan;
  MeasureOptions options;
  std::function<void(const LiveFigures&)> progress;
  std::function<Result<std::vector<kserve::ModelStatistics>>()> statistics;
};

run::Level Measure(const net::Address& address, Setup setup) {
  const DataSet data = *GenerateData(kModel, {.rows = 3});
  const auto requests =
      *RequestSet::Encode(kModel, data, {.protocol = setup.protocol, .authority = "test"});
  const auto generator = *Generator::Start({.channel = {.protocol = setup.protocol,
                                                        .endpoints = {{address, "test"}},
                                                        .timeout = setup.timeout},
                                            .timeout = setup.timeout},
                                           setup.workers);
  setup.plan.requests = requests.get();
  return generator->Measure(
      setup.plan, setup.options,
      {.progress = setup.progress, .stop = {}, .statistics = setup.statistics});
}

MeasureOptions Exactly(uint64_t requests) {
  MeasureOptions options;
  options.warmup = {.kind = WarmupRule::Kind::kRequests, .requests = 0};
  options.window = {.kind = WindowRule::Kind::kRequests, .requests = requests};
  return options;
}

MeasureOptions ForTime(Nanos time) {
  MeasureOptions options;
  options.warmup = {.kind = WarmupRule::Kind::kTime, .time = 50ms};
  options.window = {.kind = WindowRule::Kind::kTime, .time = time};
  options.drain_limit = 5s;
  return options;
}

uint64_t CountOf(const run::Level& level, std::string_view name) {
  for (const run::OutcomeRecord& outcome : level.outcomes) {
    if (outcome.name == name) return outcome.count;
  }
  return 0;
}

class BothProtocols : public ::testing::TestWithParam<kserve::Protocol> {};
INSTANTIATE_TEST_SUITE_P(Protocol, BothProtocols,
                         ::testing::Values(kserve::Protocol::kHttp, kserve::Protocol::kGrpc),
                         [](const auto& info) {
                           return std::string(kserve::ProtocolName(info.param));
                         });

TEST_P(BothProtocols, ExactlyTheAskedNumberOfRequestsIsSent) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; });
  for (const size_t workers : {1u, 3u}) {
    const uint64_t before = server.seen();
    const run::Level level = Measure(server.address(GetParam()), {.protocol = GetParam(),
                                                                  .workers = workers,
                                                                  .plan = {.load = {.value = 5}},
                                                                  .options = Exactly(1234)});
    EXPECT_EQ(server.seen() - before, 1234u);
    EXPECT_EQ(level.succeeded, 1234u);
    EXPECT_EQ(level.scheduled, 1234u);
    EXPECT_EQ(level.latency.histogram.count(), 1234u);
    // Throughput and latency agree: N requests of mean latency L, 5 at a time, take N L / 5, and a
    // little longer while the load comes and goes.
    EXPECT_GT(level.throughput.value * level.latency.histogram.mean() / 1e9, 2.5);
    EXPECT_LT(level.throughput.value * level.latency.histogram.mean() / 1e9, 5.5);
  }
}

TEST_P(BothProtocols, EveryRequestIsAccountedForWhateverBecomesOfIt) {
  ScriptedServer server([](uint64_t n) {
    return n % 100 == 7 ? Act::kFail : n % 250 == 11 ? Act::kBreak : Act::kAnswer;
  });
  const run::Level level =
      Measure(server.address(GetParam()),
              {.protocol = GetParam(), .plan = {.load = {.value = 8}}, .options = Exactly(5000)});
  EXPECT_EQ(level.scheduled, 5000u);
  EXPECT_EQ(level.scheduled, level.succeeded + level.failed + level.unfinished);
  const bool http = GetParam() == kserve::Protocol::kHttp;
  EXPECT_NEAR(static_cast<double>(CountOf(level, http ? "HTTP 503" : "gRPC UNAVAILABLE")), 50, 5);
  EXPECT_GE(CountOf(level, "connection lost"), 18u)
      << "over gRPC a connection takes all its requests along";
  EXPECT_EQ(level.unfinished, 0u);
}

TEST_P(BothProtocols, ARequestWithoutAnAnswerTimesOutAndTheLoadGoesOn) {
  ScriptedServer server([](uint64_t n) { return n == 50 ? Act::kSilence : Act::kAnswer; });
  const run::Level level = Measure(server.address(GetParam()), {.protocol = GetParam(),
                                                                .timeout = 100ms,
                                                                .plan = {.load = {.value = 2}},
                                                                .options = Exactly(2000)});
  EXPECT_EQ(CountOf(level, "timeout"), 1u);
  EXPECT_EQ(level.succeeded, 1999u);
  for (const run::OutcomeRecord& outcome : level.outcomes) {
    EXPECT_GE(outcome.latency.min(), 99'000'000u);
    EXPECT_LE(outcome.latency.max(), 400'000'000u);
  }
}

TEST_P(BothProtocols, AnUnreachableServerIsDataAndNotAFlood) {
  net::Address nobody;
  {
    ScriptedServer server([](uint64_t) { return Act::kAnswer; });
    nobody = server.address(GetParam());
  }
  MeasureOptions options = ForTime(500ms);
  options.connect_limit = 200ms;
  const run::Level level =
      Measure(nobody, {.protocol = GetParam(), .plan = {.load = {.value = 4}}, .options = options});
  EXPECT_EQ(level.succeeded, 0u);
  EXPECT_GT(CountOf(level, "connect"), 0u);
  EXPECT_LT(CountOf(level, "connect"), 500u) << "attempts are spaced out";
  ASSERT_FALSE(level.notes.empty());
  EXPECT_NE(level.notes[0].find("Connection refused"), std::string::npos);
}

TEST_P(BothProtocols, AServerThatComesBackIsUsedAgain) {
  auto server = std::make_unique<ScriptedServer>([](uint64_t) { return Act::kAnswer; });
  const net::Address address = server->address(GetParam());
  std::thread restart([&] {
    std::this_thread::sleep_for(300ms);
    server->Close();
    std::this_thread::sleep_for(200ms);
    server->Listen();
  });
  const run::Level level = Measure(
      address, {.protocol = GetParam(), .plan = {.load = {.value = 4}}, .options = ForTime(3s)});
  restart.join();
  EXPECT_GT(CountOf(level, "connect") + CountOf(level, "connection lost"), 0u);
  EXPECT_EQ(level.scheduled, level.succeeded + level.failed + level.unfinished);
  EXPECT_GT(level.series.back().answered, 100u) << "and the load is back at the end";
}

TEST_P(BothProtocols, TheOpenLoopDoesNotWaitForAnswers) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; }, 200ms);
  const run::Level level =
      Measure(server.address(GetParam()),
              {.protocol = GetParam(),
               .plan = {.load = {.mode = run::LoadMode::kRequestRate, .value = 200}},
               .options = ForTime(1s)});
  EXPECT_NEAR(level.send_rate, 200, 4);
  EXPECT_NEAR(level.in_flight_mean, 40, 3);
  EXPECT_LT(level.slip.Quantile(0.9), 5e6);
  EXPECT_EQ(level.failed, 0u);
  EXPECT_NEAR(*level.little_ratio, 1, 0.05);
}

TEST_P(BothProtocols, ArrivalsBeyondTheCapAreCountedAndNotSent) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; }, 200ms);
  const run::Level level = Measure(
      server.address(GetParam()),
      {.protocol = GetParam(),
       .plan = {.load = {.mode = run::LoadMode::kRequestRate, .value = 200}, .max_in_flight = 10},
       .options = ForTime(1s)});
  EXPECT_LE(level.in_flight_max, 10);
  EXPECT_NEAR(static_cast<double>(level.scheduled + level.overflow), 200, 3);
  EXPECT_NEAR(static_cast<double>(level.scheduled), 50, 11);
}

TEST_P(BothProtocols, AScheduleThatEndsEndsTheWindow) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; });
  auto trace = std::make_shared<Replay>(Replay{.kind = "trace"});
  for (int i = 0; i < 200; ++i) {
    trace->due.push_back(3ms * i);
    trace->rows.push_back(static_cast<uint32_t>(i % 3));
  }
  for (const size_t workers : {1u, 3u}) {
    const uint64_t before = server.seen();
    const run::Level level =
        Measure(server.address(GetParam()),
                {.protocol = GetParam(),
                 .workers = workers,
                 .plan = {.load = {.mode = run::LoadMode::kRequestRate, .value = 333},
                          .arrivals = {.replay = trace},
                          .order = DataOrder::kTrace},
                 .options = {}});
    EXPECT_EQ(server.seen() - before, 200u);
    EXPECT_EQ(level.scheduled, 200u);
    EXPECT_EQ(level.succeeded, 200u);
    EXPECT_EQ(level.window_rule, "schedule");
    EXPECT_EQ(level.warmup_rule, "none");
    EXPECT_NEAR(level.window_s, 0.6, 0.04);
  }
}

TEST_P(BothProtocols, AWarmupTakesItsPartOfAScheduleThatEnds) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; });
  MeasureOptions options;
  options.warmup = {.kind = WarmupRule::Kind::kTime, .time = 500ms};
  const run::Level level =
      Measure(server.address(GetParam()),
              {.protocol = GetParam(),
               .plan = {.load = {.mode = run::LoadMode::kRequestRate, .value = 100},
                        .arrivals = {.profile = std::make_shared<RateProfile>(
                                         *RateProfile::Parse("0s:100,1500ms:100", {}))},
                        .order = DataOrder::kRandom},
               .options = options});
  EXPECT_EQ(server.seen(), 150u);
  // The window begins at the block after the warm-up.
  EXPECT_NEAR(static_cast<double>(level.scheduled), 95, 6);
  EXPECT_EQ(level.window_rule, "schedule");
}

TEST(Statistics, AServerThatIsSlowWithThemDoesNotMoveTheWindow) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; }, 2ms);
  std::atomic<uint64_t> calls = 0;
  const run::Level level =
      Measure(server.address(kserve::Protocol::kHttp),
              {.plan = {.load = {.mode = run::LoadMode::kRequestRate, .value = 200}},
               .options = ForTime(500ms),
               .statistics = [&]() -> Result<std::vector<kserve::ModelStatistics>> {
                 const uint64_t n = ++calls;
                 std::this_thread::sleep_for(700ms);
                 kserve::ModelStatistics counters{.name = "m", .version = "1"};
                 counters.inference_count = counters.success.count = 100 * n;
                 return std::vector{counters};
               }});
  EXPECT_NEAR(level.window_s, 0.5, 0.001);
  EXPECT_NEAR(static_cast<double>(level.scheduled), 100, 2);
  EXPECT_NEAR(level.throughput.value, 200, 8);
  EXPECT_EQ(calls, 2u);
  ASSERT_EQ(level.server.size(), 1u);
  EXPECT_EQ(level.server[0].inference_count, 100u);
}

TEST(Statistics, AServerThatFailsWithThemIsAskedOnceAndToldOnce) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; }, 2ms);
  std::atomic<uint64_t> calls = 0;
  const run::Level level =
      Measure(server.address(kserve::Protocol::kHttp),
              {.plan = {.load = {.value = 1}},
               .options = ForTime(200ms),
               .statistics = [&]() -> Result<std::vector<kserve::ModelStatistics>> {
                 ++calls;
                 return Unavailable("no answer");
               }});
  EXPECT_EQ(calls, 1u);
  EXPECT_TRUE(level.server.empty());
  ASSERT_EQ(level.notes.size(), 1u);
  EXPECT_EQ(level.notes[0], "no server statistics: no answer");
}

TEST(ClosedLoop, RequestsThatWereInFlightAllAlongCountAsInFlight) {
  ScriptedServer server([](uint64_t n) { return n < 10 ? Act::kAnswer : Act::kSilence; }, 2ms);
  MeasureOptions options = ForTime(300ms);
  options.warmup.time = 200ms;
  options.drain_limit = 100ms;
  const run::Level level = Measure(server.address(kserve::Protocol::kHttp),
                                   {.plan = {.load = {.value = 2}}, .options = options});
  EXPECT_EQ(level.scheduled, 0u);
  EXPECT_EQ(level.in_flight_max, 2);
}

TEST(ClosedLoop, ConcurrencyIsWhatWasAskedForAtEveryLevelOfASweep) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; }, 2ms);
  const DataSet data = *GenerateData(kModel, {.rows = 1});
  const auto requests = *RequestSet::Encode(kModel, data, {.authority = "test"});
  const auto generator = *Generator::Start(
      {.channel = {.endpoints = {{server.address(kserve::Protocol::kHttp), "test"}}},
       .timeout = 5s},
      2);
  for (const double concurrency : {6.0, 1.0, 11.0, 3.0}) {
    const run::Level level = generator->Measure(
        {.load = {.value = concurrency}, .requests = requests.get()}, ForTime(200ms), {});
    EXPECT_NEAR(level.in_flight_mean, concurrency, 0.02 * concurrency + 0.01);
    EXPECT_LE(level.in_flight_max, static_cast<int64_t>(concurrency) + 1);
  }
  EXPECT_LE(server.most_in_flight(), 11);
}

TEST(ClosedLoop, FewerConnectionsThanRequestsMakeRequestsWait) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; }, 5ms);
  const run::Level level =
      Measure(server.address(kserve::Protocol::kHttp),
              {.plan = {.load = {.value = 8}, .connections = 2}, .options = Exactly(100)});
  EXPECT_EQ(level.succeeded, 100u);
  EXPECT_GT(level.client.connections, 0);
}

TEST(Interruption, LeavesALevelThatIsReportedAsItIs) {
  ScriptedServer server([](uint64_t) { return Act::kAnswer; }, 1ms);
  const DataSet data = *GenerateData(kModel, {.rows = 1});
  const auto requests = *RequestSet::Encode(kModel, data, {.authority = "test"});
  const auto generator = *Generator::Start(
      {.channel = {.endpoints = {{server.address(kserve::Protocol::kHttp), "test"}}},
       .timeout = 5s},
      1);
  const Instant begin = SteadyNow();
  const run::Level level =
      generator->Measure({.load = {.value = 2}, .requests = requests.get()}, ForTime(60s),
                         {.stop = [&] { return SteadyNow() - begin > 400ms; }});
  EXPECT_EQ(level.window_rule, "interrupted");
  EXPECT_GT(level.succeeded, 50u);
  EXPECT_LT(Seconds(SteadyNow() - begin), 3);
}

TEST(StatisticsDelta, CountersThatWentBackSayNothing) {
  kserve::ModelStatistics before{.name = "m", .version = "1", .inference_count = 10};
  before.success = {10, 1000};
  kserve::ModelStatistics after{
      .name = "m", .version = "1", .inference_count = 30, .execution_count = 5};
  after.success = {20, 51'000};
  const auto delta = StatisticsDelta({before}, {after});
  ASSERT_EQ(delta.size(), 1u);
  EXPECT_EQ(delta[0].inference_count, 20u);
  EXPECT_DOUBLE_EQ(delta[0].request_us, 5);
  EXPECT_TRUE(StatisticsDelta({after}, {before}).empty());
  EXPECT_TRUE(StatisticsDelta({after}, {after}).empty());
}

}  // namespace
}  // namespace sextant::load
