#include "serve/statistics.h"

namespace sextant::serve {
namespace {

void Add(kserve::StatDuration& to, Nanos d) { to += {1, static_cast<uint64_t>(d.count())}; }

}  // namespace

void ModelCounters::RecordExecution(uint64_t items, const ExecutionTimes& times) {
  const auto now_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(WallNow().time_since_epoch()).count();
  const std::scoped_lock lock(mutex_);
  ++totals_.execution_count;
  totals_.last_inference_ms = static_cast<uint64_t>(now_ms);
  kserve::BatchStatistics& batch = batches_[items];
  batch.batch_size = items;
  Add(batch.compute_input, times.compute_input);
  Add(batch.compute_infer, times.compute_infer);
  Add(batch.compute_output, times.compute_output);
}

void ModelCounters::RecordSuccess(const RequestTimes& request, const ExecutionTimes& execution,
                                  uint64_t items) {
  const std::scoped_lock lock(mutex_);
  totals_.inference_count += items;
  Add(totals_.success, request.total);
  Add(totals_.queue, request.queue);
  Add(totals_.compute_input, execution.compute_input);
  Add(totals_.compute_infer, execution.compute_infer);
  Add(totals_.compute_output, execution.compute_output);
}

void ModelCounters::RecordFailure(FailureReason reason, Nanos total) {
  const std::scoped_lock lock(mutex_);
  Add(totals_.fail, total);
  ++failures_[static_cast<size_t>(reason)];
}

kserve::ModelStatistics ModelCounters::Snapshot() const {
  const std::scoped_lock lock(mutex_);
  kserve::ModelStatistics out = totals_;
  for (const auto& [size, batch] : batches_) out.batches.push_back(batch);
  return out;
}

std::array<uint64_t, 4> ModelCounters::Failures() const {
  const std::scoped_lock lock(mutex_);
  return failures_;
}

}  // namespace sextant::serve
