#include "gpu/signal_window.h"

#include <algorithm>
#include <cmath>

namespace sextant::gpu {

void SignalWindow::Begin(Instant at) {
  begin_ = at;
  samples_ = 0, stride_ = 1;
  area_ = weight_s_ = 0;
  kept_.clear();
}

void SignalWindow::Add(Instant at, double value, Nanos gap) {
  const bool first = samples_ == 0;
  const double span = Seconds(std::clamp(at - (first ? begin_ : last_at_), Nanos(0), gap));
  area_ += span * (first ? value : (last_ + value) / 2);
  weight_s_ += span;
  min_ = first ? value : std::min(min_, value);
  max_ = first ? value : std::max(max_, value);
  last_ = value, last_at_ = at, gap_ = gap;
  if (samples_++ % stride_ != 0) return;
  if (kept_.size() == kMostKept) {
    for (size_t i = 0; i < kMostKept / 2; ++i) kept_[i] = kept_[2 * i];
    kept_.resize(kMostKept / 2);
    stride_ *= 2;
  }
  kept_.push_back(value);
}

Signal SignalWindow::Close(Instant at) const {
  Signal signal{.samples = samples_};
  if (samples_ == 0) return signal;
  const double tail = Seconds(std::clamp(at - last_at_, Nanos(0), gap_));
  const double weight = weight_s_ + tail;
  signal.min = min_, signal.max = max_;
  // Of a mean, rounding must not make more than the largest.
  signal.mean = weight > 0 ? std::clamp((area_ + tail * last_) / weight, min_, max_) : last_;
  std::vector<double> sorted = kept_;
  const auto rank =
      static_cast<ptrdiff_t>(std::ceil(0.95 * static_cast<double>(sorted.size()))) - 1;
  std::nth_element(sorted.begin(), sorted.begin() + rank, sorted.end());
  signal.p95 = sorted[static_cast<size_t>(rank)];
  return signal;
}

void CounterWindow::Begin(Instant at) {
  begin_ = at;
  went_back_ = false;
  first_.reset();
}

void CounterWindow::Add(Instant at, double value, Nanos gap) {
  gap_ = gap;
  // A driver that was loaded anew counts from zero: what was before is not comparable.
  if (last_ && value < last_->value) went_back_ = true, last_.reset();
  if (!first_) {
    first_ = Reading{at, value};
    if (last_ && last_->at < begin_ && at - last_->at <= gap) {
      const double share = Seconds(begin_ - last_->at) / Seconds(at - last_->at);
      first_ = Reading{begin_, last_->value + (value - last_->value) * share};
    }
  }
  last_ = Reading{at, value};
}

std::optional<double> CounterWindow::Close(Instant at) const {
  if (went_back_ || !first_ || !last_ || last_->at <= first_->at) return {};
  if (first_->at - begin_ > gap_ || at - last_->at > gap_) return {};
  const double seen = Seconds(last_->at - first_->at);
  return (last_->value - first_->value) * Seconds(at - begin_) / seen;
}

}  // namespace sextant::gpu
