#include "load/find_max.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "base/units.h"

namespace sextant::load {
namespace {

constexpr int kLooks = 8;  // two seconds
constexpr double kHopeless = 4;
// So few requests in flight on average that a lower load makes nothing faster.
constexpr double kAlone = 0.1;

}  // namespace

LoadSearch::LoadSearch(const SearchRules& rules) : rules_(rules) {
  if (rules_.least <= 0) rules_.least = rules_.whole ? 1 : rules_.start / 256;
}

double LoadSearch::Rounded(double load) const {
  if (rules_.whole) load = std::floor(load);
  if (rules_.most > 0) load = std::min(load, rules_.most);
  return std::max(load, rules_.least);
}

std::optional<double> LoadSearch::Next() const {
  if (!passes_ && !fails_) return Rounded(rules_.start);
  if (!fails_) {
    if (at_most()) return std::nullopt;
    return Rounded(*passes_ * 2);
  }
  if (!passes_) {
    if (*fails_ <= rules_.least) return std::nullopt;
    return Rounded(*fails_ / 4);
  }
  const double width = *fails_ - *passes_;
  if (width <= *passes_ * rules_.precision || (rules_.whole && width <= 1)) return std::nullopt;
  const double middle = Rounded(*passes_ + width / 2);
  // Limits of the range, or of the numbers, leave nothing in between.
  if (middle <= *passes_ || middle >= *fails_) return std::nullopt;
  return middle;
}

void LoadSearch::Report(bool passes) {
  const std::optional<double> load = Next();
  if (!load) return;
  if (passes) passed_before_.push_back(passes_);
  (passes ? passes_ : fails_) = *load;
}

void LoadSearch::Refute() {
  fails_ = passes_;
  passes_ = passed_before_.back();
  passed_before_.pop_back();
}

FindMaxSweep::FindMaxSweep(FindMaxRules rules) : rules_(std::move(rules)), search_(rules_.search) {}

std::optional<Probe> FindMaxSweep::Next() {
  std::optional<double> load = search_.Next();
  if (Confirming()) {
    load = passed_.back().load;
    window_ = std::max(window_.value_or(Nanos(0)), *passed_.back().confirm);
  }
  if (!load) return std::nullopt;
  overloaded_looks_ = 0;
  in_flight_before_ = 0;
  hopeless_.clear();
  Probe probe{.load = rules_.load, .window = window_};
  probe.load.value = *load;
  return probe;
}

bool FindMaxSweep::GiveUp(const LiveFigures& figures) {
  const Nanos longest = rules_.slo.longest_latency();
  if (rules_.load.mode != run::LoadMode::kRequestRate || longest == Nanos(0)) return false;
  const double limit_s = kHopeless * std::max(Seconds(longest), 0.05);
  // Requests that are due now wait until those before them are answered.
  const bool growing = figures.in_flight >= in_flight_before_;
  const double answers = std::max(figures.requests_per_s + figures.failed_per_s, 1.0);
  const double wait_s = static_cast<double>(figures.in_flight) / answers;
  in_flight_before_ = figures.in_flight;
  overloaded_looks_ = growing && wait_s > limit_s ? overloaded_looks_ + 1 : 0;
  if (overloaded_looks_ < kLooks) return !hopeless_.empty();
  if (hopeless_.empty()) {
    hopeless_ = Format("overloaded: {} requests in flight and {}/s answered is a queue of {}",
                       figures.in_flight, HumanNumber(answers), HumanDuration(FromSeconds(wait_s)));
  }
  return true;
}

void FindMaxSweep::Report(run::Level& level) {
  ++levels_;
  requests_ += level.scheduled + level.warmup_requests;
  seconds_ += level.window_s + level.warmup_s;
  SloVerdict verdict = JudgeSlo(rules_.slo, level);
  if (!hopeless_.empty()) {
    verdict.ceilings = Verdict::kFail;
    verdict.terms.insert(verdict.terms.begin(), {Verdict::kFail, hopeless_});
    level.window_rule = "overloaded";
  }
  std::string text = verdict.Describe();
  level.notes.push_back("SLO: " + text);
  const bool confirming = Confirming();
  const double load = confirming ? passed_.back().load : search_.Next().value_or(0);
  // Nothing was due: nothing to judge by.
  if (level.scheduled == 0 && hopeless_.empty()) verdict.ceilings = Verdict::kUndecided;
  const bool may_be_longer = FromSeconds(level.window_s) < rules_.longest * 9 / 10;
  // A queue that grows slowly is within the objective for a while.
  if (verdict.ceilings == Verdict::kPass && rules_.load.mode == run::LoadMode::kRequestRate &&
      level.state == stats::LevelState::kDrifting && may_be_longer)
    verdict.ceilings = Verdict::kUndecided;
  std::optional<double> needs;
  if (verdict.ceilings == Verdict::kUndecided) {
    const Nanos longer = std::min(
        rules_.longest, FromSeconds(std::max(level.window_s, 1.0) * std::max(verdict.longer, 2.0)));
    if (!search_.fails() && !confirming && verdict.leans && level.scheduled > 0) {
      level.notes.emplace_back("SLO: undecided, and well within: higher loads come first");
      return Keep({load, std::move(text), verdict.floors, longer}, true);
    }
    if (may_be_longer) {
      level.notes.emplace_back("SLO: undecided; measured again, longer");
      window_ = longer;
      return;
    }
    level.notes.push_back(
        Format("SLO: still undecided after {:.0f} s (--find-max-longest): it counts as failing",
               level.window_s));
    AppendFormat(text, "; undecided after {:.0f} s", level.window_s);
    needs = std::max(verdict.longer, 2.0);
    const bool lowest = confirming ? passed_.size() == 1 : !search_.passes();
    if (verdict.leans && lowest) {
      level.notes.emplace_back(
          "SLO: lower loads are not tried: they bring fewer requests to judge by");
      search_.LeastIs(load);
    }
  }
  const bool passes = verdict.ceilings == Verdict::kPass;
  if (!passes && !search_.passes() && !search_.fails()) {
    start_failed_ = true;
    level.notes.emplace_back("SLO: the start of the search fails; lower loads are tried");
  }
  if (!passes && !search_.passes() && rules_.load.mode == run::LoadMode::kRequestRate &&
      level.in_flight_mean < kAlone) {
    level.notes.push_back(
        Format("SLO: with {:.2f} requests in flight hardly one waits for another: lower loads are "
               "not tried",
               level.in_flight_mean));
    search_.LeastIs(load);
  }
  Kept kept{load, std::move(text), verdict.floors, std::nullopt, needs};
  if (!confirming) return Keep(std::move(kept), passes);
  window_.reset();
  if (passes) {
    passed_.back() = std::move(kept);
  } else {
    search_.Refute();
    passed_.pop_back();
    worst_ = std::move(kept);
  }
}

void FindMaxSweep::Keep(Kept kept, bool passes) {
  window_.reset();
  if (passes) {
    passed_.push_back(std::move(kept));
  } else {
    worst_ = std::move(kept);
  }
  search_.Report(passes);
}

std::string FindMaxSweep::LoadText(double load) const {
  return rules_.load.mode == run::LoadMode::kConcurrency
             ? Format("concurrency {:g}", load)
             : Format("{} requests/s", HumanNumber(load));
}

std::string FindMaxSweep::Bracket() const {
  if (!worst_) return {};
  return Format("[{}, {})", HumanNumber(passed_.back().load), HumanNumber(worst_->load));
}

std::optional<Conclusion> FindMaxSweep::Conclude() const {
  Conclusion out;
  text::Json& json = out.record;
  const Kept* best = passed_.empty() ? nullptr : &passed_.back();
  const bool done = !search_.Next() && !Confirming();
  const bool floors = best != nullptr && best->floors == Verdict::kPass;
  out.satisfied = done && floors;
  std::string_view verdict = "none";
  if (!done) {
    verdict = "interrupted";
    out.text = Format("Search for '{}': not finished\n", rules_.slo.text);
    if (best) AppendFormat(out.text, "  passes: {}: {}\n", LoadText(best->load), best->verdict);
    if (worst_)
      AppendFormat(out.text, "  fails: {}: {}\n", LoadText(worst_->load), worst_->verdict);
  } else if (best) {
    verdict = floors ? "found" : "throughput";
    out.text = Format("{}: {} {} '{}'{}\n", floors ? "VALID" : "INVALID", LoadText(best->load),
                      floors ? "satisfies" : "is the most that the limits allow, short of",
                      rules_.slo.text,
                      worst_ ? Format("; the highest that does lies in {}", Bracket())
                             : ", and is the end of the range: more was not tried");
    AppendFormat(out.text, "  passes: {}: {}\n", LoadText(best->load), best->verdict);
    if (worst_)
      AppendFormat(out.text, "  fails: {}: {}\n", LoadText(worst_->load), worst_->verdict);
  } else if (worst_ && worst_->needs) {
    verdict = "undecided";
    out.text = Format(
        "UNDECIDED: whether any load satisfies '{}' takes more requests than {} of one brings: "
        "--find-max-longest {} might tell\n",
        rules_.slo.text, FormatDuration(rules_.longest),
        FormatDuration(FromSeconds(std::ceil(Seconds(rules_.longest) * *worst_->needs))));
    AppendFormat(out.text, "  undecided: {}: {}\n", LoadText(worst_->load), worst_->verdict);
  } else {
    out.text = Format("INVALID: no load satisfies '{}'; the lowest that was tried fails\n",
                      rules_.slo.text);
    if (worst_)
      AppendFormat(out.text, "  fails: {}: {}\n", LoadText(worst_->load), worst_->verdict);
  }
  AppendFormat(out.text, "  cost: {} level{}, {} requests, {:.0f} s of load\n", levels_,
               levels_ == 1 ? "" : "s", GroupDigits(requests_), seconds_);
  json.Set("slo", rules_.slo.text);
  json.Set("mode",
           rules_.load.mode == run::LoadMode::kConcurrency ? "concurrency" : "request_rate");
  json.Set("batch_size", rules_.load.batch_size);
  json.Set("precision", rules_.search.precision);
  json.Set("verdict", verdict);
  if (best) json.Set("passes", best->load), json.Set("passes_because", best->verdict);
  if (worst_) json.Set("fails", worst_->load), json.Set("fails_because", worst_->verdict);
  json.Set("start_failed", start_failed_);
  json.Set("levels", levels_);
  json.Set("requests", requests_);
  json.Set("seconds", seconds_);
  return out;
}

}  // namespace sextant::load
