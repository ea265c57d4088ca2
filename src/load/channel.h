// A worker's connections to the server: takes encoded requests, gives answers, whatever the
// protocol.
//
// Threads: lives on its worker's loop. A request is known by its slot, the worker's number for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "load/live_header.h"
#include "load/recorder.h"
#include "load/requests.h"
#include "net/event_loop.h"
#include "net/http_client.h"
#include "net/socket.h"

namespace sextant::load {

// Of a request that no endpoint has had.
constexpr uint32_t kNoEndpoint = UINT32_MAX;

struct Answer {
  OutcomeClass outcome;
  uint32_t endpoint = kNoEndpoint;  // which of the channel's
  Instant received;
  std::string_view text;    // of a failure: what the peer or the system said
  std::string_view body;    // of a success, when the outputs are to be compared
  std::string_view fields;  // likewise: HTTP header lines
  // The end of a decoupled model's request came by itself, without a last response.
  bool ends_alone = false;
};

class ChannelListener {
 public:
  virtual ~ChannelListener() = default;
  // The request of that slot has ended. Views are valid during the call. The listener may start the
  // next request from inside.
  virtual void OnAnswer(uint32_t slot, const Answer& answer) = 0;
  // One of the responses of a decoupled model; the request goes on until OnAnswer(), which brings
  // no response of its own then.
  virtual void OnResponse(uint32_t /*slot*/, const Answer& /*response*/) {}
};

class Channel {
 public:
  virtual ~Channel() = default;
  // Opens connections until there are `count`, or closes idle ones above it.
  virtual void Prepare(size_t count) = 0;
  // All prepared connections are up.
  virtual bool Prepared() const = 0;
  // Why the last connection attempt failed; empty when it did not.
  virtual const std::string& ConnectFault() const = 0;

  // Sends a request as soon as a connection has room for it. *sent is set when its first byte goes
  // to the kernel; both must stay in place until the answer. While the server cannot be reached the
  // answer (kConnect) may come from inside.
  virtual void Start(uint32_t slot, const EncodedRequest& request, Instant* sent) = 0;
  // Forgets a request in flight; no answer follows. Returns the endpoint that had it.
  virtual uint32_t Cancel(uint32_t slot) = 0;

  // Work that waits for time (reconnecting); returns when to be called again.
  virtual Instant Tick(Instant now) = 0;

  virtual size_t connections() const = 0;
  const net::TransferCounters& counters() const { return counters_; }

 protected:
  net::TransferCounters counters_;
};

// A server that requests may go to.
struct Endpoint {
  net::Address address;
  std::string authority;                        // how it is addressed
  std::string name = authority;                 // in reports
  std::shared_ptr<net::TlsPeer> tls = nullptr;  // null: plain text
};

struct ChannelOptions {
  kserve::Protocol protocol = kserve::Protocol::kHttp;
  std::vector<Endpoint> endpoints;         // at least one; connections go to them in turn
  size_t first_endpoint = 0;               // whose turn it is first
  Nanos timeout{0};                        // told to a gRPC server; 0: none
  size_t max_connections = 0;              // 0: HTTP as many as requests in flight
  bool keep_bodies = false;                // outputs are to be compared
  std::vector<net::HeaderField> metadata;  // gRPC
  bool streaming = false;                  // gRPC: requests over bidirectional streams
  size_t streams = 6;                      // on each connection, at most
  bool decoupled = false;                  // a request ends with its final response
  // Sent with every request; HTTP requests must have been encoded with room for it. Null: none.
  std::shared_ptr<const LiveHeader> live_header = nullptr;
};

std::unique_ptr<Channel> MakeChannel(net::EventLoop& loop, ChannelListener& listener,
                                     const ChannelOptions& options);
// Its implementations, a file each.
std::unique_ptr<Channel> MakeHttpChannel(net::EventLoop& loop, ChannelListener& listener,
                                         const ChannelOptions& options);
std::unique_ptr<Channel> MakeGrpcChannel(net::EventLoop& loop, ChannelListener& listener,
                                         const ChannelOptions& options);
std::unique_ptr<Channel> MakeStreamChannel(net::EventLoop& loop, ChannelListener& listener,
                                           const ChannelOptions& options);

// How long to wait before the nth attempt in a row to connect: 10 ms doubling to 1 s.
Nanos ConnectBackoff(int failures);

}  // namespace sextant::load
