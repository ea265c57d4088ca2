// HTTP/1.1: one request at a time on each connection, as many connections as requests in flight.
#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "base/strings.h"
#include "load/waiting_requests.h"

namespace sextant::load {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
// Connecting ten thousand at once overruns any listen queue.
constexpr size_t kMaxConnecting = 128;

class HttpChannel final : public Channel, public net::HttpClientListener {
 public:
  HttpChannel(net::EventLoop& loop, ChannelListener& listener, const ChannelOptions& options)
      : loop_(loop),
        listener_(listener),
        options_(options),
        several_(options.endpoints.size() > 1),
        inserts_fields_(several_ || options.live_header != nullptr),
        turn_(options.first_endpoint) {}

  void Prepare(size_t count) override {
    if (options_.max_connections > 0) count = std::min(count, options_.max_connections);
    // Each server gets its share, however few requests are in flight.
    if (several_) count = std::max(count, options_.endpoints.size());
    wanted_ = count;
    while (links_.size() < count) AddLink();
    ConnectMore();
  }
  bool Prepared() const override { return open_ >= wanted_; }
  const std::string& ConnectFault() const override { return connect_fault_; }

  void Start(uint32_t slot, const EncodedRequest& request, Instant* sent) override {
    if (slot >= link_of_slot_.size()) link_of_slot_.resize(slot + 1, kNone);
    // The connection that answered last is the warmest. Nobody overtakes those that wait.
    if (!idle_.empty() && waiting_.empty()) {
      if (several_) BringNextEndpointForward();
      const uint32_t link = idle_.back();
      idle_.pop_back();
      return Send(link, slot, request, sent);
    }
    link_of_slot_[slot] = kNone;
    // With no connection and the next attempt still ahead, waiting would only hide that.
    if (open_ + connecting_ == 0 && retry_at_ != Instant::max()) {
      AnswerUnconnected(listener_, slot, connect_fault_);
      return;
    }
    waiting_.Add({slot, &request, sent});
    if (!idle_.empty()) return;  // about to be offered to the first
    const bool may_grow = options_.max_connections == 0 || links_.size() < options_.max_connections;
    if (may_grow && waiting_.size() > connecting_) AddLink();
    ConnectMore();
  }

  uint32_t Cancel(uint32_t slot) override {
    const uint32_t link = link_of_slot_[slot];
    if (link == kNone) {
      waiting_.Remove(slot);
      return kNoEndpoint;
    }
    // An answer that still comes would be taken for the next request's: the connection goes.
    Link& broken = links_[link];
    broken.slot = kNone;
    link_of_slot_[slot] = kNone;
    broken.connection->Abandon();
    ++counters_.disconnects;
    Lost(link);
    ConnectMore();
    return EndpointOf(link);
  }

  Instant Tick(Instant now) override {
    if (now >= retry_at_) {
      retry_at_ = Instant::max();
      ConnectMore();
    }
    return retry_at_;
  }

  size_t connections() const override { return open_; }

  void OnHttpConnected(net::HttpClientConnection& connection) override {
    --connecting_;
    ++open_;
    connect_failures_ = 0;
    connect_fault_.clear();
    links_[connection.index()].connected = true;
    Offer(connection.index());
    ConnectMore();
  }

  void OnHttpResponse(net::HttpClientConnection& connection,
                      const net::HttpResponse& response) override {
    const uint32_t link = connection.index();
    const uint32_t slot = links_[link].slot;
    links_[link].slot = kNone;
    link_of_slot_[slot] = kNone;
    Answer answer{.endpoint = EndpointOf(link), .received = response.received};
    if (response.status == 200) {
      answer.body = response.body;
      answer.fields = response.fields;
    } else {
      answer.outcome = {OutcomeKind::kHttp, response.status};
      answer.text = response.body;
    }
    // Free before the listener hears of it: its next request takes this connection.
    if (connection.open()) idle_.push_back(link);
    listener_.OnAnswer(slot, answer);
    // Nobody took it, but somebody waits.
    if (!waiting_.empty() && !idle_.empty() && idle_.back() == link) {
      idle_.pop_back();
      Offer(link);
    }
  }

  void OnHttpClosed(net::HttpClientConnection& connection, net::FailureKind kind,
                    std::string_view reason, bool awaiting) override {
    const uint32_t link = connection.index();
    const uint32_t slot = links_[link].slot;
    links_[link].slot = kNone;
    if (kind == net::FailureKind::kConnect) {
      // Under TLS a server may still refuse a client whose handshake is done.
      const bool was_open = links_[link].connected;
      if (was_open) {
        std::erase(idle_, link);
        Lost(link);
      } else {
        --connecting_;
        links_[link].dead = true;
        dead_.push_back(link);
      }
      ++connect_failures_;
      connect_fault_ = reason;
      const Nanos backoff = ConnectBackoff(connect_failures_);
      retry_at_ = std::min(retry_at_, SteadyNow() + backoff);
      if (awaiting && slot != kNone) {
        link_of_slot_[slot] = kNone;
        listener_.OnAnswer(slot, {.outcome = {OutcomeKind::kConnect},
                                  .endpoint = EndpointOf(link),
                                  .received = SteadyNow(),
                                  .text = reason});
      }
      // While others answer, what waits for them goes on waiting, but for the one request that this
      // connection would have carried.
      if (several_ && open_ > 0) {
        waiting_.FailOne(listener_, connect_fault_, EndpointOf(link));
      } else {
        waiting_.FailAll(listener_, connect_fault_);
      }
      return;
    }
    std::erase(idle_, link);
    Lost(link);
    if (awaiting && slot != kNone) {
      link_of_slot_[slot] = kNone;
      const OutcomeKind outcome =
          kind == net::FailureKind::kProtocol ? OutcomeKind::kProtocol : OutcomeKind::kReset;
      listener_.OnAnswer(slot, {.outcome = {outcome},
                                .endpoint = EndpointOf(link),
                                .received = SteadyNow(),
                                .text = reason});
    }
    ConnectMore();
  }

 private:
  struct Link {
    std::unique_ptr<net::HttpClientConnection> connection;
    uint32_t slot = kNone;
    bool connected = false;
    bool dead = false;  // in dead_
    uint32_t endpoint = 0;
    std::vector<std::string_view> pieces;  // of its request, with our fields among them
  };
  // The header fields that depend on the server and on the token, as text.
  struct Fields {
    uint32_t version = UINT32_MAX;
    const std::string* text = nullptr;
  };

  uint32_t EndpointOf(uint32_t link) const { return links_[link].endpoint; }

  // An idle connection of the server whose turn it is comes to the end of the list.
  [[gnu::noinline, gnu::cold]] void BringNextEndpointForward() {
    for (size_t tries = 0; tries < options_.endpoints.size(); ++tries) {
      const uint32_t wanted = static_cast<uint32_t>(turn_++ % options_.endpoints.size());
      const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                      [&](uint32_t link) { return EndpointOf(link) == wanted; });
      if (found != idle_.rend()) return std::swap(*found, idle_.back());
    }
  }

  const std::string& FieldsOf(uint32_t endpoint) {
    fields_.resize(options_.endpoints.size());
    Fields& fields = fields_[endpoint];
    const uint32_t version = options_.live_header == nullptr ? 0 : options_.live_header->version();
    if (fields.version != version) {
      fields.version = version;
      std::string text = Format("Host: {}\r\n", options_.endpoints[endpoint].authority);
      if (options_.live_header != nullptr) {
        const net::HeaderField field = options_.live_header->field();
        AppendFormat(text, "{}: {}\r\n", field.name, field.value);
      }
      // Earlier texts stay: requests on their way may refer to them.
      fields.text = &texts_.emplace_back(std::move(text));
    }
    return *fields.text;
  }

  void AddLink() {
    const auto index = static_cast<uint32_t>(links_.size());
    links_.push_back(
        {.connection = std::make_unique<net::HttpClientConnection>(loop_, *this, counters_, index),
         .dead = true,
         .endpoint =
             static_cast<uint32_t>((options_.first_endpoint + index) % options_.endpoints.size())});
    idle_.reserve(links_.size());
    dead_.push_back(index);
  }

  // A connection that was up is gone.
  void Lost(uint32_t link) {
    if (links_[link].connected) --open_;
    links_[link].connected = false;
    if (!links_[link].dead) dead_.push_back(link);
    links_[link].dead = true;
  }

  void ConnectMore() {
    if (connect_failures_ > 0 && retry_at_ != Instant::max()) return;  // Tick() goes on
    while (!dead_.empty() && connecting_ < kMaxConnecting &&
           (open_ + connecting_ < wanted_ || waiting_.size() > connecting_)) {
      const uint32_t link = dead_.back();
      dead_.pop_back();
      links_[link].dead = false;
      ++connecting_;
      const Endpoint& to = options_.endpoints[EndpointOf(link)];
      links_[link].connection->Connect(to.address, to.tls.get());
    }
  }

  void Offer(uint32_t link) {
    if (waiting_.empty()) {
      idle_.push_back(link);
      return;
    }
    const WaitingRequest next = waiting_.Take();
    Send(link, next.slot, *next.request, next.sent);
  }

  void Send(uint32_t link, uint32_t slot, const EncodedRequest& request, Instant* sent) {
    links_[link].slot = slot;
    link_of_slot_[slot] = link;
    links_[link].connection->Send(inserts_fields_ ? WithFields(link, request) : request.pieces,
                                  options_.keep_bodies, sent);
  }

  // The fields go behind the request line, which has been encoded as a piece of its own.
  [[gnu::noinline]] std::span<const std::string_view> WithFields(uint32_t link,
                                                                 const EncodedRequest& request) {
    std::vector<std::string_view>& own = links_[link].pieces;
    own.assign(request.pieces.begin(), request.pieces.end());
    own.insert(own.begin() + 1, FieldsOf(EndpointOf(link)));
    return own;
  }

  net::EventLoop& loop_;
  ChannelListener& listener_;
  const ChannelOptions options_;
  const bool several_;         // endpoints
  const bool inserts_fields_;  // Host and the like
  size_t turn_;                // the endpoint that is next, where there are several
  std::vector<Fields> fields_;
  std::deque<std::string> texts_;
  std::vector<Link> links_;
  std::vector<uint32_t> idle_, dead_;
  std::vector<uint32_t> link_of_slot_;
  WaitingRequests waiting_;
  size_t wanted_ = 0, open_ = 0, connecting_ = 0;
  int connect_failures_ = 0;
  std::string connect_fault_;
  Instant retry_at_ = Instant::max();
};

}  // namespace

std::unique_ptr<Channel> MakeHttpChannel(net::EventLoop& loop, ChannelListener& listener,
                                         const ChannelOptions& options) {
  return std::make_unique<HttpChannel>(loop, listener, options);
}

}  // namespace sextant::load
