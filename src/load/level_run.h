// One level, phase by phase: what measurement.cc and measurement_trials.cc share. Nobody else
// includes it.
//
// Threads: the controller's.
#pragma once

#include <deque>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "load/level_math.h"
#include "load/measurement.h"
#include "load/window_rules.h"

namespace sextant::load {

// How often the controller looks.
inline constexpr Nanos kLook = 10ms;
inline constexpr Nanos kProgressEvery = 250ms;
// Edges are announced this long before they come, so that every worker knows them in time; where
// that turns out too short on a busy machine, longer.
inline constexpr Nanos kNotice = 5ms;
inline constexpr Nanos kLongestNotice = 1s;
// The load runs on after the window for this long at most: its last requests are to meet the same
// load as the first, but where they are not answered by then the server is behind, and more load
// would only lengthen the queue that they, and the next level, wait for.
inline constexpr Nanos kLoadRunsOn = 2s;
// An end that is decided on the way cannot be announced twice.
inline constexpr Nanos kEndNotice = 50ms;

// What worker `worker` of `workers` gets of a total; the shares add up to it.
inline size_t ShareOf(size_t total, size_t worker, size_t workers) {
  return total / workers + (worker < total % workers ? 1 : 0);
}

// One level, phase by phase.
class Generator::LevelRun {
 public:
  LevelRun(Generator& generator, const LevelPlan& plan, const MeasureOptions& options,
           const MeasureHooks& hooks)
      : workers_(generator.workers_),
        endpoints_(generator.endpoints_),
        plan_(plan),
        schedule_length_(plan.load.mode == run::LoadMode::kRequestRate ? plan.arrivals.length()
                                                                       : std::nullopt),
        options_(AdaptToSchedule(options, schedule_length_)),
        hooks_(hooks),
        series_(BlockLengthFor(options_)),
        model_blocks_(plan.mix.size(), {{}, series_}) {}

  run::Level Run() {
    level_.load = plan_.load;
    level_.client.workers = static_cast<int>(workers_.size());
    Settle();
    Connect();
    AwaitStart();
    for (const auto& worker : workers_) before_.push_back(worker->ReadTotals());
    WarmUp();
    OpenWindow();
    if (by_trials()) {
      MeasureTrials();
    } else {
      WaitForWindowEnd();
    }
    Drain();
    if (by_trials()) TakeTrialBlocks();
    Collect();
    NoteUnanswered();
    return std::move(level_);
  }

 private:
  // Adds up the workers' blocks of the same stretch of time.
  class BlockSums {
   public:
    void Add(const Block& block) {
      auto [entry, is_new] = sums_.try_emplace(block.index, 1, block);
      if (is_new) return;
      ++entry->second.first;
      entry->second.second.Merge(block);
    }
    // The next in order, once all workers have delivered theirs.
    std::optional<Block> Take(size_t workers) {
      if (sums_.empty() || sums_.begin()->second.first < workers) return std::nullopt;
      return std::move(sums_.extract(sums_.begin()).mapped().second);
    }
    // Whether somebody has delivered a block behind this one.
    bool Beyond(int64_t index) const { return !sums_.empty() && sums_.rbegin()->first > index; }
    void Clear() { sums_.clear(); }

   private:
    std::map<int64_t, std::pair<size_t, Block>> sums_;  // by index: of how many workers
  };
  // What was asked of the server, whose answer may still be on its way.
  using Counters = std::shared_future<Result<std::vector<kserve::ModelStatistics>>>;

  bool by_trials() const { return options_.window.kind == WindowRule::Kind::kTrials; }
  bool closed_loop() const { return plan_.load.mode == run::LoadMode::kConcurrency; }
  bool Stopped() {
    if (!stopped_ && hooks_.stop && hooks_.stop()) stopped_ = true;
    return stopped_;
  }
  // This worker's share of a total.
  size_t Share(size_t total, size_t worker) const {
    return ShareOf(total, worker, workers_.size());
  }

  // measurement_ends.cc: before the load, and after the window.
  void Settle();
  uint64_t Sum(uint64_t (*of)(const Worker::Totals&)) const;
  void NoteBacklog(uint64_t cancelled, uint64_t timeouts);
  void Drain();
  void LookForOldest();
  void NoteUnanswered();
  void Connect();
  void AwaitStart();
  Instant LoadBegin() const { return std::max(SteadyNow() + kNotice, plan_.start_at); }
  void WarmUp();
  bool WarmupSettled();
  void OpenWindow();
  void AnnounceWindow();
  Instant WindowEnd() const;
  void SetEnd(Instant end);
  void CloseWindow(Instant end);
  void WaitForWindowEnd();
  bool WindowIsWide();
  // perf_analyzer's windows: measurement_trials.cc.
  struct TrialWindow {
    Instant begin, end;
    Counters asked_at_begin;
  };
  void MeasureTrials();
  void Split(Instant at);
  Instant WaitForTrialEnd(const TrialWindow& window);
  void WaitForBlocks(Instant until);
  TrialFigures FiguresOf(const TrialWindow& window) const;
  void EndTrials(const std::vector<TrialWindow>& parts, const Counters& asked_at_end);
  void NoteTrials(const Trials& trials, TrialVerdict verdict);
  void TakeTrialBlocks();
  void NoteTrialCpu(size_t worker, const Block& block);
  void Collect();
  void CollectClient();
  void CollectServer();

  // Several models: measurement_mix.cc.
  struct ModelBlocks {
    BlockSums incoming;
    BlockSeries series;
  };
  bool MeasuredHere(const run::ServerRecord& record) const;
  void AddModels(const Random& random, WorkerLoad& load) const;
  void TakeModelBlocks();
  void ForgetModelBlocks();
  void WaitForModelBlocks();
  void CollectModels(const WindowRecord& total);

  void CloseSequences();
  void ApplyLoad(Instant origin, std::shared_ptr<std::atomic<int64_t>> budget);
  void StopLoad();
  bool WaitUntilDone(Instant deadline);
  void Look(std::string_view phase, Instant phase_begin, Nanos expected);
  void TakeBlocks();
  Instant NextBoundary(Instant after) const {
    const int64_t blocks = (after - epoch_ + block_length_ - Nanos(1)) / block_length_;
    return epoch_ + block_length_ * blocks;
  }
  void AskStatistics(Counters& into, const Counters& first);
  const std::vector<kserve::ModelStatistics>* Answer(const Counters& asked);

  std::vector<std::unique_ptr<Worker>>& workers_;
  const std::vector<std::string>& endpoints_;
  const LevelPlan& plan_;
  const std::optional<Nanos> schedule_length_;  // of a schedule that ends
  const MeasureOptions options_;
  const MeasureHooks& hooks_;
  run::Level level_;
  bool stopped_ = false;
  std::vector<Worker::Totals> before_;

  Instant epoch_{};
  Nanos block_length_{0};
  BlockSums incoming_;
  BlockSeries series_;  // of the window
  std::vector<ModelBlocks> model_blocks_;
  std::vector<std::vector<Nanos>> worker_cpu_;
  std::vector<Block> recent_;  // the last second, for live figures
  std::vector<double> warmup_rates_, warmup_means_;
  int64_t first_block_ = INT64_MAX, last_block_ = INT64_MAX;  // of the window, inclusive
  std::vector<Nanos> window_cpu_;                             // per worker
  std::deque<Block> trial_blocks_;  // of the windows that may still count, merged over workers
  std::map<int64_t, std::vector<Nanos>> trial_cpu_;  // by block, of each worker
  Instant origin_{};                                 // of the schedule
  Instant begin_{}, end_ = Instant::max();
  std::vector<Instant> trial_edges_;  // of all windows, whether they count or not
  Counters stats_begin_, stats_end_;  // of the server, at the window's edges
  Worker::Open open_;                 // at the window's end, where nothing was answered in it
  Instant last_progress_{};
  uint64_t phase_answered_ = 0;
};

}  // namespace sextant::load
