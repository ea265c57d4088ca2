// perf_analyzer's windows on the engine's own records: the load runs on through all of them, each
// window's requests are recorded apart, and the last three together are the level's.
#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "base/units.h"
#include "load/level_run.h"

namespace sextant::load {
namespace {

// A window of answers is as long as it takes to have them, and not shorter.
constexpr Nanos kShortestCount = 1s;

}  // namespace

Nanos TrialBlockLength(const TrialRule& rule) {
  return rule.requests > 0 ? Nanos(20ms) : std::clamp<Nanos>(rule.window / 50, 2ms, 1s);
}

void Generator::LevelRun::Split(Instant at) {
  for (const auto& worker : workers_) worker->SplitWindow(at);
  if (const Nanos late = SteadyNow() - at; late >= Nanos(0)) {
    level_.notes.push_back(
        Format("this machine is too busy: the end of one of the windows was announced up to {} "
               "late, and what came meanwhile counts in it",
               HumanDuration(late)));
  }
}

// What each worker used, for the windows that will turn out to count.
void Generator::LevelRun::NoteTrialCpu(size_t worker, const Block& block) {
  std::vector<Nanos>& cpu = trial_cpu_[block.index];
  cpu.resize(workers_.size());
  cpu[worker] = block.cpu;
}

// The end of a window of answers is announced when there are enough; that of time, at its begin.
Instant Generator::LevelRun::WaitForTrialEnd(const TrialWindow& window) {
  const TrialRule& rule = options_.window.trials;
  const bool by_time = rule.requests == 0;
  Instant end = Instant::max();
  if (by_time) {
    end = std::max(NextBoundary(window.begin + rule.window), NextBoundary(SteadyNow() + kNotice));
    Split(end);
  }
  while (SteadyNow() < end) {
    Look("measuring", window.begin, by_time ? rule.window : Nanos(0));
    if (Stopped()) {
      const Instant soon = NextBoundary(SteadyNow() + kEndNotice);
      if (soon < end) Split(end = soon);
      std::this_thread::sleep_until(end);
      break;
    }
    if (!by_time && end == Instant::max() && SteadyNow() - window.begin >= kShortestCount &&
        FiguresOf({window.begin, Instant::max(), {}}).answered >= rule.requests)
      Split(end = NextBoundary(SteadyNow() + kEndNotice));
    std::this_thread::sleep_until(std::min(end, SteadyNow() + kLook));
  }
  return end;
}

// Until the workers have delivered what they recorded up to then.
void Generator::LevelRun::WaitForBlocks(Instant until) {
  const int64_t last = (until - epoch_) / block_length_ - 1;
  const Instant deadline = SteadyNow() + 2 * block_length_ + 50ms;
  const auto delivered = [&] {
    return !trial_blocks_.empty() && trial_blocks_.back().index >= last;
  };
  for (TakeBlocks(); !delivered() && SteadyNow() < deadline; TakeBlocks())
    std::this_thread::sleep_for(1ms);
}

TrialFigures Generator::LevelRun::FiguresOf(const TrialWindow& window) const {
  const int64_t first = (window.begin - epoch_) / block_length_,
                behind = window.end == Instant::max() ? INT64_MAX
                                                      : (window.end - epoch_) / block_length_;
  TrialFigures out;
  stats::Histogram latency(stats::Histogram::kCoarsePrecisionBits);
  for (const Block& block : trial_blocks_) {
    if (block.index < first || block.index >= behind) continue;
    out.answered += block.answered;
    latency.Merge(block.latency);
  }
  if (window.end == Instant::max()) return out;
  out.infer_per_s = static_cast<double>(out.answered) * static_cast<double>(plan_.load.batch_size) /
                    Seconds(window.end - window.begin);
  const std::optional<double>& percentile = options_.window.trials.percentile;
  out.latency_ns = percentile ? latency.Quantile(*percentile) : latency.mean();
  out.standard_deviation_ns = latency.standard_deviation();
  return out;
}

void Generator::LevelRun::MeasureTrials() {
  Trials trials(options_.window.trials);
  TrialVerdict verdict = TrialVerdict::kMore;
  std::vector<TrialWindow> windows;  // the last three
  Counters asked = stats_begin_;
  Instant begin = begin_;
  trial_edges_.push_back(begin);
  while (verdict == TrialVerdict::kMore && !Stopped()) {
    windows.push_back({begin, Instant::max(), asked});
    if (windows.size() > Trials::kJudged) {
      windows.erase(windows.begin());
      const int64_t first = (windows.front().begin - epoch_) / block_length_;
      while (!trial_blocks_.empty() && trial_blocks_.front().index < first)
        trial_blocks_.pop_front();
      trial_cpu_.erase(trial_cpu_.begin(), trial_cpu_.lower_bound(first));
    }
    TrialWindow& window = windows.back();
    begin = window.end = WaitForTrialEnd(window);
    trial_edges_.push_back(begin);
    AskStatistics(asked, window.asked_at_begin);
    WaitForBlocks(window.end);
    const TrialFigures figures = FiguresOf(window);
    verdict = trials.Add(figures);
    if (hooks_.trial && !stopped_) hooks_.trial(figures);
  }
  EndTrials(windows, asked);
  NoteTrials(trials, verdict);
}

// The level's window is what the last three cover.
void Generator::LevelRun::EndTrials(const std::vector<TrialWindow>& windows,
                                    const Counters& asked_at_end) {
  if (windows.empty()) {  // stopped before the first
    SetEnd(NextBoundary(SteadyNow() + kNotice));
    stats_end_ = asked_at_end;
  } else {
    begin_ = windows.front().begin;
    end_ = windows.back().end;
    stats_begin_ = windows.front().asked_at_begin;
    stats_end_ = asked_at_end;
    first_block_ = (begin_ - epoch_) / block_length_;
    last_block_ = (end_ - epoch_) / block_length_ - 1;
  }
  level_.started = WallNow() + (begin_ - SteadyNow());
  for (const auto& worker : workers_) worker->CloseWindow(end_);
}

void Generator::LevelRun::NoteTrials(const Trials& trials, TrialVerdict verdict) {
  const std::vector<TrialFigures>& all = trials.figures();
  level_.window_rule = verdict == TrialVerdict::kMore        ? "interrupted"
                       : verdict == TrialVerdict::kUnstable  ? "max-trials"
                       : verdict == TrialVerdict::kOverLimit ? "latency-limit"
                                                             : "trials";
  if (verdict == TrialVerdict::kStableThroughput)
    level_.notes.emplace_back("the windows' throughputs agree, their latencies do not");
  if (verdict == TrialVerdict::kUnstable) {
    level_.notes.push_back(
        Format("not stable: of {} windows, the last three differ by more than {:.6g} %", all.size(),
               options_.window.trials.stability * 100));
  }
  if (all.size() <= Trials::kJudged) return;
  // Whatever happened in the windows that do not count must not go without a word.
  const size_t left_out = all.size() - Trials::kJudged;
  const auto silent =
      std::count_if(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(left_out),
                    [](const TrialFigures& f) { return f.answered == 0; });
  level_.notes.push_back(
      Format("the first {} of {} windows do not count, for they differed{}", left_out, all.size(),
             silent == 0 ? "" : Format("; in {} of them no request succeeded", silent)));
}

// The blocks of the windows that count become the level's series.
void Generator::LevelRun::TakeTrialBlocks() {
  if (end_ == Instant::max()) return;
  WaitForBlocks(end_);
  window_cpu_.assign(workers_.size(), Nanos(0));
  for (Block& block : trial_blocks_) {
    if (block.index < first_block_ || block.index > last_block_) continue;
    if (const auto cpu = trial_cpu_.find(block.index); cpu != trial_cpu_.end()) {
      for (size_t i = 0; i < cpu->second.size(); ++i) window_cpu_[i] += cpu->second[i];
    }
    block.index -= first_block_;
    series_.Add(block);
  }
  trial_blocks_.clear();
}

}  // namespace sextant::load
