// Requests that wait for a connection, in the order they came.
//
// Threads: belongs to one channel, on its loop.
#pragma once

#include <deque>
#include <string_view>

#include "load/channel.h"

namespace sextant::load {

struct WaitingRequest {
  uint32_t slot;
  const EncodedRequest* request;
  Instant* sent;
};

// The answer of a request for which there is no connection.
inline void AnswerUnconnected(ChannelListener& listener, uint32_t slot, std::string_view reason) {
  listener.OnAnswer(slot,
                    {.outcome = {OutcomeKind::kConnect}, .received = SteadyNow(), .text = reason});
}

class WaitingRequests {
 public:
  bool empty() const { return requests_.empty(); }
  size_t size() const { return requests_.size(); }
  void Add(const WaitingRequest& request) { requests_.push_back(request); }
  WaitingRequest Take() {
    const WaitingRequest first = requests_.front();
    requests_.pop_front();
    return first;
  }
  // What was taken and found no place after all.
  void PutBack(const WaitingRequest& request) { requests_.push_front(request); }
  void Remove(uint32_t slot) {
    std::erase_if(requests_, [slot](const WaitingRequest& r) { return r.slot == slot; });
  }
  // Tells the oldest, that it would have been sent to `endpoint`.
  void FailOne(ChannelListener& listener, std::string_view reason, uint32_t endpoint) {
    if (requests_.empty()) return;
    listener.OnAnswer(Take().slot, {.outcome = {OutcomeKind::kConnect},
                                    .endpoint = endpoint,
                                    .received = SteadyNow(),
                                    .text = reason});
  }
  // Tells those that wait now that there is no connection; what comes meanwhile waits again.
  void FailAll(ChannelListener& listener, std::string_view reason) {
    std::deque<WaitingRequest> failed;
    failed.swap(requests_);
    for (const WaitingRequest& r : failed) AnswerUnconnected(listener, r.slot, reason);
  }

 private:
  std::deque<WaitingRequest> requests_;
};

}  // namespace sextant::load
