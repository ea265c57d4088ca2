#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/files.h"
#include "base/strings.h"

namespace sextant::net {
namespace {
std::string NamesOf(X509* certificate);
}  // namespace

// OpenSSL's way to the socket: as its own, but with no signal for a broken pipe, and without asking
// a socket that is known to be empty.
struct TlsBio {
  static int Read(BIO* bio, char* buffer, int size) {
    auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (stream->drained_) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const ssize_t n = recv(stream->fd_, buffer, static_cast<size_t>(size), 0);
    if (n >= 0) {
      stream->drained_ = n > 0 && n < size;
      stream->end_ = n == 0;
      return static_cast<int>(n);
    }
    if (errno == EAGAIN || errno == EINTR) {
      BIO_set_retry_read(bio);
    } else {
      stream->error_ = errno;
    }
    return -1;
  }
  static int Write(BIO* bio, const char* data, int size) {
    auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const ssize_t n = send(stream->fd_, data, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (n >= 0) return static_cast<int>(n);
    if (errno == EAGAIN || errno == EINTR) {
      BIO_set_retry_write(bio);
    } else {
      stream->error_ = errno;
    }
    return -1;
  }
  static long Control(BIO* bio, int command, long, void*) {  // NOLINT(google-runtime-int)
    if (command == BIO_CTRL_EOF) return static_cast<TlsStream*>(BIO_get_data(bio))->end_ ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }
  // OpenSSL forgets a certificate that it refuses; its names are for the message.
  static int Verify(int accepted, X509_STORE_CTX* context) {
    if (accepted == 0) {
      const auto* ssl = static_cast<const SSL*>(
          X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
      auto* stream = static_cast<TlsStream*>(BIO_get_data(SSL_get_rbio(ssl)));
      stream->certificate_names_ = NamesOf(X509_STORE_CTX_get0_cert(context));
    }
    return accepted;
  }
  // Called where a server asks and no certificate has been set.
  static int Asked(SSL* ssl, X509**, EVP_PKEY**) {
    static_cast<TlsStream*>(BIO_get_data(SSL_get_rbio(ssl)))->asked_ = true;
    return 0;  // goes on without one
  }
  static BIO_METHOD* Method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sextant");
      BIO_meth_set_read(made, &TlsBio::Read);
      BIO_meth_set_write(made, &TlsBio::Write);
      BIO_meth_set_ctrl(made, &TlsBio::Control);
      return made;
    }();
    return method;
  }
};

namespace {

// Nothing is written in larger records, so nothing larger is gathered.
constexpr size_t kRecordBytes = 16 * 1024;

// The oldest entry of OpenSSL's queue says what went wrong, the later ones where. Empties it.
std::string TakeReason(unsigned long* code = nullptr) {  // NOLINT(google-runtime-int)
  const auto first = ERR_get_error();
  ERR_clear_error();
  if (code != nullptr) *code = first;
  if (first == 0) return "no reason given";
  if (const char* reason = ERR_reason_error_string(first)) return reason;
  char text[256];
  ERR_error_string_n(first, text, sizeof text);
  return text;
}

Error FileError(const std::string& what, const std::string& file) {
  return InvalidArgument(Format("{} '{}': {}", what, file, TakeReason()));
}

Result<void> CheckReadable(const std::string& what, const std::string& file) {
  if (file.empty()) return {};
  Result<std::string> bytes = ReadFile(file);
  if (!bytes.has_value()) return std::move(bytes).error().In(what);
  return {};
}

bool IsAddress(const std::string& name) {
  in6_addr ignored{};
  return inet_pton(AF_INET, name.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &ignored) == 1;
}

// The names that a certificate was made for, a few of them.
std::string NamesOf(X509* certificate) {
  std::vector<std::string> names;
  auto* list = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(list, i);
    if (name->type != GEN_DNS && name->type != GEN_IPADD) continue;
    const ASN1_STRING* text = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    const unsigned char* bytes = ASN1_STRING_get0_data(text);
    const auto size = static_cast<size_t>(ASN1_STRING_length(text));
    char address[INET6_ADDRSTRLEN] = "?";
    if (name->type == GEN_DNS) {
      names.push_back(Printable({reinterpret_cast<const char*>(bytes), size}, 60));
    } else if (size == 4 || size == 16) {
      names.emplace_back(inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes, address, sizeof address));
    }
  }
  GENERAL_NAMES_free(list);
  if (names.size() > 4) names.resize(4), names.emplace_back("...");
  return Join(names, ", ");
}

std::string AlpnName(const std::string& protocol) {
  return static_cast<char>(protocol.size()) + protocol;
}

int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* offered, unsigned offered_size, void* argument) {
  const std::string& wanted = *static_cast<const std::string*>(argument);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(
          &chosen, out_size, reinterpret_cast<const unsigned char*>(wanted.data()),
          static_cast<unsigned>(wanted.size()), offered, offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void SetUsual(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // One recv for all that has arrived, instead of two for each record.
  SSL_CTX_set_read_ahead(context, 1);
}

Result<void> LoadKey(SSL_CTX* context, const std::string& file, TlsFileType type) {
  const int form = type == TlsFileType::kPem ? SSL_FILETYPE_PEM : SSL_FILETYPE_ASN1;
  if (SSL_CTX_use_PrivateKey_file(context, file.c_str(), form) == 1) return {};
  const auto code = ERR_peek_error();
  if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH) {
    ERR_clear_error();
    return InvalidArgument(Format("the private key '{}' is another certificate's", file));
  }
  return FileError("the private key", file);
}

Result<void> LoadCertificate(SSL_CTX* context, const std::string& file, TlsFileType type) {
  const int loaded = type == TlsFileType::kPem
                         ? SSL_CTX_use_certificate_chain_file(context, file.c_str())
                         : SSL_CTX_use_certificate_file(context, file.c_str(), SSL_FILETYPE_ASN1);
  if (loaded != 1) return FileError("the certificate", file);
  return {};
}

}  // namespace

TlsContext::~TlsContext() { SSL_CTX_free(handle_); }

Result<std::unique_ptr<TlsContext>> TlsContext::CreateClient(const TlsClientOptions& options) {
  SEXTANT_TRY(CheckReadable("the file of authorities", options.ca_file));
  SEXTANT_TRY(CheckReadable("the certificate", options.certificate_file));
  SEXTANT_TRY(CheckReadable("the private key", options.key_file));
  std::unique_ptr<TlsContext> context(new TlsContext());
  context->client_ = options;
  SSL_CTX* const handle = context->handle_ = SSL_CTX_new(TLS_client_method());
  if (handle == nullptr) return Internal("OpenSSL: " + TakeReason());
  SetUsual(handle);
  if (options.verify_peer) {
    SSL_CTX_set_verify(handle, SSL_VERIFY_PEER, &TlsBio::Verify);
    if (options.ca_file.empty()) {
      SSL_CTX_set_default_verify_paths(handle);
    } else if (SSL_CTX_load_verify_file(handle, options.ca_file.c_str()) != 1) {
      return FileError("the file of authorities", options.ca_file);
    }
  }
  if (!options.certificate_file.empty()) {
    SEXTANT_TRY(LoadCertificate(handle, options.certificate_file, options.certificate_type));
    // A key may lie in the certificate's own file.
    SEXTANT_TRY(LoadKey(handle,
                        options.key_file.empty() ? options.certificate_file : options.key_file,
                        options.key_type));
  }
  SSL_CTX_set_client_cert_cb(handle, &TlsBio::Asked);
  SSL_CTX_set_session_cache_mode(handle, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(handle, [](SSL* ssl, SSL_SESSION* session) {
    static_cast<TlsPeer*>(SSL_get_app_data(ssl))->Remember(session);
    return 1;  // the reference is the peer's now
  });
  ERR_clear_error();
  return context;
}

Result<std::unique_ptr<TlsContext>> TlsContext::CreateServer(const TlsServerOptions& options) {
  SEXTANT_TRY(CheckReadable("the certificate", options.certificate_file));
  SEXTANT_TRY(CheckReadable("the private key", options.key_file));
  SEXTANT_TRY(CheckReadable("the file of clients' authorities", options.client_ca_file));
  std::unique_ptr<TlsContext> context(new TlsContext());
  SSL_CTX* const handle = context->handle_ = SSL_CTX_new(TLS_server_method());
  if (handle == nullptr) return Internal("OpenSSL: " + TakeReason());
  SetUsual(handle);
  SEXTANT_TRY(LoadCertificate(handle, options.certificate_file, TlsFileType::kPem));
  SEXTANT_TRY(LoadKey(handle, options.key_file, TlsFileType::kPem));
  if (!options.client_ca_file.empty()) {
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca_file.c_str());
    if (names == nullptr || SSL_CTX_load_verify_file(handle, options.client_ca_file.c_str()) != 1)
      return FileError("the file of clients' authorities", options.client_ca_file);
    SSL_CTX_set_client_CA_list(handle, names);
    SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  context->protocol_ = AlpnName(options.protocol);
  SSL_CTX_set_alpn_select_cb(handle, ChooseProtocol, &context->protocol_);
  // Sessions of clients with certificates are tied to it; tickets need no memory here.
  SSL_CTX_set_session_id_context(handle,
                                 reinterpret_cast<const unsigned char*>(context->protocol_.data()),
                                 static_cast<unsigned>(context->protocol_.size()));
  SSL_CTX_set_session_cache_mode(handle, SSL_SESS_CACHE_OFF);
  ERR_clear_error();
  return context;
}

TlsPeer::TlsPeer(const TlsContext& context, std::string name, std::string protocol)
    : context_(context), name_(std::move(name)), protocol_(std::move(protocol)) {}

TlsPeer::~TlsPeer() { SSL_SESSION_free(session_); }

void TlsPeer::Remember(ssl_session_st* session) {
  const std::scoped_lock lock(mutex_);
  SSL_SESSION_free(session_);
  session_ = session;
}

uint64_t TlsPeer::resumptions() const {
  const std::scoped_lock lock(mutex_);
  return resumptions_;
}

TlsStream::TlsStream(const TlsContext& context, TlsPeer* peer)
    : context_(context), peer_(peer), handle_(SSL_new(context.handle_)) {
  SEXTANT_CHECK(handle_ != nullptr, "SSL_new failed");
  BIO* const bio = BIO_new(TlsBio::Method());
  SEXTANT_CHECK(bio != nullptr, "BIO_new failed");
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(handle_, bio, bio);
}

TlsStream::~TlsStream() {
  // Without this OpenSSL would take the session for a broken one and never resume it.
  if (!broken_) SSL_set_shutdown(handle_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(handle_);
}

std::unique_ptr<TlsStream> TlsStream::Connect(TlsPeer& peer) {
  std::unique_ptr<TlsStream> stream(new TlsStream(peer.context_, &peer));
  SSL* const ssl = stream->handle_;
  SSL_set_connect_state(ssl);
  SSL_set_app_data(ssl, &peer);
  const std::string alpn = AlpnName(peer.protocol_);
  SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(alpn.data()),
                      static_cast<unsigned>(alpn.size()));
  const bool address = IsAddress(peer.name_);
  if (!address && !peer.name_.empty()) SSL_set_tlsext_host_name(ssl, peer.name_.c_str());
  if (peer.context_.client_.verify_name && !peer.name_.empty()) {
    if (address) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), peer.name_.c_str());
    } else {
      SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      SSL_set1_host(ssl, peer.name_.c_str());
    }
  }
  const std::scoped_lock lock(peer.mutex_);
  if (peer.session_ != nullptr) SSL_set_session(ssl, peer.session_);
  return stream;
}

std::unique_ptr<TlsStream> TlsStream::Accept(const TlsContext& context) {
  std::unique_ptr<TlsStream> stream(new TlsStream(context, nullptr));
  SSL_set_accept_state(stream->handle_);
  return stream;
}

IoResult TlsStream::Handshake(int fd) {
  fd_ = fd;
  drained_ = false;
  const int result = SSL_do_handshake(handle_);
  if (result != 1) {
    IoResult failed = Failed(result, write_wants_read_, 0);
    if (failed.closed) {
      broken_ = true;
      fault_ = "the server closed the connection during the TLS handshake";
      failed = {.error = EPROTO};
    }
    return failed;
  }
  write_wants_read_ = false;
  if (!ProtocolAgreed()) return {.error = EPROTO};
  if (SSL_session_reused(handle_) != 0) {
    const std::scoped_lock lock(peer_->mutex_);
    ++peer_->resumptions_;
  }
  return {};
}

// HTTP/1.1 is what servers without ALPN speak; HTTP/2 has to be agreed on.
bool TlsStream::ProtocolAgreed() {
  if (peer_->protocol_ != "h2") return true;
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(handle_, &chosen, &size);
  if (std::string_view(reinterpret_cast<const char*>(chosen), size) == peer_->protocol_)
    return true;
  broken_ = true;
  fault_ =
      "the server speaks TLS but has not agreed to HTTP/2 (ALPN h2), which gRPC needs: is this its "
      "gRPC port?";
  return false;
}

IoResult TlsStream::Read(int fd, char* buffer, size_t size) {
  fd_ = fd;
  drained_ = false;
  read_wants_write_ = false;
  IoResult out;
  while (out.bytes < size) {
    const int result = SSL_read(handle_, buffer + out.bytes,
                                static_cast<int>(std::min<size_t>(size - out.bytes, 1U << 30)));
    if (result <= 0) {
      const IoResult failed = Failed(result, read_wants_write_, SSL_ERROR_WANT_READ);
      // Some servers just hang up on a client without a certificate.
      if (asked_ && untried_ && (failed.closed || failed.error != 0)) {
        broken_ = true;
        if (failed.error != EPROTO) {
          fault_ = "the server wants a client's certificate, and closed the connection without one";
          if (!context_.client_.certificate_remedy.empty())
            fault_ += ": " + context_.client_.certificate_remedy;
        }
        return {.error = EPROTO};
      }
      // What was read before counts first; the end is met again by the next call.
      return out.bytes > 0 ? out : failed;
    }
    untried_ = false;
    out.bytes += static_cast<size_t>(result);
    // Another record in memory, or more in the socket, or that was all.
    if (drained_ && SSL_has_pending(handle_) == 0) break;
  }
  return out;
}

IoResult TlsStream::Write(int fd, std::span<const iovec> pieces) {
  // A record per piece would be many times the work: small pieces are gathered, in memory that all
  // streams of a thread share.
  static thread_local std::array<char, kRecordBytes> gathered;
  fd_ = fd;
  write_wants_read_ = false;
  IoResult out;
  size_t piece = 0, offset = 0;
  while (piece < pieces.size()) {
    const char* data = static_cast<const char*>(pieces[piece].iov_base) + offset;
    size_t size = std::min(pieces[piece].iov_len - offset, kRecordBytes);
    if (size < kRecordBytes && piece + 1 < pieces.size()) {
      size_t at = offset;
      size = 0;
      for (size_t i = piece; i < pieces.size() && size < kRecordBytes; ++i, at = 0) {
        const size_t n = std::min(pieces[i].iov_len - at, kRecordBytes - size);
        if (n == 0) continue;  // of an empty piece, whose base may be null
        std::memcpy(gathered.data() + size, static_cast<const char*>(pieces[i].iov_base) + at, n);
        size += n;
      }
      data = gathered.data();
    }
    if (size == 0) return out;
    const int result = SSL_write(handle_, data, static_cast<int>(size));
    if (result <= 0) {
      IoResult failed = Failed(result, write_wants_read_, SSL_ERROR_WANT_WRITE);
      // An orderly end is one for readers only: who writes has lost the peer.
      if (failed.closed) failed = {.error = EPIPE};
      if (failed.error != 0 || out.bytes == 0) return failed;
      return out;
    }
    out.bytes += static_cast<size_t>(result);
    for (size_t left = static_cast<size_t>(result); left > 0;) {
      const size_t n = std::min(left, pieces[piece].iov_len - offset);
      left -= n;
      offset += n;
      if (offset == pieces[piece].iov_len) ++piece, offset = 0;
    }
    while (piece < pieces.size() && pieces[piece].iov_len == 0) ++piece;
  }
  return out;
}

void TlsStream::Finish(int fd) {
  if (broken_ || SSL_in_init(handle_) != 0) return;
  fd_ = fd;
  if (SSL_shutdown(handle_) < 0) ERR_clear_error();
}

IoResult TlsStream::Failed(int result, bool& crossed, int usual) {
  const int kind = SSL_get_error(handle_, result);
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
    crossed = kind != usual;
    return {.would_block = true};
  }
  if (kind == SSL_ERROR_ZERO_RETURN) return {.closed = true};
  broken_ = true;
  if (error_ != 0) {
    ERR_clear_error();
    fault_ = strerror(error_);
    return {.error = error_};
  }
  if (kind == SSL_ERROR_SYSCALL && ERR_peek_error() == 0) return {.closed = true};
  DescribeFault();
  return {.error = EPROTO};
}

void TlsStream::DescribeFault() {
  unsigned long code = 0;  // NOLINT(google-runtime-int)
  const std::string reason = TakeReason(&code);
  const TlsClientOptions& client = context_.client_;
  const auto advise = [&](std::string text, const std::string& remedy) {
    fault_ = std::move(text);
    if (!remedy.empty()) fault_ += ": " + remedy;
  };
  // What a server finds wrong with a client is the client's to be told; OpenSSL does that.
  if (peer_ == nullptr) return advise("TLS: " + reason, "");
  const auto verdict = SSL_get_verify_result(handle_);
  if (client.verify_peer && verdict != X509_V_OK) {
    const char* why = X509_verify_cert_error_string(verdict);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH) {
      return advise(Format("the server's certificate is not for '{}'{}", peer_->name_,
                           certificate_names_.empty() ? "" : " but for " + certificate_names_),
                    client.name_remedy);
    }
    if (verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID) {
      return advise(Format("the server's certificate is not valid now ({})", why),
                    "renew it, or check this machine's clock");
    }
    return advise(Format("the server's certificate is not trusted ({})", why),
                  client.authority_remedy);
  }
  switch (ERR_GET_REASON(code)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
      return advise(client.certificate_file.empty()
                        ? Format("the server wants a client's certificate ({})", reason)
                        : Format("the server does not take this client's certificate ({})", reason),
                    client.certificate_remedy);
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
      return advise(Format("what the server sends is not TLS ({})", reason),
                    "does it speak plain text on this port?");
    default:
      break;
  }
  advise("TLS: " + reason, "");
}

}  // namespace sextant::net
