#include "load/recorder.h"

#include "base/host.h"
#include "base/secrets.h"
#include "base/strings.h"
#include "net/grpc.h"

namespace sextant::load {

std::string OutcomeName(const OutcomeClass& outcome) {
  switch (outcome.kind) {
    case OutcomeKind::kOk:
      return "ok";
    case OutcomeKind::kConnect:
      return "connect";
    case OutcomeKind::kReset:
      return "connection lost";
    case OutcomeKind::kProtocol:
      return "protocol error";
    case OutcomeKind::kTimeout:
      return "timeout";
    case OutcomeKind::kHttp:
      return Format("HTTP {}", outcome.code);
    case OutcomeKind::kGrpc:
      return Format("gRPC {}", net::GrpcStatusName(outcome.code));
    case OutcomeKind::kStream:
      return "stream error";
    case OutcomeKind::kBadAnswer:
      return "unreadable answer";
    case OutcomeKind::kUnfinished:
      return "unfinished";
  }
  return "unknown";
}

namespace {

void MergeTally(OutcomeTally& to, const OutcomeTally& from) {
  if (to.example.empty()) to.example = from.example;
  to.count += from.count;
  to.latency.Merge(from.latency);
}

}  // namespace

void WindowRecord::Merge(const WindowRecord& other) {
  scheduled += other.scheduled;
  succeeded += other.succeeded;
  sent += other.sent;
  completed += other.completed;
  overflow += other.overflow;
  latency.Merge(other.latency);
  service.Merge(other.service);
  slip.Merge(other.slip);
  for (const auto& [outcome, tally] : other.failures) MergeTally(failures[outcome], tally);
  checked += other.checked;
  wrong += other.wrong;
  MergeTally(wrong_requests, other.wrong_requests);
  retries += other.retries;
  in_flight_ns += other.in_flight_ns;
  in_flight_max += other.in_flight_max;
  lag.Merge(other.lag);
  if (other.responses) {
    if (!responses) responses.emplace();
    responses->arrived += other.responses->arrived;
    responses->none += other.responses->none;
    responses->first.Merge(other.responses->first);
    responses->between.Merge(other.responses->between);
    responses->per_request.Merge(other.responses->per_request);
  }
  if (other.sequences) {
    if (!sequences) sequences.emplace();
    sequences->completed += other.sequences->completed;
    sequences->abandoned += other.sequences->abandoned;
    sequences->latency.Merge(other.sequences->latency);
    sequences->requests.Merge(other.sequences->requests);
  }
  if (endpoints.size() < other.endpoints.size()) endpoints.resize(other.endpoints.size());
  for (size_t i = 0; i < other.endpoints.size(); ++i) {
    endpoints[i].succeeded += other.endpoints[i].succeeded;
    endpoints[i].failed += other.endpoints[i].failed;
    endpoints[i].completed += other.endpoints[i].completed;
    endpoints[i].latency.Merge(other.endpoints[i].latency);
  }
  first_scheduled = std::min(first_scheduled, other.first_scheduled);
  last_done = std::max(last_done, other.last_done);
  if (models.size() < other.models.size()) models.resize(other.models.size());
  for (size_t i = 0; i < other.models.size(); ++i) models[i].Merge(other.models[i]);
}

void Block::Reset(int64_t new_index) {
  index = new_index;
  answered = failed = scheduled = overflow = responses = 0;
  latency.Reset();
  in_flight = 0;
  cpu = Nanos(0);
  run_queue.reset();
}

void Block::Merge(const Block& other) {
  answered += other.answered;
  failed += other.failed;
  scheduled += other.scheduled;
  overflow += other.overflow;
  responses += other.responses;
  latency.Merge(other.latency);
  in_flight = other.index > index ? other.in_flight : in_flight + other.in_flight;
  cpu += other.cpu;
  if (run_queue && other.run_queue) *run_queue += *other.run_queue;
}

Recorder::Recorder(BlockExchange& exchange, Extent extent)
    : exchange_(exchange), extent_(extent), block_(exchange.TakeEmpty()), spare_(NewRecord()) {}

std::unique_ptr<WindowRecord> Recorder::NewRecord() const {
  auto record = std::make_unique<WindowRecord>();
  if (extent_.responses) record->responses.emplace();
  if (extent_.sequences) record->sequences.emplace();
  return record;
}

void Recorder::StartBlocks(Instant epoch, Nanos length) {
  block_length_ = length;
  block_->Reset(0);
  cpu_before_ = ThreadCpuTime();
  run_queue_before_ = ThreadRunQueueWait();
  block_end_ = epoch + length;
}

void Recorder::Roll(Instant now) {
  const Nanos cpu = ThreadCpuTime() - cpu_before_;
  const std::optional<Nanos> run_queue = ThreadRunQueueWait();
  // A worker that had no core for long ends several blocks at once; each gets its share of what was
  // read, and so does the one that has begun, or a stall before a window would count within it.
  const Nanos elapsed = std::max(now, SteadyNow()) - block_end_ + block_length_;
  const auto share = [&](Nanos of) {
    return Nanos(static_cast<int64_t>(static_cast<double>(of.count()) * Seconds(block_length_) /
                                      Seconds(elapsed)));
  };
  const Nanos run_queue_share =
      run_queue && run_queue_before_ ? share(*run_queue - *run_queue_before_) : Nanos(0);
  do {
    block_->in_flight = in_flight_;
    // Requests that were due before the window may be in flight all through it.
    if (record_ != nullptr && window_.Holds(block_end_))
      record_->in_flight_max = std::max(record_->in_flight_max, in_flight_);
    block_->cpu = share(cpu);
    cpu_before_ += block_->cpu;
    if (run_queue && run_queue_before_) {
      block_->run_queue = run_queue_share;
      *run_queue_before_ += run_queue_share;
    } else {
      run_queue_before_ = run_queue;
    }
    if (block_end_ >= split_at_) Split();
    const int64_t next = block_->index + 1;
    exchange_.Publish(std::move(block_));
    block_ = exchange_.TakeEmpty();
    block_->Reset(next);
    block_end_ += block_length_;
  } while (now >= block_end_);
}

void Recorder::OpenWindow() {
  record_ = spare_ != nullptr ? std::move(spare_) : NewRecord();
  window_ = Window();
  part_begin_ = Instant::min();
  split_at_ = Instant::max();
  finished_parts_.clear();
}

// A new part begins. Once in a window, off the path of a request.
void Recorder::Split() {
  finished_parts_.push_back({part_begin_, std::move(record_)});
  if (finished_parts_.size() > kKeptParts) finished_parts_.erase(finished_parts_.begin());
  record_ = spare_ != nullptr ? std::move(spare_) : NewRecord();
  part_begin_ = split_at_;
  split_at_ = Instant::max();
}

void Recorder::CountOldOverlap(const RequestStamps& t) {
  for (size_t i = 0; i < finished_parts_.size(); ++i) {
    const Instant end = i + 1 < finished_parts_.size() ? finished_parts_[i + 1].begin : part_begin_;
    AddOverlap(t, std::max(window_.begin, finished_parts_[i].begin), std::min(end, window_.end),
               *finished_parts_[i].record);
  }
}

std::unique_ptr<WindowRecord> Recorder::TakeWindow() {
  const Instant end = window_.end;
  window_ = Window();
  split_at_ = Instant::max();
  if (finished_parts_.empty()) return std::move(record_);
  std::vector<Part> parts = std::move(finished_parts_);
  finished_parts_.clear();
  parts.push_back({part_begin_, std::move(record_)});
  std::unique_ptr<WindowRecord> total = std::move(parts.front().record);
  for (size_t i = 1; i < parts.size() && parts[i].begin < end; ++i) {
    // Merge() is over workers, whose requests in flight add up; these are of one worker.
    const int64_t in_flight_max = std::max(total->in_flight_max, parts[i].record->in_flight_max);
    total->Merge(*parts[i].record);
    total->in_flight_max = in_flight_max;
  }
  return total;
}

void Recorder::OnFailure(const RequestStamps& t, bool in_window, const OutcomeClass& outcome,
                         std::string_view message) {
  Advance(t.done);
  --in_flight_;
  ++block_->failed;
  if (record_ == nullptr) return;
  CountOverlap(t);
  WindowRecord* const record = in_window ? RecordOf(t.scheduled) : nullptr;
  if (record == nullptr) return;
  OutcomeTally& tally = record->failures[outcome];
  // A server may repeat what it was sent.
  if (tally.count++ == 0) tally.example = Printable(RedactSecrets(message));
  tally.latency.Record((t.done - t.scheduled).count());
  // What never found a connection has no sending.
  if (t.sent > t.scheduled) record->slip.Record((t.sent - t.scheduled).count());
  record->last_done = std::max(record->last_done, t.done);
}

void Recorder::OnEndpoint(const RequestStamps& t, bool in_window, uint32_t endpoint,
                          bool succeeded) {
  if (record_ == nullptr) return;
  const auto tally = [&](WindowRecord& record) -> EndpointTally& {
    if (endpoint >= record.endpoints.size()) record.endpoints.resize(endpoint + 1);
    return record.endpoints[endpoint];
  };
  if (succeeded && window_.Holds(t.done)) {
    if (WindowRecord* const record = RecordOf(t.done)) ++tally(*record).completed;
  }
  WindowRecord* const record = in_window ? RecordOf(t.scheduled) : nullptr;
  if (record == nullptr) return;
  ++(succeeded ? tally(*record).succeeded : tally(*record).failed);
  if (succeeded) tally(*record).latency.Record((t.done - t.scheduled).count());
}

void Recorder::OnChecked(const RequestStamps& t, bool in_window, uint64_t items, uint64_t wrong) {
  if (record_ == nullptr || !in_window) return;
  WindowRecord* const record = RecordOf(t.scheduled);
  if (record == nullptr) return;
  record->checked += items;
  record->wrong += wrong;
  if (wrong == 0) return;
  ++record->wrong_requests.count;
  record->wrong_requests.latency.Record((t.done - t.scheduled).count());
}

void Recorder::OnNeverSent(Instant scheduled, Instant now) {
  if (record_ == nullptr || !window_.Holds(scheduled)) return;
  ++record_->scheduled;
  OnUnfinished(scheduled, now, true);
}

void Recorder::OnSequence(Instant began, Instant ended, bool completed, uint64_t requests) {
  if (record_ == nullptr || !window_.Holds(ended)) return;
  SequenceTally& tally = *record_->sequences;
  if (!completed) {
    ++tally.abandoned;
    return;
  }
  ++tally.completed;
  tally.latency.Record((ended - began).count());
  tally.requests.Record(static_cast<int64_t>(requests));
}

void Recorder::OnUnfinished(Instant scheduled, Instant now, bool in_window) {
  if (record_ == nullptr) return;
  CountOverlap({scheduled, Instant::min(), now});
  WindowRecord* const record = in_window ? RecordOf(scheduled) : nullptr;
  if (record == nullptr) return;
  OutcomeTally& tally = record->failures[{OutcomeKind::kUnfinished}];
  ++tally.count;
  tally.latency.Record((now - scheduled).count());
}

}  // namespace sextant::load
