// Clients and servers of this folder against each other, and against peers that misbehave.
#include <gtest/gtest.h>
#include <poll.h>

#include <functional>
#include <map>
#include <thread>

#include "base/strings.h"
#include "net/grpc_client.h"
#include "net/grpc_server.h"
#include "net/http_client.h"
#include "net/http_server.h"

namespace sextant::net {
namespace {

Address Loopback() { return (*Resolve({"127.0.0.1", 0}))[0]; }

// Answers with the body it got; "/slow" from another thread, "/drop" not at all.
class Echo final : public HttpHandler {
 public:
  ~Echo() override {
    for (std::thread& t : threads_) t.join();
  }
  void OnRequest(const HttpRequest& request, HttpReply reply) override {
    HttpAnswer answer{.fields = Format("X-Path: {}\r\n", request.path),
                      .body = std::string(request.body)};
    if (request.path == "/drop") return;
    if (request.path == "/slow") {
      threads_.emplace_back(
          [reply = std::move(reply), answer]() mutable { reply.Send(std::move(answer)); });
      return;
    }
    reply.Send(std::move(answer));
  }

 private:
  std::vector<std::thread> threads_;
};

class HttpLoopback : public ::testing::Test {
 protected:
  HttpLoopback()
      : threads_(*IoThreads::Start(2, "test")),
        server_(*HttpServer::Start(*threads_, Loopback(), echo_, {.max_body_bytes = 8 << 20})) {}

  // Sends raw bytes in pieces of n and returns everything until the server closes or is silent.
  std::string Raw(std::string_view bytes, size_t n = 1 << 20, bool half_close = false) {
    Result<Socket> socket = Socket::Connect(server_->address());
    pollfd wait{socket->fd(), POLLOUT, 0};
    poll(&wait, 1, 1000);
    std::string out;
    char buffer[65536];
    const auto read = [&](int timeout) {
      pollfd ready{socket->fd(), POLLIN, 0};
      if (poll(&ready, 1, timeout) <= 0) return false;
      const IoResult r = socket->Read(buffer, sizeof buffer);
      out.append(buffer, r.bytes);
      return !r.closed && r.error == 0;
    };
    while (!bytes.empty()) {
      const IoResult r = socket->Write(bytes.data(), std::min(n, bytes.size()));
      if (r.error != 0) break;
      bytes.remove_prefix(r.bytes);
      pollfd ready{socket->fd(), POLLIN | POLLOUT, 0};
      if (r.would_block && poll(&ready, 1, 1000) <= 0) break;  // nobody reads any more
      if ((ready.revents & POLLIN) != 0 && !read(0)) break;
    }
    if (half_close) shutdown(socket->fd(), SHUT_WR);
    while (read(half_close ? 10'000 : 300)) {
    }
    return out;
  }

  Echo echo_;
  std::unique_ptr<IoThreads> threads_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpLoopback, PipelinedRequestsAreAnsweredInOrder) {
  const std::string out =
      Raw("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\noneGET /two "
          "HTTP/1.1\r\nHost: a\r\n\r\n"
          "POST /three HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: "
          "chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
  const size_t one = out.find("X-Path: /slow"), two = out.find("X-Path: /two"),
               three = out.find("X-Path: /three");
  ASSERT_NE(three, std::string::npos) << out;
  EXPECT_LT(one, two);
  EXPECT_LT(two, three);
  EXPECT_TRUE(out.ends_with("Connection: close\r\n\r\nab")) << out;
}

TEST_F(HttpLoopback, RequestsInPiecesOfOneByte) {
  const std::string out =
      Raw("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 1);
  EXPECT_TRUE(out.ends_with("\r\n\r\nhello")) << out;
}

TEST_F(HttpLoopback, MalformedRequestsGetAnErrorEach) {
  EXPECT_TRUE(Raw("NONSENSE\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(Raw("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 ")) << "no Host";
  EXPECT_TRUE(Raw("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n")
                  .starts_with("HTTP/1.1 431 "));
  EXPECT_TRUE(Raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
                  .starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(Raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
                  .starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(Raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel", 100, true), "")
      << "truncated and gone";
  EXPECT_TRUE(
      Raw("POST /drop HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
          .starts_with("HTTP/1.1 500 "));
}

TEST_F(HttpLoopback, ALargeAnswerReachesAPeerThatHasClosedItsSide) {
  const std::string body(6 << 20, 'b');
  const std::string out =
      Raw(Format("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}", body.size(), body),
          1 << 20, /*half_close=*/true);
  EXPECT_GT(out.size(), body.size());
  EXPECT_TRUE(out.ends_with("bbb"));
}

TEST_F(HttpLoopback, ContinueIsSentWhenAskedFor) {
  const std::string out =
      Raw("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", 100);
  EXPECT_EQ(out, "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_F(HttpLoopback, HeadHasNoBody) {
  const std::string out =
      Raw("HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_TRUE(out.ends_with("\r\n\r\n")) << out;
  EXPECT_NE(out.find("Content-Length: 2"), std::string::npos);
}

// What happened on a client connection, in words.
class Recorder : public HttpClientListener {
 public:
  void OnHttpConnected(HttpClientConnection&) override { events.push_back("connected"); }
  void OnHttpResponse(HttpClientConnection& connection, const HttpResponse& response) override {
    events.push_back(
        Format("{} {} '{}'", response.status, response.body_bytes, response.body.substr(0, 20)));
    if (on_response) on_response(connection);
  }
  void OnHttpClosed(HttpClientConnection&, FailureKind kind, std::string_view reason,
                    bool awaiting) override {
    events.push_back(Format("closed {}{}", FailureKindName(kind), awaiting ? " awaiting" : ""));
    last_reason = reason;
  }
  std::vector<std::string> events;
  std::string last_reason;
  std::function<void(HttpClientConnection&)> on_response;
};

// Accepts one connection and writes the given bytes in pieces once it has read something.
class ScriptedPeer {
 public:
  ScriptedPeer(std::string bytes, size_t piece, bool close_after)
      : fd_(*Listen(Loopback())), address_(*LocalAddress(fd_.get())) {
    thread_ = std::thread([this, bytes = std::move(bytes), piece, close_after] {
      pollfd ready{fd_.get(), POLLIN, 0};
      poll(&ready, 1, 5000);
      Fd connection(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      char buffer[65536];
      [[maybe_unused]] ssize_t n = recv(connection.get(), buffer, sizeof buffer, 0);
      for (size_t at = 0; at < bytes.size(); at += piece) {
        send(connection.get(), bytes.data() + at, std::min(piece, bytes.size() - at), MSG_NOSIGNAL);
        if (piece < 100) std::this_thread::yield();
      }
      if (!close_after) {
        pollfd gone{connection.get(), POLLIN | POLLRDHUP, 0};
        poll(&gone, 1, 2000);
      }
    });
  }
  ~ScriptedPeer() { thread_.join(); }
  const Address& address() const { return address_; }

 private:
  Fd fd_;
  Address address_;
  std::thread thread_;
};

std::vector<std::string> Exchange(std::string answer, size_t piece, bool close_after,
                                  std::string* reason = nullptr) {
  ScriptedPeer peer(std::move(answer), piece, close_after);
  const auto loop = *EventLoop::Create();
  Recorder recorder;
  TransferCounters counters;
  HttpClientConnection client(*loop, recorder, counters, 0);
  const std::string_view pieces[] = {"POST / HTTP/1.1\r\n", "Host: a\r\n\r\n"};
  Instant sent{};
  client.Connect(peer.address());
  client.Send(pieces, true, &sent);
  const Instant deadline = SteadyNow() + 2s;
  while (recorder.events.empty() && SteadyNow() < deadline) loop->Turn(50ms);
  if (close_after) loop->Turn(100ms);
  if (reason != nullptr) *reason = recorder.last_reason;
  return recorder.events;
}

using Events = std::vector<std::string>;

TEST(HttpClient, AnswersInPiecesOfAnySize) {
  for (const size_t piece : {1u, 7u, 1000u}) {
    EXPECT_EQ(Exchange("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", piece, false),
              Events{"200 5 'hello'"})
        << piece;
    EXPECT_EQ(Exchange("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
                       "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                       piece, false),
              Events{"200 5 'abcde'"})
        << piece;
  }
}

TEST(HttpClient, ABodyMayEndWithTheConnection) {
  EXPECT_EQ(Exchange("HTTP/1.0 200 OK\r\n\r\nhello", 3, true),
            (Events{"200 5 'hello'", "closed reset"}));
}

TEST(HttpClient, FailuresHaveAClassAndAReason) {
  std::string reason;
  EXPECT_EQ(Exchange("HTTP/1.1 200 OK\r\nContent-Le", 100, true, &reason),
            Events{"closed reset awaiting"});
  EXPECT_EQ(reason, "the server closed the connection before it had answered");
  EXPECT_EQ(Exchange("220 smtp ready\r\n\r\n", 100, false, &reason),
            Events{"closed protocol awaiting"});
  EXPECT_NE(reason.find("220 smtp"), std::string::npos);
  EXPECT_EQ(
      Exchange("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nQ\r\n", 100, false, &reason),
      Events{"closed protocol awaiting"});
}

TEST(HttpClient, RefusedConnectionsAreReported) {
  Address nobody;
  {
    const Fd fd = *Listen(Loopback());
    nobody = *LocalAddress(fd.get());
  }
  const auto loop = *EventLoop::Create();
  Recorder recorder;
  TransferCounters counters;
  HttpClientConnection client(*loop, recorder, counters, 0);
  client.Connect(nobody);
  for (int i = 0; i < 20 && recorder.events.empty(); ++i) loop->Turn(50ms);
  EXPECT_EQ(recorder.events, Events{"closed connect"});
  EXPECT_EQ(recorder.last_reason, "Connection refused");
}

TEST_F(HttpLoopback, ClientAndServerExchangeLargeBodies) {
  const auto loop = *EventLoop::Create();
  Recorder recorder;
  TransferCounters counters;
  HttpClientConnection client(*loop, recorder, counters, 0);
  const std::string body(5 << 20, 'b');
  const std::string head =
      Format("POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.size());
  std::vector<std::string_view> pieces{head};
  for (size_t i = 0; i < 100; ++i)
    pieces.push_back(std::string_view(body).substr(
        i * body.size() / 100, (i + 1) * body.size() / 100 - i * body.size() / 100));
  Instant sent{};
  client.Connect(server_->address());
  client.Send(pieces, false, &sent);
  int left = 3;
  recorder.on_response = [&](HttpClientConnection& connection) {
    if (--left > 0) connection.Send(pieces, false, &sent);
  };
  const Instant deadline = SteadyNow() + 10s;
  while (left > 0 && SteadyNow() < deadline) loop->Turn(50ms);
  EXPECT_EQ(recorder.events, Events(3, Format("200 {} ''", body.size())));
  EXPECT_GT(counters.bytes_sent, 3 * body.size());
}

// Unary 1: echo; 2: fails with the message as text; stream 3: echoes each message, "bye" ends it.
class EchoService final : public GrpcService {
 public:
  GrpcMethodKind FindMethod(std::string_view path, uint32_t& method) override {
    method = path == "/s/Echo" ? 1 : path == "/s/Fail" ? 2 : path == "/s/Stream" ? 3 : 0;
    return method == 0   ? GrpcMethodKind::kUnknown
           : method == 3 ? GrpcMethodKind::kStream
                         : GrpcMethodKind::kUnary;
  }
  void OnUnary(uint32_t method, std::string_view message, const GrpcCall& call) override {
    if (method == 1) return call.Reply(std::string(message));
    call.Finish(GrpcStatus::kInvalidArgument, std::string(message));
  }
  void OnStreamMessage(uint32_t, std::string_view message, const GrpcCall& call) override {
    call.Write(std::string(message));
    if (message == "bye") call.Finish(GrpcStatus::kOk);
  }
  void OnStreamDone(uint32_t, const GrpcCall& call) override { call.Finish(GrpcStatus::kOk); }
  void OnStreamLost(uint32_t, const GrpcCall&) override { ++lost; }
  std::atomic<int> lost{0};
};

class GrpcRecorder final : public GrpcClientListener {
 public:
  void OnGrpcReady(GrpcClientConnection&) override { ready = true; }
  void OnGrpcResponse(GrpcClientConnection&, uint32_t token,
                      const GrpcResponse& response) override {
    responses[token] = Format("{} {} {}", GrpcStatusName(response.status), response.status_message,
                              response.message.size());
    last = response.message;
  }
  void OnGrpcMessage(GrpcClientConnection&, uint32_t token, std::string_view message,
                     Instant) override {
    messages.push_back(Format("{}:{}", token, message));
  }
  void OnGrpcClosed(GrpcClientConnection&, FailureKind kind, std::string_view reason,
                    std::span<const uint32_t> tokens) override {
    closed = Format("{}: {} ({})", FailureKindName(kind), reason, tokens.size());
  }
  bool ready = false;
  std::map<uint32_t, std::string> responses;
  std::vector<std::string> messages;
  std::string last, closed;
};

class GrpcLoopback : public ::testing::Test {
 protected:
  GrpcLoopback()
      : threads_(*IoThreads::Start(2, "test")),
        server_(
            *GrpcServer::Start(*threads_, Loopback(), service_, {.max_message_bytes = 16 << 20})),
        loop_(*EventLoop::Create()),
        client_(*loop_, recorder_, counters_, echo_, 0) {
    client_.Connect(server_->address());
    Until([&] { return recorder_.ready; });
  }
  void Until(const std::function<bool()>& done) {
    const Instant deadline = SteadyNow() + 10s;
    while (!done() && SteadyNow() < deadline) loop_->Turn(20ms);
    EXPECT_TRUE(done());
  }
  static std::string Framed(std::string_view message) {
    std::string out;
    AppendGrpcPrefix(out, static_cast<uint32_t>(message.size()));
    return out += message;
  }

  EchoService service_;
  std::unique_ptr<IoThreads> threads_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<EventLoop> loop_;
  GrpcRecorder recorder_;
  TransferCounters counters_;
  GrpcMethod echo_{.authority = "localhost", .path = "/s/Echo"};
  GrpcMethod fail_{.authority = "localhost", .path = "/s/Fail"};
  GrpcMethod stream_{.authority = "localhost", .path = "/s/Stream"};
  GrpcClientConnection client_;
};

TEST_F(GrpcLoopback, ManyCallsOnOneConnection) {
  const std::string request = Framed("hello");
  const std::string_view pieces[] = {request};
  std::vector<Instant> sent(1000);
  for (uint32_t i = 0; i < 1000; ++i) client_.Start(i, pieces, true, &sent[i]);
  Until([&] { return recorder_.responses.size() == 1000; });
  for (const auto& [token, text] : recorder_.responses) ASSERT_EQ(text, "OK  5") << token;
  EXPECT_GT(sent[999].time_since_epoch().count(), 0);
  EXPECT_EQ(client_.active_streams(), 0u);
}

TEST_F(GrpcLoopback, LargeMessagesPassFlowControlBothWays) {
  std::string body(9 << 20, 'x');
  for (size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i / 1000 % 26);
  const std::string prefix = Framed(body).substr(0, 5);
  const std::string_view pieces[] = {prefix, std::string_view(body).substr(0, 3),
                                     std::string_view(), std::string_view(body).substr(3)};
  Instant sent[4];
  for (uint32_t i = 0; i < 4; ++i) client_.Start(i, pieces, true, &sent[i]);
  Until([&] { return recorder_.responses.size() == 4; });
  EXPECT_EQ(recorder_.responses[3], Format("OK  {}", body.size()));
  EXPECT_EQ(recorder_.last, body);
}

TEST_F(GrpcLoopback, StatusAndTextOfFailures) {
  const std::string request = Framed("ünlucky\n");
  const std::string_view pieces[] = {request};
  Instant sent;
  client_.StartMethod(fail_, 1, pieces, true, &sent);
  const GrpcMethod unknown{.authority = "a", .path = "/s/None"};
  client_.StartMethod(unknown, 2, pieces, true, &sent);
  const std::string too_large = Framed(std::string(17 << 20, 'x'));
  const std::string_view large[] = {too_large};
  client_.Start(3, large, true, &sent);
  const std::string_view broken[] = {std::string_view(request).substr(0, 7)};
  client_.Start(4, broken, true, &sent);
  Until([&] { return recorder_.responses.size() == 4; });
  EXPECT_EQ(recorder_.responses[1], "INVALID_ARGUMENT ünlucky\n 0");
  EXPECT_EQ(recorder_.responses[2], "UNIMPLEMENTED unknown method /s/None 0");
  EXPECT_EQ(recorder_.responses[3],
            "RESOURCE_EXHAUSTED the message is larger than 16777216 bytes 0");
  EXPECT_EQ(recorder_.responses[4], "INTERNAL a unary call must send exactly one message 0");
}

TEST_F(GrpcLoopback, StreamsAreOrderedAndEndOnEitherSide) {
  const uint32_t first = client_.OpenStream(stream_, 1);
  const std::string a = Framed("a"), b = Framed("b"), bye = Framed("bye");
  const std::string_view two[] = {a, b};
  EXPECT_TRUE(client_.Write(first, two));
  client_.WritesDone(first);
  Until([&] { return recorder_.responses.contains(1); });
  EXPECT_EQ(recorder_.messages, (Events{"1:a", "1:b"}));
  const uint32_t second = client_.OpenStream(stream_, 2);
  const std::string_view end[] = {bye};
  client_.Write(second, end);
  Until([&] { return recorder_.responses.contains(2); });
  EXPECT_EQ(recorder_.responses[2], "OK  0");
  EXPECT_FALSE(client_.Write(second, end));
}

TEST_F(GrpcLoopback, ACancelledCallIsForgottenByBothSides) {
  const uint32_t stream = client_.OpenStream(stream_, 1);
  loop_->Turn(20ms);
  client_.Cancel(stream);
  Until([&] { return service_.lost == 1; });
  EXPECT_TRUE(recorder_.responses.empty());
  EXPECT_EQ(client_.active_streams(), 0u);
}

TEST_F(GrpcLoopback, CompressedMessagesAreRead) {
  GrpcMethod packed = echo_;
  packed.metadata.push_back({"grpc-encoding", "gzip"});
  // gzip of "hello" as produced by gzip -n.
  const std::string gz(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00"
      "\x00\x00",
      25);
  std::string request;
  AppendGrpcPrefix(request, static_cast<uint32_t>(gz.size()), true);
  request += gz;
  const std::string_view pieces[] = {request};
  Instant sent;
  client_.StartMethod(packed, 1, pieces, true, &sent);
  client_.Start(2, pieces, true, &sent);  // says nothing of its encoding
  Until([&] { return recorder_.responses.size() == 2; });
  EXPECT_EQ(recorder_.responses[1], "OK  5");
  EXPECT_TRUE(recorder_.responses[2].starts_with("UNIMPLEMENTED"));
}

TEST_F(GrpcLoopback, GoawayDrains) {
  server_->StopAccepting();
  Until([&] { return client_.draining(); });
  EXPECT_FALSE(client_.CanStart());
}

TEST_F(GrpcLoopback, TheEndOfTheServerTakesItsCallsAlong) {
  client_.OpenStream(stream_, 1);
  loop_->Turn(20ms);
  server_.reset();
  Until([&] { return !recorder_.closed.empty(); });
  EXPECT_TRUE(recorder_.closed.ends_with("(1)")) << recorder_.closed;
}

// Frames that no client should send; the connection ends with GOAWAY and the server goes on.
TEST_F(GrpcLoopback, BadFramesEndTheirConnectionOnly) {
  const std::string preface(kHttp2Preface);
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const std::vector<std::string> bad{
      "GET / HTTP/1.1\r\n\r\n",
      preface + std::string("\0\0\0\6\0\0\0\0\0", 9),                        // no SETTINGS first
      preface + std::string("\0\0\5\4\0\0\0\0\0abcde", 14),                  // SETTINGS of 5 bytes
      preface + settings + std::string("\xff\xff\xff\0\0\0\0\0\1", 9),       // a 16 MB frame
      preface + settings + std::string("\0\0\0\0\0\0\0\0\0", 9),             // DATA on stream 0
      preface + settings + std::string("\0\0\1\1\4\0\0\0\1\xff", 10),        // malformed HPACK
      preface + settings + std::string("\0\0\0\x09\0\0\0\0\1", 9),           // CONTINUATION alone
      preface + settings + std::string("\0\0\4\x08\0\0\0\0\0\0\0\0\0", 13),  // WINDOW_UPDATE by 0
      preface + settings +
          std::string("\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff", 13),       // window overflow
      preface + settings + std::string("\0\0\1\1\x0c\0\0\0\1\x05", 10),  // padding beyond payload
      preface + settings + std::string("\0\0\0\5\4\0\0\0\1", 9),         // PUSH_PROMISE
      preface + settings + std::string("\0\0\1\1\4\0\0\0\2\x83", 10),    // even stream
  };
  for (const std::string& bytes : bad) {
    Result<Socket> socket = Socket::Connect(server_->address());
    pollfd wait{socket->fd(), POLLOUT, 0};
    poll(&wait, 1, 1000);
    socket->Write(bytes.data(), bytes.size());
    bool closed = false;
    for (int i = 0; i < 20 && !closed; ++i) {
      pollfd ready{socket->fd(), POLLIN, 0};
      poll(&ready, 1, 500);
      char buffer[4096];
      const IoResult r = socket->Read(buffer, sizeof buffer);
      closed = r.closed || r.error != 0;
    }
    EXPECT_TRUE(closed) << Printable(bytes.substr(24));
  }
  const std::string request = Framed("still here");
  const std::string_view pieces[] = {request};
  Instant sent;
  client_.Start(1, pieces, true, &sent);
  Until([&] { return recorder_.responses.contains(1); });
  EXPECT_EQ(recorder_.responses[1], "OK  10");
}

// The time limits of both servers; that they are looked at once a second sets this test's duration.
TEST(SlowSenders, WhoDoesNotFinishInTimeIsEnded) {
  const auto threads = *IoThreads::Start(1, "test");
  Echo echo;
  EchoService service;
  const auto http = *HttpServer::Start(*threads, Loopback(), echo,
                                       {.head_timeout = 1ms, .body_idle_timeout = 1ms});
  const auto grpc = *GrpcServer::Start(*threads, Loopback(), service,
                                       {.begin_timeout = 1ms, .frame_timeout = 1ms});
  const std::string preface(kHttp2Preface);
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  struct Sender {
    Address to;
    std::string bytes, expected;
    Socket socket = {};
    std::string in = {};
    bool ended = false;
  };
  std::vector<Sender> senders;
  senders.push_back({http->address(), "GET / HT", "HTTP/1.1 408 "});
  senders.push_back({http->address(), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab",
                     "HTTP/1.1 408 "});
  senders.push_back({grpc->address(), "", "did not arrive in time"});
  senders.push_back({grpc->address(), preface.substr(0, 9), "did not arrive in time"});
  senders.push_back({grpc->address(), preface, "did not arrive in time"});
  senders.push_back(
      {grpc->address(), preface + settings + settings.substr(0, 4), "did not arrive in time"});
  for (Sender& s : senders) {
    s.socket = *Socket::Connect(s.to);
    pollfd wait{s.socket.fd(), POLLOUT, 0};
    ASSERT_EQ(poll(&wait, 1, 1000), 1);
    const iovec bytes{s.bytes.data(), s.bytes.size()};
    ASSERT_EQ(writev(s.socket.fd(), &bytes, 1), static_cast<ssize_t>(s.bytes.size()));
  }
  for (Sender& s : senders) {
    const Instant deadline = SteadyNow() + 10s;
    while (!s.ended && SteadyNow() < deadline) {
      pollfd wait{s.socket.fd(), POLLIN, 0};
      if (poll(&wait, 1, 1000) <= 0) continue;
      char buffer[4096];
      const IoResult r = s.socket.Read(buffer, sizeof buffer);
      s.in.append(buffer, r.bytes);
      s.ended = r.closed || r.error != 0;
    }
    EXPECT_TRUE(s.ended) << Printable(s.bytes, 80);
    EXPECT_NE(s.in.find(s.expected), std::string::npos) << Printable(s.bytes, 80);
  }
}

}  // namespace
}  // namespace sextant::net
