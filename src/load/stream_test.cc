// Streams, decoupled models and sequences against servers that behave as told, in this process:
// every response must find its request, and nothing may be lost or miscounted.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "base/strings.h"
#include "kserve/infer_grpc.h"
#include "kserve/infer_http.h"
#include "load/generate.h"
#include "load/measurement.h"
#include "net/grpc_server.h"
#include "net/http1.h"
#include "net/http_server.h"

namespace sextant::load {
namespace {

const ModelSignature kModel{
    .name = "m", .inputs = {{"X", kserve::DataType::kFp32, {16}}}, .optional_inputs = {false}};

// What a scripted server may do with request number n of a stream's method.
struct Reply {
  int responses = 1;
  bool empty_final = false;  // the end comes by itself; else with the last response
  std::string error;         // instead of an end
  bool silence = false, end_stream = false;
};

class StreamServer final : public net::GrpcService, public net::HttpHandler {
 public:
  using Script = std::function<Reply(uint64_t n)>;
  // Answers go out in groups of `group` requests, the last request first.
  explicit StreamServer(Script script, size_t group = 1)
      : script_(std::move(script)), group_(group) {
    threads_ = *net::IoThreads::Start(1, "streams");
    const net::Address any = (*net::Resolve({"127.0.0.1", 0}))[0];
    grpc_ = *net::GrpcServer::Start(*threads_, any, *this);
    http_ = *net::HttpServer::Start(*threads_, any, *this);
  }
  ~StreamServer() override {
    http_.reset();
    grpc_.reset();
    threads_.reset();
  }
  net::Address address(kserve::Protocol protocol = kserve::Protocol::kGrpc) const {
    return protocol == kserve::Protocol::kHttp ? http_->address() : grpc_->address();
  }

  net::GrpcMethodKind FindMethod(std::string_view path, uint32_t&) override {
    return path == kGrpcStreamPath ? net::GrpcMethodKind::kStream : net::GrpcMethodKind::kUnary;
  }
  void OnUnary(uint32_t, std::string_view message, const net::GrpcCall& call) override {
    kserve::InferRequest request;
    request.body = message;
    EXPECT_TRUE(kserve::DecodeGrpcRequest(request).has_value());
    NoteSequence(request);
    call.Reply("");
  }
  void OnRequest(const net::HttpRequest& http, net::HttpReply reply) override {
    kserve::InferRequest request;
    request.body = http.body;
    const auto length = net::FindHeader(http.fields, "inference-header-content-length");
    EXPECT_TRUE(
        kserve::DecodeHttpRequest(length ? ParseUint(*length) : std::nullopt, request).has_value());
    NoteSequence(request);
    reply.Send({});
  }
  void OnStreamMessage(uint32_t, std::string_view message, const net::GrpcCall& call) override {
    kserve::InferRequest request;
    request.body = message;
    EXPECT_TRUE(kserve::DecodeGrpcRequest(request).has_value());
    NoteSequence(request);
    {
      const std::scoped_lock lock(mutex_);
      streams_.insert({call.connection(), call.stream()});
      connections_.insert(call.connection());
    }
    held_.push_back({call, request.id, script_(seen_++)});
    if (held_.size() < group_) return;
    for (; !held_.empty(); held_.pop_back()) Answer(held_.back());
  }
  void OnStreamDone(uint32_t, const net::GrpcCall& call) override {
    call.Finish(net::GrpcStatus::kOk);
  }
  void OnStreamLost(uint32_t, const net::GrpcCall&) override {}

  uint64_t seen() const { return seen_; }
  size_t streams() {
    const std::scoped_lock lock(mutex_);
    return streams_.size();
  }
  size_t connections() {
    const std::scoped_lock lock(mutex_);
    return connections_.size();
  }
  // Of every sequence: how its requests were flagged, "S" start, "m" middle, "E" end, "B" both.
  std::map<int64_t, std::string> sequences() {
    const std::scoped_lock lock(mutex_);
    return sequences_;
  }

 private:
  struct Held {
    net::GrpcCall call;
    std::string id;
    Reply reply;
  };
  void Answer(const Held& held) {
    const Reply& r = held.reply;
    if (r.silence) return;
    if (r.end_stream) return held.call.Finish(net::GrpcStatus::kUnavailable, "no more");
    kserve::InferResponse response{.model_name = "m", .id = held.id};
    for (int i = 0; i < r.responses; ++i) {
      response.outputs = {{.name = "Y", .shape = {1}, .data = "abcd"}};
      const bool last = i + 1 == r.responses && !r.empty_final && r.error.empty();
      response.parameters = {{"triton_final_response", last}};
      held.call.Write(kserve::EncodeGrpcStreamResponse(kserve::EncodeGrpcResponse(response)));
    }
    response.outputs.clear();
    response.parameters = {};
    if (!r.error.empty()) {
      held.call.Write(kserve::EncodeGrpcStreamError(r.error, kserve::EncodeGrpcResponse(response)));
    } else if (r.empty_final) {
      response.parameters = {{"triton_final_response", true}};
      held.call.Write(kserve::EncodeGrpcStreamResponse(kserve::EncodeGrpcResponse(response)));
    }
  }
  void NoteSequence(const kserve::InferRequest& request) {
    const auto* id = kserve::FindParameter(request.parameters, "sequence_id");
    if (id == nullptr) return;
    const bool start = std::get<bool>(*kserve::FindParameter(request.parameters, "sequence_start"));
    const bool end = std::get<bool>(*kserve::FindParameter(request.parameters, "sequence_end"));
    const std::scoped_lock lock(mutex_);
    sequences_[std::get<int64_t>(*id)] += start && end ? "B" : start ? "S" : end ? "E" : "m";
  }

  const Script script_;
  const size_t group_;
  std::atomic<uint64_t> seen_{0};
  std::vector<Held> held_;
  std::mutex mutex_;
  std::set<std::pair<uint64_t, uint32_t>> streams_;
  std::set<uint64_t> connections_;
  std::map<int64_t, std::string> sequences_;
  std::unique_ptr<net::IoThreads> threads_;
  std::unique_ptr<net::GrpcServer> grpc_;
  std::unique_ptr<net::HttpServer> http_;
};

struct Setup {
  kserve::Protocol protocol = kserve::Protocol::kGrpc;
  bool streaming = true, decoupled = false;
  size_t streams = 6, workers = 1;
  Nanos timeout{5s};
  std::shared_ptr<const SequencePlan> sequences;
  LevelPlan plan;
  MeasureOptions options;
};

run::Level Measure(StreamServer& server, Setup setup) {
  const DataSet data = *GenerateData(kModel, {.rows = 3});
  const auto requests = *RequestSet::Encode(
      kModel, data,
      {.protocol = setup.protocol,
       .authority = "test",
       .patch = {.request_id = setup.streaming,
                 .sequence = setup.sequences != nullptr ? SequenceIdType::kInteger
                                                        : SequenceIdType::kNone}});
  const auto generator =
      *Generator::Start({.channel = {.protocol = setup.protocol,
                                     .endpoints = {{server.address(setup.protocol), "test"}},
                                     .streaming = setup.streaming,
                                     .streams = setup.streams,
                                     .decoupled = setup.decoupled},
                         .timeout = setup.timeout,
                         .sequences = setup.sequences},
                        setup.workers);
  setup.plan.requests = requests.get();
  return generator->Measure(setup.plan, setup.options, {});
}

MeasureOptions Exactly(uint64_t requests) {
  MeasureOptions options;
  options.warmup = {.kind = WarmupRule::Kind::kRequests, .requests = 0};
  options.window = {.kind = WindowRule::Kind::kRequests, .requests = requests};
  return options;
}

uint64_t CountOf(const run::Level& level, std::string_view name) {
  for (const run::OutcomeRecord& outcome : level.outcomes) {
    if (outcome.name == name) return outcome.count;
  }
  return 0;
}

TEST(Streams, AnswersFindTheirRequestsInWhateverOrderTheyCome) {
  StreamServer server([](uint64_t) { return Reply(); }, 5);
  const run::Level level = Measure(server, {.streams = 2,
                                            .workers = 2,
                                            .plan = {.load = {.value = 10}, .connections = 2},
                                            .options = Exactly(1000)});
  EXPECT_EQ(server.seen(), 1000u);
  EXPECT_EQ(level.succeeded, 1000u);
  EXPECT_EQ(server.streams(), 4u) << "as many as there may be";
  EXPECT_FALSE(level.responses.has_value()) << "the model is not decoupled";
}

TEST(Streams, OneIsOpenedForEachRequestInFlight) {
  StreamServer server([](uint64_t) { return Reply(); }, 3);
  Measure(server, {.plan = {.load = {.value = 3}}, .options = Exactly(300)});
  EXPECT_EQ(server.streams(), 3u);
  EXPECT_EQ(server.connections(), 1u);
}

TEST(Streams, AnErrorFailsItsRequestAndNoOther) {
  StreamServer server([](uint64_t n) {
    return Reply{.responses = n % 10 == 3 ? 0 : 1, .error = n % 10 == 3 ? "bad tensor" : ""};
  });
  const run::Level level =
      Measure(server, {.plan = {.load = {.value = 4}}, .options = Exactly(1000)});
  EXPECT_EQ(level.succeeded, 900u);
  EXPECT_EQ(CountOf(level, "stream error"), 100u);
  EXPECT_EQ(level.outcomes[0].example, "bad tensor");
  EXPECT_EQ(server.streams(), 4u) << "the streams go on";
}

TEST(Streams, OneThatEndsTakesItsRequestsAlongAndIsOpenedAgain) {
  StreamServer server([](uint64_t n) { return Reply{.end_stream = n % 100 == 50}; });
  const run::Level level = Measure(
      server,
      {.streams = 2, .plan = {.load = {.value = 6}, .connections = 1}, .options = Exactly(1000)});
  EXPECT_EQ(level.scheduled, 1000u);
  EXPECT_EQ(level.scheduled, level.succeeded + level.failed);
  EXPECT_GE(CountOf(level, "gRPC UNAVAILABLE"), 10u);
  EXPECT_GE(server.streams(), 10u);
  EXPECT_EQ(server.connections(), 1u);
}

TEST(Streams, ARequestWithoutAnAnswerTimesOutAndItsSlotIsNotConfusedWithTheNext) {
  // The answer to request 50 comes behind that to request 51: after the former was given up.
  StreamServer server([](uint64_t n) { return Reply{.silence = n == 50}; });
  const run::Level level = Measure(
      server,
      {.streams = 1, .timeout = 100ms, .plan = {.load = {.value = 1}}, .options = Exactly(200)});
  EXPECT_EQ(CountOf(level, "timeout"), 1u);
  EXPECT_EQ(level.succeeded, 199u);
}

TEST(Streams, AnAnswerThatComesTooLateIsNobodys) {
  // Answers go out in pairs, so that the first waits for the second: it was given up long before.
  StreamServer server([](uint64_t) { return Reply(); }, 2);
  const run::Level level = Measure(
      server,
      {.streams = 1, .timeout = 50ms, .plan = {.load = {.value = 1}}, .options = Exactly(10)});
  EXPECT_EQ(CountOf(level, "timeout"), 5u);
  EXPECT_EQ(level.succeeded, 5u);
}

TEST(Decoupled, ARequestEndsWithItsFinalResponse) {
  for (const bool empty_final : {false, true}) {
    StreamServer server([&](uint64_t n) {
      return Reply{.responses = static_cast<int>(1 + n % 3), .empty_final = empty_final};
    });
    const run::Level level = Measure(
        server, {.decoupled = true, .plan = {.load = {.value = 4}}, .options = Exactly(300)});
    EXPECT_EQ(level.succeeded, 300u);
    ASSERT_TRUE(level.responses.has_value());
    EXPECT_EQ(level.responses->arrived, 600u);
    EXPECT_DOUBLE_EQ(level.responses->per_request.mean(), 2);
    EXPECT_EQ(level.responses->first.count(), 300u);
    EXPECT_EQ(level.responses->between.count(), 300u);
    EXPECT_EQ(level.responses->requests_without, 0u);
    EXPECT_LE(level.responses->first.Quantile(0.5), level.latency.histogram.Quantile(0.5));
  }
}

TEST(Decoupled, ARequestWithoutAnyResponseSucceedsAndHasNoFirstOne) {
  StreamServer server(
      [](uint64_t n) { return Reply{.responses = n % 4 == 0 ? 0 : 2, .empty_final = true}; });
  const run::Level level =
      Measure(server, {.decoupled = true, .plan = {.load = {.value = 2}}, .options = Exactly(400)});
  EXPECT_EQ(level.succeeded, 400u);
  EXPECT_EQ(level.responses->requests_without, 100u);
  EXPECT_EQ(level.responses->first.count(), 300u);
  EXPECT_EQ(level.responses->arrived, 600u);
}

TEST(Decoupled, AnErrorAmongTheResponsesFailsTheRequest) {
  StreamServer server([](uint64_t n) {
    return Reply{.responses = 2, .empty_final = true, .error = n % 2 == 0 ? "broke off" : ""};
  });
  const run::Level level =
      Measure(server, {.decoupled = true, .plan = {.load = {.value = 2}}, .options = Exactly(100)});
  EXPECT_EQ(level.succeeded, 50u);
  EXPECT_EQ(CountOf(level, "stream error"), 50u);
  EXPECT_EQ(level.responses->first.count(), 50u);
}

// Every sequence that the server saw is whole: begun once, ended once, nothing outside.
void ExpectWhole(StreamServer& server) {
  for (const auto& [id, flags] : server.sequences()) {
    if (flags == "B") continue;
    EXPECT_EQ(flags.front(), 'S') << id << ": " << flags;
    EXPECT_EQ(flags.back(), 'E') << id << ": " << flags;
    EXPECT_EQ(flags.find_first_not_of('m', 1), flags.size() - 1) << id << ": " << flags;
  }
}

struct Way {
  kserve::Protocol protocol;
  bool streaming;
};
class EveryWay : public ::testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Protocol, EveryWay,
                         ::testing::Values(Way{kserve::Protocol::kHttp, false},
                                           Way{kserve::Protocol::kGrpc, false},
                                           Way{kserve::Protocol::kGrpc, true}),
                         [](const auto& info) {
                           return std::string(kserve::ProtocolName(info.param.protocol)) +
                                  (info.param.streaming ? "_streams" : "");
                         });

TEST_P(EveryWay, ConcurrencyIsTheNumberOfSequencesAndEachIsWhole) {
  StreamServer server([](uint64_t) { return Reply(); });
  const auto plan = std::make_shared<SequencePlan>(SequencePlan{.length = 10, .variation = 20});
  const run::Level level = Measure(server, {.protocol = GetParam().protocol,
                                            .streaming = GetParam().streaming,
                                            .workers = 2,
                                            .sequences = plan,
                                            .plan = {.load = {.value = 5}},
                                            .options = Exactly(2003)});
  EXPECT_EQ(level.succeeded, 2003u);
  ASSERT_TRUE(level.sequences.has_value());
  EXPECT_NEAR(static_cast<double>(level.sequences->completed), 200, 12);
  EXPECT_EQ(level.sequences->abandoned, 0u);
  EXPECT_NEAR(level.sequences->requests.mean(), 10, 0.5);
  EXPECT_GT(level.sequences->latency.Quantile(0.5), level.latency.histogram.Quantile(0.5));
  ExpectWhole(server);
}

TEST_P(EveryWay, SerialSequencesOfAnOpenLoopAreWhole) {
  StreamServer server([](uint64_t) { return Reply(); });
  const auto plan = std::make_shared<SequencePlan>(SequencePlan{.length = 5, .variation = 0});
  MeasureOptions options;
  options.warmup = {.kind = WarmupRule::Kind::kTime, .time = 50ms};
  options.window = {.kind = WindowRule::Kind::kTime, .time = 500ms};
  const run::Level level =
      Measure(server, {.protocol = GetParam().protocol,
                       .streaming = GetParam().streaming,
                       .sequences = plan,
                       .plan = {.load = {.mode = run::LoadMode::kRequestRate, .value = 1000},
                                .sequences = 3,
                                .serial_sequences = true},
                       .options = options});
  EXPECT_NEAR(static_cast<double>(level.scheduled), 500, 5);
  EXPECT_EQ(level.scheduled, level.succeeded);
  EXPECT_LE(level.in_flight_max, 3);
  ExpectWhole(server);
}

TEST(SequencesOverStreams, AnOpenLoopThatDoesNotWaitKeepsTheOrderWithinASequence) {
  StreamServer server([](uint64_t) { return Reply(); }, 2);
  const auto plan = std::make_shared<SequencePlan>(SequencePlan{.length = 5, .variation = 0});
  MeasureOptions options;
  options.warmup = {.kind = WarmupRule::Kind::kRequests, .requests = 0};
  options.window = {.kind = WindowRule::Kind::kTime, .time = 500ms};
  const run::Level level = Measure(
      server,
      {.timeout = 500ms,
       .sequences = plan,
       .plan = {.load = {.mode = run::LoadMode::kRequestRate, .value = 1000}, .sequences = 3},
       .options = options});
  EXPECT_GT(level.succeeded, 450u);
  ExpectWhole(server);
}

TEST(SequencesOverStreams, AFailedRequestAbandonsItsSequence) {
  StreamServer server([](uint64_t n) {
    return Reply{.responses = n % 50 == 7 ? 0 : 1, .error = n % 50 == 7 ? "state lost" : ""};
  });
  const auto plan = std::make_shared<SequencePlan>(SequencePlan{.length = 10, .variation = 0});
  const run::Level level = Measure(
      server, {.sequences = plan, .plan = {.load = {.value = 3}}, .options = Exactly(1000)});
  EXPECT_EQ(level.failed, 20u);
  EXPECT_EQ(level.sequences->abandoned, 20u);
  EXPECT_GT(level.sequences->completed, 70u);
}

}  // namespace
}  // namespace sextant::load
