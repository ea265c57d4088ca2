// TLS under a stream socket, by OpenSSL.
//
// A TlsContext holds keys, certificates and trust; a TlsPeer is one server as clients see it (the
// name that its certificate must bear, the last session, which the next connection resumes); a
// TlsStream is one connection's state. A Socket without a TlsStream pays a test for null.
//
// Truncation: a peer that closes without close_notify counts as an orderly end, as servers behind
// load balancers do it; lengths in HTTP and HTTP/2 say what is missing.
// Threads: contexts and peers may be shared by all; a stream belongs to its socket's loop.
// Lifetime: contexts and peers outlive their streams.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/io_result.h"

struct ssl_ctx_st;
struct ssl_st;
struct ssl_session_st;

namespace sextant::net {

enum class TlsFileType : uint8_t { kPem, kDer };

struct TlsClientOptions {
  bool verify_peer = true;                 // its chain of certificates
  bool verify_name = true;                 // that the certificate is for the name connected to
  std::string ca_file;                     // PEM; empty: the system's authorities
  std::string certificate_file, key_file;  // of this client; empty: none
  TlsFileType certificate_type = TlsFileType::kPem, key_type = TlsFileType::kPem;
  // What to do about a failure, in the words of the program's user: appended to its reason.
  std::string authority_remedy, name_remedy, certificate_remedy;
};

struct TlsServerOptions {
  std::string certificate_file, key_file;  // PEM, the chain included
  std::string client_ca_file;              // clients must show a certificate of these; empty: not
  std::string protocol;                    // ALPN: "h2" or "http/1.1"
};

class TlsContext {
 public:
  // Errors: kInvalidArgument (a file that is not what it is said to be, a key of another
  // certificate), kNotFound.
  static Result<std::unique_ptr<TlsContext>> CreateClient(const TlsClientOptions& options);
  static Result<std::unique_ptr<TlsContext>> CreateServer(const TlsServerOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsPeer;
  friend class TlsStream;
  TlsContext() = default;

  ssl_ctx_st* handle_ = nullptr;
  TlsClientOptions client_;
  std::string protocol_;  // of a server, as ALPN wants it: length and name
};

// A server to connect to.
class TlsPeer {
 public:
  // `name`: a DNS name or an address. `protocol`: what is spoken over it, by its ALPN name ("h2",
  // which the server must agree to, or "http/1.1").
  TlsPeer(const TlsContext& context, std::string name, std::string protocol);
  ~TlsPeer();
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  // How many handshakes took up an earlier session.
  uint64_t resumptions() const;

 private:
  friend class TlsContext;
  friend class TlsStream;
  void Remember(ssl_session_st* session);

  const TlsContext& context_;
  const std::string name_, protocol_;
  mutable std::mutex mutex_;  // guards what follows
  ssl_session_st* session_ = nullptr;
  uint64_t resumptions_ = 0;
};

class TlsStream {
 public:
  static std::unique_ptr<TlsStream> Connect(TlsPeer& peer);
  static std::unique_ptr<TlsStream> Accept(const TlsContext& context);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // A client's handshake: would_block, error, or neither when it is done. (A server's goes along
  // with its first reads and writes.)
  IoResult Handshake(int fd);
  // Reads until the buffer is full or the socket empty.
  IoResult Read(int fd, char* buffer, size_t size);
  // Writes as much as the socket takes. What it did not take must be offered again, first.
  IoResult Write(int fd, std::span<const iovec> pieces);
  // Says that nothing more follows, if that can be said at once.
  void Finish(int fd);

  // A read waits for room to write, or a write for something to read: every event concerns both.
  bool crossed() const { return read_wants_write_ || write_wants_read_; }
  // Why the last call failed, with a remedy where there is one.
  const std::string& fault() const { return fault_; }
  // Nothing has been received yet but the handshake: a server that wants a client's certificate
  // says so after the client's part of the handshake is done.
  bool untried() const { return untried_; }

 private:
  friend struct TlsBio;
  TlsStream(const TlsContext& context, TlsPeer* peer);
  IoResult Failed(int result, bool& crossed, int usual);
  void DescribeFault();
  bool ProtocolAgreed();

  const TlsContext& context_;
  TlsPeer* const peer_;  // of a client
  ssl_st* handle_ = nullptr;
  int fd_ = -1;           // of the call in progress
  int error_ = 0;         // the system's, of the call in progress
  bool drained_ = false;  // the socket held less than was asked for
  bool end_ = false;      // the peer has closed its side
  bool read_wants_write_ = false, write_wants_read_ = false;
  bool untried_ = true, broken_ = false;
  std::string fault_, certificate_names_;
  bool asked_ = false;  // for a certificate that this client does not have
};

}  // namespace sextant::net
