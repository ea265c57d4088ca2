// TLS between the clients and servers of this folder, with certificates made here.
#include "net/tls.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>

#include "base/files.h"
#include "base/strings.h"
#include "net/blocking.h"
#include "net/grpc_client.h"
#include "net/grpc_server.h"
#include "net/http_client.h"
#include "net/http_server.h"

namespace sextant::net {
namespace {

// An authority of its own and what it has signed, as PEM files in a directory that goes with it.
class Authority {
 public:
  Authority() {
    directory_ = *MakeTempDirectory("sextant_tls");
    key_ = EVP_EC_gen("P-256");
    certificate_ = Sign("authority of " + directory_, key_, "", 0, 3600, /*authority=*/true);
    WriteCertificate("ca.pem", certificate_);
  }
  ~Authority() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
    std::filesystem::remove_all(directory_);
  }
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  // NAME.pem and NAME.key; `alternatives` as in "DNS:localhost,IP:127.0.0.1". Valid from and to, in
  // seconds from now.
  void Issue(const std::string& name, const std::string& alternatives, long from = -60,
             long to = 3600) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = Sign(name, key, alternatives, from, to, false);
    WriteCertificate(name + ".pem", certificate);
    FILE* file = std::fopen(File(name + ".key").c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  std::string File(const std::string& name) const { return directory_ + "/" + name; }
  TlsServerOptions Server(const std::string& name, const std::string& protocol) const {
    return {.certificate_file = File(name + ".pem"),
            .key_file = File(name + ".key"),
            .protocol = protocol};
  }
  TlsClientOptions Client() const {
    return {.ca_file = File("ca.pem"),
            .authority_remedy = "name the authority",
            .name_remedy = "use its name",
            .certificate_remedy = "give a certificate"};
  }

 private:
  X509* Sign(const std::string& subject, EVP_PKEY* key, const std::string& alternatives, long from,
             long to, bool authority) {
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate, authority ? name : X509_get_subject_name(certificate_));
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, authority ? certificate : certificate_, certificate, nullptr, nullptr,
                   0);
    const auto extend = [&](int kind, const std::string& value) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
      X509_add_ext(certificate, extension, -1);
      X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!alternatives.empty()) extend(NID_subject_alt_name, alternatives);
    X509_sign(certificate, key_, EVP_sha256());
    return certificate;
  }
  void WriteCertificate(const std::string& name, X509* certificate) const {
    FILE* file = std::fopen(File(name).c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
  }

  std::string directory_;
  EVP_PKEY* key_ = nullptr;
  X509* certificate_ = nullptr;
  long serial_ = 0;
};

Address Loopback() { return (*Resolve({"127.0.0.1", 0}))[0]; }

class EchoBody final : public HttpHandler {
 public:
  void OnRequest(const HttpRequest& request, HttpReply reply) override {
    reply.Send({.body = std::string(request.body)});
  }
};

class EchoMessage final : public GrpcService {
 public:
  GrpcMethodKind FindMethod(std::string_view, uint32_t&) override { return GrpcMethodKind::kUnary; }
  void OnUnary(uint32_t, std::string_view message, const GrpcCall& call) override {
    call.Reply(std::string(message));
  }
  void OnStreamMessage(uint32_t, std::string_view, const GrpcCall&) override {}
  void OnStreamDone(uint32_t, const GrpcCall&) override {}
  void OnStreamLost(uint32_t, const GrpcCall&) override {}
};

class Tls : public ::testing::Test {
 protected:
  Tls() : threads_(*IoThreads::Start(2, "test")) {
    authority_.Issue("server", "DNS:localhost,IP:127.0.0.1");
  }
  void StartHttp(const TlsServerOptions& options) {
    http_context_ = *TlsContext::CreateServer(options);
    http_ = *HttpServer::Start(*threads_, Loopback(), echo_body_, {.max_body_bytes = 16 << 20},
                               http_context_.get());
  }
  void StartGrpc(const TlsServerOptions& options) {
    grpc_context_ = *TlsContext::CreateServer(options);
    grpc_ = *GrpcServer::Start(*threads_, Loopback(), echo_message_, {}, grpc_context_.get());
  }
  // What a call with these options comes to: the echo, or the failure.
  std::string CallHttp(const TlsClientOptions& options, const std::string& name = "localhost",
                       const std::string& body = "hello") {
    const auto context = *TlsContext::CreateClient(options);
    TlsPeer peer(*context, name, "http/1.1");
    auto client = *BlockingHttpClient::Create(http_->address(), name, {}, &peer);
    const auto reply = client.Call("POST", "/", body, 10s);
    return reply.has_value() ? reply->body : reply.error().message();
  }
  std::string CallGrpc(const TlsClientOptions& options, const Address& address,
                       const std::string& message = "hello") {
    const auto context = *TlsContext::CreateClient(options);
    TlsPeer peer(*context, "localhost", "h2");
    auto client = *BlockingGrpcClient::Create(address, "localhost", {}, &peer);
    const auto reply = client.Call("/s/Echo", message, 10s);
    return reply.has_value() ? reply->message : reply.error().message();
  }

  Authority authority_;
  EchoBody echo_body_;
  EchoMessage echo_message_;
  std::unique_ptr<TlsContext> http_context_, grpc_context_;
  std::unique_ptr<IoThreads> threads_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<GrpcServer> grpc_;
};

TEST_F(Tls, HttpBodiesOfAnySizePassBothWays) {
  StartHttp(authority_.Server("server", "http/1.1"));
  for (const size_t size : {1u, 16383u, 16384u, 16385u, 100'000u, 9'000'000u}) {
    std::string body(size, 'x');
    for (size_t i = 0; i < size; i += 997) body[i] = static_cast<char>(i);
    EXPECT_TRUE(CallHttp(authority_.Client(), "localhost", body) == body) << size;
  }
}

TEST_F(Tls, GrpcMessagesOfAnySizePassBothWays) {
  StartGrpc(authority_.Server("server", "h2"));
  for (const size_t size : {1u, 16384u, 100'000u, 9'000'000u}) {
    const std::string message(size, 'm');
    EXPECT_TRUE(CallGrpc(authority_.Client(), grpc_->address(), message) == message) << size;
  }
}

TEST_F(Tls, AnAddressIsVerifiedLikeAName) {
  StartHttp(authority_.Server("server", "http/1.1"));
  EXPECT_EQ(CallHttp(authority_.Client(), "127.0.0.1"), "hello");
  EXPECT_EQ(CallHttp(authority_.Client(), "127.0.0.2"),
            "the server's certificate is not for '127.0.0.2' but for localhost, 127.0.0.1: use its "
            "name");
}

TEST_F(Tls, CertificatesAreVerifiedUnlessToldOtherwise) {
  StartHttp(authority_.Server("server", "http/1.1"));
  TlsClientOptions strangers = authority_.Client();
  Authority other;
  strangers.ca_file = other.File("ca.pem");
  const std::string fault = CallHttp(strangers);
  EXPECT_NE(fault.find("the server's certificate is not trusted"), std::string::npos) << fault;
  EXPECT_NE(fault.find(": name the authority"), std::string::npos) << fault;
  strangers.verify_peer = false;
  EXPECT_EQ(CallHttp(strangers), "hello");

  EXPECT_NE(CallHttp(authority_.Client(), "example.org").find("use its name"), std::string::npos);
  TlsClientOptions any_name = authority_.Client();
  any_name.verify_name = false;
  EXPECT_EQ(CallHttp(any_name, "example.org"), "hello");

  http_.reset();
  authority_.Issue("old", "DNS:localhost", -7200, -3600);
  StartHttp(authority_.Server("old", "http/1.1"));
  EXPECT_EQ(CallHttp(authority_.Client()),
            "the server's certificate is not valid now (certificate has expired): renew it, or "
            "check this machine's clock");
}

TEST_F(Tls, AServerMayWantAClientsCertificate) {
  authority_.Issue("client", "");
  TlsServerOptions options = authority_.Server("server", "http/1.1");
  options.client_ca_file = authority_.File("ca.pem");
  StartHttp(options);
  options.protocol = "h2";
  StartGrpc(options);
  for (const std::string& fault :
       {CallHttp(authority_.Client()), CallGrpc(authority_.Client(), grpc_->address())}) {
    EXPECT_NE(fault.find("the server wants a client's certificate"), std::string::npos) << fault;
    EXPECT_NE(fault.find(": give a certificate"), std::string::npos) << fault;
  }
  TlsClientOptions known = authority_.Client();
  known.certificate_file = authority_.File("client.pem");
  known.key_file = authority_.File("client.key");
  EXPECT_EQ(CallHttp(known), "hello");
  EXPECT_EQ(CallGrpc(known, grpc_->address()), "hello");

  Authority other;
  other.Issue("client", "");
  known.certificate_file = other.File("client.pem");
  known.key_file = other.File("client.key");
  const std::string fault = CallHttp(known);
  EXPECT_NE(fault.find("does not take this client's certificate"), std::string::npos) << fault;
}

TEST_F(Tls, PlainTextOnEitherSideIsNamed) {
  StartHttp(authority_.Server("server", "http/1.1"));
  const auto plain = *HttpServer::Start(*threads_, Loopback(), echo_body_);
  const auto context = *TlsContext::CreateClient(authority_.Client());
  TlsPeer peer(*context, "localhost", "http/1.1");
  auto client = *BlockingHttpClient::Create(plain->address(), "localhost", {}, &peer);
  const auto reply = client.Call("GET", "/", "", 5s);
  ASSERT_FALSE(reply.has_value());
  EXPECT_NE(reply.error().message().find("plain text"), std::string::npos)
      << reply.error().message();
}

TEST_F(Tls, GrpcNeedsHttp2ToBeAgreedOn) {
  StartHttp(authority_.Server("server", "http/1.1"));
  const std::string fault = CallGrpc(authority_.Client(), http_->address());
  EXPECT_NE(fault.find("protocol"), std::string::npos) << fault;
}

TEST_F(Tls, FilesThatDoNotFitAreNamed) {
  authority_.Issue("another", "");
  TlsServerOptions options = authority_.Server("server", "h2");
  options.key_file = authority_.File("another.key");
  const auto mixed = TlsContext::CreateServer(options);
  ASSERT_FALSE(mixed.has_value());
  EXPECT_NE(mixed.error().message().find("is another certificate's"), std::string::npos)
      << mixed.error().message();
  options.key_file = authority_.File("absent.key");
  EXPECT_FALSE(TlsContext::CreateServer(options).has_value());
  EXPECT_FALSE(TlsContext::CreateClient({.ca_file = authority_.File("server.key")}).has_value());
}

class Counter final : public HttpClientListener {
 public:
  void OnHttpConnected(HttpClientConnection&) override { ++connected; }
  void OnHttpResponse(HttpClientConnection&, const HttpResponse&) override { ++answered; }
  void OnHttpClosed(HttpClientConnection&, FailureKind, std::string_view reason, bool) override {
    closed = reason;
  }
  int connected = 0, answered = 0;
  std::string closed;
};

TEST_F(Tls, LaterConnectionsResumeTheSession) {
  StartHttp(authority_.Server("server", "http/1.1"));
  const auto context = *TlsContext::CreateClient(authority_.Client());
  TlsPeer peer(*context, "localhost", "http/1.1");
  const auto loop = *EventLoop::Create();
  TransferCounters counters;
  const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::vector<std::string_view> pieces{request};
  for (int i = 0; i < 3; ++i) {
    Counter counter;
    HttpClientConnection client(*loop, counter, counters, 0);
    Instant sent{};
    client.Connect(http_->address(), &peer);
    client.Send(pieces, false, &sent);
    const Instant deadline = SteadyNow() + 10s;
    while (counter.answered == 0 && counter.closed.empty() && SteadyNow() < deadline)
      loop->Turn(20ms);
    EXPECT_EQ(counter.answered, 1) << counter.closed;
  }
  EXPECT_EQ(peer.resumptions(), 2u);
}

TEST_F(Tls, AUnixSocketServesBothProtocols) {
  const Address path = *UnixAddress(authority_.File("http.sock"));
  {
    const auto server = *HttpServer::Start(*threads_, path, echo_body_);
    auto client = *BlockingHttpClient::Create(path, "localhost");
    const auto reply = client.Call("POST", "/", "over a path", 5s);
    ASSERT_TRUE(reply.has_value()) << reply.error().message();
    EXPECT_EQ(reply->body, "over a path");
    // One that lives keeps its place.
    EXPECT_FALSE(HttpServer::Start(*threads_, path, echo_body_).has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(authority_.File("http.sock")));
  const auto grpc = *GrpcServer::Start(*threads_, path, echo_message_);
  auto client = *BlockingGrpcClient::Create(path, "localhost");
  const auto reply = client.Call("/s/Echo", "hello", 5s);
  ASSERT_TRUE(reply.has_value()) << reply.error().message();
  EXPECT_EQ(reply->message, "hello");
}

}  // namespace
}  // namespace sextant::net
