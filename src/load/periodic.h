// A load that grows by what comes back: `start` requests at first, `step` more each time that every
// request of the last step has had so many responses, until there have been `end` (perf_analyzer's
// --periodic-concurrency-range). Each request is sent once. For decoupled models, whose requests
// overlap for as long as they are answered.
//
// A request that ends before it had as many responses, or fails, has had all that it gets: the next
// step does not wait for it.
//
// Threads: belongs to its worker.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sextant::load {

struct PeriodicPlan {
  size_t start = 1, end = 1, step = 1;  // requests; 0 < start <= end, 0 < step
  uint64_t responses = 10;              // at least 1
};

class PeriodicSteps {
 public:
  explicit PeriodicSteps(const PeriodicPlan& plan)
      : plan_(plan), released_(plan.start), waited_for_(plan.start) {}
  const PeriodicPlan& plan() const { return plan_; }

  // The request of that slot is sent: one of the newest step.
  void OnStart(uint32_t slot) {
    if (slot >= missing_.size()) missing_.resize(slot + 1);
    missing_[slot] = plan_.responses;
  }
  // It had a response, or ended. Returns how many requests may have been started by now.
  size_t OnResponse(uint32_t slot) {
    if (missing_[slot] > 0 && --missing_[slot] == 0) Settle();
    return released_;
  }
  size_t OnEnd(uint32_t slot) {
    if (missing_[slot] > 0) missing_[slot] = 0, Settle();
    return released_;
  }

 private:
  void Settle() {
    if (--waited_for_ > 0) return;
    const size_t more = std::min(plan_.step, plan_.end - released_);
    released_ += more;
    waited_for_ = more;
  }

  PeriodicPlan plan_;
  size_t released_;
  size_t waited_for_;              // requests of the newest step that lack responses
  std::vector<uint64_t> missing_;  // by slot: responses that a request still lacks
};

}  // namespace sextant::load
