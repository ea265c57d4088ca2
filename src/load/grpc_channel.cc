// gRPC: many requests on each connection.
#include <algorithm>
#include <memory>
#include <vector>

#include "load/waiting_requests.h"
#include "net/grpc_client.h"

namespace sextant::load {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

class GrpcChannel final : public Channel, public net::GrpcClientListener {
 public:
  GrpcChannel(net::EventLoop& loop, ChannelListener& listener, const ChannelOptions& options)
      : loop_(loop), listener_(listener), options_(options) {
    for (const Endpoint& endpoint : options.endpoints) {
      methods_.push_back({.authority = endpoint.authority,
                          .path = std::string(kGrpcInferPath),
                          .metadata = options.metadata,
                          .timeout = options.timeout,
                          .secure = endpoint.tls != nullptr});
    }
    if (options.live_header != nullptr) {
      for (net::GrpcMethod& method : methods_) method.metadata.emplace_back();
      TakeLiveHeader();
    }
  }

  void Prepare(size_t count) override {
    wanted_ = std::max<size_t>(
        options_.endpoints.size(),
        options_.max_connections > 0 ? std::min(count, options_.max_connections) : count);
    while (links_.size() < wanted_) AddLink();
    for (size_t i = 0; i < wanted_; ++i) Revive(i);
  }
  bool Prepared() const override {
    return static_cast<size_t>(std::count_if(links_.begin(), links_.end(), [](const Link& l) {
             return l.connection->ready();
           })) >= wanted_;
  }
  const std::string& ConnectFault() const override { return connect_fault_; }

  void Start(uint32_t slot, const EncodedRequest& request, Instant* sent) override {
    if (slot >= place_of_slot_.size()) place_of_slot_.resize(slot + 1);
    if (options_.live_header != nullptr && options_.live_header->version() != live_version_)
      TakeLiveHeader();
    const uint32_t link = Choose();
    if (link != kNone) return Send(link, slot, request, sent);
    place_of_slot_[slot] = {};
    // With every connection down after a failed attempt and the next still ahead, waiting would
    // only hide it. After a mere loss the next attempt is at once, and may well succeed.
    if (connect_failures_ > 0 && retry_at_ != Instant::max() && !AnyUsable()) {
      AnswerUnconnected(listener_, slot, connect_fault_);
      return;
    }
    waiting_.Add({slot, &request, sent});
  }

  uint32_t Cancel(uint32_t slot) override {
    const Place place = place_of_slot_[slot];
    if (place.link == kNone) {
      waiting_.Remove(slot);
      return kNoEndpoint;
    }
    place_of_slot_[slot] = {};
    links_[place.link].connection->Cancel(place.stream);
    ServeWaiting();
    return EndpointOf(place.link);
  }

  Instant Tick(Instant now) override {
    if (now >= retry_at_) {
      retry_at_ = Instant::max();
      for (size_t i = 0; i < wanted_; ++i) Revive(i);
    }
    return retry_at_;
  }

  size_t connections() const override {
    return static_cast<size_t>(std::count_if(links_.begin(), links_.end(),
                                             [](const Link& l) { return l.connection->ready(); }));
  }

  void OnGrpcReady(net::GrpcClientConnection& connection) override {
    links_[connection.index()].connecting = false;
    connect_failures_ = 0;
    connect_fault_.clear();
    ServeWaiting();
  }

  void OnGrpcResponse(net::GrpcClientConnection& connection, uint32_t slot,
                      const net::GrpcResponse& response) override {
    place_of_slot_[slot] = {};
    Answer answer{.endpoint = EndpointOf(connection.index()),
                  .received = response.received,
                  .body = response.message};
    if (response.status != 0)
      answer.outcome = {OutcomeKind::kGrpc, response.status}, answer.text = response.status_message;
    listener_.OnAnswer(slot, answer);
    if (!waiting_.empty()) ServeWaiting();
    if (connection.draining() && connection.active_streams() == 0) {
      // It has served its time; its successor may take the place.
      connection.Abandon();
      ++counters_.disconnects;
      Revive(connection.index());
    }
  }

  void OnGrpcClosed(net::GrpcClientConnection& connection, net::FailureKind kind,
                    std::string_view reason, std::span<const uint32_t> slots) override {
    links_[connection.index()].connecting = false;
    links_[connection.index()].down = true;
    const Instant now = SteadyNow();
    if (kind == net::FailureKind::kConnect) {
      ++connect_failures_;
      connect_fault_ = reason;
    }
    retry_at_ = std::min(retry_at_, kind == net::FailureKind::kConnect
                                        ? now + ConnectBackoff(connect_failures_)
                                        : now);
    const OutcomeKind outcome = kind == net::FailureKind::kProtocol  ? OutcomeKind::kProtocol
                                : kind == net::FailureKind::kConnect ? OutcomeKind::kConnect
                                                                     : OutcomeKind::kReset;
    for (const uint32_t slot : slots) {
      place_of_slot_[slot] = {};
      listener_.OnAnswer(slot, {.outcome = {outcome},
                                .endpoint = EndpointOf(connection.index()),
                                .received = now,
                                .text = reason});
    }
    if (kind == net::FailureKind::kConnect && !AnyUsable()) waiting_.FailAll(listener_, reason);
  }

 private:
  struct Link {
    std::unique_ptr<net::GrpcClientConnection> connection;
    bool down = true;
    bool connecting = false;
  };
  struct Place {
    uint32_t link = kNone, stream = 0;
  };

  uint32_t EndpointOf(size_t link) const {
    return static_cast<uint32_t>((options_.first_endpoint + link) % options_.endpoints.size());
  }

  void AddLink() {
    const auto index = static_cast<uint32_t>(links_.size());
    links_.push_back({std::make_unique<net::GrpcClientConnection>(
        loop_, *this, counters_, methods_[EndpointOf(index)], index)});
  }

  [[gnu::noinline, gnu::cold]] void TakeLiveHeader() {
    live_version_ = options_.live_header->version();
    const net::HeaderField field = options_.live_header->grpc_field();
    for (net::GrpcMethod& method : methods_) method.metadata.back() = field;
    for (Link& link : links_) link.connection->MethodChanged();
  }

  void Revive(size_t link) {
    Link& l = links_[link];
    if (l.connection->ready() || (l.connecting && !l.down)) return;
    l.down = false;
    l.connecting = true;
    l.connection->Abandon();
    const Endpoint& to = options_.endpoints[EndpointOf(link)];
    l.connection->Connect(to.address, to.tls.get());
  }

  bool AnyUsable() const {
    return std::any_of(links_.begin(), links_.end(), [](const Link& l) { return !l.down; });
  }

  // In turn, so that all connections carry their share.
  uint32_t Choose() {
    for (size_t i = 0; i < wanted_; ++i) {
      next_ = next_ + 1 >= wanted_ ? 0 : next_ + 1;
      if (links_[next_].connection->CanStart()) return static_cast<uint32_t>(next_);
    }
    return kNone;
  }

  void Send(uint32_t link, uint32_t slot, const EncodedRequest& request, Instant* sent) {
    place_of_slot_[slot] = {
        link, links_[link].connection->Start(slot, request.pieces, options_.keep_bodies, sent)};
  }

  void ServeWaiting() {
    while (!waiting_.empty()) {
      const uint32_t link = Choose();
      if (link == kNone) return;
      const WaitingRequest next = waiting_.Take();
      Send(link, next.slot, *next.request, next.sent);
    }
  }

  net::EventLoop& loop_;
  ChannelListener& listener_;
  const ChannelOptions options_;
  std::vector<net::GrpcMethod> methods_;  // per endpoint
  uint32_t live_version_ = 0;
  std::vector<Link> links_;
  std::vector<Place> place_of_slot_;
  WaitingRequests waiting_;
  size_t wanted_ = 0, next_ = 0;
  int connect_failures_ = 0;
  std::string connect_fault_;
  Instant retry_at_ = Instant::max();
};

}  // namespace

std::unique_ptr<Channel> MakeGrpcChannel(net::EventLoop& loop, ChannelListener& listener,
                                         const ChannelOptions& options) {
  return std::make_unique<GrpcChannel>(loop, listener, options);
}

}  // namespace sextant::load
