// How perf reaches servers: TLS, Unix sockets, several servers, header fields; and that no token is
// ever written anywhere.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <set>

#include "base/files.h"
#include "base/strings.h"
#include "harness.h"
#include "net/http1.h"
#include "net/http_server.h"
#include "net/io_threads.h"

namespace sextant::e2e {
namespace {

constexpr int kMeasured = 0, kCouldNotMeasure = 1, kWrongOptions = 2;

std::string SimulatedModel() {
  return ModelText{.parameters = {{"service_time", "fixed(200us)"}}}.Config();
}

// A server's certificate for localhost and 127.0.0.1, and a client's, both of one authority, made
// by the openssl program.
class Certificates {
 public:
  Certificates() {
    Make(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority "
        "-keyout ca.key -out ca.pem");
    directory_.Write("names", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    for (const std::string name : {"server", "client"}) {
      Make(
          Format("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={0} -keyout "
                 "{0}.key -out {0}.csr",
                 name));
      Make(
          Format("x509 -req -in {0}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile "
                 "names -out {0}.pem",
                 name));
    }
  }
  std::string File(std::string_view name) const { return directory_.File(name); }

 private:
  void Make(const std::string& arguments) {
    std::vector<std::string> argv{"openssl"};
    for (const std::string_view word : Split(arguments, ' ')) argv.emplace_back(word);
    const auto made = RunProcess({.argv = argv, .directory = directory_.path()}, 20s);
    EXPECT_TRUE(made.has_value() && made->exit_code == 0)
        << arguments << (made.has_value() ? made->err : made.error().message());
  }
  TempDirectory directory_;
};

std::vector<std::string> Briefly(std::vector<std::string> more) {
  std::vector<std::string> out{"-m",         "m",           "--requests=200",
                               "--warmup=0", "--workers=1", "--concurrency-range=2"};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(Tls, BothProtocolsMeasureUnderTlsWithClientCertificates) {
  const Certificates files;
  Serve serve({{"m", SimulatedModel()}, {"n", SimulatedModel()}},
              {"--tls-cert=" + files.File("server.pem"), "--tls-key=" + files.File("server.key"),
               "--tls-client-ca=" + files.File("ca.pem")});
  const PerfResult http = RunPerf(Briefly(
      {"-u", Format("https://localhost:{}", serve.http_port()), "--ssl-https-ca-certificates-file",
       files.File("ca.pem"), "--ssl-https-client-certificate-file", files.File("client.pem"),
       "--ssl-https-private-key-file", files.File("client.key")}));
  EXPECT_EQ(http.exit_code, kMeasured) << http.err;
  EXPECT_EQ(http.level().succeeded, 200U);
  const PerfResult grpc =
      RunPerf(Briefly({"-i", "grpc", "-u", serve.Url("grpc"), "--ssl-grpc-use-ssl",
                       "--ssl-grpc-root-certifications-file", files.File("ca.pem"),
                       "--ssl-grpc-certificate-chain-file", files.File("client.pem"),
                       "--ssl-grpc-private-key-file", files.File("client.key")}));
  EXPECT_EQ(grpc.exit_code, kMeasured) << grpc.err;
  EXPECT_EQ(grpc.level().succeeded, 200U);
  for (const std::string scheme : {"https", "grpcs"}) {
    const std::string kind = scheme == "https" ? "https" : "grpc";
    const PerfResult mix =
        RunPerf({"--mix", "m:1,n:1", "--requests=200", "--warmup=0", "-i",
                 scheme == "https" ? "http" : "grpc", "-u",
                 Format("{}://localhost:{}", scheme,
                        scheme == "https" ? serve.http_port() : serve.grpc_port()),
                 Format("--ssl-{}-{}", kind,
                        scheme == "https" ? "ca-certificates-file" : "root-certifications-file"),
                 files.File("ca.pem"),
                 Format("--ssl-{}-{}", kind,
                        scheme == "https" ? "client-certificate-file" : "certificate-chain-file"),
                 files.File("client.pem"), Format("--ssl-{}-private-key-file", kind),
                 files.File("client.key")});
    EXPECT_EQ(mix.exit_code, kMeasured) << mix.err;
    EXPECT_EQ(mix.level().succeeded, 200U);
    ASSERT_EQ(mix.level().models.size(), 2U);
    EXPECT_GT(mix.level().models[1].succeeded, 50U);
  }
  // A client that we did not write sees the same server.
  const auto curl = RunProcess(
      {.argv = {"curl", "--silent", "--show-error", "--cacert", files.File("ca.pem"), "--cert",
                files.File("client.pem"), "--key", files.File("client.key"), "--write-out",
                "%{http_code}", Format("https://localhost:{}/v2/health/ready", serve.http_port())}},
      20s);
  ASSERT_TRUE(curl.has_value()) << curl.error().message();
  EXPECT_EQ(curl->out, "200") << curl->err;
  // Without the certificate, without the authority: refused before the first request, with what to
  // do about it.
  for (const std::string scheme : {"https", "grpcs"}) {
    const std::string url = Format("{}://localhost:{}", scheme,
                                   scheme == "https" ? serve.http_port() : serve.grpc_port());
    const PerfResult unknown = RunSextant({"perf", "-m", "m", "-u", url});
    EXPECT_EQ(unknown.exit_code, kCouldNotMeasure);
    EXPECT_NE(unknown.err.find("not trusted"), std::string::npos) << unknown.err;
    EXPECT_NE(unknown.err.find(scheme == "https" ? "--ssl-https-ca-certificates-file"
                                                 : "--ssl-grpc-root-certifications-file"),
              std::string::npos)
        << unknown.err;
    const PerfResult uncertified =
        RunSextant({"perf", "-m", "m", "-u", url, "--ssl-https-verify-peer=0"});
    EXPECT_EQ(uncertified.exit_code, kCouldNotMeasure);
    EXPECT_NE(uncertified.err.find("wants a client's certificate"), std::string::npos)
        << uncertified.err;
  }
}

// Answers any request with one metric.
class Exporter final : public net::HttpHandler {
 public:
  explicit Exporter(const net::TlsContext& tls) {
    threads_ = *net::IoThreads::Start(1, "exporter");
    server_ =
        *net::HttpServer::Start(*threads_, (*net::Resolve({"127.0.0.1", 0}))[0], *this, {}, &tls);
  }
  ~Exporter() override { server_.reset(); }
  int port() const { return server_->address().port(); }
  void OnRequest(const net::HttpRequest&, net::HttpReply reply) override {
    reply.Send({.status = 200,
                .fields = "Content-Type: text/plain\r\n",
                .body = "nv_gpu_utilization{gpu_uuid=\"GPU-1\"} 0.25\n"});
  }

 private:
  std::unique_ptr<net::IoThreads> threads_;
  std::unique_ptr<net::HttpServer> server_;
};

TEST(Tls, MetricsAreReadUnderItToo) {
  const Certificates files;
  const auto tls = net::TlsContext::CreateServer({.certificate_file = files.File("server.pem"),
                                                  .key_file = files.File("server.key"),
                                                  .client_ca_file = {},
                                                  .protocol = "http/1.1"});
  ASSERT_TRUE(tls.has_value()) << tls.error().message();
  const Exporter exporter(**tls);
  const Serve serve({{"m", SimulatedModel()}});
  const std::string url = Format("--metrics-url=https://localhost:{}/metrics", exporter.port());
  const PerfResult result =
      RunPerf(Briefly({"-u", serve.Url("http"), "--collect-metrics", url,
                       "--ssl-https-ca-certificates-file", files.File("ca.pem")}));
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  ASSERT_EQ(result.level().metrics.size(), 1U) << result.out;
  EXPECT_EQ(result.level().metrics[0].max, 0.25);
  // Metrics that cannot be had stop nothing, and are said with what to do about it.
  const PerfResult unknown = RunPerf(Briefly({"-u", serve.Url("http"), "--collect-metrics", url}));
  EXPECT_EQ(unknown.exit_code, kMeasured) << unknown.err;
  EXPECT_NE(unknown.err.find("--ssl-https-ca-certificates-file"), std::string::npos) << unknown.err;
}

TEST(UnixSockets, ServeBothProtocols) {
  const TempDirectory directory;
  const Serve serve({{"m", SimulatedModel()}}, {"--http-unix=" + directory.File("http.sock"),
                                                "--grpc-unix=" + directory.File("grpc.sock")});
  for (const std::string& url :
       {"unix:" + directory.File("http.sock"), "http+unix:" + directory.File("http.sock"),
        "grpc+unix:" + directory.File("grpc.sock")}) {
    const PerfResult result = RunPerf(Briefly({"-u", url}));
    EXPECT_EQ(result.exit_code, kMeasured) << url << result.err;
    EXPECT_EQ(result.level().succeeded, 200U) << url;
  }
}

TEST(SeveralServers, ShareTheLoadAndAreReportedEach) {
  Serve one({{"m", SimulatedModel()}}), two({{"m", SimulatedModel()}});
  for (const std::string protocol : {"http", "grpc"}) {
    const PerfResult result =
        RunPerf(Briefly({"-i", protocol, "-u", one.Url(protocol) + "," + two.Url(protocol)}));
    EXPECT_EQ(result.exit_code, kMeasured) << result.err;
    const auto& endpoints = result.level().endpoints;
    ASSERT_EQ(endpoints.size(), 2U);
    EXPECT_EQ(endpoints[0].name, one.Url(protocol));
    EXPECT_EQ(endpoints[0].succeeded + endpoints[1].succeeded, 200U);
    EXPECT_GT(endpoints[0].succeeded, 50U);
    EXPECT_GT(endpoints[1].succeeded, 50U);
    EXPECT_GT(endpoints[0].p99_ns, 200'000);
    EXPECT_NE(result.out.find("Skew: "), std::string::npos) << result.out;
  }
  // An open loop that needs one connection only still goes to both.
  const PerfResult open =
      RunPerf({"-m", "m", "-u", one.Url("http"), "-u", two.Url("http"), "--requests=100",
               "--warmup=0", "--workers=1", "--request-rate-range=200"});
  ASSERT_EQ(open.level().endpoints.size(), 2U);
  EXPECT_NEAR(static_cast<double>(open.level().endpoints[0].succeeded), 50, 20);
  // The servers agree.
  EXPECT_GT(one.StopAndReadTruth().size(), 130U);
  EXPECT_GT(two.StopAndReadTruth().size(), 130U);
}

TEST(SeveralServers, AreReportedForEachModelOfAMix) {
  Serve one({{"m", SimulatedModel()}, {"n", SimulatedModel()}}),
      two({{"m", SimulatedModel()}, {"n", SimulatedModel()}});
  for (const std::string protocol : {"http", "grpc"}) {
    const PerfResult result = RunPerf({"--mix", "m:0.5,n:0.5", "--requests=400", "--warmup=0",
                                       "--workers=1", "--concurrency-range=2", "-i", protocol, "-u",
                                       one.Url(protocol) + "," + two.Url(protocol)});
    EXPECT_EQ(result.exit_code, kMeasured) << result.err;
    const run::Level& level = result.level();
    ASSERT_EQ(level.models.size(), 2U);
    ASSERT_EQ(level.endpoints.size(), 2U);
    for (size_t e = 0; e < 2; ++e) {
      uint64_t sum = 0;
      for (const run::Level& part : level.models) {
        ASSERT_EQ(part.endpoints.size(), 2U);
        EXPECT_GT(part.endpoints[e].succeeded, 50U);
        EXPECT_EQ(part.endpoints[e].name, level.endpoints[e].name);
        sum += part.endpoints[e].succeeded;
      }
      EXPECT_EQ(sum, level.endpoints[e].succeeded);
    }
  }
}

TEST(SeveralServers, OneThatIsGoneShowsInItsOwnLine) {
  Serve one({{"m", SimulatedModel()}}), two({{"m", SimulatedModel()}});
  Perf perf({"-m", "m", "-u", one.Url("http"), "-u", two.Url("http"), "--duration=1s", "--warmup=0",
             "--workers=1", "--concurrency-range=2,4"});
  ASSERT_TRUE(perf.process().WaitForOutput("Skew: ", 20s));  // the first level is done
  two.Kill();
  const PerfResult result = perf.Finish();
  ASSERT_TRUE(result.run.has_value() && result.run->levels.size() == 2) << result.err;
  const auto& endpoints = result.run->levels[1].endpoints;
  ASSERT_EQ(endpoints.size(), 2U);
  EXPECT_EQ(endpoints[0].failed, 0U);
  EXPECT_GT(endpoints[1].failed, 0U);
  EXPECT_GT(endpoints[0].succeeded, 100U);
}

TEST(Compression, OfRequestsIsUnderstoodByTheServer) {
  Serve serve({{"m", SimulatedModel()}});
  for (const std::string method : {"gzip", "deflate"}) {
    const PerfResult http =
        RunPerf(Briefly({"-u", serve.Url("http"), "--http-compression=" + method}));
    EXPECT_EQ(http.level().succeeded, 200U) << http.out;
    const PerfResult grpc = RunPerf(
        Briefly({"-u", serve.Url("grpc"), "-i", "grpc", "--grpc-compression-algorithm=" + method}));
    EXPECT_EQ(grpc.level().succeeded, 200U) << grpc.out;
  }
}

TEST(Retries, AreCountedAndEndInAnswers) {
  ModelText model{
      .parameters = {{"service_time", "fixed(200us)"}, {"error_rate", "unavailable:0.2"}}};
  for (const std::string protocol : {"http", "grpc"}) {
    Serve serve({{"m", model.Config()}});
    const PerfResult result =
        RunPerf(Briefly({"-i", protocol, "-u", serve.Url(protocol), "--retries=20"}));
    const run::Level& level = result.level();
    EXPECT_EQ(level.succeeded, 200U) << result.out;
    uint64_t refused = 0;
    for (const Truth& truth : serve.StopAndReadTruth()) refused += truth.outcome == "unavailable";
    EXPECT_EQ(level.retries, refused);
    EXPECT_GT(level.retries, 10U);
    // Their latency has the wait for the next attempt in it.
    EXPECT_GT(level.latency.histogram.max(), 10'000'000U);
    EXPECT_NE(result.out.find(Format("Sent again: {} times", refused)), std::string::npos);
  }
}

TEST(FewConnections, AreTakenInTurnByTheRequestsThatWait) {
  const Serve serve({{"m", ModelText{.parameters = {{"service_time", "fixed(1ms)"}}}.Config()}});
  const PerfResult result =
      RunPerf({"-m", "m", "-u", serve.Url("http"), "--requests=1000", "--warmup=0", "--workers=1",
               "--connections=1", "--concurrency-range=8"});
  // Each waits for the seven before it; overtaken, most would wait for nobody and some for ever.
  const stats::Histogram& latency = result.level().latency.histogram;
  EXPECT_GT(latency.Quantile(0.05), 6e6) << result.out;
  EXPECT_LT(latency.Quantile(0.95), 3 * latency.Quantile(0.5));
}

// A name with two addresses is made in a mount namespace of the test's own, which needs root.
TEST(SeveralServers, AreAllTheAddressesOfANameOnRequest) {
  const Serve first({{"m", SimulatedModel()}});
  const Serve second({{"m", SimulatedModel()}}, {}, "127.0.0.2", first.http_port());
  const TempDirectory directory;
  const std::string hosts = directory.Write("hosts", "127.0.0.1 pair.test\n127.0.0.2 pair.test\n");
  const auto with_hosts = [&](const std::string& command) {
    return RunProcess({.argv = {"unshare", "--mount", "sh", "-c",
                                Format("mount --bind {} /etc/hosts && {}", hosts, command)}},
                      60s);
  };
  const auto possible = with_hosts("true");
  if (!possible.has_value() || possible->exit_code != 0)
    GTEST_SKIP() << "a mount namespace is not permitted here";
  const auto measure = [&](const std::string& more) {
    const std::string file = directory.File("run.jsonl");
    const auto done =
        with_hosts(Format("{} perf -m m -u pair.test:{} --requests=200 --warmup=0 --workers=1 "
                          "--concurrency-range=4 --output={} {}",
                          Program(), first.http_port(), file, more));
    EXPECT_TRUE(done.has_value() && done->exit_code == 0) << (done.has_value() ? done->err : "");
    const auto run = run::ParseRun(*ReadFile(file));
    EXPECT_TRUE(run.has_value() && run->levels.size() == 1);
    std::remove(file.c_str());
    return run->levels.at(0);
  };
  const run::Level both = measure("--resolve-all");
  EXPECT_EQ(both.succeeded, 200U);
  ASSERT_EQ(both.endpoints.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(both.endpoints[i].name,
              Format("pair.test:{0} (127.0.0.{1}:{0})", first.http_port(), i + 1));
    EXPECT_NEAR(static_cast<double>(both.endpoints[i].succeeded), 100, 30);
  }
  EXPECT_TRUE(measure("").endpoints.empty()) << "one name is one server otherwise";
}

// Knows a token, and repeats in its refusals whatever it was sent.
class Guard final : public net::HttpHandler {
 public:
  explicit Guard(std::string token) : token_(std::move(token)) {
    threads_ = *net::IoThreads::Start(1, "guard");
    server_ = *net::HttpServer::Start(*threads_, (*net::Resolve({"127.0.0.1", 0}))[0], *this);
  }
  ~Guard() override { server_.reset(); }
  std::string url() const { return server_->address().text(); }
  void Expect(const std::string& token) {
    const std::scoped_lock lock(mutex_);
    token_ = token;
  }
  size_t Accepted(const std::string& token) {
    const std::scoped_lock lock(mutex_);
    return accepted_[token];
  }
  std::atomic<bool> refuse_inference{false};

  void OnRequest(const net::HttpRequest& request, net::HttpReply reply) override {
    const std::scoped_lock lock(mutex_);
    const bool inference = request.path.ends_with("/infer");
    const auto given = net::FindHeader(request.fields, "authorization");
    if (!given || *given != "Bearer " + token_ || (inference && refuse_inference)) {
      return reply.Send({.status = 401,
                         .fields = "Content-Type: text/plain\r\n",
                         .body = Format("who is this?\n{}", request.fields)});
    }
    if (inference) ++accepted_[token_];
    const std::string body =
        request.path == "/v2" ? R"({"name":"guard","version":"1","extensions":[]})"
        : request.path == "/v2/models/m"
            ? R"({"name":"m","inputs":[{"name":"X","datatype":"FP32","shape":[2]}],)"
              R"("outputs":[{"name":"Y","datatype":"FP32","shape":[2]}]})"
        : inference ? R"({"outputs":[{"name":"Y","datatype":"FP32","shape":[2],"data":[1,2]}]})"
                    : "";
    reply.Send({.status = body.empty() ? 404 : 200,
                .fields = "Content-Type: application/json\r\n",
                .body = body});
  }

 private:
  std::mutex mutex_;  // guards what follows
  std::string token_;
  std::map<std::string, size_t> accepted_;
  std::unique_ptr<net::IoThreads> threads_;
  std::unique_ptr<net::HttpServer> server_;
};

class Secrets : public testing::Test {
 protected:
  const std::string token_ = "eyJhbGciOiJIUzI1NiJ9.c2V4dGFudA.do-not-show-me";
  TempDirectory directory_;
  Guard guard_{token_};
  const std::string token_file_ = directory_.Write("in.token", token_ + "\n");

  // Everything that was written, but for the token's own files.
  void ExpectNowhere(const PerfResult& result) {
    EXPECT_EQ(result.out.find(token_), std::string::npos) << result.out;
    EXPECT_EQ(result.err.find(token_), std::string::npos) << result.err;
    for (const std::string& name : ListDirectory(directory_.path())) {
      if (name.starts_with("in.")) continue;
      const auto bytes = ReadFile(directory_.File(name));
      ASSERT_TRUE(bytes.has_value()) << name;
      EXPECT_EQ(bytes->find(token_), std::string::npos) << name << ": " << *bytes;
      // Nor its beginning, where a text was cut.
      EXPECT_EQ(bytes->find(token_.substr(0, 12)), std::string::npos) << name << ": " << *bytes;
    }
  }
  static std::vector<std::string> ListDirectory(const std::string& path) {
    const auto listed = RunProcess({.argv = {"ls", path}}, 5s);
    std::vector<std::string> out;
    for (const std::string_view name : Split(listed->out, '\n'))
      if (!name.empty()) out.emplace_back(name);
    return out;
  }
  PerfResult Measure(std::vector<std::string> more) {
    std::vector<std::string> arguments{"perf",
                                       "-m",
                                       "m",
                                       "-u",
                                       guard_.url(),
                                       "--requests=20",
                                       "--warmup=0",
                                       "--workers=1",
                                       "--progress=json",
                                       "--output=" + directory_.File("run.jsonl"),
                                       "-f",
                                       directory_.File("report.csv")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunSextant(arguments);
  }
};

TEST_F(Secrets, OfNoSourceAreWrittenAnywhere) {
  // The command also writes down what everybody can read of the process that runs it.
  const std::string command =
      Format("cat {}; cat /proc/$$/cmdline > {}; cat /proc/$$/environ > {}", token_file_,
             directory_.File("child.cmdline"), directory_.File("child.environ"));
  const std::string header_file =
      directory_.Write("in.headers", Format("# who we are\nAuthorization: Bearer {}\n", token_));
  for (const std::vector<std::string>& source :
       {std::vector<std::string>{"--token-file", token_file_},
        {"--token-command", command},
        {"--header-file", header_file},
        {"-H", "Authorization: Bearer " + token_}}) {
    guard_.Expect(token_);
    guard_.refuse_inference = false;
    const size_t before = guard_.Accepted(token_);
    const PerfResult measured = Measure(source);
    EXPECT_EQ(measured.exit_code, kMeasured) << source[0] << measured.err;
    EXPECT_GE(guard_.Accepted(token_), before + 20) << source[0];
    ExpectNowhere(measured);
    // Refused by a server that repeats what it was sent: during the load, and before it.
    guard_.refuse_inference = true;
    const PerfResult refused = Measure(source);
    EXPECT_NE(refused.out.find("HTTP 401: 20"), std::string::npos) << refused.out << refused.err;
    EXPECT_NE(refused.out.find("who is this?"), std::string::npos) << refused.out;
    ExpectNowhere(refused);
    guard_.Expect("something-else");
    const PerfResult stopped = Measure(source);
    EXPECT_NE(stopped.exit_code, kMeasured);
    ExpectNowhere(stopped);
  }
  EXPECT_TRUE(ReadFile(directory_.File("child.cmdline")).has_value());
}

TEST_F(Secrets, AHeaderWithoutColonIsAMistakeThatIsNotRepeated) {
  const PerfResult result = Measure({"-H", "Bearer-" + token_});
  EXPECT_EQ(result.exit_code, kWrongOptions);
  EXPECT_NE(result.err.find("-H: a header is 'Name: Value'"), std::string::npos) << result.err;
  ExpectNowhere(result);
}

TEST_F(Secrets, ATokenThatChangesIsTakenUpDuringTheRun) {
  const std::string next = "second-" + token_;
  Perf perf({"-m", "m", "-u", guard_.url(), "--duration=4s", "--warmup=0", "--workers=1",
             "--token-file", token_file_});
  ASSERT_TRUE(WaitFor(10s, [&] { return guard_.Accepted(token_) > 10; }));
  guard_.Expect(next);
  directory_.Write("in.token", next);
  EXPECT_TRUE(WaitFor(5s, [&] { return guard_.Accepted(next) > 10; }));
  const PerfResult result = perf.Finish();
  EXPECT_GT(result.level().succeeded, 10U) << result.err;
}

TEST_F(Secrets, GrpcTakesUpNewTokensWithoutAFailure) {
  const Serve serve({{"m", SimulatedModel()}});
  const PerfResult result = RunPerf(
      {"-m", "m", "-u", serve.Url("grpc"), "-i", "grpc", "--duration=2s", "--warmup=0",
       "--workers=1", "--token-command", "date +%s%N", "--token-refresh=200ms", "-H", "X-Team: 7"});
  EXPECT_EQ(result.exit_code, kMeasured) << result.err;
  EXPECT_EQ(result.level().failed, 0U) << result.out;
  EXPECT_GT(result.level().succeeded, 100U);
}

}  // namespace
}  // namespace sextant::e2e
