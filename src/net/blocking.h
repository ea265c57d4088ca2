// One call at a time with a deadline, for everything that is not load: metadata, statistics,
// control.
//
// Each client keeps one connection open between calls and makes a new one when the server has
// closed it. Threads: one thread per client.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/grpc_client.h"
#include "net/http_client.h"
#include "net/socket.h"

namespace sextant::net {

struct HttpReplyText {
  int status = 0;
  std::string fields;
  std::string body;
};

class BlockingHttpClient {
 public:
  // `host` is what the Host header says; `extra_fields` go into every request. Under TLS where
  // there is a peer for it, which must outlive the client.
  static Result<BlockingHttpClient> Create(const Address& address, std::string host,
                                           std::string extra_fields = {}, TlsPeer* tls = nullptr);
  BlockingHttpClient(BlockingHttpClient&&) noexcept;
  BlockingHttpClient& operator=(BlockingHttpClient&&) noexcept;
  ~BlockingHttpClient();

  // From the next call on.
  void SetExtraFields(std::string extra_fields);

  // Errors: kUnavailable (no connection, connection lost), kDeadlineExceeded, kCorrupt (not HTTP).
  Result<HttpReplyText> Call(std::string_view method, std::string_view target,
                             std::string_view body, Nanos timeout);

 private:
  struct State;
  explicit BlockingHttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct GrpcReplyText {
  int status = 0;
  std::string status_message;
  std::string message;
};

class BlockingGrpcClient {
 public:
  static Result<BlockingGrpcClient> Create(const Address& address, std::string authority,
                                           std::vector<HeaderField> metadata = {},
                                           TlsPeer* tls = nullptr);
  BlockingGrpcClient(BlockingGrpcClient&&) noexcept;
  BlockingGrpcClient& operator=(BlockingGrpcClient&&) noexcept;
  ~BlockingGrpcClient();

  // From the next call on.
  void SetMetadata(std::vector<HeaderField> metadata);

  // One unary call; `message` without prefix. Errors as BlockingHttpClient; a status that is not OK
  // is not an error here.
  Result<GrpcReplyText> Call(std::string_view path, std::string_view message, Nanos timeout);

 private:
  struct State;
  explicit BlockingGrpcClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sextant::net
