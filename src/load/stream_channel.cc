// gRPC bidirectional streams (ModelStreamInfer): many requests on each stream, their answers found
// by the request id; a request of a decoupled model is answered by any number of responses.
//
// Streams are opened as they are needed: a request takes one that has nothing in flight, else opens
// another while its connection may have more, else joins the others in turn.
#include <algorithm>
#include <memory>
#include <vector>

#include "kserve/infer_grpc.h"
#include "load/waiting_requests.h"
#include "net/grpc_client.h"

namespace sextant::load {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

class StreamChannel final : public Channel, public net::GrpcClientListener {
 public:
  StreamChannel(net::EventLoop& loop, ChannelListener& listener, const ChannelOptions& options)
      : loop_(loop),
        listener_(listener),
        options_(options),
        per_link_(static_cast<uint32_t>(std::max<size_t>(1, options.streams))),
        live_(options.live_header != nullptr) {
    for (const Endpoint& endpoint : options.endpoints) {
      // A deadline would be the stream's, not a request's.
      methods_.push_back({.authority = endpoint.authority,
                          .path = std::string(kGrpcStreamPath),
                          .metadata = options.metadata,
                          .timeout = Nanos(0),
                          .secure = endpoint.tls != nullptr});
      if (live_) methods_.back().metadata.emplace_back();
    }
  }

  void Prepare(size_t count) override;
  bool Prepared() const override { return connections_up(wanted_) >= wanted_; }
  const std::string& ConnectFault() const override { return connect_fault_; }
  void Start(uint32_t slot, const EncodedRequest& request, Instant* sent) override;
  uint32_t Cancel(uint32_t slot) override;
  Instant Tick(Instant now) override;
  size_t connections() const override { return connections_up(links_.size()); }

  void OnGrpcReady(net::GrpcClientConnection& connection) override;
  void OnGrpcMessage(net::GrpcClientConnection& connection, uint32_t index,
                     std::string_view message, Instant received) override;
  void OnGrpcResponse(net::GrpcClientConnection& connection, uint32_t index,
                      const net::GrpcResponse& response) override;
  void OnGrpcClosed(net::GrpcClientConnection& connection, net::FailureKind kind,
                    std::string_view reason, std::span<const uint32_t> streams) override;

 private:
  struct Link {
    std::unique_ptr<net::GrpcClientConnection> connection;
    bool down = true;
    bool connecting = false;
    uint32_t in_flight = 0;
  };
  struct Stream {
    uint32_t id = 0;  // HTTP/2's
    bool open = false;
    bool idle = false;                        // in idle_
    uint32_t oldest = kNone, newest = kNone;  // slots in flight
  };
  struct Place {
    uint32_t stream = kNone;
    uint32_t earlier = kNone, later = kNone;  // on the same stream
    uint64_t id = 0;
    const Instant* sent = nullptr;
  };

  uint32_t LinkOf(uint32_t stream) const { return stream / per_link_; }
  uint32_t EndpointOf(size_t link) const {
    return static_cast<uint32_t>((options_.first_endpoint + link) % options_.endpoints.size());
  }
  bool LinkUsable(uint32_t link) const {
    const net::GrpcClientConnection& connection = *links_[link].connection;
    return link < wanted_ && connection.ready() && !connection.draining();
  }
  bool Usable(uint32_t stream) const { return streams_[stream].open && LinkUsable(LinkOf(stream)); }
  bool AnyUsable() const {
    return std::any_of(links_.begin(), links_.end(), [](const Link& l) { return !l.down; });
  }
  size_t connections_up(size_t among) const {
    return static_cast<size_t>(std::count_if(links_.begin(),
                                             links_.begin() + static_cast<ptrdiff_t>(among),
                                             [](const Link& l) { return l.connection->ready(); }));
  }

  void Revive(size_t link);
  uint32_t Choose(uint32_t affinity);
  uint32_t OpenOne();
  bool TryOpen(uint32_t stream);
  void Send(uint32_t stream, uint32_t slot, const EncodedRequest& request, Instant* sent);
  void ServeWaiting();
  void Unlink(uint32_t slot);
  uint32_t FindSlot(const kserve::StreamResponseView& view, uint32_t stream) const;
  void FailAll(uint32_t stream, const OutcomeClass& outcome, std::string_view reason);
  void RetireLink(uint32_t link);

  net::EventLoop& loop_;
  ChannelListener& listener_;
  const ChannelOptions options_;
  const uint32_t per_link_;
  const bool live_;
  std::vector<net::GrpcMethod> methods_;  // of each endpoint
  std::vector<Link> links_;
  std::vector<Stream> streams_;  // per_link_ of each link, one link's after the other's
  std::vector<uint32_t> idle_;   // open with nothing in flight; may hold some that no longer are
  std::vector<Place> places_;    // by slot
  WaitingRequests waiting_;
  size_t wanted_ = 0;
  uint32_t next_stream_ = 0, next_link_ = 0;
  int connect_failures_ = 0, stream_failures_ = 0;
  std::string connect_fault_;
  Instant retry_at_ = Instant::max();
  Instant open_again_at_ = Instant::max();  // not max: no stream is opened before
};

void StreamChannel::Prepare(size_t count) {
  wanted_ = std::max<size_t>(
      options_.endpoints.size(),
      options_.max_connections > 0 ? std::min(count, options_.max_connections) : count);
  while (links_.size() < wanted_) {
    const auto index = static_cast<uint32_t>(links_.size());
    links_.push_back({.connection = std::make_unique<net::GrpcClientConnection>(
                          loop_, *this, counters_, methods_[EndpointOf(index)], index)});
    streams_.resize(links_.size() * per_link_);
    idle_.reserve(streams_.size());
  }
  for (size_t i = 0; i < wanted_; ++i) Revive(i);
}

void StreamChannel::Revive(size_t link) {
  Link& l = links_[link];
  if (l.connection->ready() || (l.connecting && !l.down)) return;
  l.down = false;
  l.connecting = true;
  l.connection->Abandon();
  const Endpoint& to = options_.endpoints[EndpointOf(link)];
  l.connection->Connect(to.address, to.tls.get());
}

void StreamChannel::Start(uint32_t slot, const EncodedRequest& request, Instant* sent) {
  if (slot >= places_.size()) places_.resize(slot + 1);
  const uint32_t stream = Choose(request.affinity);
  if (stream != kNone) return Send(stream, slot, request, sent);
  places_[slot] = {};
  // As over unary calls: waiting for a server that cannot be reached would only hide that.
  if (connect_failures_ > 0 && retry_at_ != Instant::max() && !AnyUsable()) {
    AnswerUnconnected(listener_, slot, connect_fault_);
    return;
  }
  waiting_.Add({slot, &request, sent});
}

uint32_t StreamChannel::Cancel(uint32_t slot) {
  Place& place = places_[slot];
  if (place.stream == kNone) {
    waiting_.Remove(slot);
    return kNoEndpoint;
  }
  const uint32_t endpoint = EndpointOf(LinkOf(place.stream));
  // The server goes on with it; what it still answers finds no slot by its id.
  links_[LinkOf(place.stream)].connection->ForgetStamp(place.sent);
  Unlink(slot);
  return endpoint;
}

Instant StreamChannel::Tick(Instant now) {
  if (now >= retry_at_) {
    retry_at_ = Instant::max();
    for (size_t i = 0; i < wanted_; ++i) Revive(i);
  }
  if (now >= open_again_at_) {
    open_again_at_ = Instant::max();
    ServeWaiting();
  }
  return std::min(retry_at_, open_again_at_);
}

void StreamChannel::OnGrpcReady(net::GrpcClientConnection& connection) {
  links_[connection.index()].connecting = false;
  connect_failures_ = 0;
  connect_fault_.clear();
  ServeWaiting();
}

// Requests of one kind keep to one stream while it is to be had. Others take an idle stream, or a
// new one, or the next.
uint32_t StreamChannel::Choose(uint32_t affinity) {
  if (affinity != kNone) {
    const auto stream = static_cast<uint32_t>(affinity % (wanted_ * per_link_));
    if (Usable(stream) || TryOpen(stream)) return stream;
  }
  while (!idle_.empty()) {
    const uint32_t stream = idle_.back();
    idle_.pop_back();
    streams_[stream].idle = false;
    if (Usable(stream) && streams_[stream].oldest == kNone) return stream;
  }
  if (const uint32_t stream = OpenOne(); stream != kNone) return stream;
  const auto all = static_cast<uint32_t>(wanted_ * per_link_);
  for (uint32_t i = 0; i < all; ++i) {
    next_stream_ = next_stream_ + 1 >= all ? 0 : next_stream_ + 1;
    if (Usable(next_stream_)) return next_stream_;
  }
  // A server that is going away waits for the streams' end, and they for requests.
  for (uint32_t link = 0; link < wanted_; ++link) {
    if (links_[link].connection->draining()) RetireLink(link);
  }
  return kNone;
}

// The next connection's next stream, so that all carry their share.
uint32_t StreamChannel::OpenOne() {
  for (size_t i = 0; i < wanted_; ++i) {
    next_link_ = next_link_ + 1 >= wanted_ ? 0 : next_link_ + 1;
    if (!LinkUsable(next_link_)) continue;
    for (uint32_t k = 0; k < per_link_; ++k) {
      const uint32_t stream = next_link_ * per_link_ + k;
      if (!streams_[stream].open && TryOpen(stream)) return stream;
    }
  }
  return kNone;
}

bool StreamChannel::TryOpen(uint32_t index) {
  Stream& stream = streams_[index];
  net::GrpcClientConnection& connection = *links_[LinkOf(index)].connection;
  if (stream.open || open_again_at_ != Instant::max() || !connection.CanStart()) return false;
  net::GrpcMethod& method = methods_[EndpointOf(LinkOf(index))];
  // What a stream says at its beginning; a token that changes later is for the next.
  if (live_) method.metadata.back() = options_.live_header->grpc_field();
  stream = {.id = connection.OpenStream(method, index), .open = true, .idle = stream.idle};
  return true;
}

void StreamChannel::Send(uint32_t index, uint32_t slot, const EncodedRequest& request,
                         Instant* sent) {
  Stream& stream = streams_[index];
  Place& place = places_[slot];
  place = {.stream = index, .earlier = stream.newest, .id = request.id, .sent = sent};
  if (stream.newest != kNone) places_[stream.newest].later = slot;
  stream.newest = slot;
  if (stream.oldest == kNone) stream.oldest = slot;
  Link& link = links_[LinkOf(index)];
  ++link.in_flight;
  link.connection->Write(stream.id, request.pieces, sent);
}

void StreamChannel::ServeWaiting() {
  while (!waiting_.empty()) {
    const WaitingRequest next = waiting_.Take();
    const uint32_t stream = Choose(next.request->affinity);
    if (stream == kNone) return waiting_.PutBack(next);
    Send(stream, next.slot, *next.request, next.sent);
  }
}

void StreamChannel::Unlink(uint32_t slot) {
  Place& place = places_[slot];
  Stream& stream = streams_[place.stream];
  (place.earlier == kNone ? stream.oldest : places_[place.earlier].later) = place.later;
  (place.later == kNone ? stream.newest : places_[place.later].earlier) = place.earlier;
  --links_[LinkOf(place.stream)].in_flight;
  if (stream.oldest == kNone && stream.open && !stream.idle) {
    stream.idle = true;
    idle_.push_back(place.stream);
  }
  place = {};
}

// Whose response it is. Servers that do not repeat the id answer in order.
uint32_t StreamChannel::FindSlot(const kserve::StreamResponseView& view, uint32_t stream) const {
  const std::optional<uint64_t> id = ParseRequestId(view.id);
  if (!id) return streams_[stream].oldest;
  const auto slot = static_cast<uint32_t>(*id);
  const bool ours =
      slot < places_.size() && places_[slot].stream == stream && places_[slot].id == *id;
  return ours ? slot : kNone;  // given up before
}

void StreamChannel::OnGrpcMessage(net::GrpcClientConnection& connection, uint32_t index,
                                  std::string_view message, Instant received) {
  kserve::StreamResponseView view;
  if (!kserve::ScanGrpcStreamResponse(message, view)) {
    connection.Cancel(streams_[index].id);
    FailAll(index, {OutcomeKind::kBadAnswer}, "a response that is not valid protocol buffers");
    return;
  }
  const uint32_t slot = FindSlot(view, index);
  if (slot == kNone) return;
  stream_failures_ = 0;
  Answer answer{.outcome = {}, .endpoint = EndpointOf(connection.index()), .received = received};
  if (!view.error.empty()) {
    answer.outcome = {OutcomeKind::kStream};
    answer.text = view.error;
  } else {
    if (options_.keep_bodies) answer.body = view.response;
    const bool final = view.final.value_or(!options_.decoupled);
    // The end of a decoupled request may be told by itself.
    if (options_.decoupled && (view.has_outputs || !final)) listener_.OnResponse(slot, answer);
    if (options_.decoupled && !final) return;
    answer.ends_alone = options_.decoupled && !view.has_outputs;
  }
  Unlink(slot);
  listener_.OnAnswer(slot, answer);
  if (!waiting_.empty()) ServeWaiting();
  if (connection.draining()) RetireLink(connection.index());
}

// A connection that has served its time, with nothing in flight: its successor takes its place.
void StreamChannel::RetireLink(uint32_t link) {
  if (links_[link].in_flight > 0) return;
  links_[link].connection->Abandon();
  ++counters_.disconnects;
  for (uint32_t k = 0; k < per_link_; ++k) streams_[link * per_link_ + k].open = false;
  Revive(link);
}

void StreamChannel::FailAll(uint32_t index, const OutcomeClass& outcome, std::string_view reason) {
  streams_[index].open = false;
  const Instant now = SteadyNow();
  // Each may start another request, but none on this stream.
  while (streams_[index].oldest != kNone) {
    const uint32_t slot = streams_[index].oldest;
    links_[LinkOf(index)].connection->ForgetStamp(places_[slot].sent);
    Unlink(slot);
    listener_.OnAnswer(slot, {.outcome = outcome,
                              .endpoint = EndpointOf(LinkOf(index)),
                              .received = now,
                              .text = reason});
  }
}

// A stream has ended, its connection has not. It is opened again, but not as fast as a server can
// refuse.
void StreamChannel::OnGrpcResponse(net::GrpcClientConnection& connection, uint32_t index,
                                   const net::GrpcResponse& response) {
  open_again_at_ = std::min(open_again_at_, SteadyNow() + ConnectBackoff(++stream_failures_));
  if (response.status != 0) {
    FailAll(index, {OutcomeKind::kGrpc, response.status}, response.status_message);
  } else {
    FailAll(index, {OutcomeKind::kReset}, "the server ended the stream");
  }
  if (connection.draining()) RetireLink(connection.index());
}

void StreamChannel::OnGrpcClosed(net::GrpcClientConnection& connection, net::FailureKind kind,
                                 std::string_view reason, std::span<const uint32_t> streams) {
  links_[connection.index()].connecting = false;
  links_[connection.index()].down = true;
  const bool unconnected = kind == net::FailureKind::kConnect;
  if (unconnected) {
    ++connect_failures_;
    connect_fault_ = reason;
  }
  const Instant now = SteadyNow();
  retry_at_ = std::min(retry_at_, unconnected ? now + ConnectBackoff(connect_failures_) : now);
  const OutcomeKind outcome = kind == net::FailureKind::kProtocol ? OutcomeKind::kProtocol
                              : unconnected                       ? OutcomeKind::kConnect
                                                                  : OutcomeKind::kReset;
  for (const uint32_t stream : streams) streams_[stream].open = false;
  for (const uint32_t stream : streams) FailAll(stream, {outcome}, reason);
  if (unconnected && !AnyUsable()) waiting_.FailAll(listener_, reason);
}

}  // namespace

std::unique_ptr<Channel> MakeStreamChannel(net::EventLoop& loop, ChannelListener& listener,
                                           const ChannelOptions& options) {
  return std::make_unique<StreamChannel>(loop, listener, options);
}

}  // namespace sextant::load
