#include "load/worker.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "load/worker_models.h"

namespace sextant::load {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
// The last stretch before a due time is spent looking instead of sleeping: a sleeper wakes late.
constexpr Nanos kSpinBefore{20'000};

}  // namespace

Result<std::unique_ptr<Worker>> Worker::Start(const WorkerOptions& options, size_t index,
                                              size_t workers) {
  SEXTANT_ASSIGN(std::unique_ptr<net::EventLoop> loop, net::EventLoop::Create());
  std::unique_ptr<Worker> worker(new Worker(options, std::move(loop), index, workers));
  worker->thread_ = std::thread([raw = worker.get()] { raw->Run(); });
  pthread_setname_np(worker->thread_.native_handle(), Format("load-{}", index).c_str());
  return worker;
}

Worker::Worker(const WorkerOptions& options, std::unique_ptr<net::EventLoop> loop, size_t index,
               size_t workers)
    : options_(options),
      several_endpoints_(options.channel.endpoints.size() > 1),
      loop_(std::move(loop)),
      recorder_(blocks_, {.responses = options.channel.decoupled,
                          .sequences = options.sequences != nullptr}),
      channel_(MakeChannel(*loop_, *this, options.channel)),
      special_(options.channel.streaming || options.sequences != nullptr) {
  if (options.sequences != nullptr)
    sequences_ = std::make_unique<Sequences>(options.sequences, index, workers);
  if (options.models > 0) models_ = std::make_unique<Models>(options.models);
  if (options.spill != nullptr) log_ = std::make_unique<RequestLog>(*options.spill);
}

Worker::~Worker() {
  stop_ = true;
  loop_->Wake();
  if (thread_.joinable()) thread_.join();
}

void Worker::RunOnThread(const std::function<void()>& task) {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  loop_->Post([&] {
    task();
    const std::scoped_lock lock(mutex);
    done = true;
    changed.notify_one();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return done; });
}

void Worker::Prepare(size_t connections) {
  prepared_ = false;
  RunOnThread([&] {
    channel_->Prepare(connections);
    prepared_ = channel_->Prepared();
  });
}

std::string Worker::ConnectFault() {
  std::string fault;
  RunOnThread([&] { fault = channel_->ConnectFault(); });
  return fault;
}

void Worker::SetLoad(WorkerLoad load) {
  RunOnThread([&] {
    load_ = std::move(load);
    load_ended_ = false;
    next_request_ = load_.part.first;
    if (load_.requests != nullptr && load_.order == DataOrder::kSequential)
      next_request_ %= load_.requests->requests().size();
    next_due_ = load_.schedule != nullptr ? NextDue() : Instant::max();
    restarts_ = {};
    overdue_.clear();
    overdue_from_ = 0;
    if (sequences_ != nullptr && load_.sequences > 0) {
      sequences_->SetLanes(load_.sequences, load_.turn);
      sequence_set_ = load_.requests;
    }
    if (LoadOver()) CloseSequences(SteadyNow());
    // What is in flight from before counts towards a closed loop's concurrency.
    closed_in_flight_ = static_cast<size_t>(recorder_.in_flight());
    if (models_ != nullptr) SetModels();
    UpdateWindowDone();
  });
}

void Worker::StartBlocks(Instant epoch, Nanos length) {
  RunOnThread([&] {
    ForAllRecorders([&](Recorder& recorder) {
      recorder.StartBlocks(epoch, length);
      BlockExchange& blocks = recorder.exchange();
      for (auto& block : blocks.TakeFull()) blocks.GiveBack(std::move(block));
    });
    // Deadlines are kept to a twentieth of the timeout, blocks end on time.
    Nanos tick = length;
    if (options_.timeout > Nanos(0))
      tick = std::min(tick, std::max<Nanos>(options_.timeout / 20, 1ms));
    static_cast<void>(loop_->SetTick(tick));  // without it, ends are noticed with the next answer
  });
}

void Worker::OpenWindow(Instant begin, Instant end) {
  RunOnThread([&] {
    ForAllRecorders([&](Recorder& recorder) {
      recorder.OpenWindow();
      recorder.SetWindow({begin, end});
    });
    // An opening that came too late is repeated: what it took in is not the new window's.
    for (const auto& slot : slots_) slot->in_window = false;
    window_open_ = 0;
    UpdateWindowDone();
  });
}

void Worker::CloseWindow(Instant end) {
  RunOnThread([&] {
    ForAllRecorders([&](Recorder& recorder) {
      recorder.SetWindow({recorder.window().begin, end});
      recorder.SplitWindow(Instant::max());
    });
    UpdateWindowDone();
  });
}

void Worker::SplitWindow(Instant at) {
  RunOnThread([&] { ForAllRecorders([&](Recorder& recorder) { recorder.SplitWindow(at); }); });
}

std::unique_ptr<WindowRecord> Worker::TakeWindow() {
  std::unique_ptr<WindowRecord> record;
  RunOnThread([&] {
    const Instant now = SteadyNow();
    for (const auto& slot : slots_) {
      if (!slot->busy || slot->closing) continue;
      ForRecordersOf(*slot->set, [&](Recorder& recorder) {
        recorder.OnUnfinished(slot->scheduled, now, slot->in_window);
      });
      slot->in_window = false;
    }
    for (size_t i = overdue_from_; i < overdue_.size(); ++i)
      recorder_.OnNeverSent(overdue_[i], now);
    window_open_ = 0;
    record = recorder_.TakeWindow();
    if (log_ != nullptr) log_->Flush();
    if (record == nullptr || models_ == nullptr) return;  // none was opened, or there is one model
    for (const auto& model : models_->each)
      record->models.push_back(std::move(*model->recorder.TakeWindow()));
  });
  return record;
}

Worker::Totals Worker::ReadTotals() {
  Totals totals;
  RunOnThread([&] {
    totals = {channel_->counters(), channel_->connections(),
              finished_.load(std::memory_order_relaxed), timeouts_,
              static_cast<size_t>(recorder_.in_flight())};
  });
  return totals;
}

size_t Worker::CancelAll() {
  size_t cancelled = 0;
  RunOnThread([&] {
    load_ = WorkerLoad();
    sequence_set_ = nullptr;
    for (uint32_t i = 0; i < slots_.size(); ++i) {
      if (!slots_[i]->busy) continue;
      const uint32_t endpoint = channel_->Cancel(i);
      Finish(
          i,
          {.outcome = {OutcomeKind::kUnfinished}, .endpoint = endpoint, .received = SteadyNow()});
      ++cancelled;
    }
  });
  return cancelled;
}

void Worker::Run() {
  net::SetTimerSlack(Nanos(1));
  while (!stop_.load(std::memory_order_relaxed)) {
    // Only an open loop's due times are worth a clock reading of their own.
    const Instant now = load_.schedule != nullptr ? SteadyNow() : loop_->turn_start();
    ExpireDeadlines(now);
    // What needs precision is waited for; deadlines and blocks are looked at on every tick.
    Instant wake = std::min(IssueDue(now), channel_->Tick(now));
    if (!retries_.empty()) wake = std::min(wake, SendRetries(now));
    if (!prepared_.load(std::memory_order_relaxed)) prepared_ = channel_->Prepared();

    const Nanos wait = options_.spin            ? Nanos(0)
                       : wake == Instant::max() ? Nanos(-1)
                                                : std::max(wake - now - kSpinBefore, Nanos(0));
    loop_->Turn(wait);
    ForAllRecorders([&](Recorder& recorder) { recorder.Advance(loop_->turn_start()); });
    if (loop_->turn_start() >= recorder_.window().end &&
        !window_done_.load(std::memory_order_relaxed))
      UpdateWindowDone();
    if (last_reading_ > loop_->turn_start())
      recorder_.OnLoopLag(last_reading_, last_reading_ - loop_->turn_start());
  }
}

Instant Worker::IssueDue(Instant now) {
  if (load_.requests == nullptr) return Instant::max();
  if (load_.concurrency > 0) {
    if (closed_in_flight_ < load_.concurrency || !restarts_.empty()) IssueClosed(now);
    return restarts_.empty() ? Instant::max() : restarts_.top();
  }
  while (next_due_ <= now) {
    const Instant due = next_due_;
    if (load_.max_in_flight > 0 &&
        static_cast<size_t>(recorder_.in_flight()) >= load_.max_in_flight) {
      recorder_.OnOverflow(due);
      if (models_ != nullptr) RecordModelOverflow(due);
    } else if (sequences_ != nullptr && !sequences_->HasLane()) {
      overdue_.push_back(due);
    } else if (!Issue(due)) {
      next_due_ = Instant::max();
      OnBudgetUsedUp(now);
      break;
    }
    next_due_ = NextDue();
    // One clock reading per request while behind; the window's end is noticed as it passes.
    if (next_due_ > now) now = SteadyNow();
    if (next_due_ == Instant::max()) UpdateWindowDone();
  }
  return next_due_;
}

// A schedule that has ended has its next arrival at the end of time.
Instant Worker::NextDue() {
  const Nanos due = load_.schedule->Next();
  return due == Schedule::kNever ? Instant::max() : load_.origin + due;
}

uint32_t Worker::TakeRequest() {
  const size_t size = load_.requests->requests().size();
  if (load_.order == DataOrder::kTrace) return load_.schedule->row();
  const uint64_t index = next_request_;
  next_request_ += load_.part.step;
  if (load_.order == DataOrder::kRandom) {
    // Drawn from the arrival's number, so that it does not depend on how arrivals are dealt out.
    return static_cast<uint32_t>(load_.random.Fork(index).Below(size));
  }
  if (next_request_ >= size) next_request_ %= size;
  return static_cast<uint32_t>(index);
}

void Worker::IssueClosed(Instant now) {
  while (!restarts_.empty() && restarts_.top() <= now) {
    restarts_.pop();
    --closed_in_flight_;
  }
  if (models_ != nullptr && !load_.mix) return IssueModels(now);
  // A step is due when the response came that it waited for, not before.
  if (load_.periodic) now = SteadyNow();
  while (closed_in_flight_ < load_.concurrency) {
    ++closed_in_flight_;
    if (!Issue(now)) return OnBudgetUsedUp(now);
  }
}

bool Worker::Issue(Instant scheduled) {
  if (!TakeBudget()) return false;
  if (models_ != nullptr) {
    IssueDrawn(scheduled);
    return true;
  }
  std::optional<Sequences::Step> step;
  if (sequences_ != nullptr) step = sequences_->Next(scheduled);
  const size_t row = step && step->row ? *step->row : TakeRequest();
  IssueRow(scheduled, *load_.requests, row, step ? &*step : nullptr);
  return true;
}

void Worker::IssueRow(Instant scheduled, const RequestSet& set, size_t request,
                      const Sequences::Step* step) {
  const uint32_t index = TakeSlot();
  Slot& slot = *slots_[index];
  slot.scheduled = slot.sent = scheduled;
  slot.set = &set;
  slot.request = static_cast<uint32_t>(request);
  slot.busy = true;
  slot.closing = std::exchange(closing_, false);
  if (slot.closing) {
    recorder_.OnExtra();
  } else if (slot.in_window = recorder_.OnScheduled(scheduled); slot.in_window) {
    ++window_open_;
  }
  if (options_.timeout > Nanos(0)) Link(index, scheduled);
  const EncodedRequest& encoded = set.requests()[request];
  const bool alike = !set.patch().any() && load_.parts == 0;
  channel_->Start(index, alike ? encoded : MakeOwn(index, encoded, step), &slot.sent);
}

const EncodedRequest& Worker::MakeOwn(uint32_t index, const EncodedRequest& encoded,
                                      const Sequences::Step* step) {
  Slot& slot = *slots_[index];
  if (load_.periodic) load_.periodic->OnStart(index);
  if (load_.parts > 0) return WithOutputs(index, encoded);
  Special& special = *specials_[index];
  special.responses = 0;
  PatchValues values{.request_id = uint64_t{++slot.uses} << 32 | index};
  if (step != nullptr) {
    special.sequence = step->run;
    values.sequence_id = step->id;
    values.start = step->start;
    values.end = step->end;
    if (log_ != nullptr) log_->OnSequence(index, step->id);
  }
  slot.set->patch().Apply(encoded, values, special.patched);
  // Requests of a sequence that may overtake each other go the same way.
  if (step != nullptr && load_.turn == Sequences::Turn::kRound)
    special.patched.request.affinity = step->lane;
  return special.patched.request;
}

void Worker::CloseSequences(Instant now) {
  if (sequence_set_ == nullptr) return;
  while (const std::optional<Sequences::Step> step = sequences_->Close()) {
    closing_ = true;
    IssueRow(now, *sequence_set_, step->row.value_or(0), &*step);
  }
}

void Worker::IssueOverdue() {
  while (overdue_from_ < overdue_.size() && sequences_->HasLane()) {
    if (!Issue(overdue_[overdue_from_])) break;
    ++overdue_from_;
  }
  if (overdue_from_ < overdue_.size()) return;
  overdue_.clear();
  overdue_from_ = 0;
  UpdateWindowDone();
}

const EncodedRequest& Worker::WithOutputs(uint32_t index, const EncodedRequest& request) {
  while (shared_requests_.size() <= index) shared_requests_.emplace_back();
  SharedRequest& out = shared_requests_[index];
  // A worker has as many parts as it may have requests in flight, so none is had by two.
  out.part = load_.first_part + index % load_.parts;
  out.pieces = {request.pieces[0], slots_[index]->set->output_piece(out.part)};
  out.request = request;
  out.request.pieces = out.pieces;
  if (slots_[index]->set->check_outputs()) slots_[index]->set->shared()->Poison(out.part);
  return out.request;
}

uint32_t Worker::TakeSlot() {
  if (free_slots_.empty()) {
    slots_.push_back(std::make_unique<Slot>());
    specials_.push_back(special_ ? std::make_unique<Special>() : nullptr);
    free_slots_.reserve(slots_.size());
    return static_cast<uint32_t>(slots_.size() - 1);
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

void Worker::OnAnswer(uint32_t slot, const Answer& answer) {
  last_reading_ = answer.received;
  if (options_.retries > 0 && Retry(slot, answer)) return;
  const bool closing = slots_[slot]->closing;
  Finish(slot, answer);
  if (sequences_ != nullptr) {
    if (LoadOver()) CloseSequences(answer.received);
    if (overdue_from_ < overdue_.size()) IssueOverdue();
  }
  if (load_.concurrency == 0 || closing) return;
  if (load_.periodic) {
    load_.concurrency = load_.periodic->OnEnd(slot);
    return;
  }
  if (models_ != nullptr && !load_.mix) return ReissueModel(slots_[slot]->set->model(), answer);
  if (closed_in_flight_ > load_.concurrency) {  // the load has been lowered
    --closed_in_flight_;
    return;
  }
  if (answer.outcome.kind == OutcomeKind::kConnect) {
    // A server that cannot be reached is asked again after a while, not as fast as the kernel can
    // refuse.
    restarts_.push(answer.received + ConnectBackoff(++connect_failures_));
    return;
  }
  connect_failures_ = 0;
  if (!Issue(answer.received)) OnBudgetUsedUp(answer.received);
}

void Worker::OnResponse(uint32_t index, const Answer& response) {
  Special& special = *specials_[index];
  const Slot& slot = *slots_[index];
  if (special.responses++ == 0) {
    special.first = response.received;
  } else {
    recorder_.OnGap(response.received - special.last, slot.in_window);
  }
  special.last = response.received;
  recorder_.OnResponse(response.received);
  if (log_ != nullptr) log_->OnResponse(index, response);
  if (load_.periodic) load_.concurrency = load_.periodic->OnResponse(index);
  if (slot.set->check_outputs()) CheckOutputs(index, response);
}

void Worker::CheckOutputs(uint32_t index, const Answer& answer) {
  const Slot& slot = *slots_[index];
  const Result<uint32_t> wrong =
      slot.set->output_parts() == 0
          ? slot.set->CountWrong(slot.request, answer.body, answer.fields)
          : slot.set->CountWrongShared(slot.request, shared_requests_[index].part);
  const auto batch = static_cast<uint64_t>(slot.set->batch_size());
  const RequestStamps stamps{slot.scheduled, slot.sent, answer.received};
  const uint64_t wrong_items = wrong.has_value() ? *wrong : batch;
  ForRecordersOf(*slot.set, [&](Recorder& recorder) {
    recorder.OnChecked(stamps, slot.in_window, batch, wrong_items);
  });
}

void Worker::Log(uint32_t index, const Answer& answer) {
  const Slot& slot = *slots_[index];
  if (!answer.outcome.ok() || !slot.in_window) return log_->Forget(index);
  log_->OnSuccess(index, slot.scheduled, slot.request, !options_.channel.decoupled, answer);
}

void Worker::EndSequence(Special& special, const Answer& answer) {
  const uint32_t sequence = std::exchange(special.sequence, Sequences::kNone);
  if (sequence == Sequences::kNone) return;
  const auto ended = sequences_->Done(sequence, answer.outcome.ok());
  if (ended && !ended->closed)
    recorder_.OnSequence(ended->began, answer.received, ended->completed, ended->requests);
}

bool Worker::Retry(uint32_t index, const Answer& answer) {
  Slot& slot = *slots_[index];
  const OutcomeClass& outcome = answer.outcome;
  // Only where the request has had no effect, or the server asks for it.
  const bool may = outcome.kind == OutcomeKind::kConnect || outcome.kind == OutcomeKind::kReset ||
                   (outcome.kind == OutcomeKind::kHttp && outcome.code == 503) ||
                   (outcome.kind == OutcomeKind::kGrpc &&
                    outcome.code == static_cast<int>(net::GrpcStatus::kUnavailable));
  if (!may || slot.retries >= options_.retries) return false;
  ++slot.retries;
  if (log_ != nullptr) log_->OnRetry(index);
  ForRecordersOf(*slot.set, [&](Recorder& recorder) { recorder.OnRetry(slot.in_window); });
  slot.retry_at = answer.received + ConnectBackoff(slot.retries);
  retries_.emplace(slot.retry_at, index);
  return true;
}

const EncodedRequest& Worker::RequestOf(uint32_t index) const {
  const Slot& slot = *slots_[index];
  if (slot.set->patch().any()) return specials_[index]->patched.request;
  if (slot.set->output_parts() > 0) return shared_requests_[index].request;
  return slot.set->requests()[slot.request];
}

Instant Worker::SendRetries(Instant now) {
  while (!retries_.empty() && retries_.top().first <= now) {
    const auto [at, index] = retries_.top();
    retries_.pop();
    Slot& slot = *slots_[index];
    if (!slot.busy || slot.retry_at != at) continue;
    slot.retry_at = Instant();
    channel_->Start(index, RequestOf(index), &ignored_stamp_);
  }
  return retries_.empty() ? Instant::max() : retries_.top().first;
}

void Worker::Finish(uint32_t index, const Answer& answer) {
  Slot& slot = *slots_[index];
  if (slot.closing) return FinishClosing(index, answer);
  const RequestStamps stamps{slot.scheduled, slot.sent, answer.received};
  if (options_.timeout > Nanos(0)) Unlink(index);
  if (answer.outcome.ok()) {
    ForRecordersOf(*slot.set,
                   [&](Recorder& recorder) { recorder.OnSuccess(stamps, slot.in_window); });
    if (options_.channel.decoupled) {
      recorder_.OnResponses(slot.scheduled, slot.in_window, specials_[index]->responses,
                            specials_[index]->first);
    } else if (slot.set->check_outputs()) {
      CheckOutputs(index, answer);
    }
  } else {
    ForRecordersOf(*slot.set, [&](Recorder& recorder) {
      recorder.OnFailure(stamps, slot.in_window, answer.outcome, answer.text);
    });
  }
  if (log_ != nullptr) Log(index, answer);
  if (sequences_ != nullptr) EndSequence(*specials_[index], answer);
  if (several_endpoints_ && answer.endpoint != kNoEndpoint) {
    ForRecordersOf(*slot.set, [&](Recorder& recorder) {
      recorder.OnEndpoint(stamps, slot.in_window, answer.endpoint, answer.outcome.ok());
    });
  }
  finished_.store(finished_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const bool in_window = slot.in_window;
  slot.busy = slot.in_window = false;
  if (slot.retries > 0) slot.retries = 0, slot.retry_at = Instant();
  free_slots_.push_back(index);
  if (in_window && --window_open_ == 0 && AllIssued()) UpdateWindowDone();
}

// Whether all of the window's requests have been sent.
bool Worker::AllIssued() const {
  if (load_.requests == nullptr) return true;
  if (load_ended_) return overdue_from_ >= overdue_.size();
  if (load_.budget != nullptr && load_.budget->load(std::memory_order_relaxed) <= 0) return true;
  if (load_.periodic) return closed_in_flight_ >= load_.periodic->plan().end;
  if (load_.concurrency > 0) return loop_->turn_start() >= recorder_.window().end;
  const bool overdue =
      overdue_from_ < overdue_.size() && recorder_.window().Holds(overdue_[overdue_from_]);
  return next_due_ >= recorder_.window().end && !overdue;
}

void Worker::UpdateWindowDone() {
  const bool done = window_open_ == 0 && AllIssued();
  if (done == window_done_.load(std::memory_order_relaxed)) return;
  const std::scoped_lock lock(window_done_mutex_);
  window_done_ = done;
  window_done_changed_.notify_all();
}

bool Worker::WaitWindowDone(Instant deadline) {
  std::unique_lock lock(window_done_mutex_);
  return window_done_changed_.wait_until(lock, deadline, [this] { return WindowDone(); });
}

void Worker::Link(uint32_t index, Instant start) {
  // The timeout is the same for all, so the order of starts is the order of deadlines.
  Slot& slot = *slots_[index];
  slot.deadline = std::max(start, last_reading_) + options_.timeout;
  next_expiry_ = std::min(next_expiry_, slot.deadline);
  slot.earlier = newest_;
  slot.later = kNone;
  if (newest_ != kNone) slots_[newest_]->later = index;
  newest_ = index;
  if (oldest_ == kNone) oldest_ = index;
}

void Worker::Unlink(uint32_t index) {
  const Slot& slot = *slots_[index];
  (slot.earlier == kNone ? oldest_ : slots_[slot.earlier]->later) = slot.later;
  (slot.later == kNone ? newest_ : slots_[slot.later]->earlier) = slot.earlier;
}

void Worker::ExpireDeadlines(Instant now) {
  if (now < next_expiry_) return;
  while (oldest_ != kNone && slots_[oldest_]->deadline <= now) {
    const uint32_t index = oldest_;
    const uint32_t endpoint = channel_->Cancel(index);
    ++timeouts_;
    OnAnswer(index, {.outcome = {OutcomeKind::kTimeout},
                     .endpoint = endpoint,
                     .received = now,
                     .text = "no answer within the timeout"});
  }
  next_expiry_ = oldest_ == kNone ? now + options_.timeout : slots_[oldest_]->deadline;
}

}  // namespace sextant::load
