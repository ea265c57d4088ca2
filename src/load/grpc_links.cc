#include "load/grpc_links.h"

#include <algorithm>

namespace sextant::load {

GrpcLinks::GrpcLinks(net::EventLoop& loop, net::GrpcClientListener& listener,
                     net::TransferCounters& counters, const ChannelOptions& options,
                     std::string_view path, Nanos timeout)
    : loop_(loop),
      listener_(listener),
      counters_(counters),
      options_(options),
      live_header_(options.live_header.get()) {
  for (const Endpoint& endpoint : options.endpoints) {
    methods_.push_back({.authority = endpoint.authority,
                        .path = std::string(path),
                        .metadata = options.metadata,
                        .timeout = timeout,
                        .secure = endpoint.tls != nullptr});
    if (live_header_ != nullptr) methods_.back().metadata.emplace_back();
  }
  FollowLiveHeader();
}

void GrpcLinks::Prepare(size_t count) {
  if (options_.max_connections > 0) count = std::min(count, options_.max_connections);
  wanted_ = static_cast<uint32_t>(std::max(options_.endpoints.size(), count));
  while (links_.size() < wanted_) {
    const auto index = static_cast<uint32_t>(links_.size());
    const auto endpoint =
        static_cast<uint32_t>((options_.first_endpoint + index) % options_.endpoints.size());
    links_.push_back({.connection = std::make_unique<net::GrpcClientConnection>(
                          loop_, listener_, counters_, methods_[endpoint], index),
                      .endpoint = endpoint});
  }
  for (uint32_t i = 0; i < wanted_; ++i) Revive(i);
}

size_t GrpcLinks::ReadyAmong(size_t count) const {
  return static_cast<size_t>(std::count_if(links_.begin(),
                                           links_.begin() + static_cast<ptrdiff_t>(count),
                                           [](const Link& l) { return l.connection->ready(); }));
}

bool GrpcLinks::AllDown() const {
  return std::all_of(links_.begin(), links_.end(), [](const Link& l) { return l.down; });
}

void GrpcLinks::TakeLiveHeader() {
  live_version_ = live_header_->version();
  const net::HeaderField field = live_header_->grpc_field();
  for (net::GrpcMethod& method : methods_) method.metadata.back() = field;
  for (Link& link : links_) link.connection->MethodChanged();
}

void GrpcLinks::Revive(uint32_t link) {
  Link& l = links_[link];
  if (l.connection->ready() || (l.connecting && !l.down)) return;
  l.down = false;
  l.connecting = true;
  l.connection->Abandon();
  const Endpoint& to = options_.endpoints[l.endpoint];
  l.connection->Connect(to.address, to.tls.get());
}

void GrpcLinks::Renew(uint32_t link) {
  links_[link].connection->Abandon();
  ++counters_.disconnects;
  Revive(link);
}

Instant GrpcLinks::Tick(Instant now) {
  if (now >= retry_at_) {
    retry_at_ = Instant::max();
    for (uint32_t i = 0; i < wanted_; ++i) Revive(i);
  }
  return retry_at_;
}

void GrpcLinks::OnReady(uint32_t link) {
  links_[link].connecting = false;
  connect_failures_ = 0;
  fault_.clear();
}

OutcomeKind GrpcLinks::OnClosed(uint32_t link, net::FailureKind kind, std::string_view reason) {
  links_[link].connecting = false;
  links_[link].down = true;
  Instant again = SteadyNow();
  if (kind == net::FailureKind::kConnect) {
    fault_ = reason;
    again += ConnectBackoff(++connect_failures_);
  }
  retry_at_ = std::min(retry_at_, again);
  return kind == net::FailureKind::kProtocol  ? OutcomeKind::kProtocol
         : kind == net::FailureKind::kConnect ? OutcomeKind::kConnect
                                              : OutcomeKind::kReset;
}

}  // namespace sextant::load
