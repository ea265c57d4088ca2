#include "serve/sequence_queue.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace sextant::serve {
namespace {

using inference::ModelConfig;

// Beyond 30 years all durations are alike, and sums of them still have nanoseconds.
Nanos Micros(uint64_t value) {
  return std::chrono::microseconds(std::min<uint64_t>(value, 1'000'000'000'000'000));
}

// The dynamic batching that is applied to the candidates of one instance.
ModelConfig CandidateConfig(const ModelConfig& config) {
  const auto& oldest = config.sequence_batching().oldest();
  ModelConfig out;
  out.set_max_batch_size(config.max_batch_size());
  *out.mutable_dynamic_batching()->mutable_preferred_batch_size() = oldest.preferred_batch_size();
  out.mutable_dynamic_batching()->set_max_queue_delay_microseconds(
      oldest.max_queue_delay_microseconds());
  return out;
}

SequenceId IdOf(const kserve::InferRequest& request) {
  const kserve::Parameter* value = kserve::FindParameter(request.parameters, "sequence_id");
  if (value == nullptr) return uint64_t{0};
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  const int64_t* number = std::get_if<int64_t>(value);
  return number == nullptr ? uint64_t{0} : static_cast<uint64_t>(*number);
}

bool IsNone(const SequenceId& id) {
  const uint64_t* number = std::get_if<uint64_t>(&id);
  return number != nullptr ? *number == 0 : std::get<std::string>(id).empty();
}

bool FlagOf(const kserve::InferRequest& request, std::string_view name) {
  const kserve::Parameter* value = kserve::FindParameter(request.parameters, name);
  const bool* flag = value == nullptr ? nullptr : std::get_if<bool>(value);
  return flag != nullptr && *flag;
}

}  // namespace

SequenceQueue::SequenceQueue(const ModelConfig& config, size_t instances)
    : model_(config.name()),
      controls_(config),
      idle_(Micros(config.sequence_batching().max_sequence_idle_microseconds())),
      oldest_(config.sequence_batching().has_oldest()),
      instances_(instances) {
  const auto& batching = config.sequence_batching();
  size_t slots = static_cast<size_t>(std::max(1, config.max_batch_size()));
  if (oldest_) slots = static_cast<size_t>(batching.oldest().max_candidate_sequences());
  if (batching.has_direct()) {
    max_delay_ = Micros(batching.direct().max_queue_delay_microseconds());
    minimum_utilization_ = batching.direct().minimum_slot_utilization();
  }
  for (Instance& instance : instances_) {
    instance.slots.resize(slots);
    if (oldest_) instance.candidates.emplace(CandidateConfig(config));
  }
}

Result<SequenceQueue::Sequence*> SequenceQueue::FindOrBegin(const PendingRequest& request,
                                                            const SequenceId& id, Instant now) {
  if (const auto open = open_.find(id); open != open_.end()) return open->second;
  if (!request.sequence.start) {
    return InvalidArgument(
        Format("inference request for sequence {} to model '{}' must specify the START flag on the "
               "first request of the sequence",
               SequenceIdText(id), model_));
  }
  auto sequence = std::make_unique<Sequence>();
  Sequence* raw = sequence.get();
  raw->memory = std::make_shared<SequenceMemory>();
  open_[id] = raw;
  // The lowest free slot, and of these the one of the first instance, so that all get some.
  const size_t slots = instances_[0].slots.size();
  for (size_t slot = 0; slot < slots; ++slot) {
    for (size_t i = 0; i < instances_.size(); ++i) {
      if (instances_[i].slots[slot] != nullptr) continue;
      Place(std::move(sequence), i, slot, now);
      return raw;
    }
  }
  backlog_.push_back(std::move(sequence));
  return raw;
}

Result<void> SequenceQueue::Push(PendingRequest& request, Instant now) {
  const SequenceId id = IdOf(*request.request);
  if (IsNone(id)) {
    return InvalidArgument(Format(
        "inference request to model '{}' must specify a non-zero or non-empty correlation ID",
        model_));
  }
  if (request.batch_size != 1) {
    return InvalidArgument(
        Format("inference request to model '{}' must specify batch-size 1 due to requirements of "
               "sequence batcher",
               model_));
  }
  SequenceStep& step = request.sequence;
  step.start = FlagOf(*request.request, "sequence_start");
  step.end = FlagOf(*request.request, "sequence_end");
  if (!step.start && !open_.contains(id)) return FindOrBegin(request, id, now).error();
  SEXTANT_TRY(controls_.AddTo(*request.request, {.start = step.start, .end = step.end, .id = id}));
  SEXTANT_ASSIGN(Sequence * sequence, FindOrBegin(request, id, now));
  sequence->last = now;
  if (step.end) {
    sequence->closed = true;
    open_.erase(id);
  }
  step.memory = sequence->memory;
  step.queued = now;
  request.queued = now;
  sequence->waiting.push_back(std::move(request));
  ++size_;
  if (sequence->placed && oldest_) Offer(*sequence, now);
  return {};
}

void SequenceQueue::Place(std::unique_ptr<Sequence> sequence, size_t instance, size_t slot,
                          Instant now) {
  Sequence& placed = *sequence;
  placed.placed = true;
  placed.last = now;
  placed.instance = instance;
  placed.slot = slot;
  instances_[instance].slots[slot] = std::move(sequence);
  if (oldest_) Offer(placed, now);
}

void SequenceQueue::Offer(Sequence& sequence, Instant now) {
  if (sequence.offered || sequence.waiting.empty()) return;
  PendingRequest request = std::move(sequence.waiting.front());
  sequence.waiting.pop_front();
  request.sequence.slot = sequence.slot;
  sequence.offered = true;
  // There is no limit that could refuse it.
  SEXTANT_CHECK(instances_[sequence.instance].candidates->Push(request, now).has_value(),
                "a candidate refused");
}

void SequenceQueue::FreeIfDone(Sequence& sequence, Instant now) {
  if (!sequence.closed || sequence.offered || !sequence.waiting.empty()) return;
  const size_t instance = sequence.instance, slot = sequence.slot;
  instances_[instance].slots[slot].reset();
  if (backlog_.empty()) return;
  std::unique_ptr<Sequence> next = std::move(backlog_.front());
  backlog_.pop_front();
  Place(std::move(next), instance, slot, now);
}

Instant SequenceQueue::Take(size_t instance, Instant now, std::vector<PendingRequest>& batch,
                            std::vector<PendingRequest>& expired) {
  Instance& from = instances_[instance];
  return oldest_ ? TakeOldest(from, now, batch, expired) : TakeDirect(from, now, batch);
}

Instant SequenceQueue::TakeDirect(Instance& from, Instant now, std::vector<PendingRequest>& batch) {
  const PendingRequest* first = nullptr;
  size_t ready = 0, end = 0;  // slots with a request, and one past the last of them
  Instant oldest = Instant::max();
  std::vector<bool> fits(from.slots.size());
  for (size_t slot = 0; slot < from.slots.size(); ++slot) {
    if (from.slots[slot] == nullptr || from.slots[slot]->waiting.empty()) continue;
    const PendingRequest& request = from.slots[slot]->waiting.front();
    if (first == nullptr) first = &request;
    // What cannot be executed with the others goes with the next batch.
    if (!Compatible(*first->request, *request.request)) continue;
    fits[slot] = true;
    ++ready;
    end = slot + 1;
    oldest = std::min(oldest, request.queued);
  }
  if (ready == 0) return Instant::max();
  const double utilization = static_cast<double>(ready) / static_cast<double>(from.slots.size());
  if (utilization < minimum_utilization_ && now < oldest + max_delay_) return oldest + max_delay_;
  std::optional<PendingRequest> padding;  // before the one that it is like is moved
  if (end > ready) padding = Padding(*first);
  for (size_t slot = 0; slot < end; ++slot) {
    if (!fits[slot]) {
      batch.push_back(Padding(*padding));
      continue;
    }
    Sequence& sequence = *from.slots[slot];
    batch.push_back(std::move(sequence.waiting.front()));
    sequence.waiting.pop_front();
    --size_;
    FreeIfDone(sequence, now);
  }
  return now;
}

PendingRequest SequenceQueue::Padding(const PendingRequest& like) const {
  PendingRequest out;
  out.padding = true;
  out.request = std::make_unique<kserve::InferRequest>();
  kserve::InferRequest& request = *out.request;
  for (const kserve::InferInput& input : like.request->inputs) {
    const auto& controls = controls_.tensors();
    if (std::any_of(controls.begin(), controls.end(),
                    [&](const auto& control) { return control.name == input.name; }))
      continue;
    // Zeros; of text, elements of no length.
    const uint64_t elements = kserve::ElementCount(input.shape).value_or(0);
    const size_t size =
        input.type == kserve::DataType::kBytes ? 4 : kserve::ElementSize(input.type);
    request.inputs.push_back({.name = input.name,
                              .type = input.type,
                              .shape = input.shape,
                              .data = request.converted.emplace_back(elements * size, '\0'),
                              .shared_memory = {}});
  }
  // No number is too large for its type when it is 0.
  static_cast<void>(controls_.AddTo(request, {.ready = false}));
  return out;
}

Instant SequenceQueue::TakeOldest(Instance& from, Instant now, std::vector<PendingRequest>& batch,
                                  std::vector<PendingRequest>& expired) {
  for (const size_t slot : from.executing) {
    Sequence& sequence = *from.slots[slot];
    sequence.offered = false;
    Offer(sequence, now);
    FreeIfDone(sequence, now);
  }
  from.executing.clear();
  const Instant again = from.candidates->Take(0, now, batch, expired);
  for (PendingRequest& request : batch) {
    // Its wait began when it arrived, not when it became a candidate.
    request.queued = request.sequence.queued;
    from.executing.push_back(request.sequence.slot);
    --size_;
  }
  return again;
}

Instant SequenceQueue::TakeExpired(Instant now, std::vector<PendingRequest>&) {
  // What waits in the backlog becomes idle after it has got a slot, at the earliest.
  Instant next = backlog_.empty() ? Instant::max() : now + idle_;
  for (auto it = open_.begin(); it != open_.end();) {
    Sequence& sequence = *it->second;
    if (!sequence.placed) {
      ++it;
      continue;
    }
    if (sequence.last + idle_ > now) {
      next = std::min(next, sequence.last + idle_);
      ++it;
      continue;
    }
    it = open_.erase(it);
    sequence.closed = true;
    FreeIfDone(sequence, now);
  }
  return next;
}

std::vector<PendingRequest> SequenceQueue::Clear() {
  std::vector<PendingRequest> all;
  const auto drain = [&](Sequence& sequence) {
    for (PendingRequest& request : sequence.waiting) all.push_back(std::move(request));
  };
  for (Instance& instance : instances_) {
    if (instance.candidates) {
      for (PendingRequest& request : instance.candidates->Clear())
        all.push_back(std::move(request));
    }
    for (auto& sequence : instance.slots) {
      if (sequence != nullptr) drain(*sequence);
      sequence.reset();
    }
    instance.executing.clear();
  }
  for (auto& sequence : backlog_) drain(*sequence);
  backlog_.clear();
  open_.clear();
  size_ = 0;
  return all;
}

}  // namespace sextant::serve
