#include "net/blocking.h"

#include <optional>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::net {
namespace {

Error LostError(FailureKind kind, std::string_view reason) {
  return {kind == FailureKind::kProtocol ? ErrorCode::kCorrupt : ErrorCode::kUnavailable,
          std::string(reason)};
}

Error TimeoutError(Nanos timeout) {
  return {ErrorCode::kDeadlineExceeded, Format("no answer within {}", HumanDuration(timeout))};
}

}  // namespace

struct BlockingHttpClient::State final : HttpClientListener {
  void OnHttpConnected(HttpClientConnection&) override {}
  void OnHttpResponse(HttpClientConnection&, const HttpResponse& response) override {
    reply =
        HttpReplyText{response.status, std::string(response.fields), std::string(response.body)};
  }
  void OnHttpClosed(HttpClientConnection&, FailureKind kind, std::string_view reason,
                    bool awaiting) override {
    if (awaiting || kind == FailureKind::kConnect) lost = LostError(kind, reason);
  }

  std::unique_ptr<EventLoop> loop;
  Address address;
  TlsPeer* tls = nullptr;
  std::string host, extra_fields;
  TransferCounters counters;
  std::optional<HttpClientConnection> connection;
  std::optional<HttpReplyText> reply;
  std::optional<Error> lost;
};

Result<BlockingHttpClient> BlockingHttpClient::Create(const Address& address, std::string host,
                                                      std::string extra_fields, TlsPeer* tls) {
  auto state = std::make_unique<State>();
  SEXTANT_ASSIGN(state->loop, EventLoop::Create());
  state->address = address;
  state->tls = tls;
  state->host = std::move(host);
  state->extra_fields = std::move(extra_fields);
  state->connection.emplace(*state->loop, *state, state->counters, 0);
  return BlockingHttpClient(std::move(state));
}

BlockingHttpClient::BlockingHttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
BlockingHttpClient::BlockingHttpClient(BlockingHttpClient&&) noexcept = default;
BlockingHttpClient& BlockingHttpClient::operator=(BlockingHttpClient&&) noexcept = default;
BlockingHttpClient::~BlockingHttpClient() = default;

void BlockingHttpClient::SetExtraFields(std::string extra_fields) {
  state_->extra_fields = std::move(extra_fields);
}

Result<HttpReplyText> BlockingHttpClient::Call(std::string_view method, std::string_view target,
                                               std::string_view body, Nanos timeout) {
  State& s = *state_;
  const std::string head =
      Format("{} {} HTTP/1.1\r\nHost: {}\r\n{}{}Content-Length: {}\r\n\r\n", method, target, s.host,
             s.extra_fields, body.empty() ? "" : "Content-Type: application/json\r\n", body.size());
  const std::string_view pieces[] = {head, body};
  const Instant deadline = SteadyNow() + timeout;
  // See what has become of the connection since the last call.
  s.loop->Turn(Nanos(0));
  for (bool first = true;; first = false) {
    const bool reused = s.connection->open();
    if (!reused) s.connection->Connect(s.address, s.tls);
    s.reply.reset();
    s.lost.reset();
    Instant sent;
    s.connection->Send(pieces, /*keep_body=*/true, &sent);
    while (!s.reply && !s.lost && SteadyNow() < deadline)
      s.loop->Turn(std::max(deadline - SteadyNow(), Nanos(1)));
    if (s.reply) return *std::move(s.reply);
    if (!s.lost) {
      s.connection->Abandon();  // its answer, if it comes, belongs to nobody
      return TimeoutError(timeout);
    }
    // A server may close an idle connection just when we use it; a fresh one decides.
    if (!reused || !first) return *std::move(s.lost);
  }
}

struct BlockingGrpcClient::State final : GrpcClientListener {
  void OnGrpcReady(GrpcClientConnection&) override {}
  void OnGrpcResponse(GrpcClientConnection&, uint32_t, const GrpcResponse& response) override {
    reply = GrpcReplyText{response.status, std::string(response.status_message),
                          std::string(response.message)};
  }
  void OnGrpcClosed(GrpcClientConnection&, FailureKind kind, std::string_view reason,
                    std::span<const uint32_t>) override {
    lost = LostError(kind, reason);
  }

  std::unique_ptr<EventLoop> loop;
  Address address;
  TlsPeer* tls = nullptr;
  GrpcMethod method;
  TransferCounters counters;
  std::optional<GrpcClientConnection> connection;
  bool connecting = false;
  std::optional<GrpcReplyText> reply;
  std::optional<Error> lost;
};

Result<BlockingGrpcClient> BlockingGrpcClient::Create(const Address& address, std::string authority,
                                                      std::vector<HeaderField> metadata,
                                                      TlsPeer* tls) {
  auto state = std::make_unique<State>();
  SEXTANT_ASSIGN(state->loop, EventLoop::Create());
  state->address = address;
  state->tls = tls;
  state->method.secure = tls != nullptr;
  state->method.authority = std::move(authority);
  state->method.metadata = std::move(metadata);
  state->connection.emplace(*state->loop, *state, state->counters, state->method, 0);
  return BlockingGrpcClient(std::move(state));
}

BlockingGrpcClient::BlockingGrpcClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
BlockingGrpcClient::BlockingGrpcClient(BlockingGrpcClient&&) noexcept = default;
BlockingGrpcClient& BlockingGrpcClient::operator=(BlockingGrpcClient&&) noexcept = default;
BlockingGrpcClient::~BlockingGrpcClient() = default;

void BlockingGrpcClient::SetMetadata(std::vector<HeaderField> metadata) {
  state_->method.metadata = std::move(metadata);
}

Result<GrpcReplyText> BlockingGrpcClient::Call(std::string_view path, std::string_view message,
                                               Nanos timeout) {
  State& s = *state_;
  GrpcMethod method = s.method;
  method.path = path;
  std::string prefix;
  AppendGrpcPrefix(prefix, static_cast<uint32_t>(message.size()));
  const std::string_view pieces[] = {prefix, message};
  const Instant deadline = SteadyNow() + timeout;
  const auto wait = [&](auto&& done) {
    while (!done() && !s.lost && SteadyNow() < deadline)
      s.loop->Turn(std::max(deadline - SteadyNow(), Nanos(1)));
    return done();
  };
  s.lost.reset();
  s.loop->Turn(Nanos(0));
  for (bool first = true;; first = false) {
    const bool reused = s.connection->CanStart();
    if (!reused) {
      s.connection->Abandon();
      s.connection->Connect(s.address, s.tls);
    }
    s.reply.reset();
    s.lost.reset();
    if (wait([&] { return s.connection->CanStart(); })) {
      Instant sent;
      const uint32_t stream =
          s.connection->StartMethod(method, 1, pieces, /*keep_message=*/true, &sent);
      if (wait([&] { return s.reply.has_value(); })) return *std::move(s.reply);
      if (!s.lost) {
        s.connection->Cancel(stream);
        return TimeoutError(timeout);
      }
    }
    if (!s.lost) {
      s.connection->Abandon();
      return TimeoutError(timeout);
    }
    if (!reused || !first) return *std::move(s.lost);
  }
}

}  // namespace sextant::net
