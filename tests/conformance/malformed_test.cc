// A real `sextant serve` under requests that are wrong in every way: each gets its error, and
// afterwards the server answers as before.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>

#include "base/random.h"
#include "base/strings.h"
#include "net/compress.h"
#include "net/grpc.h"
#include "serve_process.h"

namespace sextant::conformance {
namespace {

using net::FrameType;
using net::Http2Error;
using net::kFlagAck;
using net::kFlagEndHeaders;
using net::kFlagEndStream;
using net::kFlagPadded;
using net::kFlagPriority;

class Malformed : public ::testing::Test {
 protected:
  Malformed() : serve_({{"plain", EchoModel("plain", "0us")}}) {}
  void TearDown() override {
    EXPECT_EQ(serve_.GoodHttp(), "");
    EXPECT_EQ(serve_.GoodGrpc(), "");
    EXPECT_EQ(serve_.Stop(20s), 0) << serve_.process().err();
  }
  ServeProcess serve_;
};

// HTTP

struct HttpCase {
  std::string name, bytes;
  int status;
};

std::string Json(std::string_view name, std::string_view type, std::string_view shape,
                 std::string_view data) {
  return Format(R"({{"inputs":[{{"name":"{}","datatype":"{}","shape":{},"data":{}}}]}})", name,
                type, shape, data);
}

// Requests that are HTTP but no inference.
std::vector<HttpCase> BadRequests() {
  const auto post = [](std::string_view body, std::string_view fields = "") {
    return HttpPost(kInferPath, body, fields);
  };
  const std::string good(kGoodJson);
  const std::string header =
      R"({"inputs":[{"name":"X","datatype":"INT32","shape":[4],"parameters":{"binary_data_size":16}}]})";
  const auto binary = [&](size_t length, size_t bytes) {
    return post(header + std::string(bytes, 'x'),
                Format("Inference-Header-Content-Length: {}\r\n", length));
  };
  return {
      {"no JSON", post("{nonsense"), 500},
      {"JSON cut off", post(good.substr(0, good.size() - 9)), 500},
      {"JSON nested without end", post(std::string(100'000, '[')), 500},
      {"objects nested without end", post(std::string(50'000, '{')), 500},
      {"JSON with a NUL", post(std::string("{\"inputs\":\0}", 12)), 500},
      {"text that is not UTF-8", post("{\"id\":\"\xff\xfe\",\"inputs\":[]}"), 500},
      {"wrong shape", post(Json("X", "INT32", "[5]", "[1,2,3,4,5]")), 400},
      {"negative shape", post(Json("X", "INT32", "[-4]", "[1,2,3,4]")), 500},
      {"shape beyond all memory",
       post(Json("X", "INT32", "[4611686018427387904,4611686018427387904]", "[1]")), 400},
      {"wrong datatype", post(Json("X", "FP32", "[4]", "[1,2,3,4]")), 400},
      {"unknown datatype", post(Json("X", "INT31", "[4]", "[1,2,3,4]")), 400},
      {"wrong name", post(Json("Z", "INT32", "[4]", "[1,2,3,4]")), 400},
      {"wrong size", post(Json("X", "INT32", "[4]", "[1,2,3]")), 500},
      {"a number beyond its type", post(Json("X", "INT32", "[4]", "[1,2,3,99999999999]")), 500},
      {"a number beyond all types", post(Json("X", "INT32", "[4]", "[1,2,3,1e999]")), 500},
      {"binary data shorter than it says", binary(header.size(), 15), 400},
      {"binary data longer than it says", binary(header.size(), 17), 400},
      {"a JSON length beyond the body", binary(1 << 20, 16), 400},
      {"a JSON length within the JSON", binary(header.size() - 3, 16), 500},
      {"a JSON length that is none", post(good, "Inference-Header-Content-Length: -1\r\n"), 400},
      {"not gzip", post(good, "Content-Encoding: gzip\r\n"), 500},
      {"gzip cut off",
       post(net::Compress(net::Compression::kGzip, good).substr(0, 30),
            "Content-Encoding: gzip\r\n"),
       500},
      {"an unknown encoding", post(good, "Content-Encoding: rot13\r\n"), 501},
      {"an unknown model", HttpPost("/v2/models/nosuch/infer", good), 404},
      {"a path with a broken escape", HttpPost("/v2/models/%zz/infer", good), 404},
      {"a path that leads out", HttpPost("/v2/models/../infer", good), 404},
      {"an unknown path", HttpPost("/nosuch", good), 404},
      {"a wrong method", "DELETE /v2/models/plain/infer HTTP/1.1\r\nHost: t\r\n\r\n", 405},
  };
}

// What is not HTTP, after which the connection ends.
std::vector<HttpCase> BadHttp() {
  const auto head = [](std::string_view fields) {
    return Format("POST {} HTTP/1.1\r\nHost: t\r\n{}\r\n", kInferPath, fields);
  };
  return {
      {"no request line", "nonsense\r\n\r\n", 400},
      {"binary garbage", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 13), 400},
      {"an unknown version", "GET /v2 HTTP/3.0\r\nHost: t\r\n\r\n", 400},
      {"no Host", "GET /v2 HTTP/1.1\r\n\r\n", 400},
      {"a space before the colon", head("Content-Length : 5\r\n"), 400},
      {"a folded line", head("A: b\r\n c\r\n"), 400},
      {"a control byte", head(std::string_view("A: b\0c\r\n", 8)), 400},
      {"two lengths", head("Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
      {"length and chunks", head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"a negative length", head("Content-Length: -5\r\n"), 400},
      {"a length beyond 64 bits", head("Content-Length: 99999999999999999999999\r\n"), 400},
      {"an unknown transfer encoding", head("Transfer-Encoding: gzip\r\n"), 400},
      {"a chunk size that is none", head("Transfer-Encoding: chunked\r\n") + "xyz\r\n", 400},
      {"a chunk beyond 64 bits", head("Transfer-Encoding: chunked\r\n") + "fffffffffffffffff\r\n",
       400},
      {"a chunk without its end", head("Transfer-Encoding: chunked\r\n") + "3\r\nabcdef\r\n", 400},
      {"an oversized body", head("Content-Length: 4000000000\r\n"), 413},
      {"an oversized header", head("A: " + std::string(70'000, 'x') + "\r\n"), 431},
      {"a header line without end", head("").substr(0, 40) + std::string(70'000, 'x'), 431},
      {"an oversized request line", "GET /" + std::string(70'000, 'x') + " HTTP/1.1\r\n\r\n", 431},
      {"many small header lines",
       [&] {
         std::string lines;
         for (int i = 0; i < 9000; ++i) lines += "A: bbbbb\r\n";
         return head(lines);
       }(),
       431},
  };
}

TEST_F(Malformed, EveryBadHttpRequestGetsItsStatusAndTheConnectionGoesOn) {
  Connection connection(serve_.http_port());
  for (const HttpCase& c : BadRequests()) {
    ASSERT_TRUE(connection.Send(c.bytes)) << c.name;
    const HttpText answer = TakeHttp(connection);
    EXPECT_EQ(answer.status, c.status) << c.name << ": " << answer.body;
    EXPECT_NE(answer.body.find("\"error\":\""), std::string::npos) << c.name << ": " << answer.body;
    ASSERT_TRUE(connection.Send(HttpPost(kInferPath, kGoodJson))) << c.name;
    EXPECT_EQ(TakeHttp(connection).status, 200) << "after " << c.name;
  }
}

TEST_F(Malformed, WhatIsNotHttpGetsAnErrorAndTheConnectionEnds) {
  for (const HttpCase& c : BadHttp()) {
    Connection connection(serve_.http_port());
    connection.Send(c.bytes);
    const HttpText answer = TakeHttp(connection);
    EXPECT_EQ(answer.status, c.status) << c.name << ": " << answer.body;
    connection.EndSending();
    EXPECT_TRUE(connection.ReceiveAll()) << c.name;
  }
}

TEST_F(Malformed, RequestsCutOffAtEveryByteHarmNobody) {
  const std::string whole = HttpPost(kInferPath, kGoodJson);
  for (size_t n = 0; n < whole.size(); ++n) {
    Connection connection(serve_.http_port());
    ASSERT_TRUE(connection.Send(whole.substr(0, n)));
    connection.EndSending();
    EXPECT_TRUE(connection.ReceiveAll()) << n;
    EXPECT_EQ(connection.in, "") << n;
  }
}

TEST_F(Malformed, AMetricsPortIsAsRobust) {
  for (const HttpCase& c : BadHttp()) {
    Connection connection(serve_.metrics_port());
    connection.Send(c.bytes);
    EXPECT_EQ(TakeHttp(connection).status, c.status) << c.name;
  }
}

// HTTP/2

struct Http2Case {
  std::string name, bytes;  // after preface and settings
  Http2Error code;
};

std::vector<Http2Case> BadFrames() {
  const std::string call = Frame(FrameType::kHeaders, kFlagEndHeaders, 1, CallHeaders());
  const std::string four(4, '\0'), five(5, '\0'), eight(8, '\0');
  const auto setting = [](uint16_t id, uint32_t value) {
    std::string out(6, '\0');
    out[0] = static_cast<char>(id >> 8);
    out[1] = static_cast<char>(id);
    net::WriteBigEndian32(out.data() + 2, value);
    return Frame(FrameType::kSettings, 0, 0, out);
  };
  const auto window = [](uint32_t stream, uint32_t increment) {
    std::string out(4, '\0');
    net::WriteBigEndian32(out.data(), increment);
    return Frame(FrameType::kWindowUpdate, 0, stream, out);
  };
  const std::string cut_integer = "\xff\xff\xff\xff\xff\xff\xff\xff";
  return {
      {"DATA without a stream", Frame(FrameType::kData, 0, 0, "x"), Http2Error::kProtocolError},
      {"DATA on a stream never opened", Frame(FrameType::kData, 0, 5, "x"),
       Http2Error::kProtocolError},
      {"DATA with more padding than bytes", call + Frame(FrameType::kData, kFlagPadded, 1, "\x09x"),
       Http2Error::kProtocolError},
      {"DATA padded without a length", call + Frame(FrameType::kData, kFlagPadded, 1, ""),
       Http2Error::kFrameSizeError},
      {"HEADERS without a stream", Frame(FrameType::kHeaders, kFlagEndHeaders, 0, CallHeaders()),
       Http2Error::kProtocolError},
      {"HEADERS on an even stream", Frame(FrameType::kHeaders, kFlagEndHeaders, 2, CallHeaders()),
       Http2Error::kProtocolError},
      {"HEADERS too short for a priority",
       Frame(FrameType::kHeaders, kFlagEndHeaders | kFlagPriority, 1, "abc"),
       Http2Error::kFrameSizeError},
      {"HEADERS that cannot be decoded",
       Frame(FrameType::kHeaders, kFlagEndHeaders, 1, cut_integer), Http2Error::kCompressionError},
      {"HEADERS that expand without end",
       [] {
         std::string block;
         net::AppendHpackField(block, 0, "a", std::string(4000, 'x'), true);
         for (int i = 0; i < 100; ++i) net::AppendHpackIndexed(block, 62);
         return Frame(FrameType::kHeaders, kFlagEndHeaders, 1, block);
       }(),
       Http2Error::kCompressionError},
      {"a second HEADERS within a call", call + Frame(FrameType::kHeaders, kFlagEndHeaders, 1, ""),
       Http2Error::kProtocolError},
      {"HEADERS interrupted",
       Frame(FrameType::kHeaders, 0, 1, CallHeaders()) + Frame(FrameType::kPing, 0, 0, eight),
       Http2Error::kProtocolError},
      {"CONTINUATION without HEADERS",
       Frame(FrameType::kContinuation, kFlagEndHeaders, 1, CallHeaders()),
       Http2Error::kProtocolError},
      {"CONTINUATION of another stream",
       Frame(FrameType::kHeaders, 0, 1, CallHeaders()) +
           Frame(FrameType::kContinuation, kFlagEndHeaders, 3, ""),
       Http2Error::kProtocolError},
      {"CONTINUATION without end",
       [] {
         std::string out = Frame(FrameType::kHeaders, 0, 1, CallHeaders());
         for (int i = 0; i < 40; ++i)
           out += Frame(FrameType::kContinuation, 0, 1, std::string(16'000, 'x'));
         return out;
       }(),
       Http2Error::kEnhanceYourCalm},
      {"PRIORITY of the wrong size", Frame(FrameType::kPriority, 0, 1, four),
       Http2Error::kFrameSizeError},
      {"PRIORITY without a stream", Frame(FrameType::kPriority, 0, 0, five),
       Http2Error::kProtocolError},
      {"RST_STREAM of the wrong size", call + Frame(FrameType::kRstStream, 0, 1, five),
       Http2Error::kFrameSizeError},
      {"RST_STREAM without a stream", Frame(FrameType::kRstStream, 0, 0, four),
       Http2Error::kProtocolError},
      {"RST_STREAM of a stream never opened", Frame(FrameType::kRstStream, 0, 7, four),
       Http2Error::kProtocolError},
      {"SETTINGS on a stream", Frame(FrameType::kSettings, 0, 1, ""), Http2Error::kProtocolError},
      {"SETTINGS of the wrong size", Frame(FrameType::kSettings, 0, 0, five),
       Http2Error::kFrameSizeError},
      {"SETTINGS acknowledged with a payload", Frame(FrameType::kSettings, kFlagAck, 0, "123456"),
       Http2Error::kFrameSizeError},
      {"ENABLE_PUSH of two", setting(2, 2), Http2Error::kProtocolError},
      {"an initial window beyond 2^31", setting(4, 0x80000000), Http2Error::kFlowControlError},
      {"frames smaller than allowed", setting(5, 100), Http2Error::kProtocolError},
      {"frames larger than allowed", setting(5, 0x01000000), Http2Error::kProtocolError},
      {"PUSH_PROMISE", Frame(FrameType::kPushPromise, kFlagEndHeaders, 1, four + CallHeaders()),
       Http2Error::kProtocolError},
      {"PING of the wrong size", Frame(FrameType::kPing, 0, 0, five), Http2Error::kFrameSizeError},
      {"PING on a stream", Frame(FrameType::kPing, 0, 1, eight), Http2Error::kProtocolError},
      {"GOAWAY of the wrong size", Frame(FrameType::kGoaway, 0, 0, four),
       Http2Error::kFrameSizeError},
      {"GOAWAY on a stream", Frame(FrameType::kGoaway, 0, 1, eight), Http2Error::kProtocolError},
      {"WINDOW_UPDATE of the wrong size", Frame(FrameType::kWindowUpdate, 0, 0, five),
       Http2Error::kFrameSizeError},
      {"WINDOW_UPDATE by nothing", window(0, 0), Http2Error::kProtocolError},
      {"WINDOW_UPDATE of a stream never opened", window(9, 1), Http2Error::kProtocolError},
      {"a window beyond 2^31", window(0, 0x7fffffff), Http2Error::kFlowControlError},
      {"a stream's window beyond 2^31", call + window(1, 0x7fffffff),
       Http2Error::kFlowControlError},
      {"a stream's window beyond 2^31 by settings",
       call + window(1, 0x7fff0000) + setting(4, 0x7fffffff), Http2Error::kFlowControlError},
      {"a frame that is too large",
       [] {
         std::string out(net::kFrameHeaderBytes, '\0');
         net::WriteFrameHeader(out.data(), 0xffffff, FrameType::kData, 0, 1);
         return out;
       }(),
       Http2Error::kFrameSizeError},
  };
}

TEST_F(Malformed, EveryBadFrameEndsItsConnectionWithItsError) {
  for (const Http2Case& c : BadFrames()) {
    Connection connection(serve_.grpc_port());
    connection.Send(Http2Begin() + c.bytes);
    EXPECT_TRUE(connection.ReceiveAll()) << c.name;
    const Http2Outcome outcome = ReadHttp2(connection.in);
    EXPECT_TRUE(outcome.goaway) << c.name;
    EXPECT_EQ(net::Http2ErrorName(outcome.goaway_code),
              net::Http2ErrorName(static_cast<uint32_t>(c.code)))
        << c.name;
  }
}

TEST_F(Malformed, WhatDoesNotBeginAsHttp2Ends) {
  const std::string preface(net::kHttp2Preface);
  for (const std::string& bytes :
       {HttpPost(kInferPath, kGoodJson), std::string("PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n"),
        std::string(100, '\0'), preface + Frame(FrameType::kPing, 0, 0, "12345678"),
        preface + Frame(FrameType::kHeaders, kFlagEndHeaders, 1, CallHeaders()),
        preface + HttpPost(kInferPath, kGoodJson)}) {
    Connection connection(serve_.grpc_port());
    connection.Send(bytes);
    EXPECT_TRUE(connection.ReceiveAll()) << Printable(bytes, 60);
    EXPECT_TRUE(ReadHttp2(connection.in).goaway) << Printable(bytes, 60);
  }
}

TEST_F(Malformed, FramesOfUnknownTypesAndFlagsAreIgnored) {
  Connection connection(serve_.grpc_port());
  std::string bytes = Http2Begin();
  for (int type = 10; type < 256; ++type)
    bytes += Frame(static_cast<FrameType>(type), 0xff, type % 3 == 0 ? 0 : 1, "whatever");
  bytes += Frame(FrameType::kHeaders, kFlagEndHeaders | 0xc0, 1, CallHeaders());
  bytes += Frame(FrameType::kData, kFlagEndStream | 0xf0, 1, Prefixed(GoodGrpcMessage()));
  ASSERT_TRUE(connection.Send(bytes));
  while (!ReadHttp2(connection.in).stream_ended && connection.Receive()) {
  }
  EXPECT_EQ(ReadHttp2(connection.in).grpc_status, "0");
}

TEST_F(Malformed, FloodsOfControlFramesEndTheConnection) {
  const auto flooded = [&](const std::string& frame) {
    Connection connection(serve_.grpc_port());
    connection.Send(Http2Begin());
    std::string many;
    for (int i = 0; i < 1000; ++i) many += frame;
    // Nothing is read meanwhile; the server must not collect its answers without end.
    for (int i = 0; i < 2000; ++i) {
      if (!connection.Send(many)) return true;
    }
    return false;
  };
  EXPECT_TRUE(flooded(Frame(FrameType::kPing, 0, 0, "12345678"))) << "PING";
  EXPECT_TRUE(flooded(Frame(FrameType::kSettings, 0, 0, ""))) << "SETTINGS";
}

TEST_F(Malformed, RapidResetsEndTheConnection) {
  Connection connection(serve_.grpc_port());
  ASSERT_TRUE(connection.Send(Http2Begin()));
  bool ended = false;
  for (uint32_t stream = 1; stream < 200'000 && !ended; stream += 2) {
    ended = !connection.Send(Frame(FrameType::kHeaders, kFlagEndHeaders, stream, CallHeaders()) +
                             Frame(FrameType::kRstStream, 0, stream, std::string("\0\0\0\x08", 4)));
  }
  EXPECT_TRUE(ended);
}

// gRPC

struct CallCase {
  std::string name, headers, data;
  std::string grpc_status, http_status = "200";
};

std::vector<CallCase> BadCalls() {
  const std::string good = Prefixed(GoodGrpcMessage());
  const std::string headers = CallHeaders();
  std::string beyond = Prefixed("");
  beyond[1] = beyond[2] = beyond[3] = beyond[4] = '\xff';
  const auto gzip = [](std::string_view encoding) {
    return CallHeaders(kGrpcInferPath, "POST", "application/grpc", encoding);
  };
  std::string bomb = net::Compress(net::Compression::kGzip, GoodGrpcMessage());
  bomb.resize(bomb.size() / 2);
  return {
      {"no message", headers, "", "13"},
      {"a prefix cut off", headers, good.substr(0, 3), "13"},
      {"a message cut off", headers, good.substr(0, good.size() - 4), "13"},
      {"two messages", headers, good + good, "13"},
      {"a message beyond all limits", headers, beyond, "8"},
      {"garbage", headers, Prefixed("\xff\xff\xff\xff\xff\xff"), "13"},
      {"text", headers, Prefixed("hello, world"), "13"},
      {"an empty message", headers, Prefixed(""), "5"},
      {"an unknown model", headers, Prefixed(GoodGrpcMessage("nosuch")), "5"},
      {"compressed without an encoding", headers, Prefixed(GoodGrpcMessage(), true), "12"},
      {"an unknown encoding", gzip("rot13"), Prefixed(GoodGrpcMessage(), true), "12"},
      {"not gzip", gzip("gzip"), Prefixed("not gzip", true), "13"},
      {"gzip cut off", gzip("gzip"), Prefixed(bomb, true), "13"},
      {"an unknown method", CallHeaders("/inference.GRPCInferenceService/NoSuch"), good, "12"},
      {"an unknown service", CallHeaders("/no.such/ModelInfer"), good, "12"},
      {"an empty path", CallHeaders(""), good, "12"},
      {"a GET", CallHeaders(kGrpcInferPath, "GET"), good, "", "405"},
      {"JSON", CallHeaders(kGrpcInferPath, "POST", "application/json"), good, "", "415"},
      {"no content type", CallHeaders(kGrpcInferPath, "POST", ""), good, "", "415"},
  };
}

TEST_F(Malformed, EveryBadCallGetsItsStatusAndTheConnectionGoesOn) {
  for (const CallCase& c : BadCalls()) {
    Connection connection(serve_.grpc_port());
    ASSERT_TRUE(connection.Send(Http2Begin() +
                                Frame(FrameType::kHeaders, kFlagEndHeaders, 1, c.headers) +
                                Frame(FrameType::kData, kFlagEndStream, 1, c.data)));
    while (!ReadHttp2(connection.in).stream_ended && connection.Receive()) {
    }
    const Http2Outcome outcome = ReadHttp2(connection.in);
    EXPECT_EQ(outcome.grpc_status, c.grpc_status) << c.name << ": " << outcome.grpc_message;
    EXPECT_EQ(outcome.http_status, c.http_status) << c.name;
    EXPECT_FALSE(outcome.malformed || outcome.goaway) << c.name;
    // The same connection, the next call.
    connection.in.clear();
    ASSERT_TRUE(
        connection.Send(Frame(FrameType::kHeaders, kFlagEndHeaders, 3, CallHeaders()) +
                        Frame(FrameType::kData, kFlagEndStream, 3, Prefixed(GoodGrpcMessage()))));
    while (ReadHttp2(connection.in).grpc_status.empty() && connection.Receive()) {
    }
    EXPECT_EQ(ReadHttp2(connection.in).grpc_status, "0") << "after " << c.name;
  }
}

TEST_F(Malformed, ACallsEndIsItsEnd) {
  for (const std::string& more :
       {Frame(FrameType::kData, kFlagEndStream, 1, "more"),
        Frame(FrameType::kHeaders, kFlagEndHeaders | kFlagEndStream, 1, CallHeaders())}) {
    // The stream stays open on the server's side while its client does not let it answer.
    const std::string no_window("\0\4\0\0\0\0", 6);
    Connection connection(serve_.grpc_port());
    connection.Send(std::string(net::kHttp2Preface) + Frame(FrameType::kSettings, 0, 0, no_window) +
                    Frame(FrameType::kHeaders, kFlagEndHeaders, 1, CallHeaders()) +
                    Frame(FrameType::kData, kFlagEndStream, 1, Prefixed(GoodGrpcMessage())) + more);
    EXPECT_TRUE(connection.ReceiveAll());
    const Http2Outcome outcome = ReadHttp2(connection.in);
    EXPECT_TRUE(outcome.goaway);
    EXPECT_EQ(net::Http2ErrorName(outcome.goaway_code),
              net::Http2ErrorName(static_cast<uint32_t>(Http2Error::kStreamClosed)));
  }
}

// Slow senders

TEST_F(Malformed, OneByteAtATimeIsStillARequest) {
  Connection http(serve_.http_port());
  for (const char byte : HttpPost(kInferPath, kGoodJson))
    ASSERT_TRUE(http.Send(std::string_view(&byte, 1)));
  EXPECT_EQ(TakeHttp(http).status, 200);

  Connection grpc(serve_.grpc_port());
  for (const char byte :
       Http2Begin() + Frame(FrameType::kHeaders, kFlagEndHeaders, 1, CallHeaders()) +
           Frame(FrameType::kData, kFlagEndStream, 1, Prefixed(GoodGrpcMessage())))
    ASSERT_TRUE(grpc.Send(std::string_view(&byte, 1)));
  while (!ReadHttp2(grpc.in).stream_ended && grpc.Receive()) {
  }
  EXPECT_EQ(ReadHttp2(grpc.in).grpc_status, "0");
}

TEST_F(Malformed, SendersThatNeverFinishHoldNobodyUp) {
  const std::string request = HttpPost(kInferPath, kGoodJson);
  const std::string call = Http2Begin() +
                           Frame(FrameType::kHeaders, kFlagEndHeaders, 1, CallHeaders()) +
                           Frame(FrameType::kData, kFlagEndStream, 1, Prefixed(GoodGrpcMessage()));
  std::vector<std::unique_ptr<Connection>> open;
  for (size_t i = 0; i < 300; ++i) {
    open.push_back(std::make_unique<Connection>(serve_.http_port()));
    ASSERT_TRUE(open.back()->Send(request.substr(0, 1 + i % (request.size() - 2))));
    open.push_back(std::make_unique<Connection>(serve_.grpc_port()));
    ASSERT_TRUE(open.back()->Send(call.substr(0, 1 + i % (call.size() - 2))));
  }
  EXPECT_EQ(serve_.GoodHttp(), "");
  EXPECT_EQ(serve_.GoodGrpc(), "");
  // They are still there when the server is told to end; that is no reason not to.
}

// Shared memory

TEST_F(Malformed, ASharedMemoryObjectThatShrinksIsNoLongerUsed) {
  const std::string key = Format("/sextant_conformance_{}", getpid());
  const Fd object(shm_open(key.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(object.valid());
  ASSERT_EQ(ftruncate(object.get(), 8192), 0);
  Connection http(serve_.http_port());
  const auto post = [&](std::string_view path, std::string_view body) {
    EXPECT_TRUE(http.Send(HttpPost(path, body)));
    return TakeHttp(http).status;
  };
  EXPECT_EQ(post("/v2/systemsharedmemory/region/r/register",
                 Format(R"({{"key":"{}","byte_size":8192}})", key)),
            200);
  const std::string_view infer =
      R"({"inputs":[{"name":"X","datatype":"INT32","shape":[4],"parameters":{)"
      R"("shared_memory_region":"r","shared_memory_byte_size":16,"shared_memory_offset":4096}}]})";
  EXPECT_EQ(post(kInferPath, infer), 200);
  ASSERT_EQ(ftruncate(object.get(), 16), 0);
  EXPECT_EQ(post(kInferPath, infer), 400);
  shm_unlink(key.c_str());
}

// Very many

TEST_F(Malformed, TenThousandInARowGetTenThousandErrors) {
  const std::vector<HttpCase> requests = BadRequests(), http = BadHttp();
  const std::vector<CallCase> calls = BadCalls();
  Random random(7);
  auto kept = std::make_unique<Connection>(serve_.http_port());
  auto grpc = std::make_unique<Connection>(serve_.grpc_port());
  ASSERT_TRUE(grpc->Send(Http2Begin()));
  uint32_t stream = 1;
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t kind = random.Below(10);
    if (kind < 5) {
      const HttpCase& c = requests[random.Below(requests.size())];
      ASSERT_TRUE(kept->Send(c.bytes)) << c.name;
      ASSERT_EQ(TakeHttp(*kept).status, c.status) << c.name;
    } else if (kind < 6) {
      const HttpCase& c = http[random.Below(http.size())];
      Connection connection(serve_.http_port());
      connection.Send(c.bytes);
      ASSERT_EQ(TakeHttp(connection).status, c.status) << c.name;
    } else {
      const CallCase& c = calls[random.Below(calls.size())];
      grpc->in.clear();
      ASSERT_TRUE(grpc->Send(Frame(FrameType::kHeaders, kFlagEndHeaders, stream, c.headers) +
                             Frame(FrameType::kData, kFlagEndStream, stream, c.data)));
      stream += 2;
      Http2Outcome outcome;
      do {
        outcome = ReadHttp2(grpc->in);
      } while (outcome.grpc_status.empty() && outcome.http_status != "405" &&
               outcome.http_status != "415" && grpc->Receive());
      ASSERT_EQ(outcome.grpc_status, c.grpc_status) << c.name;
    }
  }
}

// Bytes of good requests, changed at random: whatever comes of it, it comes to an end.
TEST_F(Malformed, RandomChangesOfGoodRequestsHarmNobody) {
  const std::string http = HttpPost(kInferPath, kGoodJson);
  const std::string call = Http2Begin() +
                           Frame(FrameType::kHeaders, kFlagEndHeaders, 1, CallHeaders()) +
                           Frame(FrameType::kData, kFlagEndStream, 1, Prefixed(GoodGrpcMessage()));
  Random random(11);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = i % 2 == 0 ? http : call;
    const size_t from = i % 2 == 0 ? 0 : net::kHttp2Preface.size();
    for (uint64_t n = 1 + random.Below(4); n > 0; --n) {
      const size_t at = from + random.Below(bytes.size() - from);
      bytes[at] = static_cast<char>(random.Below(256));
    }
    Connection connection(i % 2 == 0 ? serve_.http_port() : serve_.grpc_port());
    connection.Send(bytes);
    connection.EndSending();
    ASSERT_TRUE(connection.ReceiveAll()) << Printable(bytes, 400);
  }
}

}  // namespace
}  // namespace sextant::conformance
