#include "load/sequences.h"

#include <algorithm>
#include <cmath>

namespace sextant::load {
namespace {

constexpr uint64_t kSaltSalt = 0x5e91e4ce;

// This worker's part of a range is every `workers`-th id: parts do not overlap.
uint64_t PartOf(uint64_t ids, size_t worker, size_t workers) {
  return ids / workers + (worker < ids % workers ? 1 : 0);
}

// Without a range: 21 bits from the seed, 10 of the worker, 32 that count. Never 0, and never
// negative to whoever reads it as a signed number.
uint64_t MakeSalt(uint64_t seed, size_t worker) {
  const uint64_t run = Random(seed ^ kSaltSalt).Next() >> 43;
  return run << 42 | static_cast<uint64_t>(worker & 1023) << 32;
}

}  // namespace

SequenceIds::SequenceIds(const SequencePlan& plan, size_t worker, size_t workers)
    : first_(plan.first_id + worker),
      count_(plan.ids > 0 ? std::max<uint64_t>(1, PartOf(plan.ids, worker, workers)) : UINT32_MAX),
      stride_(workers),
      salt_(plan.ids > 0 ? 0 : MakeSalt(plan.seed, worker)) {}

uint64_t SequenceIds::Take() {
  const uint64_t n = next_++;
  if (next_ == count_) {
    next_ = 0;
    wrapped_ = true;
  }
  return salt_ != 0 ? salt_ | (n + 1) : first_ + n * stride_;
}

Sequences::Sequences(std::shared_ptr<const SequencePlan> plan, size_t worker, size_t workers)
    : plan_(std::move(plan)),
      random_(Random(plan_->seed).Fork(0x5e9000 + worker)),
      ids_(*plan_, worker, workers),
      next_stream_(plan_->streams.empty() ? 0 : worker % plan_->streams.size()) {}

void Sequences::SetLanes(size_t lanes, Turn turn) {
  turn_ = turn;
  lanes_.assign(lanes, {});
  free_.clear();
  free_.reserve(lanes);
  if (turn != Turn::kRound) {
    for (size_t i = lanes; i-- > 0;) free_.push_back(static_cast<uint32_t>(i));
  }
  runs_.clear();
  free_runs_.clear();
  next_lane_ = 0;
}

Sequences::Step Sequences::Next(Instant scheduled) {
  uint32_t lane;
  if (turn_ != Turn::kRound) {
    if (turn_ == Turn::kRandom) std::swap(free_[random_.Below(free_.size())], free_.back());
    lane = free_.back();
    free_.pop_back();
  } else {
    lane = static_cast<uint32_t>(next_lane_);
    next_lane_ = next_lane_ + 1 >= lanes_.size() ? 0 : next_lane_ + 1;
  }
  if (lanes_[lane].run == kNone) lanes_[lane].run = Begin(lane, scheduled);
  return Advance(lanes_[lane].run);
}

Sequences::Step Sequences::Advance(uint32_t index) {
  Run& run = runs_[index];
  Step step{.run = index,
            .lane = run.lane,
            .id = run.id,
            .start = run.step == 0,
            .end = run.closed || run.step + 1 == run.length};
  if (!plan_->streams.empty()) step.row = run.first_row + std::min(run.step, run.length - 1);
  ++run.step;
  ++run.in_flight;
  if (step.end) lanes_[run.lane].run = kNone;
  return step;
}

uint32_t Sequences::Begin(uint32_t lane, Instant scheduled) {
  const uint32_t index = TakeRun();
  Run& run = runs_[index];
  const uint64_t id = ids_.Next([&](uint64_t candidate) {
    return std::any_of(runs_.begin(), runs_.end(),
                       [&](const Run& r) { return r.used && r.id == candidate; });
  });
  run = {.id = id, .lane = lane, .used = true, .began = scheduled};
  if (plan_->streams.empty()) {
    run.length = DrawLength();
  } else {
    const RowRange& rows = plan_->streams[next_stream_];
    next_stream_ = next_stream_ + 1 >= plan_->streams.size() ? 0 : next_stream_ + 1;
    run.first_row = rows.first;
    run.length = rows.count;
  }
  return index;
}

uint32_t Sequences::TakeRun() {
  if (free_runs_.empty()) {
    runs_.emplace_back();
    free_runs_.reserve(runs_.size());
    return static_cast<uint32_t>(runs_.size() - 1);
  }
  const uint32_t index = free_runs_.back();
  free_runs_.pop_back();
  return index;
}

uint64_t Sequences::DrawLength() {
  const auto mean = static_cast<double>(plan_->length);
  const double spread = mean * plan_->variation / 100;
  const double drawn = mean + (2 * random_.Uniform() - 1) * spread;
  return static_cast<uint64_t>(std::max(1.0, std::round(drawn)));
}

std::optional<Sequences::Step> Sequences::Close() {
  for (const Lane& lane : lanes_) {
    if (lane.run == kNone || runs_[lane.run].in_flight > 0) continue;
    Run& run = runs_[lane.run];
    run.closed = true;
    if (turn_ != Turn::kRound) std::erase(free_, run.lane);
    return Advance(lane.run);
  }
  return std::nullopt;
}

std::optional<Sequences::Ended> Sequences::Done(uint32_t index, bool success) {
  Run& run = runs_[index];
  --run.in_flight;
  if (!success && !run.failed) {
    run.failed = true;
    if (lanes_[run.lane].run == index) lanes_[run.lane].run = kNone;
  }
  if (turn_ != Turn::kRound) free_.push_back(run.lane);
  const bool goes_on = lanes_[run.lane].run == index;
  if (goes_on || run.in_flight > 0) return std::nullopt;
  const Ended ended{.completed = !run.failed && !run.closed,
                    .closed = run.closed,
                    .began = run.began,
                    .requests = run.step};
  run.used = false;
  free_runs_.push_back(index);
  return ended;
}

}  // namespace sextant::load
