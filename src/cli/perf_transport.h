// How `sextant perf` reaches its servers: URLs, TLS, header fields, tokens.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kserve/control_client.h"
#include "load/channel.h"
#include "net/compress.h"
#include "net/socket.h"
#include "net/tls.h"
#include "options/table.h"

namespace sextant::cli {

enum class KeyFormat { kPem, kDer };

// The options of all this; part of PerfOptions.
struct TransportOptions {
  std::vector<std::string> urls;  // none: the protocol's default
  kserve::Protocol protocol = kserve::Protocol::kHttp;
  bool resolve_all = false;

  bool grpc_use_ssl = false;
  std::string grpc_roots, grpc_key, grpc_chain;  // PEM files
  int https_verify_peer = 1, https_verify_host = 2;
  std::string https_roots, https_certificate, https_key;
  KeyFormat https_certificate_type = KeyFormat::kPem, https_key_type = KeyFormat::kPem;

  std::vector<std::string> headers;  // "Name: Value"
  std::string header_file;
  std::string token_file, token_command;
  Nanos token_refresh{0};

  net::Compression http_compression = net::Compression::kNone;
  net::Compression grpc_compression = net::Compression::kNone;
  int retries = 0;
};

// Where requests go, as the options say it.
struct Target {
  struct Server {
    net::HostPort where;
    std::string authority;  // "localhost:8000"
  };

  kserve::Protocol protocol = kserve::Protocol::kHttp;
  bool secure = false;
  std::string path_prefix;      // HTTP: in front of /v2
  std::vector<Server> servers;  // at least one
  bool resolve_all = false;
  net::TlsClientOptions tls;
  std::vector<net::HeaderField> headers;  // those of the options, not of files

  const std::string& authority() const { return servers.front().authority; }
  std::string names() const;
};

// Reads URLs, TLS files and header options; adds what is wrong with them to `mistakes`. Pure.
// `https_beside`: something besides the servers is reached with the options for https.
Target ParseTarget(const TransportOptions& options, bool https_beside,
                   std::vector<std::string>& mistakes);
// What the options say of TLS, with the remedies in their names.
net::TlsClientOptions TlsOptionsOf(const TransportOptions& options, bool grpc);

// "-H" and the lines of a header file. Errors say what is wrong without showing the value.
Result<net::HeaderField> ParseHeaderLine(std::string_view line);
// Whether a header's value is nobody's business: Authorization, Cookie, anything of a token or key.
bool IsSensitiveHeader(std::string_view name);
// An option's value as it may be written into a run file.
text::Json ShownOption(const options::Row& row, const void* options);

// The header fields of every request; a token among them is kept fresh by a thread of its own.
//
// Threads: any.
class Credentials {
 public:
  // Reads the files and runs the command once. `warn` is told, on any thread, of a token that could
  // not be renewed.
  static Result<std::unique_ptr<Credentials>> Create(const TransportOptions& options,
                                                     const Target& target,
                                                     std::function<void(const Error&)> warn);
  ~Credentials();

  const std::vector<net::HeaderField>& fixed() const { return fixed_; }
  // Null: there is no token.
  std::shared_ptr<const load::LiveHeader> live() const { return live_; }
  // All of them, as they are now.
  std::vector<net::HeaderField> headers() const;

 private:
  explicit Credentials(const TransportOptions& options);
  Result<void> TakeToken();
  void KeepFresh();

  const TransportOptions options_;
  std::vector<net::HeaderField> fixed_;
  std::shared_ptr<load::LiveHeader> live_;
  std::function<void(const Error&)> warn_;
  struct Stop;
  std::unique_ptr<Stop> stop_;
  std::thread thread_;
};

// What every gRPC inference call says beside the token.
std::vector<net::HeaderField> GrpcMetadata(const TransportOptions& options,
                                           const Credentials& credentials);

// A target made ready: names resolved, certificates read.
struct Connection {
  std::unique_ptr<net::TlsContext> tls;  // outlives the endpoints
  std::vector<load::Endpoint> endpoints;
};
Result<Connection> Reach(const Target& target, Nanos timeout);
// For what is asked of the first server beside inference. `connection` and `credentials` must
// outlive it.
Result<std::unique_ptr<kserve::ControlClient>> MakeControl(const Target& target,
                                                           const Connection& connection,
                                                           const Credentials& credentials,
                                                           Nanos timeout);

}  // namespace sextant::cli
