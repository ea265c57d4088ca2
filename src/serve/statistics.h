// What a model has done since it was loaded, as Triton counts it.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <string_view>

#include "base/clock.h"
#include "kserve/metadata.h"

namespace sextant::serve {

// Triton's reasons for a failed request.
enum class FailureReason : uint8_t { kOther, kBackend, kCanceled, kRejected };
constexpr std::array<std::string_view, 4> kFailureReasonNames{"OTHER", "BACKEND", "CANCELED",
                                                              "REJECTED"};

struct RequestTimes {
  Nanos total{0};  // from arrival to answer
  Nanos queue{0};
};
struct ExecutionTimes {
  Nanos compute_input{0}, compute_infer{0}, compute_output{0};
};

// Thread-safe.
class ModelCounters {
 public:
  // One execution of a batch of `items` inferences.
  void RecordExecution(uint64_t items, const ExecutionTimes& times);
  // One request of it.
  void RecordSuccess(const RequestTimes& request, const ExecutionTimes& execution, uint64_t items);
  void RecordFailure(FailureReason reason, Nanos total);

  // Name and version are the caller's to fill in.
  kserve::ModelStatistics Snapshot() const;
  std::array<uint64_t, 4> Failures() const;

 private:
  mutable std::mutex mutex_;
  kserve::ModelStatistics totals_;
  std::map<uint64_t, kserve::BatchStatistics> batches_;
  std::array<uint64_t, 4> failures_{};
};

}  // namespace sextant::serve
