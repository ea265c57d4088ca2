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
  if (endpoints.size() < other.endpoints.size()) endpoints.resize(other.endpoints.size());
  for (size_t i = 0; i < other.endpoints.size(); ++i) {
    endpoints[i].succeeded += other.endpoints[i].succeeded;
    endpoints[i].failed += other.endpoints[i].failed;
    endpoints[i].completed += other.endpoints[i].completed;
    endpoints[i].latency.Merge(other.endpoints[i].latency);
  }
  first_scheduled = std::min(first_scheduled, other.first_scheduled);
  last_done = std::max(last_done, other.last_done);
}

void Block::Reset(int64_t new_index) {
  index = new_index;
  answered = failed = scheduled = 0;
  latency_sum_ns = 0;
  latency.Reset();
  in_flight = 0;
  cpu = Nanos(0);
  run_queue.reset();
}

void Block::Merge(const Block& other) {
  answered += other.answered;
  failed += other.failed;
  scheduled += other.scheduled;
  latency_sum_ns += other.latency_sum_ns;
  latency.Merge(other.latency);
  in_flight = other.index > index ? other.in_flight : in_flight + other.in_flight;
  cpu += other.cpu;
  if (run_queue && other.run_queue) *run_queue += *other.run_queue;
}

Recorder::Recorder(BlockExchange& exchange)
    : exchange_(exchange), block_(exchange.TakeEmpty()), spare_(std::make_unique<WindowRecord>()) {}

void Recorder::StartBlocks(Instant epoch, Nanos length) {
  block_length_ = length;
  block_->Reset(0);
  cpu_before_ = ThreadCpuTime();
  run_queue_before_ = ThreadRunQueueWait();
  block_end_ = epoch + length;
}

void Recorder::Roll(Instant now) {
  do {
    block_->in_flight = in_flight_;
    // Requests that were due before the window may be in flight all through it.
    if (record_ != nullptr && window_.Holds(block_end_))
      record_->in_flight_max = std::max(record_->in_flight_max, in_flight_);
    const Nanos cpu = ThreadCpuTime();
    const std::optional<Nanos> run_queue = ThreadRunQueueWait();
    block_->cpu = cpu - cpu_before_;
    if (run_queue && run_queue_before_) block_->run_queue = *run_queue - *run_queue_before_;
    cpu_before_ = cpu;
    run_queue_before_ = run_queue;
    const int64_t next = block_->index + 1;
    exchange_.Publish(std::move(block_));
    block_ = exchange_.TakeEmpty();
    block_->Reset(next);
    block_end_ += block_length_;
  } while (now >= block_end_);
}

void Recorder::OpenWindow() {
  record_ = spare_ != nullptr ? std::move(spare_) : std::make_unique<WindowRecord>();
  window_ = Window();
}

std::unique_ptr<WindowRecord> Recorder::TakeWindow() {
  window_ = Window();
  return std::move(record_);
}

void Recorder::OnFailure(const RequestStamps& t, bool in_window, const OutcomeClass& outcome,
                         std::string_view message) {
  Advance(t.done);
  --in_flight_;
  ++block_->failed;
  if (record_ == nullptr) return;
  CountOverlap(t);
  if (!in_window) return;
  OutcomeTally& tally = record_->failures[outcome];
  // A server may repeat what it was sent.
  if (tally.count++ == 0) tally.example = Printable(RedactSecrets(message));
  tally.latency.Record((t.done - t.scheduled).count());
  record_->last_done = std::max(record_->last_done, t.done);
}

void Recorder::OnEndpoint(const RequestStamps& t, bool in_window, uint32_t endpoint,
                          bool succeeded) {
  if (record_ == nullptr) return;
  if (endpoint >= record_->endpoints.size()) record_->endpoints.resize(endpoint + 1);
  EndpointTally& tally = record_->endpoints[endpoint];
  if (succeeded && window_.Holds(t.done)) ++tally.completed;
  if (!in_window) return;
  ++(succeeded ? tally.succeeded : tally.failed);
  if (succeeded) tally.latency.Record((t.done - t.scheduled).count());
}

void Recorder::OnChecked(const RequestStamps& t, bool in_window, uint64_t items, uint64_t wrong) {
  if (record_ == nullptr || !in_window) return;
  record_->checked += items;
  record_->wrong += wrong;
  if (wrong == 0) return;
  ++record_->wrong_requests.count;
  record_->wrong_requests.latency.Record((t.done - t.scheduled).count());
}

void Recorder::OnUnfinished(Instant scheduled, Instant now, bool in_window) {
  if (record_ == nullptr) return;
  CountOverlap({scheduled, Instant::min(), now});
  if (!in_window) return;
  OutcomeTally& tally = record_->failures[{OutcomeKind::kUnfinished}];
  ++tally.count;
  tally.latency.Record((now - scheduled).count());
}

}  // namespace sextant::load
