#include "load/measurement.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/strings.h"
#include "base/units.h"
#include "load/level_run.h"
#include "stats/steady_state.h"

namespace sextant::load {

size_t GrpcConnectionsFor(size_t concurrency) { return std::max<size_t>(1, (concurrency + 5) / 6); }

Result<std::unique_ptr<Generator>> Generator::Start(const WorkerOptions& options, size_t workers) {
  std::unique_ptr<Generator> generator(new Generator());
  if (options.channel.endpoints.size() > 1) {
    for (const Endpoint& endpoint : options.channel.endpoints)
      generator->endpoints_.push_back(endpoint.name);
  }
  for (size_t i = 0; i < workers; ++i) {
    WorkerOptions own = options;
    if (own.channel.max_connections > 0)
      own.channel.max_connections =
          std::max<size_t>(1, ShareOf(options.channel.max_connections, i, workers));
    // Few connections per worker must not all go to the same servers.
    own.channel.first_endpoint = i % options.channel.endpoints.size();
    SEXTANT_ASSIGN(auto worker, Worker::Start(own, i, workers));
    generator->workers_.push_back(std::move(worker));
  }
  return generator;
}

Generator::~Generator() = default;

void Generator::LevelRun::Connect() {
  const auto concurrency = static_cast<size_t>(closed_loop() ? plan_.load.value : 1);
  size_t connections = plan_.connections;
  if (connections == 0) {
    connections = plan_.requests->protocol() == kserve::Protocol::kHttp
                      ? concurrency
                      : GrpcConnectionsFor(concurrency);
  }
  connections = std::max(connections, closed_loop() ? size_t{1} : workers_.size());
  for (size_t i = 0; i < workers_.size(); ++i) workers_[i]->Prepare(Share(connections, i));
  const Instant begin = SteadyNow();
  const auto all_prepared = [&] {
    return std::all_of(workers_.begin(), workers_.end(),
                       [](const auto& w) { return w->Prepared(); });
  };
  while (!all_prepared() && SteadyNow() - begin < options_.connect_limit && !Stopped()) {
    Look("connecting", begin, Nanos(0));
    std::this_thread::sleep_for(1ms);
  }
  for (const auto& worker : workers_) {
    if (worker->Prepared()) continue;
    level_.notes.push_back(Format("not all connections could be made: {}", worker->ConnectFault()));
    break;
  }
}

// Machines that make one load together begin at one time, each connected before.
void Generator::LevelRun::AwaitStart() {
  if (plan_.start_at == Instant::min()) return;
  const Instant begin = SteadyNow();
  if (begin > plan_.start_at) {
    level_.notes.push_back(Format("began {} after --start-at: connecting took longer",
                                  HumanDuration(begin - plan_.start_at)));
  }
  while (SteadyNow() + 4 * kLook < plan_.start_at && !Stopped()) {
    Look("waiting", begin, plan_.start_at - begin);
    std::this_thread::sleep_for(kLook);
  }
}

void Generator::LevelRun::ApplyLoad(Instant origin, std::shared_ptr<std::atomic<int64_t>> budget) {
  const Random random(plan_.seed);
  origin_ = origin;
  for (size_t i = 0; i < workers_.size(); ++i) {
    const load::Part part = plan_.shard.Of(i, workers_.size());
    WorkerLoad load{.requests = plan_.requests,
                    .origin = origin,
                    .budget = budget,
                    .order = plan_.order,
                    .part = part,
                    .random = random.Fork(1)};
    load.parts = plan_.requests->output_parts() / workers_.size();
    load.first_part = i * load.parts;
    if (!plan_.mix.empty()) AddModels(random, load);
    if (closed_loop()) {
      load.concurrency = Share(static_cast<size_t>(plan_.load.value), i);
      if (load.concurrency == 0) load.requests = nullptr;
      if (plan_.periodic) {
        load.periodic.emplace(*plan_.periodic);
        load.concurrency = plan_.periodic->start;
      }
      if (plan_.requests->sequences()) load.sequences = load.concurrency;
    } else {
      load.schedule = MakeSchedule(plan_.arrivals, plan_.rate > 0 ? plan_.rate : plan_.load.value,
                                   part, random.Fork(0));
      if (plan_.max_in_flight > 0)
        load.max_in_flight = std::max<size_t>(1, Share(plan_.max_in_flight, i));
      if (plan_.requests->sequences()) {
        load.sequences = std::max<size_t>(1, Share(plan_.sequences, i));
        load.turn = plan_.serial_sequences ? Sequences::Turn::kRandom : Sequences::Turn::kRound;
      }
    }
    workers_[i]->SetLoad(std::move(load));
  }
}

void Generator::LevelRun::StopLoad() {
  for (const auto& worker : workers_) worker->SetLoad({});
}

// Takes finished blocks from the workers; what all have delivered goes to the warm-up's series or
// to the window's.
void Generator::LevelRun::TakeBlocks() {
  for (size_t i = 0; i < workers_.size(); ++i) {
    for (std::unique_ptr<Block>& block : workers_[i]->blocks().TakeFull()) {
      if (block->index >= first_block_ && block->index <= last_block_) window_cpu_[i] += block->cpu;
      if (by_trials()) NoteTrialCpu(i, *block);
      incoming_.Add(*block);
      workers_[i]->blocks().GiveBack(std::move(block));
    }
  }
  while (const std::optional<Block> sum = incoming_.Take(workers_.size())) {
    const Block& block = *sum;
    if (by_trials() && block.index >= first_block_) trial_blocks_.push_back(block);
    phase_answered_ += block.answered;
    recent_.push_back(block);
    if (recent_.size() * static_cast<size_t>(block_length_.count()) > 1'000'000'000)
      recent_.erase(recent_.begin());
    if (by_trials() && block.index >= first_block_) {
      // Which windows count is known when they have ended.
    } else if (block.index >= first_block_ && block.index <= last_block_) {
      Block relative = block;
      relative.index -= first_block_;
      series_.Add(relative);
    } else if (block.index < first_block_) {
      warmup_rates_.push_back(static_cast<double>(block.answered));
      if (block.answered > 0)
        warmup_means_.push_back(block.latency.sum() / static_cast<double>(block.answered));
      level_.warmup_requests += block.answered + block.failed;
    }
  }
  TakeModelBlocks();
}

void Generator::LevelRun::Look(std::string_view phase, Instant phase_begin, Nanos expected) {
  if (block_length_ > Nanos(0)) TakeBlocks();
  const Instant now = SteadyNow();
  if (!hooks_.progress || now - last_progress_ < kProgressEvery) return;
  last_progress_ = now;
  LiveFigures figures{.phase = phase,
                      .elapsed_s = Seconds(now - phase_begin),
                      .expected_s = Seconds(expected),
                      .answered = phase_answered_};
  if (!recent_.empty()) {
    Block sum = recent_.front();
    for (size_t i = 1; i < recent_.size(); ++i) sum.Merge(recent_[i]), sum.index = recent_[i].index;
    const double seconds = static_cast<double>(recent_.size()) * Seconds(block_length_);
    figures.requests_per_s = static_cast<double>(sum.answered) / seconds;
    figures.failed_per_s = static_cast<double>(sum.failed) / seconds;
    figures.not_sent_per_s = static_cast<double>(sum.overflow) / seconds;
    figures.p99_ns = sum.latency.Quantile(0.99);
    figures.in_flight = recent_.back().in_flight;
  }
  hooks_.progress(figures);
}

// The load begins. The warm-up ends by its rule: after so many requests or so long; or,
// automatically, when leaving out more of what has been seen would no longer make the mean more
// certain (MSER).
void Generator::LevelRun::WarmUp() {
  block_length_ = BlockLengthFor(options_);
  window_cpu_.assign(workers_.size(), Nanos(0));
  epoch_ = LoadBegin();
  for (const auto& worker : workers_) worker->StartBlocks(epoch_, block_length_);
  const WarmupRule& rule = options_.warmup;
  const bool by_requests = rule.kind == WarmupRule::Kind::kRequests;
  if ((by_requests && rule.requests == 0) ||
      (rule.kind == WarmupRule::Kind::kTime && rule.time == Nanos(0))) {
    level_.warmup_rule = "none";
    return;
  }
  uint64_t finished_before = 0;
  for (const auto& worker : workers_) finished_before += worker->finished();
  ApplyLoad(epoch_, nullptr);
  level_.warmup_rule = by_requests                            ? "requests"
                       : rule.kind == WarmupRule::Kind::kTime ? "time"
                                                              : "mser";
  const Nanos limit = rule.kind == WarmupRule::Kind::kTime   ? rule.time
                      : rule.kind == WarmupRule::Kind::kAuto ? rule.longest
                                                             : Nanos::max() / 4;
  while (!Stopped()) {
    if (schedule_length_ && SteadyNow() - epoch_ >= *schedule_length_) {
      level_.notes.emplace_back("the schedule ended within the warm-up");
      break;
    }
    Look("warm-up", epoch_, rule.kind == WarmupRule::Kind::kTime ? rule.time : Nanos(0));
    const Nanos elapsed = SteadyNow() - epoch_;
    if (elapsed >= limit) {
      if (rule.kind == WarmupRule::Kind::kAuto) level_.warmup_rule = "cap";
      break;
    }
    uint64_t finished = 0;
    for (const auto& worker : workers_) finished += worker->finished();
    if (by_requests && finished - finished_before >= rule.requests) break;
    if (rule.kind == WarmupRule::Kind::kAuto && elapsed >= rule.shortest && WarmupSettled()) break;
    std::this_thread::sleep_for(by_requests ? Nanos(1ms) : kLook);
  }
  level_.warmup_s = Seconds(SteadyNow() - epoch_);
}

bool Generator::LevelRun::WarmupSettled() {
  const double in_flight = closed_loop() ? plan_.load.value : 1;
  if (static_cast<double>(level_.warmup_requests) < std::max(20.0, 3 * in_flight) ||
      warmup_rates_.size() < 4)
    return false;
  const size_t rates = stats::MserTruncation(warmup_rates_),
               means = stats::MserTruncation(warmup_means_);
  return rates < warmup_rates_.size() && means < warmup_means_.size();
}

// Asks for the server's counters, and does not wait for them: a server that is slow with the
// answer, for it stalls or is overloaded, must not move the window's edges. Nothing is asked again
// of one that did not answer the first time.
void Generator::LevelRun::AskStatistics(Counters& into, const Counters& first) {
  if (hooks_.edge) hooks_.edge();
  if (!hooks_.statistics) return;
  into = std::async(std::launch::async, [this, first] {
           if (first.valid() && !first.get().has_value()) return first.get();
           return hooks_.statistics();
         }).share();
}

// The answer, waited for; null when there is none.
const std::vector<kserve::ModelStatistics>* Generator::LevelRun::Answer(const Counters& asked) {
  return asked.valid() && asked.get().has_value() ? &*asked.get() : nullptr;
}

// Tells the workers the window's begin, and its end if that is known: then nothing that delays the
// controller later can move it.
void Generator::LevelRun::AnnounceWindow() {
  if (options_.window.kind == WindowRule::Kind::kTime) SetEnd(WindowEnd());
  for (const auto& worker : workers_) worker->OpenWindow(begin_, end_);
}

// The end of a window of time. The block in which a schedule's last arrival is due is the window's.
Instant Generator::LevelRun::WindowEnd() const {
  const Instant end = begin_ + options_.window.time;
  if (!schedule_length_) return end;
  const bool cold = level_.warmup_rule == "none";
  return std::min(end, (cold ? begin_ : origin_) + *schedule_length_ + block_length_);
}

// Whole blocks only, so that rates are over exactly the time that the blocks cover.
void Generator::LevelRun::SetEnd(Instant end) {
  const int64_t blocks = std::max<int64_t>(1, (end - begin_) / block_length_);
  end_ = begin_ + block_length_ * blocks;
  last_block_ = first_block_ + blocks - 1;
}

// A window of time begins on a block boundary while the load runs on. A window of requests begins
// with an idle generator, so that exactly those requests are sent.
void Generator::LevelRun::OpenWindow() {
  const bool by_requests = options_.window.kind == WindowRule::Kind::kRequests;
  const bool cold = level_.warmup_rule == "none";
  if (by_requests || cold) {
    if (!cold) {
      StopLoad();
      Settle();
    }
    AskStatistics(stats_begin_, {});
    if (stats_begin_.valid()) stats_begin_.wait();
    epoch_ = LoadBegin();
    begin_ = epoch_;
    incoming_.Clear();
    ForgetModelBlocks();
    recent_.clear();
    first_block_ = 0;
    for (const auto& worker : workers_) worker->StartBlocks(epoch_, block_length_);
    AnnounceWindow();
    // A closed loop begins at once, so it must not begin early.
    while (SteadyNow() < begin_) {
    }
    ApplyLoad(begin_, by_requests ? std::make_shared<std::atomic<int64_t>>(
                                        static_cast<int64_t>(options_.window.requests))
                                  : nullptr);
  } else {
    Nanos notice = kNotice;
    do {
      begin_ = NextBoundary(SteadyNow() + notice);
      first_block_ = (begin_ - epoch_) / block_length_;
      AnnounceWindow();
      notice = std::min(2 * notice, kLongestNotice);
    } while (SteadyNow() >= begin_ && !Stopped());
    std::this_thread::sleep_until(begin_);
    AskStatistics(stats_begin_, {});
  }
  level_.started = WallNow() + (begin_ - SteadyNow());
  phase_answered_ = 0;
}

bool Generator::LevelRun::WaitUntilDone(Instant deadline) {
  return std::all_of(workers_.begin(), workers_.end(),
                     [&](const auto& w) { return w->WaitWindowDone(deadline); });
}

// Wide enough intervals are the reason to go on measuring.
bool Generator::LevelRun::WindowIsWide() {
  std::vector<double> answered, lengths;
  uint64_t total = 0;
  for (const Block& block : series_.blocks()) {
    answered.push_back(static_cast<double>(block.answered));
    lengths.push_back(Seconds(series_.length()));
    total += block.answered;
  }
  const stats::IntervalEstimate rate = stats::BatchMeans(answered, lengths);
  return !rate.known || rate.relative() > options_.window.relative_half_width ||
         total < stats::QuantileNeeds(0.99);
}

void Generator::LevelRun::WaitForWindowEnd() {
  const WindowRule& rule = options_.window;
  const Nanos longest = rule.kind == WindowRule::Kind::kTime   ? end_ - begin_
                        : rule.kind == WindowRule::Kind::kAuto ? rule.longest
                                                               : Nanos::max() / 4;
  const Nanos expected = rule.kind == WindowRule::Kind::kRequests ? Nanos(0) : longest;
  for (;;) {
    Look("measuring", begin_, expected);
    const Nanos elapsed = SteadyNow() - begin_;
    if (Stopped()) {
      level_.window_rule = "interrupted";
      const Instant soon = NextBoundary(SteadyNow() + kNotice);
      if (soon < end_) CloseWindow(soon);
      break;
    }
    if (rule.kind == WindowRule::Kind::kRequests) {
      if (WaitUntilDone(SteadyNow() + kLook)) {
        level_.window_rule = "requests";
        AskStatistics(stats_end_, stats_begin_);
        return;  // the window ends with its last answer
      }
      continue;
    }
    if (elapsed + kLook + kEndNotice >= longest) {
      const bool by_schedule = schedule_length_ && end_ < begin_ + rule.time;
      level_.window_rule = by_schedule                            ? "schedule"
                           : rule.kind == WindowRule::Kind::kTime ? "time"
                                                                  : "longest";
      if (rule.kind == WindowRule::Kind::kAuto) CloseWindow(begin_ + longest);
      break;
    }
    if (rule.kind == WindowRule::Kind::kAuto && elapsed >= rule.shortest && !WindowIsWide()) {
      level_.window_rule = "interval";
      CloseWindow(NextBoundary(SteadyNow() + kEndNotice));
      break;
    }
    std::this_thread::sleep_for(kLook);
  }
  std::this_thread::sleep_until(end_);
  AskStatistics(stats_end_, stats_begin_);
}

void Generator::LevelRun::CloseWindow(Instant end) {
  SetEnd(std::max(end, NextBoundary(SteadyNow() + kNotice)));
  for (const auto& worker : workers_) worker->CloseWindow(end_);
  const Nanos late = SteadyNow() - end_;
  if (late >= Nanos(0)) {
    level_.notes.push_back(
        Format("this machine is too busy: the window's end was announced up to {} late, and what "
               "came meanwhile counts as well",
               HumanDuration(late)));
  }
}

void Generator::LevelRun::Collect() {
  WindowRecord total;
  for (const auto& worker : workers_) {
    if (const auto record = worker->TakeWindow(); record != nullptr) total.Merge(*record);
  }
  if (options_.window.kind == WindowRule::Kind::kRequests && end_ == Instant::max()) {
    // From the first request due to the last answer.
    begin_ = std::min(begin_, total.first_scheduled);
    end_ = std::max(total.last_done, begin_ + Nanos(1));
    for (const auto& [outcome, tally] : total.failures) {
      if (outcome.kind == OutcomeKind::kUnfinished) end_ = SteadyNow();
    }
    last_block_ = (end_ - begin_) / block_length_;
    // Every answer of the window came before its end, whatever the workers could know of that end.
    total.completed = total.succeeded;
    for (WindowRecord& model : total.models) model.completed = model.succeeded;
    // The block in which the last answer came is published when it is over.
    std::this_thread::sleep_until(begin_ + block_length_ * (last_block_ + 1) + 1ms);
    for (int i = 0; i < 50 && series_.blocks().size() *
                                      static_cast<size_t>(series_.length() / block_length_) <=
                                  static_cast<size_t>(last_block_);
         ++i) {
      TakeBlocks();
      std::this_thread::sleep_for(1ms);
    }
  }
  StopLoad();
  if (hooks_.windows) {
    if (trial_edges_.size() < 2) trial_edges_ = {begin_, end_};
    hooks_.windows(trial_edges_);
  }
  CollectClient();
  ComputeLevel({.record = &total,
                .blocks = &series_.blocks(),
                .block_length = series_.length(),
                .window = end_ - begin_,
                .batch_size = plan_.load.batch_size,
                .endpoints = endpoints_},
               options_, level_);
  level_.client.limits = FindClientLimits(level_, options_.spin);
  level_.client.limited = !level_.client.limits.empty();
  CollectServer();
  if (!plan_.mix.empty()) CollectModels(total);
  if (level_.sequences) CloseSequences();
  if (level_.warmup_rule == "cap")
    level_.notes.push_back("the warm-up did not settle; the window began all the same");
}

void Generator::LevelRun::CollectServer() {
  const auto* before = Answer(stats_begin_);
  const auto* after = Answer(stats_end_);
  if (stats_end_.valid() && after == nullptr)
    level_.notes.push_back("no server statistics: " + stats_end_.get().error().message());
  if (before != nullptr && after != nullptr) {
    for (run::ServerRecord& record : StatisticsDelta(*before, *after)) {
      (MeasuredHere(record) ? level_.server : level_.composing).push_back(std::move(record));
    }
    uint64_t inferences = 0;
    for (const run::ServerRecord& record : level_.server) inferences += record.inference_count;
    // What was given up here may have been done there.
    const double ours = static_cast<double>((level_.completed + level_.failed + level_.unfinished) *
                                            static_cast<uint64_t>(plan_.load.batch_size));
    // What is in flight at either edge may be counted on one side only.
    const double slack = 2 * std::max<double>(1, static_cast<double>(level_.in_flight_max)) *
                             static_cast<double>(plan_.load.batch_size) +
                         0.02 * ours;
    const bool alone = plan_.shard.step == 1;  // other shards are no strangers
    if (alone && static_cast<double>(inferences) > ours + slack) {
      level_.notes.push_back(
          Format("the server counted {} inferences, this client {:.0f}: others use the model too, "
                 "or the server still works on what was given up before",
                 inferences, ours));
    }
  }
}

// Stopping the load sends an end to every sequence that is open, or a server would keep a place for
// it until it has been idle for long. The answers are waited for, but not as long as for others.
void Generator::LevelRun::CloseSequences() {
  const Instant deadline = SteadyNow() + std::min<Nanos>(options_.drain_limit, 2s);
  for (const auto& worker : workers_) {
    while (worker->ReadTotals().in_flight > 0 && SteadyNow() < deadline)
      std::this_thread::sleep_for(1ms);
  }
}

void Generator::LevelRun::CollectClient() {
  const double window_s = static_cast<double>(series_.blocks().size()) * Seconds(series_.length());
  run::ClientRecord& client = level_.client;
  for (size_t i = 0; i < workers_.size(); ++i) {
    const Worker::Totals totals = workers_[i]->ReadTotals();
    client.bytes_sent += totals.transfer.bytes_sent - before_[i].transfer.bytes_sent;
    client.bytes_received += totals.transfer.bytes_received - before_[i].transfer.bytes_received;
    client.connects += totals.transfer.connects - before_[i].transfer.connects;
    client.disconnects += totals.transfer.disconnects - before_[i].transfer.disconnects;
    client.connections += static_cast<int64_t>(totals.connections);
    if (window_s > 0)
      client.cpu_share_max = std::max(client.cpu_share_max, Seconds(window_cpu_[i]) / window_s);
  }
}

void Generator::Drain(Nanos limit) {
  const Instant deadline = SteadyNow() + limit;
  const auto busy = [](const auto& worker) { return worker->ReadTotals().in_flight > 0; };
  while (std::any_of(workers_.begin(), workers_.end(), busy) && SteadyNow() < deadline)
    std::this_thread::sleep_for(1ms);
}

run::Level Generator::Measure(const LevelPlan& plan, const MeasureOptions& options,
                              const MeasureHooks& hooks) {
  return LevelRun(*this, plan, options, hooks).Run();
}

}  // namespace sextant::load
