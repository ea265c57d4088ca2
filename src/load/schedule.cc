#include "load/schedule.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::load {
namespace {

// Units of a law to time, for arguments that never decrease.
class Time {
 public:
  Time(double rate, std::shared_ptr<const RateProfile> profile)
      : rate_(rate), profile_(std::move(profile)) {}

  Nanos At(double expected) {
    if (profile_ == nullptr) return FromSeconds(expected / rate_);
    const auto& segments = profile_->segments();
    while (segment_ < segments.size() &&
           expected >= segments[segment_].expected_before + segments[segment_].expected())
      ++segment_;
    if (segment_ == segments.size()) return Schedule::kNever;
    // from * s + (to - from) * s^2 / (2 * length) = rest, solved without cancellation.
    const RateProfile::Segment& s = segments[segment_];
    const double rest = std::max(0.0, expected - s.expected_before);
    const double slope = (s.to - s.from) / s.length_s;
    const double root = std::sqrt(std::max(0.0, s.from * s.from + 2 * slope * rest));
    const double offset = rest > 0 ? 2 * rest / (s.from + root) : 0;
    return FromSeconds(s.begin_s + std::min(offset, s.length_s));
  }

 private:
  const double rate_;
  const std::shared_ptr<const RateProfile> profile_;
  size_t segment_ = 0;
};

class LawSchedule final : public Schedule {
 public:
  LawSchedule(const ArrivalLaw& law, Time time, Part part, const Random& random)
      : law_(law),
        shape_(1 / (law.cv * law.cv)),
        time_(std::move(time)),
        next_(part.first),
        step_(part.step),
        random_(random) {}

  Nanos Next() override {
    const Nanos due = time_.At(UnitsUntil(next_));
    next_ += step_;
    return due;
  }

 private:
  double UnitsUntil(uint64_t index) {
    switch (law_.kind) {
      // From the index and not by adding up, so that nothing drifts.
      case ArrivalLaw::Kind::kConstant:
        return static_cast<double>(index);
      case ArrivalLaw::Kind::kBurst:
        return static_cast<double>(index - index % law_.size);
      // The arrivals of other parts are drawn too: the stream is one.
      case ArrivalLaw::Kind::kPoisson:
        for (; drawn_ <= index; ++drawn_) units_ += random_.Exponential(1);
        return units_;
      case ArrivalLaw::Kind::kGamma:
        for (; drawn_ <= index; ++drawn_) units_ += random_.Gamma(shape_) / shape_;
        return units_;
    }
    return units_;
  }

  const ArrivalLaw law_;
  const double shape_;
  Time time_;
  uint64_t next_;
  const uint64_t step_;
  Random random_;
  uint64_t drawn_ = 0;  // arrivals
  double units_ = 0;    // until the last one drawn
};

class ReplaySchedule final : public Schedule {
 public:
  ReplaySchedule(std::shared_ptr<const Replay> replay, Part part)
      : replay_(std::move(replay)), next_(part.first), step_(part.step) {}

  Nanos Next() override {
    const uint64_t size = replay_->due.size(), round = next_ / size;
    if (round > 0 && replay_->period == Nanos(0)) return kNever;
    last_ = next_ % size;
    next_ += step_;
    return replay_->due[last_] + replay_->period * static_cast<int64_t>(round);
  }
  uint32_t row() const override { return replay_->rows.empty() ? 0 : replay_->rows[last_]; }

 private:
  const std::shared_ptr<const Replay> replay_;
  uint64_t next_, last_ = 0;
  const uint64_t step_;
};

struct Point {
  Nanos at{0};
  double rate = 0;
};

// "100..500/30s" as its two points; nothing when the text is not of that form.
std::optional<std::vector<Point>> ParseRamp(std::string_view text) {
  const size_t dots = text.find(".."), slash = text.find('/');
  if (dots == std::string_view::npos || slash == std::string_view::npos || slash < dots)
    return std::nullopt;
  const auto from = ParseDouble(TrimSpace(text.substr(0, dots))),
             to = ParseDouble(TrimSpace(text.substr(dots + 2, slash - dots - 2)));
  const Result<Nanos> length = ParseDuration(TrimSpace(text.substr(slash + 1)));
  if (!from || !to || !length.has_value()) return std::nullopt;
  return std::vector<Point>{{Nanos(0), *from}, {*length, *to}};
}

}  // namespace

Result<ArrivalLaw> ParseArrivalLaw(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string name = ToLower(TrimSpace(text.substr(0, colon)));
  const std::optional<std::string_view> value =
      colon == std::string_view::npos ? std::nullopt
                                      : std::optional(TrimSpace(text.substr(colon + 1)));
  using Kind = ArrivalLaw::Kind;
  if (name == "constant" && !value) return ArrivalLaw{.kind = Kind::kConstant};
  if (name == "poisson" && !value) return ArrivalLaw{.kind = Kind::kPoisson};
  if (name == "gamma" && value) {
    const auto cv = ParseDouble(*value);
    if (cv && *cv >= 0.01 && *cv <= 100) return ArrivalLaw{.kind = Kind::kGamma, .cv = *cv};
    return InvalidArgument(
        "gamma:CV needs the coefficient of variation of the distances between arrivals, from 0.01 "
        "to 100 (1 is Poisson)");
  }
  if (name == "burst" && value) {
    const auto size = ParseUint(*value);
    if (size && *size >= 1 && *size <= 1'000'000)
      return ArrivalLaw{.kind = Kind::kBurst, .size = *size};
    return InvalidArgument("burst:N needs a whole number of requests from 1 to 1000000");
  }
  return InvalidArgument("must be constant, poisson, gamma:CV (such as gamma:2) or burst:N");
}

std::string ArrivalLawName(const ArrivalLaw& law) {
  switch (law.kind) {
    case ArrivalLaw::Kind::kConstant:
      return "constant";
    case ArrivalLaw::Kind::kPoisson:
      return "poisson";
    case ArrivalLaw::Kind::kGamma:
      return Format("gamma:{}", law.cv);
    case ArrivalLaw::Kind::kBurst:
      return Format("burst:{}", law.size);
  }
  return "?";
}

Result<RateProfile> RateProfile::Parse(std::string_view text, Shape shape) {
  std::string faults;
  const auto fault = [&](const std::string& what) {
    AppendFormat(faults, "{}{}", faults.empty() ? "" : "; ", what);
  };
  std::vector<Point> points;
  if (const auto ramp = ParseRamp(text)) {
    points = *ramp;
    shape = Shape::kLinear;
  } else {
    for (const std::string_view part : Split(text, ',')) {
      const size_t colon = part.find(':');
      const Result<Nanos> at = ParseDuration(TrimSpace(part.substr(0, colon)));
      const auto rate = colon == std::string_view::npos
                            ? std::nullopt
                            : ParseDouble(TrimSpace(part.substr(colon + 1)));
      if (!at.has_value() || !rate) {
        fault(Format("'{}' is not TIME:RATE, such as 30s:500", Printable(part, 40)));
      } else {
        points.push_back({*at, *rate});
      }
    }
  }
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i].rate < 0 || points[i].rate > 1e9)
      fault(Format("the rate {} must be from 0 to 1e9 per second", points[i].rate));
    if (i > 0 && points[i].at < points[i - 1].at)
      fault(Format("{} comes after {}", FormatDuration(points[i].at),
                   FormatDuration(points[i - 1].at)));
  }
  if (!points.empty() && points.front().at != Nanos(0)) fault("the first point must be at 0s");
  RateProfile out;
  out.text_ = Format("{}{}", text, shape == Shape::kStep ? " (step)" : "");
  double expected = 0;
  for (size_t i = 1; i < points.size(); ++i) {
    // Divided, not multiplied: whole seconds stay whole.
    const double begin = static_cast<double>(points[i - 1].at.count()) / 1e9;
    const double length = static_cast<double>((points[i].at - points[i - 1].at).count()) / 1e9;
    if (length <= 0) continue;
    const double from = points[i - 1].rate, to = shape == Shape::kStep ? from : points[i].rate;
    out.segments_.push_back({begin, length, from, to, expected});
    expected += out.segments_.back().expected();
  }
  if (faults.empty() && out.segments_.empty())
    fault("it needs two points: the last one says when it ends");
  if (faults.empty() && expected < 1) fault("not one request would be due");
  if (!faults.empty()) return InvalidArgument(std::move(faults));
  return out;
}

double Replay::mean_rate() const {
  const auto n = static_cast<double>(due.size());
  // Multiplied before it is divided: 3 arrivals in 75 ms are 40 per second and not nearly so.
  if (period > Nanos(0)) return n * 1e9 / static_cast<double>(period.count());
  // n arrivals have n - 1 distances.
  const auto span = static_cast<double>(due.empty() ? 0 : (due.back() - due.front()).count());
  return span > 0 ? (n - 1) * 1e9 / span : n;
}

std::optional<Nanos> ArrivalPlan::length() const {
  if (profile != nullptr) return profile->length();
  if (replay != nullptr && replay->period == Nanos(0)) return replay->due.back();
  return std::nullopt;
}

std::optional<double> ArrivalPlan::mean_rate() const {
  if (profile != nullptr) return profile->mean_rate();
  if (replay != nullptr) return replay->mean_rate();
  return std::nullopt;
}

std::string ArrivalPlan::Describe() const {
  if (replay != nullptr) return replay->kind;
  if (profile != nullptr) return Format("{} over {}", ArrivalLawName(law), profile->text());
  return ArrivalLawName(law);
}

std::unique_ptr<Schedule> MakeSchedule(const ArrivalPlan& plan, double rate, Part part,
                                       const Random& random) {
  if (plan.replay != nullptr) return std::make_unique<ReplaySchedule>(plan.replay, part);
  return std::make_unique<LawSchedule>(plan.law, Time(rate, plan.profile), part, random);
}

}  // namespace sextant::load
