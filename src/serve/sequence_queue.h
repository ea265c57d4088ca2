// The queue of sequence models: requests with one correlation id, from the one with the start flag
// to the one with the end flag, go to one instance in the order of their arrival.
//
// Each instance has slots, and a sequence needs one: as many as a batch has places (direct), where
// the sequence's place in the batch is its slot, or max_candidate_sequences (oldest), from whose
// foremost requests batches are formed as in dynamic batching. Sequences beyond that wait in the
// order of their beginning. One that nothing has arrived for in max_sequence_idle_microseconds has
// ended: what it has sent is still executed, and more of it is refused; while it waits for a slot
// it is not idle. The rules are those of Triton's sequence batcher.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "model_config.pb.h"
#include "serve/batch_queue.h"
#include "serve/sequence_controls.h"

namespace sextant::serve {

class SequenceQueue final : public RequestQueue {
 public:
  // The configuration is taken as validated and normalised.
  SequenceQueue(const inference::ModelConfig& config, size_t instances);

  // kInvalidArgument, in Triton's words: no correlation id, a batch, a sequence never begun.
  Result<void> Push(PendingRequest& request, Instant now) override;
  // Requests with `padding` stand for slots below the last one used.
  Instant Take(size_t instance, Instant now, std::vector<PendingRequest>& batch,
               std::vector<PendingRequest>& expired) override;
  // Ends idle sequences; a request is never given up for its time.
  Instant TakeExpired(Instant now, std::vector<PendingRequest>& expired) override;
  std::vector<PendingRequest> Clear() override;

  size_t size() const override { return size_; }
  bool has_timeouts() const override { return true; }
  bool chooses_instance() const override { return true; }

 private:
  struct Sequence {
    std::deque<PendingRequest> waiting;
    std::shared_ptr<SequenceMemory> memory;
    Instant last{};        // when something arrived for it, or it got its slot
    bool placed = false;   // has a slot
    bool closed = false;   // nothing more of it will come
    bool offered = false;  // oldest: a request of it is a candidate or executes
    size_t instance = 0, slot = 0;
  };
  struct Instance {
    std::vector<std::unique_ptr<Sequence>> slots;
    std::optional<BatchQueue> candidates;  // oldest
    std::vector<size_t> executing;         // oldest: slots
  };

  Result<Sequence*> FindOrBegin(const PendingRequest& request, const SequenceId& id, Instant now);
  void Place(std::unique_ptr<Sequence> sequence, size_t instance, size_t slot, Instant now);
  // Ends the sequence's hold on its slot when nothing of it is left, for the next in the backlog.
  void FreeIfDone(Sequence& sequence, Instant now);
  // oldest: makes the sequence's next request a candidate.
  void Offer(Sequence& sequence, Instant now);
  Instant TakeDirect(Instance& from, Instant now, std::vector<PendingRequest>& batch);
  Instant TakeOldest(Instance& from, Instant now, std::vector<PendingRequest>& batch,
                     std::vector<PendingRequest>& expired);
  PendingRequest Padding(const PendingRequest& like) const;

  const std::string model_;
  const SequenceControls controls_;
  const Nanos idle_;
  const bool oldest_;
  Nanos max_delay_{0};              // direct
  double minimum_utilization_ = 0;  // direct
  std::vector<Instance> instances_;
  std::map<SequenceId, Sequence*> open_;
  std::deque<std::unique_ptr<Sequence>> backlog_;
  size_t size_ = 0;
};

}  // namespace sextant::serve
