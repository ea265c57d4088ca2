// The connections of a gRPC channel: spread over the endpoints in turn, opened again when they are
// lost, and told of a token that changes.
//
// Threads: belongs to one channel, on its loop.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "load/channel.h"
#include "net/grpc_client.h"

namespace sextant::load {

class GrpcLinks {
 public:
  // Every call is one of the method at `path`. All arguments must outlive this.
  GrpcLinks(net::EventLoop& loop, net::GrpcClientListener& listener,
            net::TransferCounters& counters, const ChannelOptions& options, std::string_view path,
            Nanos timeout);

  // There are wanted() connections from now on, and at least one to each endpoint.
  void Prepare(size_t count);
  uint32_t wanted() const { return wanted_; }
  size_t size() const { return links_.size(); }
  bool Prepared() const { return ReadyAmong(wanted_) >= wanted_; }
  size_t ready() const { return ReadyAmong(links_.size()); }

  net::GrpcClientConnection& operator[](uint32_t link) { return *links_[link].connection; }
  const net::GrpcClientConnection& operator[](uint32_t link) const {
    return *links_[link].connection;
  }
  uint32_t EndpointOf(uint32_t link) const { return links_[link].endpoint; }
  const net::GrpcMethod& MethodOf(uint32_t link) const { return methods_[links_[link].endpoint]; }

  // Later calls carry the token as it is now. To be called before each.
  void FollowLiveHeader() {
    if (live_header_ != nullptr && live_header_->version() != live_version_) TakeLiveHeader();
  }

  // One that has served its time, with nothing in flight: its successor takes its place.
  void Renew(uint32_t link);
  // Opens again what is due; returns when to be called again.
  Instant Tick(Instant now);

  void OnReady(uint32_t link);
  // Returns how the requests end that it took along.
  OutcomeKind OnClosed(uint32_t link, net::FailureKind kind, std::string_view reason);

  // Every connection is down.
  bool AllDown() const;
  // Every connection is down after a failed attempt, and the next is still ahead: to wait for it
  // would only hide that. After a mere loss the next attempt is at once, and may well succeed.
  bool Hopeless() const {
    return connect_failures_ > 0 && retry_at_ != Instant::max() && AllDown();
  }
  // Why the last attempt to connect failed; empty when it did not.
  const std::string& fault() const { return fault_; }

 private:
  struct Link {
    std::unique_ptr<net::GrpcClientConnection> connection;
    uint32_t endpoint = 0;
    bool down = true;
    bool connecting = false;
  };

  size_t ReadyAmong(size_t count) const;
  void Revive(uint32_t link);
  [[gnu::noinline, gnu::cold]] void TakeLiveHeader();

  net::EventLoop& loop_;
  net::GrpcClientListener& listener_;
  net::TransferCounters& counters_;
  const ChannelOptions& options_;
  const LiveHeader* const live_header_;   // null: none
  std::vector<net::GrpcMethod> methods_;  // per endpoint
  std::vector<Link> links_;
  uint32_t live_version_ = UINT32_MAX;
  uint32_t wanted_ = 0;
  int connect_failures_ = 0;
  std::string fault_;
  Instant retry_at_ = Instant::max();
};

}  // namespace sextant::load
