// URLs and TLS of `sextant perf`.
#include <algorithm>

#include "base/strings.h"
#include "cli/perf_transport.h"

namespace sextant::cli {
namespace {

constexpr std::string_view kSchemes = "http, https, grpc, grpcs, http+unix, grpc+unix";

// What a URL says beside its server.
struct UrlKind {
  kserve::Protocol protocol;
  bool secure = false;
  std::string path_prefix;
  bool operator==(const UrlKind&) const = default;
};

Result<UrlKind> TakeScheme(std::string_view& text, const TransportOptions& options, bool& unix) {
  UrlKind kind{.protocol = options.protocol};
  const size_t end = text.find("://");
  std::string_view scheme = text.substr(0, end == std::string_view::npos ? 0 : end);
  if (end != std::string_view::npos) text.remove_prefix(end + 3);
  // unix:/path has no authority part, with or without a protocol in front.
  for (const std::string_view prefix : {"unix:", "http+unix:", "grpc+unix:"}) {
    if (end != std::string_view::npos || !text.starts_with(prefix)) continue;
    scheme = prefix.substr(0, prefix.size() - 1);
    text.remove_prefix(prefix.size());
  }
  unix = scheme.ends_with("unix");
  if (scheme.starts_with("grpc")) kind.protocol = kserve::Protocol::kGrpc;
  if (scheme.starts_with("http")) kind.protocol = kserve::Protocol::kHttp;
  kind.secure = scheme == "https" || scheme == "grpcs";
  if (!kind.secure && options.grpc_use_ssl && kind.protocol == kserve::Protocol::kGrpc)
    kind.secure = true;
  for (const std::string_view known :
       {"", "http", "https", "grpc", "grpcs", "unix", "http+unix", "grpc+unix"}) {
    if (scheme == known) return kind;
  }
  return InvalidArgument(
      Format("the scheme '{}' is not supported; there are {}", Printable(scheme, 20), kSchemes));
}

Result<Target::Server> ParseUrl(std::string_view url, const TransportOptions& options,
                                UrlKind& kind) {
  std::string_view text = url;
  bool unix = false;
  SEXTANT_ASSIGN(kind, TakeScheme(text, options, unix));
  if (unix) {
    SEXTANT_TRY(net::UnixAddress(text));
    return Target::Server{{.host = "localhost", .path = std::string(text)}, "localhost"};
  }
  if (text.find('@') < text.find('/'))
    return InvalidArgument(
        "a user and password do not go into the URL: --header-file or "
        "--token-file keep them out of process lists");
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    kind.path_prefix = text.substr(slash);
    while (kind.path_prefix.ends_with('/')) kind.path_prefix.pop_back();
    text = text.substr(0, slash);
  }
  const bool grpc = kind.protocol == kserve::Protocol::kGrpc;
  if (grpc && !kind.path_prefix.empty()) return InvalidArgument("gRPC has no path prefix");
  Target::Server server;
  SEXTANT_ASSIGN(server.where,
                 net::ParseHostPort(text.empty() ? "localhost" : text, grpc ? 8001 : 8000));
  const bool v6 = server.where.host.find(':') != std::string::npos;
  server.authority =
      Format("{}{}{}:{}", v6 ? "[" : "", server.where.host, v6 ? "]" : "", server.where.port);
  return server;
}

struct TlsFlags {
  std::string_view roots, chain, key;
};
constexpr TlsFlags kHttpsFlags{"--ssl-https-ca-certificates-file",
                               "--ssl-https-client-certificate-file",
                               "--ssl-https-private-key-file"};
constexpr TlsFlags kGrpcsFlags{"--ssl-grpc-root-certifications-file",
                               "--ssl-grpc-certificate-chain-file", "--ssl-grpc-private-key-file"};

void CheckTls(const Target& target, bool https_beside, std::vector<std::string>& mistakes) {
  const bool grpc = target.protocol == kserve::Protocol::kGrpc;
  const TlsFlags& flags = grpc ? kGrpcsFlags : kHttpsFlags;
  const net::TlsClientOptions& tls = target.tls;
  if (!tls.key_file.empty() && tls.certificate_file.empty())
    mistakes.push_back(
        Format("{} needs the certificate it belongs to: {}", flags.key, flags.chain));
  // Files that would silently go unused, by somebody who believes the connection to be safe.
  const bool any = !tls.ca_file.empty() || !tls.certificate_file.empty();
  if (any && !target.secure && (grpc || !https_beside))
    mistakes.push_back(
        Format("certificates are given, but the URL is plain text: use {}",
               grpc ? "grpcs://HOST:PORT or --ssl-grpc-use-ssl" : "https://HOST:PORT"));
}

}  // namespace

net::TlsClientOptions TlsOptionsOf(const TransportOptions& o, bool grpc) {
  const auto type = [](KeyFormat format) {
    return format == KeyFormat::kPem ? net::TlsFileType::kPem : net::TlsFileType::kDer;
  };
  net::TlsClientOptions tls;
  tls.verify_peer = o.https_verify_peer != 0;
  tls.verify_name = o.https_verify_host != 0;
  tls.ca_file = grpc ? o.grpc_roots : o.https_roots;
  tls.certificate_file = grpc ? o.grpc_chain : o.https_certificate;
  tls.key_file = grpc ? o.grpc_key : o.https_key;
  if (!grpc) {
    tls.certificate_type = type(o.https_certificate_type);
    tls.key_type = type(o.https_key_type);
  }
  const TlsFlags& flags = grpc ? kGrpcsFlags : kHttpsFlags;
  tls.authority_remedy = Format(
      "name its authority with {}, or trust anybody with --ssl-https-verify-peer 0", flags.roots);
  tls.name_remedy = "use the name it was made for, or --ssl-https-verify-host 0";
  tls.certificate_remedy = Format("give one with {} and {}", flags.chain, flags.key);
  return tls;
}

std::string Target::names() const {
  std::vector<std::string> names;
  for (const Server& server : servers)
    names.push_back(server.where.path.empty() ? server.authority : "unix:" + server.where.path);
  return Join(names, ", ");
}

Target ParseTarget(const TransportOptions& options, bool https_beside,
                   std::vector<std::string>& mistakes) {
  Target target{.protocol = options.protocol, .resolve_all = options.resolve_all};
  std::vector<std::string> urls;
  for (const std::string& given : options.urls) {
    for (const std::string_view url : Split(given, ',')) urls.emplace_back(TrimSpace(url));
  }
  if (urls.empty()) urls.emplace_back();
  std::optional<UrlKind> common;
  for (const std::string& url : urls) {
    UrlKind kind{.protocol = options.protocol};
    Result<Target::Server> server = ParseUrl(url, options, kind);
    if (!server.has_value()) {
      mistakes.push_back("--url: " + server.error().message());
      continue;
    }
    if (common && !(*common == kind)) {
      mistakes.push_back(Format(
          "--url '{}': all servers must have the same protocol and path prefix", Printable(url)));
    }
    common = kind;
    target.servers.push_back(*std::move(server));
  }
  if (common) {
    target.protocol = common->protocol;
    target.secure = common->secure;
    target.path_prefix = common->path_prefix;
  }
  target.tls = TlsOptionsOf(options, target.protocol == kserve::Protocol::kGrpc);
  CheckTls(target, https_beside, mistakes);
  for (const std::string& line : options.headers) {
    Result<net::HeaderField> field = ParseHeaderLine(line);
    if (field.has_value()) {
      target.headers.push_back(*std::move(field));
    } else {
      mistakes.push_back("-H: " + field.error().message());
    }
  }
  const bool authorized = std::any_of(
      target.headers.begin(), target.headers.end(),
      [](const net::HeaderField& f) { return EqualsIgnoreCase(f.name, "authorization"); });
  const int tokens = (options.token_file.empty() ? 0 : 1) + (options.token_command.empty() ? 0 : 1);
  if (tokens + (authorized ? 1 : 0) > 1)
    mistakes.emplace_back(
        "--token-file, --token-command and -H 'Authorization: ...' exclude each other");
  if (options.token_refresh > Nanos(0) && options.token_command.empty())
    mistakes.emplace_back("--token-refresh belongs to --token-command");
  return target;
}

Result<Connection> Reach(const Target& target, Nanos timeout) {
  Connection out;
  if (target.secure) {
    SEXTANT_ASSIGN(out.tls, net::TlsContext::CreateClient(target.tls), "TLS");
  }
  const std::string protocol = target.protocol == kserve::Protocol::kGrpc ? "h2" : "http/1.1";
  for (const Target::Server& server : target.servers) {
    std::vector<net::Address> addresses;
    if (target.resolve_all) {
      SEXTANT_ASSIGN(addresses, net::Resolve(server.where));
    } else {
      SEXTANT_ASSIGN(const net::Address address, net::FindListening(server.where, timeout));
      addresses.push_back(address);
    }
    for (const net::Address& address : addresses) {
      load::Endpoint& endpoint = out.endpoints.emplace_back();
      endpoint.address = address;
      endpoint.authority = server.authority;
      endpoint.name = !server.where.path.empty() ? address.text()
                      : addresses.size() > 1 ? Format("{} ({})", server.authority, address.text())
                                             : server.authority;
      if (out.tls != nullptr)
        endpoint.tls = std::make_shared<net::TlsPeer>(*out.tls, server.where.host, protocol);
    }
  }
  return out;
}

Result<std::unique_ptr<kserve::ControlClient>> MakeControl(const Target& target,
                                                           const Connection& connection,
                                                           const Credentials& credentials,
                                                           Nanos timeout) {
  const load::Endpoint& first = connection.endpoints.front();
  return kserve::MakeControlClient(
      target.protocol, first.address, first.authority, target.path_prefix, timeout,
      {.tls = first.tls.get(), .headers = [&credentials] { return credentials.headers(); }});
}

}  // namespace sextant::cli
