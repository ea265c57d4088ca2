// A request on its way through a model, and the queue in front of the model's instances.
//
// A queue is a decision structure without threads or clock: its owner locks around it and says what
// time it is. BatchQueue serves requests that do not know each other, SequenceQueue those that
// belong to sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kserve/infer.h"
#include "kserve/shared_memory.h"
#include "serve/statistics.h"

namespace sextant::serve {

// What becomes of a request.
struct Outcome {
  Result<kserve::InferResponse> response;
  bool final = true;              // false: more responses of a decoupled model follow
  bool reset_connection = false;  // a simulated fault: break the connection instead of answering
  bool empty = false;             // decoupled: the end, without a response of its own
  ExecutionTimes times{};         // how long the execution took that it comes from
};

// Where a request's outcomes go. Called from any thread, one at a time, ending with a final one.
class OutcomeSink {
 public:
  virtual ~OutcomeSink() = default;
  virtual void OnOutcome(const kserve::InferRequest& request, Outcome&& outcome) = 0;
};

// What a model keeps from one request of a sequence to the next; what is in it is the backend's.
// Used by one thread at a time: a sequence stays with one instance.
struct SequenceMemory {
  std::vector<std::string> tensors;
};

// A request's part in its sequence.
struct SequenceStep {
  bool start = false, end = false;
  std::shared_ptr<SequenceMemory> memory;  // null: the model has no sequences
  size_t slot = 0;                         // the queue's own
  Instant queued{};                        // the queue's own
};

struct PendingRequest {
  std::unique_ptr<kserve::InferRequest> request;
  std::unique_ptr<OutcomeSink> sink;
  int64_t batch_size = 1;  // 1 for models without a batch dimension
  Instant arrived{};       // at the server's core
  Instant queued{};
  Instant deadline = Instant::max();  // in the queue
  uint64_t level = 0;                 // priority level, 0 when the model has none
  std::vector<std::shared_ptr<kserve::SharedMapping>> mappings;  // memory its inputs lie in
  size_t in_flight = 0;  // requests in the model when this one arrived, itself included
  SequenceStep sequence;
  // Nobody's request: it fills the place of a sequence that has none just now. It is executed and
  // neither answered nor counted.
  bool padding = false;

  void Answer(Outcome&& outcome) {
    if (sink != nullptr) sink->OnOutcome(*request, std::move(outcome));
  }
  void Fail(Error error) { Answer({.response = std::move(error)}); }
};

// Whether two requests may be executed together: the same inputs, alike but for the batch
// dimension.
bool Compatible(const kserve::InferRequest& a, const kserve::InferRequest& b);

class RequestQueue {
 public:
  virtual ~RequestQueue() = default;

  // Refused: kUnavailable or kInvalidArgument with the reason, and the request stays with the
  // caller.
  virtual Result<void> Push(PendingRequest& request, Instant now) = 0;

  // Takes the requests for this instance to execute together now, if any, and those whose time in
  // the queue is over. What the instance took before has been executed by then. Returns when to
  // look again if nothing else happens.
  virtual Instant Take(size_t instance, Instant now, std::vector<PendingRequest>& batch,
                       std::vector<PendingRequest>& expired) = 0;
  // Only the latter, and whatever else is a matter of time.
  virtual Instant TakeExpired(Instant now, std::vector<PendingRequest>& expired) = 0;
  // Everything, when the model goes away.
  virtual std::vector<PendingRequest> Clear() = 0;

  virtual size_t size() const = 0;
  // Whether TakeExpired() has anything to do.
  virtual bool has_timeouts() const = 0;
  // Whether a request is for one certain instance, so that not any of them will do.
  virtual bool chooses_instance() const = 0;
};

}  // namespace sextant::serve
