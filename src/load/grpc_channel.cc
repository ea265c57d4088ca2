// gRPC: many requests on each connection.
#include <memory>
#include <vector>

#include "load/grpc_links.h"
#include "load/waiting_requests.h"

namespace sextant::load {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

class GrpcChannel final : public Channel, public net::GrpcClientListener {
 public:
  GrpcChannel(net::EventLoop& loop, ChannelListener& listener, const ChannelOptions& options)
      : listener_(listener),
        options_(options),
        links_(loop, *this, counters_, options_, kGrpcInferPath, options.timeout) {}

  void Prepare(size_t count) override { links_.Prepare(count); }
  bool Prepared() const override { return links_.Prepared(); }
  const std::string& ConnectFault() const override { return links_.fault(); }
  size_t connections() const override { return links_.ready(); }
  Instant Tick(Instant now) override { return links_.Tick(now); }

  void Start(uint32_t slot, const EncodedRequest& request, Instant* sent) override {
    if (slot >= place_of_slot_.size()) place_of_slot_.resize(slot + 1);
    links_.FollowLiveHeader();
    const uint32_t link = Choose();
    if (link != kNone) return Send(link, slot, request, sent);
    place_of_slot_[slot] = {};
    if (links_.Hopeless()) return AnswerUnconnected(listener_, slot, links_.fault());
    waiting_.Add({slot, &request, sent});
  }

  uint32_t Cancel(uint32_t slot) override {
    const Place place = place_of_slot_[slot];
    if (place.link == kNone) {
      waiting_.Remove(slot);
      return kNoEndpoint;
    }
    place_of_slot_[slot] = {};
    links_[place.link].Cancel(place.stream);
    ServeWaiting();
    return links_.EndpointOf(place.link);
  }

  void OnGrpcReady(net::GrpcClientConnection& connection) override {
    links_.OnReady(connection.index());
    ServeWaiting();
  }

  void OnGrpcResponse(net::GrpcClientConnection& connection, uint32_t slot,
                      const net::GrpcResponse& response) override {
    place_of_slot_[slot] = {};
    Answer answer{.endpoint = links_.EndpointOf(connection.index()),
                  .received = response.received,
                  .body = response.message};
    if (response.status != 0)
      answer.outcome = {OutcomeKind::kGrpc, response.status}, answer.text = response.status_message;
    listener_.OnAnswer(slot, answer);
    if (!waiting_.empty()) ServeWaiting();
    if (connection.draining() && connection.active_streams() == 0) links_.Renew(connection.index());
  }

  void OnGrpcClosed(net::GrpcClientConnection& connection, net::FailureKind kind,
                    std::string_view reason, std::span<const uint32_t> slots) override {
    const OutcomeKind outcome = links_.OnClosed(connection.index(), kind, reason);
    const Instant now = SteadyNow();
    for (const uint32_t slot : slots) {
      place_of_slot_[slot] = {};
      listener_.OnAnswer(slot, {.outcome = {outcome},
                                .endpoint = links_.EndpointOf(connection.index()),
                                .received = now,
                                .text = reason});
    }
    if (kind == net::FailureKind::kConnect && links_.AllDown()) waiting_.FailAll(listener_, reason);
  }

 private:
  struct Place {
    uint32_t link = kNone, stream = 0;
  };

  // In turn, so that all connections carry their share.
  uint32_t Choose() {
    for (uint32_t i = 0; i < links_.wanted(); ++i) {
      next_ = next_ + 1 >= links_.wanted() ? 0 : next_ + 1;
      if (links_[next_].CanStart()) return next_;
    }
    return kNone;
  }

  void Send(uint32_t link, uint32_t slot, const EncodedRequest& request, Instant* sent) {
    place_of_slot_[slot] = {link,
                            links_[link].Start(slot, request.pieces, options_.keep_bodies, sent)};
  }

  void ServeWaiting() {
    while (!waiting_.empty()) {
      const uint32_t link = Choose();
      if (link == kNone) return;
      const WaitingRequest next = waiting_.Take();
      Send(link, next.slot, *next.request, next.sent);
    }
  }

  ChannelListener& listener_;
  const ChannelOptions options_;
  GrpcLinks links_;
  std::vector<Place> place_of_slot_;
  WaitingRequests waiting_;
  uint32_t next_ = 0;
};

}  // namespace

std::unique_ptr<Channel> MakeGrpcChannel(net::EventLoop& loop, ChannelListener& listener,
                                         const ChannelOptions& options) {
  return std::make_unique<GrpcChannel>(loop, listener, options);
}

}  // namespace sextant::load
