// The queue in front of a model's instances: priorities, limits, timeouts, dynamic batching.
//
// A decision structure without threads or clock: its owner locks around it and says what time it
// is. The rules are those of Triton's dynamic batcher (docs/serve.md lists them).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kserve/infer.h"
#include "kserve/shared_memory.h"
#include "model_config.pb.h"

namespace sextant::serve {

// What becomes of a request.
struct Outcome {
  Result<kserve::InferResponse> response;
  bool final = true;              // false: more responses of a decoupled model follow
  bool reset_connection = false;  // a simulated fault: break the connection instead of answering
  bool empty = false;             // decoupled: the end, without a response of its own
};

// Where a request's outcomes go. Called from any thread, one at a time, ending with a final one.
class OutcomeSink {
 public:
  virtual ~OutcomeSink() = default;
  virtual void OnOutcome(const kserve::InferRequest& request, Outcome&& outcome) = 0;
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

  void Answer(Outcome&& outcome) { sink->OnOutcome(*request, std::move(outcome)); }
  void Fail(Error error) { Answer({.response = std::move(error)}); }
};

class BatchQueue {
 public:
  // The model's configuration is taken as validated.
  explicit BatchQueue(const inference::ModelConfig& config);

  // Refused: kUnavailable with the reason, and the request stays with the caller.
  Result<void> Push(PendingRequest& request, Instant now);

  // Takes the requests to execute together now, if any, and those whose time in the queue is over.
  // Returns when to look again if nothing else happens.
  Instant Take(Instant now, std::vector<PendingRequest>& batch,
               std::vector<PendingRequest>& expired);
  // Only the latter.
  Instant TakeExpired(Instant now, std::vector<PendingRequest>& expired);
  // Everything, when the model goes away.
  std::vector<PendingRequest> Clear();

  size_t size() const { return size_; }
  bool has_timeouts() const { return has_timeouts_; }

 private:
  struct Policy {
    uint64_t max_size = 0;  // 0: no limit
    Nanos timeout{0};       // 0: none
    bool delay = false;     // on timeout: behind all others instead of refused
    bool allow_override = false;
  };
  struct Level {
    Policy policy;
    std::deque<PendingRequest> waiting;
    std::deque<PendingRequest> delayed;
  };

  static Policy MakePolicy(const inference::ModelQueuePolicy& policy);
  // Requests in the order in which they are to be served.
  template <typename F>
  void ForEachInOrder(F&& visit);
  void TakeFront(size_t count, std::vector<PendingRequest>& batch);

  std::map<uint64_t, Level> levels_;  // lower number first
  uint64_t default_level_ = 0;
  uint64_t level_count_ = 0;
  bool dynamic_ = false;
  int64_t max_batch_size_ = 0;
  std::vector<int64_t> preferred_;
  Nanos max_delay_{0};
  size_t size_ = 0;
  bool has_timeouts_ = false;
};

}  // namespace sextant::serve
