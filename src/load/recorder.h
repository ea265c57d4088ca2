// What one worker remembers of its requests: histograms and counts of the measurement window, and
// blocks of a fixed length for series and live figures.
//
// Threads: a Recorder belongs to its worker. Finished blocks and the window's record are handed
// over whole. Recording a success neither allocates nor locks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "stats/histogram.h"

namespace sextant::load {

// How a request ended; `code` is the HTTP or gRPC status of kHttp and kGrpc.
enum class OutcomeKind : uint8_t {
  kOk,
  kConnect,
  kReset,
  kProtocol,
  kTimeout,
  kHttp,
  kGrpc,
  kStream,
  kBadAnswer,
  kUnfinished
};
struct OutcomeClass {
  OutcomeKind kind = OutcomeKind::kOk;
  int code = 0;
  bool ok() const { return kind == OutcomeKind::kOk; }
  auto operator<=>(const OutcomeClass&) const = default;
};
// "timeout", "HTTP 503", "gRPC UNAVAILABLE"
std::string OutcomeName(const OutcomeClass& outcome);

struct RequestStamps {
  Instant scheduled, sent, done;
};

struct OutcomeTally {
  uint64_t count = 0;
  stats::Histogram latency;
  std::string example;
};

// Of a decoupled model's requests.
struct ResponseTally {
  uint64_t arrived = 0;  // responses that came within the window, whenever their request was due
  uint64_t none = 0;     // successful requests that had not one response
  stats::Histogram first, between, per_request;
};
// Of sequences that ended within the window.
struct SequenceTally {
  uint64_t completed = 0, abandoned = 0;
  stats::Histogram latency, requests;  // of completed ones
};
// What one of several servers did.
struct EndpointTally {
  uint64_t succeeded = 0, failed = 0;
  uint64_t completed = 0;  // successes that ended within the window
  stats::Histogram latency;
};

// Everything of one window, of one worker.
struct WindowRecord {
  uint64_t scheduled = 0;  // requests that were due in the window
  uint64_t succeeded = 0;
  uint64_t sent = 0;       // first bytes that went out within the window
  uint64_t completed = 0;  // successes that ended within the window, whenever they were due
  uint64_t overflow = 0;
  stats::Histogram latency, service, slip;
  std::map<OutcomeClass, OutcomeTally> failures;
  uint64_t checked = 0, wrong = 0;  // inferences
  OutcomeTally wrong_requests;
  uint64_t retries = 0;
  std::vector<EndpointTally> endpoints;  // where there are several
  double in_flight_ns = 0;               // integral over the window
  int64_t in_flight_max = 0;
  stats::Histogram lag{stats::Histogram::kCoarsePrecisionBits};
  Instant first_scheduled = Instant::max(), last_done = Instant::min();
  std::optional<ResponseTally> responses;
  std::optional<SequenceTally> sequences;
  std::vector<WindowRecord> models;  // where there are several: of each one's requests

  void Merge(const WindowRecord& other);
};

// A fixed stretch of time, of one worker.
struct Block {
  int64_t index = 0;  // start = epoch + index * length
  uint64_t answered = 0, failed = 0;
  uint64_t scheduled = 0;
  uint64_t overflow = 0;   // arrivals that were not sent
  uint64_t responses = 0;  // of decoupled models
  // Of those answered, from schedule.
  stats::Histogram latency{stats::Histogram::kCoarsePrecisionBits};
  int64_t in_flight = 0;           // at its end
  Nanos cpu{0};                    // that the worker's thread used in it
  std::optional<Nanos> run_queue;  // that it was ready to run but had no core

  void Reset(int64_t new_index);
  void Merge(const Block& other);  // of the same stretch, of another worker, or of the next stretch
};

// Where a worker puts finished blocks and the controller takes them; blocks go round.
class BlockExchange {
 public:
  void Publish(std::unique_ptr<Block> block) {
    const std::scoped_lock lock(mutex_);
    full_.push_back(std::move(block));
  }
  std::unique_ptr<Block> TakeEmpty() {
    const std::scoped_lock lock(mutex_);
    if (empty_.empty()) return std::make_unique<Block>();
    std::unique_ptr<Block> block = std::move(empty_.back());
    empty_.pop_back();
    return block;
  }
  std::vector<std::unique_ptr<Block>> TakeFull() {
    const std::scoped_lock lock(mutex_);
    if (full_.empty()) return {};
    std::vector<std::unique_ptr<Block>> out;
    out.reserve(full_.capacity());  // the next ones must not need to allocate
    out.swap(full_);
    return out;
  }
  void GiveBack(std::unique_ptr<Block> block) {
    const std::scoped_lock lock(mutex_);
    empty_.push_back(std::move(block));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> full_, empty_;
};

// The window's edges; the end may be unknown until later.
struct Window {
  Instant begin = Instant::max(), end = Instant::max();
  bool Holds(Instant t) const { return t >= begin && t < end; }
};

class Recorder {
 public:
  struct Extent {
    bool responses = false, sequences = false;
  };
  Recorder(BlockExchange& exchange, Extent extent);
  explicit Recorder(BlockExchange& exchange) : Recorder(exchange, Extent()) {}
  BlockExchange& exchange() { return exchange_; }

  // Starts blocks of this length at `epoch`; what was recorded before is dropped.
  void StartBlocks(Instant epoch, Nanos length);
  // Starts a window's record.
  void OpenWindow();
  void SetWindow(const Window& window) { window_ = window; }
  const Window& window() const { return window_; }
  // From `at`, a block boundary still ahead, on, the window has a record of its own again: its
  // parts are told apart by when requests are due. Of the finished parts the last kKeptParts are
  // kept.
  static constexpr size_t kKeptParts = 3;
  void SplitWindow(Instant at) { split_at_ = at; }
  // Takes the window's record: what is kept of its parts, those that begin at its end or later left
  // out. Nothing is recorded for it any more.
  std::unique_ptr<WindowRecord> TakeWindow();

  // A request became due. Returns whether it belongs to the window.
  bool OnScheduled(Instant scheduled) {
    ++block_->scheduled;
    ++in_flight_;
    if (!window_.Holds(scheduled)) return false;
    if (scheduled >= split_at_) Split();
    if (WindowRecord* record = RecordOf(scheduled)) {
      ++record->scheduled;
      record->first_scheduled = std::min(record->first_scheduled, scheduled);
      record->in_flight_max = std::max(record->in_flight_max, in_flight_);
    }
    return true;
  }
  void OnOverflow(Instant scheduled) {
    ++block_->overflow;
    if (!window_.Holds(scheduled)) return;
    if (scheduled >= split_at_) Split();
    if (WindowRecord* record = RecordOf(scheduled)) ++record->overflow;
  }
  // A request that is none of the load's begins and ends: it counts as in flight and nowhere else.
  void OnExtra() { ++in_flight_; }
  void OnExtraEnd(Instant done) {
    Advance(done);
    --in_flight_;
  }
  void OnSuccess(const RequestStamps& t, bool in_window) {
    Advance(t.done);
    --in_flight_;
    const Nanos latency = t.done - t.scheduled;
    ++block_->answered;
    block_->latency.Record(latency.count());
    if (record_ == nullptr) return;
    if (window_.Holds(t.done)) {
      if (WindowRecord* record = RecordOf(t.done)) ++record->completed;
    }
    CountOverlap(t);
    WindowRecord* const record = in_window ? RecordOf(t.scheduled) : nullptr;
    if (record == nullptr) return;
    ++record->succeeded;
    record->latency.Record(latency.count());
    record->service.Record((t.done - t.sent).count());
    record->slip.Record((t.sent - t.scheduled).count());
    record->last_done = std::max(record->last_done, t.done);
  }
  void OnFailure(const RequestStamps& t, bool in_window, const OutcomeClass& outcome,
                 std::string_view message);
  void OnRetry(bool in_window) {
    if (record_ != nullptr && in_window) ++record_->retries;
  }
  // Of a request that one of several servers had, after OnSuccess() or OnFailure().
  void OnEndpoint(const RequestStamps& t, bool in_window, uint32_t endpoint, bool succeeded);
  // Of a success with `items` inferences, of which `wrong` were not as expected.
  void OnChecked(const RequestStamps& t, bool in_window, uint64_t items, uint64_t wrong);
  // A request that is still in flight when the window's record is taken.
  void OnUnfinished(Instant scheduled, Instant now, bool in_window);
  // An arrival of the window that was never sent: unfinished.
  void OnNeverSent(Instant scheduled, Instant now);

  // A response of a decoupled model has come; the time since the one before; and at the end of a
  // successful request how many it had, and when the first came.
  void OnResponse(Instant received) {
    Advance(received);
    ++block_->responses;
    if (record_ != nullptr && window_.Holds(received)) ++record_->responses->arrived;
  }
  void OnGap(Nanos gap, bool in_window) {
    if (record_ != nullptr && in_window) record_->responses->between.Record(gap.count());
  }
  void OnResponses(Instant scheduled, bool in_window, uint64_t count, Instant first) {
    if (record_ == nullptr || !in_window) return;
    record_->responses->per_request.Record(static_cast<int64_t>(count));
    if (count == 0) {
      ++record_->responses->none;
    } else {
      record_->responses->first.Record((first - scheduled).count());
    }
  }
  // A sequence has ended, with the answer to its last request or with a failure.
  void OnSequence(Instant began, Instant ended, bool completed, uint64_t requests);
  void OnLoopLag(Instant now, Nanos lag) {
    if (record_ != nullptr && window_.Holds(now)) record_->lag.Record(lag.count());
  }

  // Publishes the blocks that have ended by `now`.
  void Advance(Instant now) {
    if (now >= block_end_) Roll(now);
  }
  Instant block_end() const { return block_end_; }
  int64_t in_flight() const { return in_flight_; }

 private:
  struct Part {
    Instant begin;
    std::unique_ptr<WindowRecord> record;
  };

  void Roll(Instant now);
  void Split();
  // The part of the window that a time belongs to; null when it is no longer kept.
  WindowRecord* RecordOf(Instant t) {
    if (t >= part_begin_) return record_.get();
    for (size_t i = finished_parts_.size(); i-- > 0;) {
      if (t >= finished_parts_[i].begin) return finished_parts_[i].record.get();
    }
    return nullptr;
  }
  static void AddOverlap(const RequestStamps& t, Instant begin, Instant end, WindowRecord& record) {
    const Instant from = std::max(t.scheduled, begin), to = std::min(t.done, end);
    if (to > from) record.in_flight_ns += static_cast<double>((to - from).count());
    if (t.sent >= begin && t.sent < end) ++record.sent;
  }
  void CountOverlap(const RequestStamps& t) {
    AddOverlap(t, std::max(window_.begin, part_begin_), window_.end, *record_);
    if (!finished_parts_.empty() && t.scheduled < part_begin_) CountOldOverlap(t);
  }
  void CountOldOverlap(const RequestStamps& t);

  std::unique_ptr<WindowRecord> NewRecord() const;

  BlockExchange& exchange_;
  const Extent extent_;
  std::unique_ptr<Block> block_;
  Instant block_end_ = Instant::max();
  Nanos cpu_before_{0};
  std::optional<Nanos> run_queue_before_;
  Nanos block_length_{100ms};
  Window window_;
  std::unique_ptr<WindowRecord> record_;  // of the window, or of the part of it that is under way
  Instant part_begin_ = Instant::min(), split_at_ = Instant::max();
  std::vector<Part> finished_parts_;  // in order
  std::unique_ptr<WindowRecord> spare_;
  int64_t in_flight_ = 0;
};

}  // namespace sextant::load
