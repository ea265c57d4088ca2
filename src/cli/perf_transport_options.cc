// The option rows of how `sextant perf` reaches its servers.
#include "cli/perf_options.h"

namespace sextant::options {

template <>
struct EnumNames<kserve::Protocol> {
  static constexpr std::pair<std::string_view, kserve::Protocol> kNames[] = {
      {"http", kserve::Protocol::kHttp}, {"grpc", kserve::Protocol::kGrpc}};
};
template <>
struct EnumNames<net::Compression> {
  static constexpr std::pair<std::string_view, net::Compression> kNames[] = {
      {"none", net::Compression::kNone},
      {"gzip", net::Compression::kGzip},
      {"deflate", net::Compression::kDeflate}};
};
template <>
struct EnumNames<cli::KeyFormat> {
  static constexpr std::pair<std::string_view, cli::KeyFormat> kNames[] = {
      {"PEM", cli::KeyFormat::kPem}, {"DER", cli::KeyFormat::kDer}};
};

}  // namespace sextant::options

namespace sextant::cli {

using O = PerfOptions;

void AddUrlRows(options::Table<PerfOptions>& t) {
  t.Add(&O::urls,
        {.name = "url",
         .letter = 'u',
         .value = "URL",
         .help = "The server: HOST:PORT, http://HOST:PORT/PREFIX, grpc://HOST:PORT, https:// and "
                 "grpcs:// for TLS, unix:/PATH or http+unix:/PATH or grpc+unix:/PATH. Several, "
                 "separated by commas, share the load.",
         .default_text = "localhost:8000, with gRPC localhost:8001"});
  t.Add(&O::protocol,
        {.name = "protocol", .letter = 'i', .value = "PROTOCOL", .help = "How to speak to it."});
  t.Add(&O::resolve_all,
        {.name = "resolve-all",
         .help = "Spreads the load over all addresses that the server's name has, instead of the "
                 "first that answers."});
}

void AddTransportRows(options::Table<PerfOptions>& t) {
  t.Group("TLS");
  t.Add(&O::https_verify_peer, {.name = "ssl-https-verify-peer",
                                .value = "0|1",
                                .help = "0 trusts any certificate, of gRPC servers too.",
                                .limits = {0, 1}});
  t.Add(&O::https_verify_host,
        {.name = "ssl-https-verify-host",
         .value = "0|1|2",
         .help = "0 takes a certificate that was made for another name, of gRPC servers too.",
         .limits = {0, 2}});
  t.Add(&O::https_roots, {.name = "ssl-https-ca-certificates-file",
                          .value = "FILE",
                          .help = "https: the authorities to trust, PEM.",
                          .default_text = "the system's",
                          .is_file = true});
  t.Add(&O::https_certificate, {.name = "ssl-https-client-certificate-file",
                                .value = "FILE",
                                .help = "https: this client's certificate.",
                                .is_file = true});
  t.Add(&O::https_certificate_type,
        {.name = "ssl-https-client-certificate-type", .value = "FORMAT", .help = "Of that file."});
  t.Add(&O::https_key, {.name = "ssl-https-private-key-file",
                        .value = "FILE",
                        .help = "https: the key of this client's certificate.",
                        .default_text = "in the certificate's file",
                        .is_file = true});
  t.Add(&O::https_key_type,
        {.name = "ssl-https-private-key-type", .value = "FORMAT", .help = "Of that file."});
  t.Add(&O::grpc_use_ssl,
        {.name = "ssl-grpc-use-ssl", .help = "gRPC under TLS, as a grpcs:// URL says too."});
  t.Add(&O::grpc_roots, {.name = "ssl-grpc-root-certifications-file",
                         .value = "FILE",
                         .help = "grpcs: the authorities to trust, PEM.",
                         .default_text = "the system's",
                         .is_file = true});
  t.Add(&O::grpc_chain, {.name = "ssl-grpc-certificate-chain-file",
                         .value = "FILE",
                         .help = "grpcs: this client's certificate with its chain, PEM.",
                         .is_file = true});
  t.Add(&O::grpc_key, {.name = "ssl-grpc-private-key-file",
                       .value = "FILE",
                       .help = "grpcs: the key of this client's certificate, PEM.",
                       .is_file = true});
  t.Group("Header fields and tokens");
  t.Add(&O::headers,
        {.name = "header",
         .letter = 'H',
         .value = "NAME: VALUE",
         .help = "Sent with every request, with gRPC as metadata. Everybody on this machine can "
                 "read it in the process list: a token goes into one of the following."});
  t.Add(&O::header_file, {.name = "header-file",
                          .value = "FILE",
                          .help = "Header fields from a file, a line each.",
                          .is_file = true});
  t.Add(&O::token_file, {.name = "token-file",
                         .value = "FILE",
                         .help = "Sends the file's content as 'Authorization: Bearer'; read anew "
                                 "when the file changes.",
                         .is_file = true});
  t.Add(&O::token_command, {.name = "token-command",
                            .value = "COMMAND",
                            .help = "Likewise what this command, run by /bin/sh, prints."});
  t.Add(&O::token_refresh, {.name = "token-refresh",
                            .value = "TIME",
                            .help = "Runs --token-command anew after so long: less than a token's "
                                    "life. 0s: once."});
  t.Group("On the way");
  t.Add(&O::http_compression, {.name = "http-compression",
                               .value = "METHOD",
                               .help = "Compresses HTTP request bodies, once, before the load."});
  t.Add(
      &O::grpc_compression,
      {.name = "grpc-compression-algorithm", .value = "METHOD", .help = "Likewise gRPC messages."});
  t.Add(&O::retries,
        {.name = "retries",
         .value = "N",
         .help = "Sends a request again, up to so many times, that found no connection, lost it, "
                 "or got HTTP 503 or gRPC UNAVAILABLE: after 10 ms, then twice as long each time. "
                 "Its latency counts from when it was first due; each attempt is counted.",
         .limits = {0, 1000}});
}

}  // namespace sextant::cli
