#include "load/sweep.h"

#include <cmath>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::load {

double ThresholdRule::LatencyOf(const run::Level& level) const {
  const stats::Histogram& latency = level.latency.histogram;
  return percentile ? latency.Quantile(*percentile) : latency.mean();
}

bool ThresholdRule::Over(const run::Level& level) const {
  if (limit <= Nanos(0)) return false;
  // Nothing succeeded: no latency is below the limit.
  if (level.succeeded == 0) return true;
  return LatencyOf(level) >= static_cast<double>(limit.count());
}

std::string ThresholdRule::Describe(const run::Level& level) const {
  if (level.succeeded == 0) return "no request succeeded: the sweep ends here";
  const std::string figure = percentile ? Format("p{:g}", *percentile * 100) : "mean";
  return Format("the {} latency of {} is over --latency-threshold ({}): the sweep ends here",
                figure, HumanDuration(Nanos(static_cast<int64_t>(LatencyOf(level)))),
                FormatDuration(limit));
}

namespace {

class ListSweep final : public Sweep {
 public:
  ListSweep(std::vector<run::LoadPoint> points, ThresholdRule rule)
      : points_(std::move(points)), rule_(rule) {}
  std::optional<Probe> Next() override {
    if (over_ || next_ == points_.size()) return std::nullopt;
    return Probe{.load = points_[next_], .window = {}};
  }
  void Report(run::Level& level) override {
    ++next_;
    over_ = rule_.Over(level);
    if (over_ && next_ < points_.size()) level.notes.push_back(rule_.Describe(level));
  }

 private:
  const std::vector<run::LoadPoint> points_;
  const ThresholdRule rule_;
  size_t next_ = 0;
  bool over_ = false;
};

class OpenSweep final : public Sweep {
 public:
  OpenSweep(run::LoadPoint first, LevelRange range, ThresholdRule rule)
      : point_(std::move(first)), range_(range), rule_(rule) {}
  std::optional<Probe> Next() override {
    if (over_) return std::nullopt;
    point_.value = range_.At(next_);
    return Probe{.load = point_, .window = {}};
  }
  void Report(run::Level& level) override {
    ++next_;
    over_ = level.succeeded == 0 || rule_.Over(level);
    if (over_) level.notes.push_back(rule_.Describe(level));
  }

 private:
  run::LoadPoint point_;
  const LevelRange range_;
  const ThresholdRule rule_;
  int next_ = 0;
  bool over_ = false;
};

class BinarySweep final : public Sweep {
 public:
  BinarySweep(run::LoadPoint first, LevelRange range, ThresholdRule rule)
      : point_(std::move(first)), range_(range), rule_(rule), low_(range.start), high_(range.end) {
    point_.value = low_;
  }
  std::optional<Probe> Next() override {
    if (done_) return std::nullopt;
    return Probe{.load = point_, .window = {}};
  }
  void Report(run::Level& level) override {
    const bool drifting = level.state == stats::LevelState::kDrifting;
    const bool fails = drifting || rule_.Over(level);
    if (drifting && !rule_.Over(level))
      level.notes.emplace_back("the level drifted: it counts as over --latency-threshold");
    if (step_ == Step::kStart) {
      step_ = Step::kEnd;
      done_ = fails || low_ == high_;
      if (fails) level.notes.emplace_back("the start of the range is over --latency-threshold");
      point_.value = high_;
      return;
    }
    if (step_ == Step::kEnd) {
      step_ = Step::kBetween;
      done_ = !fails;
    } else {
      (fails ? high_ : low_) = point_.value;
    }
    if (high_ - low_ <= range_.step) done_ = true;
    point_.value = low_ + (high_ - low_) / 2;
    if (point_.mode == run::LoadMode::kConcurrency) point_.value = std::floor(point_.value);
    if (point_.value <= low_) done_ = true;
  }

 private:
  enum class Step : uint8_t { kStart, kEnd, kBetween };
  run::LoadPoint point_;
  const LevelRange range_;
  const ThresholdRule rule_;
  double low_, high_;
  Step step_ = Step::kStart;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<Sweep> MakeListSweep(std::vector<run::LoadPoint> points, ThresholdRule rule) {
  return std::make_unique<ListSweep>(std::move(points), rule);
}

std::unique_ptr<Sweep> MakeOpenSweep(run::LoadPoint first, LevelRange range, ThresholdRule rule) {
  return std::make_unique<OpenSweep>(std::move(first), range, rule);
}

std::unique_ptr<Sweep> MakeBinarySweep(run::LoadPoint first, LevelRange range, ThresholdRule rule) {
  return std::make_unique<BinarySweep>(std::move(first), range, rule);
}

}  // namespace sextant::load
