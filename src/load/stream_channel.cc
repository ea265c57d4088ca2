// gRPC bidirectional streams (ModelStreamInfer): many requests on each stream, their answers found
// by the request id; a request of a decoupled model is answered by any number of responses.
//
// Streams are opened as they are needed: a request takes one that has nothing in flight, else opens
// another while its connection may have more, else joins the others in turn.
#include <algorithm>
#include <memory>
#include <vector>

#include "kserve/infer_grpc.h"
#include "load/grpc_links.h"
#include "load/waiting_requests.h"

namespace sextant::load {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

class StreamChannel final : public Channel, public net::GrpcClientListener {
 public:
  StreamChannel(net::EventLoop& loop, ChannelListener& listener, const ChannelOptions& options)
      : listener_(listener),
        options_(options),
        per_link_(static_cast<uint32_t>(std::max<size_t>(1, options.streams))),
        // A deadline would be the stream's, not a request's.
        links_(loop, *this, counters_, options_, kGrpcStreamPath, Nanos(0)) {}

  void Prepare(size_t count) override;
  bool Prepared() const override { return links_.Prepared(); }
  const std::string& ConnectFault() const override { return links_.fault(); }
  void Start(uint32_t slot, const EncodedRequest& request, Instant* sent) override;
  uint32_t Cancel(uint32_t slot) override;
  Instant Tick(Instant now) override;
  size_t connections() const override { return links_.ready(); }

  void OnGrpcReady(net::GrpcClientConnection& connection) override;
  void OnGrpcMessage(net::GrpcClientConnection& connection, uint32_t index,
                     std::string_view message, Instant received) override;
  void OnGrpcResponse(net::GrpcClientConnection& connection, uint32_t index,
                      const net::GrpcResponse& response) override;
  void OnGrpcClosed(net::GrpcClientConnection& connection, net::FailureKind kind,
                    std::string_view reason, std::span<const uint32_t> streams) override;

 private:
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
  bool LinkUsable(uint32_t link) const {
    const net::GrpcClientConnection& connection = links_[link];
    return link < links_.wanted() && connection.ready() && !connection.draining();
  }
  bool Usable(uint32_t stream) const { return streams_[stream].open && LinkUsable(LinkOf(stream)); }

  uint32_t Choose(uint32_t affinity);
  uint32_t OpenOne();
  bool TryOpen(uint32_t stream);
  void Send(uint32_t stream, uint32_t slot, const EncodedRequest& request, Instant* sent);
  void ServeWaiting();
  void Unlink(uint32_t slot);
  uint32_t FindSlot(const kserve::StreamResponseView& view, uint32_t stream) const;
  void FailAll(uint32_t stream, const OutcomeClass& outcome, std::string_view reason);
  void RetireLink(uint32_t link);

  ChannelListener& listener_;
  const ChannelOptions options_;
  const uint32_t per_link_;
  GrpcLinks links_;
  std::vector<uint32_t> in_flight_;  // of each link
  std::vector<Stream> streams_;      // per_link_ of each link, one link's after the other's
  std::vector<uint32_t> idle_;  // open with nothing in flight; may hold some that no longer are
  std::vector<Place> places_;   // by slot
  WaitingRequests waiting_;
  uint32_t next_stream_ = 0, next_link_ = 0;
  int stream_failures_ = 0;
  Instant open_again_at_ = Instant::max();  // not max: no stream is opened before
};

void StreamChannel::Prepare(size_t count) {
  links_.Prepare(count);
  in_flight_.resize(links_.size());
  streams_.resize(links_.size() * per_link_);
  idle_.reserve(streams_.size());
}

void StreamChannel::Start(uint32_t slot, const EncodedRequest& request, Instant* sent) {
  if (slot >= places_.size()) places_.resize(slot + 1);
  const uint32_t stream = Choose(request.affinity);
  if (stream != kNone) return Send(stream, slot, request, sent);
  places_[slot] = {};
  if (links_.Hopeless()) return AnswerUnconnected(listener_, slot, links_.fault());
  waiting_.Add({slot, &request, sent});
}

uint32_t StreamChannel::Cancel(uint32_t slot) {
  Place& place = places_[slot];
  if (place.stream == kNone) {
    waiting_.Remove(slot);
    return kNoEndpoint;
  }
  const uint32_t endpoint = links_.EndpointOf(LinkOf(place.stream));
  // The server goes on with it; what it still answers finds no slot by its id.
  links_[LinkOf(place.stream)].ForgetStamp(place.sent);
  Unlink(slot);
  return endpoint;
}

Instant StreamChannel::Tick(Instant now) {
  if (now >= open_again_at_) {
    open_again_at_ = Instant::max();
    ServeWaiting();
  }
  return std::min(links_.Tick(now), open_again_at_);
}

void StreamChannel::OnGrpcReady(net::GrpcClientConnection& connection) {
  links_.OnReady(connection.index());
  ServeWaiting();
}

// Requests of one kind keep to one stream while it is to be had. Others take an idle stream, or a
// new one, or the next.
uint32_t StreamChannel::Choose(uint32_t affinity) {
  if (affinity != kNone) {
    const auto stream = affinity % (links_.wanted() * per_link_);
    if (Usable(stream) || TryOpen(stream)) return stream;
  }
  while (!idle_.empty()) {
    const uint32_t stream = idle_.back();
    idle_.pop_back();
    streams_[stream].idle = false;
    if (Usable(stream) && streams_[stream].oldest == kNone) return stream;
  }
  if (const uint32_t stream = OpenOne(); stream != kNone) return stream;
  const uint32_t all = links_.wanted() * per_link_;
  for (uint32_t i = 0; i < all; ++i) {
    next_stream_ = next_stream_ + 1 >= all ? 0 : next_stream_ + 1;
    if (Usable(next_stream_)) return next_stream_;
  }
  // A server that is going away waits for the streams' end, and they for requests.
  for (uint32_t link = 0; link < links_.wanted(); ++link) {
    if (links_[link].draining()) RetireLink(link);
  }
  return kNone;
}

// The next connection's next stream, so that all carry their share.
uint32_t StreamChannel::OpenOne() {
  for (uint32_t i = 0; i < links_.wanted(); ++i) {
    next_link_ = next_link_ + 1 >= links_.wanted() ? 0 : next_link_ + 1;
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
  net::GrpcClientConnection& connection = links_[LinkOf(index)];
  if (stream.open || open_again_at_ != Instant::max() || !connection.CanStart()) return false;
  // What a stream says at its beginning; a token that changes later is for the next.
  links_.FollowLiveHeader();
  stream = {.id = connection.OpenStream(links_.MethodOf(LinkOf(index)), index),
            .open = true,
            .idle = stream.idle};
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
  ++in_flight_[LinkOf(index)];
  links_[LinkOf(index)].Write(stream.id, request.pieces, sent);
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
  --in_flight_[LinkOf(place.stream)];
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
  Answer answer{
      .outcome = {}, .endpoint = links_.EndpointOf(connection.index()), .received = received};
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
  if (in_flight_[link] > 0) return;
  for (uint32_t k = 0; k < per_link_; ++k) streams_[link * per_link_ + k].open = false;
  links_.Renew(link);
}

void StreamChannel::FailAll(uint32_t index, const OutcomeClass& outcome, std::string_view reason) {
  streams_[index].open = false;
  const Instant now = SteadyNow();
  // Each may start another request, but none on this stream.
  while (streams_[index].oldest != kNone) {
    const uint32_t slot = streams_[index].oldest;
    links_[LinkOf(index)].ForgetStamp(places_[slot].sent);
    Unlink(slot);
    listener_.OnAnswer(slot, {.outcome = outcome,
                              .endpoint = links_.EndpointOf(LinkOf(index)),
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
  const OutcomeKind outcome = links_.OnClosed(connection.index(), kind, reason);
  for (const uint32_t stream : streams) streams_[stream].open = false;
  for (const uint32_t stream : streams) FailAll(stream, {outcome}, reason);
  if (kind == net::FailureKind::kConnect && links_.AllDown()) waiting_.FailAll(listener_, reason);
}

}  // namespace

std::unique_ptr<Channel> MakeStreamChannel(net::EventLoop& loop, ChannelListener& listener,
                                           const ChannelOptions& options) {
  return std::make_unique<StreamChannel>(loop, listener, options);
}

}  // namespace sextant::load
