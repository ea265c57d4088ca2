#include "serve/batch_queue.h"

#include <algorithm>

#include "base/strings.h"

namespace sextant::serve {

bool Compatible(const kserve::InferRequest& a, const kserve::InferRequest& b) {
  if (a.inputs.size() != b.inputs.size()) return false;
  for (const kserve::InferInput& input : a.inputs) {
    const auto other = std::find_if(b.inputs.begin(), b.inputs.end(),
                                    [&](const auto& i) { return i.name == input.name; });
    if (other == b.inputs.end() || other->shape.size() != input.shape.size()) return false;
    if (!std::equal(input.shape.begin() + 1, input.shape.end(), other->shape.begin() + 1))
      return false;
  }
  return true;
}

BatchQueue::Policy BatchQueue::MakePolicy(const inference::ModelQueuePolicy& policy) {
  return {.max_size = policy.max_queue_size(),
          .timeout = std::chrono::microseconds(policy.default_timeout_microseconds()),
          .delay = policy.timeout_action() == inference::ModelQueuePolicy::DELAY,
          .allow_override = policy.allow_timeout_override()};
}

BatchQueue::BatchQueue(const inference::ModelConfig& config)
    : max_batch_size_(config.max_batch_size()) {
  levels_[0];
  if (!config.has_dynamic_batching()) return;
  const inference::ModelDynamicBatching& batching = config.dynamic_batching();
  dynamic_ = max_batch_size_ > 0;
  preferred_.assign(batching.preferred_batch_size().begin(), batching.preferred_batch_size().end());
  std::sort(preferred_.begin(), preferred_.end());
  max_delay_ = std::chrono::microseconds(batching.max_queue_delay_microseconds());
  level_count_ = batching.priority_levels();
  if (level_count_ > 0) {
    levels_.clear();
    default_level_ = batching.default_priority_level();
    for (uint64_t level = 1; level <= level_count_; ++level) {
      const auto own = batching.priority_queue_policy().find(level);
      levels_[level].policy = MakePolicy(own != batching.priority_queue_policy().end()
                                             ? own->second
                                             : batching.default_queue_policy());
    }
  } else {
    levels_[0].policy = MakePolicy(batching.default_queue_policy());
  }
  for (const auto& [number, level] : levels_) {
    has_timeouts_ |= level.policy.timeout > Nanos(0) || level.policy.allow_override;
  }
}

Result<void> BatchQueue::Push(PendingRequest& request, Instant now) {
  const auto number = [&](std::string_view name) -> uint64_t {
    const kserve::Parameter* value = kserve::FindParameter(request.request->parameters, name);
    const int64_t* v = value == nullptr ? nullptr : std::get_if<int64_t>(value);
    return v == nullptr || *v < 0 ? 0 : static_cast<uint64_t>(*v);
  };
  request.level = 0;
  if (level_count_ > 0) {
    request.level = number("priority");
    if (request.level == 0 || request.level > level_count_) request.level = default_level_;
  }
  Level& level = levels_[request.level];
  if (level.policy.max_size > 0 &&
      level.waiting.size() + level.delayed.size() >= level.policy.max_size) {
    return Unavailable("Exceeds maximum queue size");
  }
  Nanos timeout = level.policy.timeout;
  if (level.policy.allow_override) {
    const Nanos asked = std::chrono::microseconds(number("timeout"));
    if (asked > Nanos(0) && (timeout == Nanos(0) || asked < timeout)) timeout = asked;
  }
  request.queued = now;
  request.deadline = timeout > Nanos(0) ? now + timeout : Instant::max();
  level.waiting.push_back(std::move(request));
  ++size_;
  return {};
}

Instant BatchQueue::TakeExpired(Instant now, std::vector<PendingRequest>& expired) {
  Instant next = Instant::max();
  if (!has_timeouts_) return next;
  for (auto& [number, level] : levels_) {
    for (size_t i = 0; i < level.waiting.size();) {
      PendingRequest& request = level.waiting[i];
      if (request.deadline > now) {
        next = std::min(next, request.deadline);
        ++i;
        continue;
      }
      if (level.policy.delay) {
        level.delayed.push_back(std::move(request));
      } else {
        expired.push_back(std::move(request));
        --size_;
      }
      level.waiting.erase(level.waiting.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  return next;
}

template <typename F>
void BatchQueue::ForEachInOrder(F&& visit) {
  for (auto& [number, level] : levels_) {
    for (PendingRequest& request : level.waiting) {
      if (!visit(request)) return;
    }
  }
  for (auto& [number, level] : levels_) {
    for (PendingRequest& request : level.delayed) {
      if (!visit(request)) return;
    }
  }
}

void BatchQueue::TakeFront(size_t count, std::vector<PendingRequest>& batch) {
  const auto drain = [&](std::deque<PendingRequest>& from) {
    while (count > 0 && !from.empty()) {
      batch.push_back(std::move(from.front()));
      from.pop_front();
      --count;
      --size_;
    }
  };
  for (auto& [number, level] : levels_) drain(level.waiting);
  for (auto& [number, level] : levels_) drain(level.delayed);
}

Instant BatchQueue::Take(size_t, Instant now, std::vector<PendingRequest>& batch,
                         std::vector<PendingRequest>& expired) {
  const Instant next_expiry = TakeExpired(now, expired);
  if (size_ == 0) return Instant::max();
  if (!dynamic_) {
    TakeFront(1, batch);
    return now;
  }
  // How many requests from the front fit into one batch, and where on the way a preferred size was
  // met.
  size_t fitting = 0, at_preferred = 0;
  int64_t items = 0;
  bool full = false;
  Instant oldest = Instant::max();
  const kserve::InferRequest* first = nullptr;
  ForEachInOrder([&](PendingRequest& request) {
    const bool fits = items + request.batch_size <= max_batch_size_;
    if (first == nullptr) {
      first = request.request.get();
    } else if (!fits || !Compatible(*first, *request.request)) {
      full = true;  // waiting longer cannot make this batch any larger
      return false;
    }
    items += request.batch_size;
    ++fitting;
    oldest = std::min(oldest, request.queued);
    if (std::binary_search(preferred_.begin(), preferred_.end(), items)) at_preferred = fitting;
    return true;
  });
  full |= items >= max_batch_size_;
  const Instant patience = oldest + max_delay_;
  const bool largest_preferred = !preferred_.empty() && items == preferred_.back();
  if (full || largest_preferred || max_delay_ == Nanos(0) || now >= patience) {
    // With time still left, a preferred size is better than a larger odd one.
    TakeFront(at_preferred > 0 && now < patience ? at_preferred : fitting, batch);
    return now;
  }
  if (at_preferred > 0) {
    TakeFront(at_preferred, batch);
    return now;
  }
  return std::min(patience, next_expiry);
}

std::vector<PendingRequest> BatchQueue::Clear() {
  std::vector<PendingRequest> all;
  TakeFront(size_, all);
  return all;
}

}  // namespace sextant::serve
