// What a real `sextant serve` does when it is told to end: requests in flight are answered, new
// connections are refused, the exit code is 0.
#include <gtest/gtest.h>

#include <charconv>
#include <future>

#include "base/strings.h"
#include "serve_process.h"

namespace sextant::conformance {
namespace {

// The model's requests that wait for its instance, from /metrics.
int Pending(const ServeProcess& serve, std::string_view model) {
  Connection connection(serve.metrics_port());
  connection.Send("GET /metrics HTTP/1.1\r\nHost: t\r\n\r\n");
  const std::string text = TakeHttp(connection).body;
  const std::string mark =
      Format("nv_inference_pending_request_count{{model=\"{}\",version=\"1\"}} ", model);
  const size_t at = text.find(mark);
  if (at == std::string::npos) return -1;
  int out = -1;
  std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), out);
  return out;
}

void WaitForPending(const ServeProcess& serve, std::string_view model, int count) {
  const Instant deadline = SteadyNow() + 20s;
  int pending = 0;
  do {
    pending = Pending(serve, model);
  } while (pending != count && SteadyNow() < deadline);
  ASSERT_EQ(pending, count);
}

// Connects until nobody answers there any more.
bool BecomesRefused(int port) {
  const Instant deadline = SteadyNow() + 20s;
  while (SteadyNow() < deadline) {
    if (!Connection(port).connected()) return true;
  }
  return false;
}

TEST(Drain, RequestsInFlightAreAnsweredAndNewConnectionsAreRefused) {
  ServeProcess serve({{"slow", EchoModel("slow", "fixed(150ms)")}});
  std::vector<std::future<std::string>> answers;
  constexpr int kEach = 5;
  for (int i = 0; i < kEach; ++i) {
    answers.push_back(std::async(std::launch::async, [&] { return serve.GoodHttp("slow"); }));
    answers.push_back(std::async(std::launch::async, [&] { return serve.GoodGrpc("slow"); }));
  }
  ASSERT_NO_FATAL_FAILURE(WaitForPending(serve, "slow", 2 * kEach - 1));  // the other one executes
  serve.process().Signal(SIGTERM);
  EXPECT_TRUE(BecomesRefused(serve.http_port()));
  EXPECT_TRUE(BecomesRefused(serve.grpc_port()));
  EXPECT_TRUE(BecomesRefused(serve.metrics_port()));
  // So there is still work in progress now: the first requests alone take longer than this.
  for (auto& answer : answers) EXPECT_EQ(answer.get(), "");
  EXPECT_EQ(serve.process().Wait(20s), 0) << serve.process().err();
}

TEST(Drain, OpenStreamsGetTheirLastAnswers) {
  ServeProcess serve({{"slow", EchoModel("slow", "fixed(150ms)")}});
  Connection stream(serve.grpc_port());
  std::string bytes =
      Http2Begin() + Frame(net::FrameType::kHeaders, net::kFlagEndHeaders, 1,
                           CallHeaders("/inference.GRPCInferenceService/ModelStreamInfer"));
  for (int i = 0; i < 3; ++i)
    bytes += Frame(net::FrameType::kData, i == 2 ? net::kFlagEndStream : 0, 1,
                   Prefixed(GoodGrpcMessage("slow")));
  ASSERT_TRUE(stream.Send(bytes));
  ASSERT_NO_FATAL_FAILURE(WaitForPending(serve, "slow", 2));
  serve.process().Signal(SIGTERM);
  while (!ReadHttp2(stream.in).stream_ended && stream.Receive()) {
  }
  const Http2Outcome outcome = ReadHttp2(stream.in);
  EXPECT_EQ(outcome.grpc_status, "0");
  EXPECT_TRUE(outcome.goaway);
  size_t answers = 0;
  for (size_t at = 0; (at = stream.in.find("triton_final_response", at)) != std::string::npos; ++at)
    ++answers;
  EXPECT_EQ(answers, 3u);
  EXPECT_EQ(serve.process().Wait(20s), 0) << serve.process().err();
}

TEST(Drain, WhatTakesTooLongGetsAnErrorAndTheServerEnds) {
  ServeProcess serve({{"endless", EchoModel("endless", "fixed(600s)")}}, {"--exit-timeout-secs=1"});
  Connection http(serve.http_port());
  ASSERT_TRUE(http.Send(HttpPost("/v2/models/endless/infer", kGoodJson)));
  auto grpc = std::async(std::launch::async, [&] { return serve.GoodGrpc("endless"); });
  ASSERT_NO_FATAL_FAILURE(WaitForPending(serve, "endless", 1));
  const Instant begin = SteadyNow();
  EXPECT_EQ(serve.Stop(30s), 0) << serve.process().err();
  EXPECT_GE(SteadyNow() - begin, Nanos(1s));
  EXPECT_EQ(TakeHttp(http).status, 503);
  const std::string answer = grpc.get();
  EXPECT_NE(answer.find("status 14"), std::string::npos) << answer;
}

TEST(Drain, IdleAndHalfSentConnectionsDoNotHoldItUp) {
  ServeProcess serve({{"plain", EchoModel("plain", "0us")}});
  Connection idle(serve.http_port()), half(serve.http_port()), h2(serve.grpc_port());
  ASSERT_TRUE(idle.Send(HttpPost(kInferPath, kGoodJson)));
  EXPECT_EQ(TakeHttp(idle).status, 200);
  ASSERT_TRUE(half.Send("POST /v2/models/plain/infer HTTP/1.1\r\nHost"));
  ASSERT_TRUE(h2.Send(Http2Begin()));
  ASSERT_TRUE(h2.Receive());
  EXPECT_EQ(serve.Stop(10s), 0) << serve.process().err();
  EXPECT_TRUE(h2.ReceiveAll());
  EXPECT_TRUE(ReadHttp2(h2.in).goaway);
}

TEST(Drain, SigintEndsItToo) {
  ServeProcess serve({{"plain", EchoModel("plain", "0us")}});
  EXPECT_EQ(serve.GoodHttp(), "");
  serve.process().Signal(SIGINT);
  EXPECT_EQ(serve.process().Wait(20s), 0) << serve.process().err();
}

}  // namespace
}  // namespace sextant::conformance
