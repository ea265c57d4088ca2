// How a worker's load ends: the last arrivals, and the sequences that are open.
#include <algorithm>
#include <utility>

#include "load/worker.h"

namespace sextant::load {

void Worker::EndLoad() {
  RunOnThread([&] {
    if (load_.requests == nullptr) return;
    load_ended_ = true;
    load_.concurrency = 0;
    next_due_ = Instant::max();
    while (overdue_.size() > overdue_from_ && !recorder_.window().Holds(overdue_.back()))
      overdue_.pop_back();
    if (LoadOver()) CloseSequences(SteadyNow());
    UpdateWindowDone();
  });
}

Worker::Open Worker::ReadOpen() {
  Open open;
  RunOnThread([&] {
    for (const auto& slot : slots_) {
      if (!slot->busy) continue;
      ++open.count;
      open.oldest = std::min(open.oldest, slot->scheduled);
    }
  });
  return open;
}

bool Worker::LoadOver() const {
  if (load_.requests == nullptr) return true;
  if (load_.budget != nullptr && load_.budget->load(std::memory_order_relaxed) <= 0) return true;
  return load_ended_ && overdue_from_ >= overdue_.size();
}

// A sequence that is open keeps one of the server's places until it ends, and requests of others
// may be waiting for that place.
void Worker::OnBudgetUsedUp(Instant now) {
  UpdateWindowDone();
  CloseSequences(now);
}

// As Finish(), with nothing recorded.
void Worker::FinishClosing(uint32_t index, const Answer& answer) {
  Slot& slot = *slots_[index];
  if (options_.timeout > Nanos(0)) Unlink(index);
  recorder_.OnExtraEnd(answer.received);
  if (log_ != nullptr) log_->Forget(index);
  EndSequence(*specials_[index], answer);
  finished_.store(finished_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  slot.busy = slot.closing = false;
  if (slot.retries > 0) slot.retries = 0, slot.retry_at = Instant();
  free_slots_.push_back(index);
}

}  // namespace sextant::load
