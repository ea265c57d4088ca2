// The queue of requests that do not know each other: priorities, limits, timeouts, dynamic
// batching. The rules are those of Triton's dynamic batcher (docs/serve.md lists them).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model_config.pb.h"
#include "serve/request_queue.h"

namespace sextant::serve {

class BatchQueue final : public RequestQueue {
 public:
  // The model's configuration is taken as validated.
  explicit BatchQueue(const inference::ModelConfig& config);

  Result<void> Push(PendingRequest& request, Instant now) override;
  // Any instance will do.
  Instant Take(size_t instance, Instant now, std::vector<PendingRequest>& batch,
               std::vector<PendingRequest>& expired) override;
  Instant TakeExpired(Instant now, std::vector<PendingRequest>& expired) override;
  std::vector<PendingRequest> Clear() override;

  size_t size() const override { return size_; }
  bool has_timeouts() const override { return has_timeouts_; }
  bool chooses_instance() const override { return false; }

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
