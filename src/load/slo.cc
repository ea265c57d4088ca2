#include "load/slo.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "base/units.h"
#include "stats/interval.h"
#include "stats/quantile.h"

namespace sextant::load {
namespace {

// A level that answers less than this share of its arrivals does not keep up with them.
constexpr double kKeepsUp = 0.98;

constexpr std::string_view kMetrics = "there are p50 to p99.99, avg, max, errors and throughput";

std::string Milliseconds(double ns) { return HumanDuration(Nanos(static_cast<int64_t>(ns))); }

// The model that the text names in front of its metric, if it names one.
std::string TakeModel(std::string_view& text, std::span<const std::string> models) {
  std::string_view model;
  for (const std::string& name : models) {
    // The longest: one model's name may begin another's.
    if (name.size() > model.size() && text.starts_with(name) &&
        text.substr(name.size()).starts_with('.'))
      model = name;
  }
  if (!model.empty()) text.remove_prefix(model.size() + 1);
  return std::string(model);
}

Result<SloTerm> ParseTerm(std::string_view text, std::span<const std::string> models) {
  const std::string_view whole = text;
  const auto fault = [&](std::string_view what) {
    return InvalidArgument(Format("'{}': {}", Printable(whole, 60), what));
  };
  const std::string model = TakeModel(text, models);
  const size_t at = text.find_first_of("<>");
  if (at == std::string_view::npos)
    return fault("write METRIC<LIMIT, such as p99<50ms, or throughput>=100");
  SloTerm term{.text = std::string(whole), .model = model};
  const bool upper = text[at] == '<';
  const std::string name = ToLower(TrimSpace(text.substr(0, at)));
  std::string_view limit = text.substr(at + 1);
  if (limit.starts_with('=')) {
    term.inclusive = true;
    limit.remove_prefix(1);
  }
  limit = TrimSpace(limit);
  using Metric = SloTerm::Metric;
  if (name == "throughput") {
    term.metric = Metric::kThroughput;
    if (upper) return fault("a throughput has a lower limit: throughput>=100");
    if (limit.ends_with("/s")) limit.remove_suffix(2);
    const auto value = ParseDouble(TrimSpace(limit));
    if (!value || *value <= 0) return fault("its limit is inferences per second, such as 100");
    term.limit = *value;
    return term;
  }
  if (!upper) return fault("it has an upper limit: write < or <=");
  if (name == "errors") {
    term.metric = Metric::kErrors;
    const bool percent = limit.ends_with('%');
    if (percent) limit.remove_suffix(1);
    const auto value = ParseDouble(TrimSpace(limit));
    term.limit = value ? (percent ? *value / 100 : *value) : -1;
    const bool possible = term.limit > 0 || (term.limit == 0 && term.inclusive);
    if (!value || !possible || term.limit > 1)
      return fault("its limit is a share from 0 to 1 or a percentage, such as 0.1%");
    return term;
  }
  if (name == "avg" || name == "mean") {
    term.metric = Metric::kMean;
  } else if (name == "max") {
    term.metric = Metric::kMax;
  } else {
    const auto p = name.starts_with('p') ? ParseDouble(name.substr(1)) : std::nullopt;
    if (!p || *p <= 0 || *p >= 100)
      return fault(models.empty() ? std::string(kMetrics)
                                  : Format("{}; in front of one may stand a model and a dot: {}",
                                           kMetrics, Join({models.begin(), models.end()}, ", ")));
    term.p = *p / 100;
  }
  const Result<Nanos> value = ParseDuration(limit);
  if (!value.has_value() || *value <= Nanos(0))
    return fault("its limit is a time with its unit, such as 50ms");
  term.limit = static_cast<double>(value->count());
  return term;
}

// A share of requests against its limit: bounds of k in n, each worth 1 / effect.
struct ShareVerdict {
  Verdict verdict = Verdict::kUndecided;
  double longer = 2;
  bool leans = false;
};
ShareVerdict JudgeShare(uint64_t k, uint64_t n, double effect, double limit) {
  if (n == 0) return {Verdict::kFail, 1};
  const double size = static_cast<double>(n) / effect, count = static_cast<double>(k) / effect;
  const stats::ShareBounds bounds = stats::ExactShare(count, size);
  if (bounds.upper <= limit) return {Verdict::kPass, 1};
  if (bounds.lower > limit) return {Verdict::kFail, 1};
  // Without any over the limit, so many are needed to say that there are few.
  const double needs = std::log(0.025) / std::log1p(-std::min(limit, 0.999));
  return {.verdict = Verdict::kUndecided,
          .longer = std::max(2.0, k == 0 ? 1.1 * needs / size : 0),
          .leans = count <= limit * size / 2};
}

double EffectNear(const run::Level& level, double p) {
  double effect = 1, nearest = 2;
  for (const stats::QuantileEstimate& q : level.latency.percentiles) {
    if (std::abs(q.p - p) < nearest) nearest = std::abs(q.p - p), effect = q.design_effect;
  }
  return std::max(1.0, effect);
}

class Judge {
 public:
  Judge(const Slo& slo, const run::Level& whole) {
    for (const SloTerm& term : slo.terms) {
      level_ = PartOf(whole, term.model);
      if (level_ == nullptr) {
        Add(term, Verdict::kFail, Format("no model '{}'", term.model));
        continue;
      }
      lost_ = level_->unfinished + (slo.limits_errors() ? 0 : level_->failed);
      JudgeTerm(term);
    }
    level_ = &whole;
    if (whole.load.mode == run::LoadMode::kRequestRate) JudgeKeepingUp();
  }
  SloVerdict Take() { return std::move(out_); }

 private:
  static const run::Level* PartOf(const run::Level& whole, std::string_view model) {
    if (model.empty()) return &whole;
    for (const run::Level& part : whole.models) {
      if (part.part && part.part->label() == model) return &part;
    }
    return nullptr;
  }

  void JudgeTerm(const SloTerm& term) {
    switch (term.metric) {
      case SloTerm::Metric::kQuantile:
        return Quantile(term);
      case SloTerm::Metric::kMean:
        return Interval(term, level_->latency.mean, "avg", lost_ > 0);
      case SloTerm::Metric::kMax:
        return Maximum(term);
      case SloTerm::Metric::kErrors:
        return Errors(term);
      case SloTerm::Metric::kThroughput:
        return Throughput(term);
    }
  }

  void Quantile(const SloTerm& term) {
    const uint64_t over = level_->latency.histogram.CountAbove(term.limit) + lost_;
    const uint64_t n = level_->latency.histogram.count() + lost_;
    // How requests over the quantile come in groups says nothing of a limit that none is even near.
    const bool far =
        over == 0 && static_cast<double>(level_->latency.histogram.max()) < term.limit / 2;
    const double effect = far ? 1 : EffectNear(*level_, term.p);
    const ShareVerdict verdict = JudgeShare(over, n, effect, 1 - term.p);
    std::string value = "no value";
    const double p = n == 0 ? 1
                            : term.p * static_cast<double>(n) /
                                  static_cast<double>(level_->latency.histogram.count());
    if (level_->latency.histogram.count() > 0) {
      // The quantile of all, of which those without an answer are the longest.
      value = p < 1
                  ? Milliseconds(level_->latency.histogram.Quantile(p))
                  : "beyond " + Milliseconds(static_cast<double>(level_->latency.histogram.max()));
    }
    Add(term, verdict.verdict,
        Format("p{:g} {}, {} of {} requests over", term.p * 100, value, over, n), verdict.longer,
        false, verdict.leans);
  }

  void Maximum(const SloTerm& term) {
    const auto max = static_cast<double>(level_->latency.histogram.max());
    const bool within = term.inclusive ? max <= term.limit : max < term.limit;
    const bool any = level_->latency.histogram.count() > 0;
    Add(term, within && any && lost_ == 0 ? Verdict::kPass : Verdict::kFail,
        lost_ > 0 ? Format("{} requests without a good answer", lost_)
                  : "max " + Milliseconds(max));
  }

  void Interval(const SloTerm& term, const stats::IntervalEstimate& estimate, std::string_view name,
                bool fails) {
    Verdict verdict = Verdict::kUndecided;
    if (estimate.known && estimate.upper() < term.limit) verdict = Verdict::kPass;
    if ((estimate.known && estimate.lower() > term.limit) || fails || level_->succeeded == 0)
      verdict = Verdict::kFail;
    Add(term, verdict,
        Format("{} {}{}", name, Milliseconds(estimate.value),
               fails ? Format(", and {} requests without a good answer", lost_) : ""));
  }

  void Errors(const SloTerm& term) {
    const uint64_t failed = level_->failed + level_->unfinished;
    const ShareVerdict verdict =
        term.limit == 0 ? ShareVerdict{failed == 0 ? Verdict::kPass : Verdict::kFail, 1}
                        : JudgeShare(failed, level_->scheduled, 1, term.limit);
    Add(term, verdict.verdict,
        Format("errors {:.3g} % ({} of {})", level_->error_rate() * 100, failed, level_->scheduled),
        verdict.longer, false, verdict.leans);
  }

  void Throughput(const SloTerm& term) {
    const stats::IntervalEstimate& t = level_->throughput;
    Verdict verdict = Verdict::kUndecided;
    if (t.known && t.lower() >= term.limit) verdict = Verdict::kPass;
    if (t.known && t.upper() < term.limit) verdict = Verdict::kFail;
    Add(term, verdict, Format("throughput {}/s", HumanNumber(t.value)), 2, true);
  }

  // Answers come as fast as requests are due; else there is a queue that only grows, however short
  // the window was for it.
  void JudgeKeepingUp() {
    if (level_->window_s <= 0 || !level_->request_rate.known) return;
    const double offered =
        static_cast<double>(level_->scheduled - std::min(level_->scheduled, level_->failed)) /
        level_->window_s;
    if (level_->request_rate.upper() >= kKeepsUp * offered) return;
    out_.ceilings = Verdict::kFail;
    out_.terms.push_back(
        {Verdict::kFail, Format("{}/s of {}/s are answered: does not keep up",
                                HumanNumber(level_->request_rate.value), HumanNumber(offered))});
  }

  void Add(const SloTerm& term, Verdict verdict, std::string text, double longer = 2,
           bool floor = false, bool leans = false) {
    AppendFormat(text, " ({}): {}", term.text, VerdictName(verdict));
    out_.terms.push_back({verdict, std::move(text)});
    Verdict& of = floor ? out_.floors : out_.ceilings;
    // One that fails decides, then one that is undecided.
    if (verdict == Verdict::kFail || of == Verdict::kPass) of = verdict;
    if (verdict != Verdict::kUndecided) return;
    out_.longer = std::max(out_.longer, longer);
    out_.leans = out_.leans && (leans || floor);
  }

  const run::Level* level_ = nullptr;  // what the term is of
  uint64_t lost_ = 0;
  SloVerdict out_;
};

}  // namespace

bool Slo::limits_errors() const {
  return std::any_of(terms.begin(), terms.end(),
                     [](const SloTerm& t) { return t.metric == SloTerm::Metric::kErrors; });
}

Nanos Slo::longest_latency() const {
  double longest = 0;
  for (const SloTerm& term : terms) {
    const bool latency =
        term.metric != SloTerm::Metric::kErrors && term.metric != SloTerm::Metric::kThroughput;
    if (latency) longest = std::max(longest, term.limit);
  }
  return Nanos(static_cast<int64_t>(longest));
}

Result<Slo> ParseSlo(std::string_view text, std::span<const std::string> models) {
  Slo slo{.text = std::string(TrimSpace(text))};
  std::string faults;
  for (const std::string_view part : Split(text, ',')) {
    Result<SloTerm> term = ParseTerm(TrimSpace(part), models);
    if (term.has_value()) {
      slo.terms.push_back(*std::move(term));
    } else {
      AppendFormat(faults, "{}{}", faults.empty() ? "" : "; ", term.error().message());
    }
  }
  if (!faults.empty()) return InvalidArgument(std::move(faults));
  const bool only_floors = std::all_of(slo.terms.begin(), slo.terms.end(), [](const SloTerm& t) {
    return t.metric == SloTerm::Metric::kThroughput;
  });
  if (only_floors) {
    return InvalidArgument(
        "it limits no latency and no errors: any load would do. Add one, such as p99<50ms");
  }
  return slo;
}

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "passes";
    case Verdict::kFail:
      return "fails";
    case Verdict::kUndecided:
      return "undecided";
  }
  return "?";
}

std::string SloVerdict::Describe() const {
  std::string out;
  for (const TermVerdict& term : terms)
    AppendFormat(out, "{}{}", out.empty() ? "" : "; ", term.text);
  return out;
}

SloVerdict JudgeSlo(const Slo& slo, const run::Level& level) { return Judge(slo, level).Take(); }

}  // namespace sextant::load
